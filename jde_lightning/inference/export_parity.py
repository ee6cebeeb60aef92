"""Whether an exported graph computes what the network computes: measured before the file gets its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from jde_lightning.errors import ParityError
from jde_lightning.inference.onnx_sessions import Outputs, open_session
from jde_lightning.inference.suppression import select_detections, unit_norm
from jde_lightning.models.export_graph import DetectionGraph

BATCHES = (1, 4)
LIMITS = {"boxes": 0.1, "scores": 1e-3, "logits": 0.01, "labels": 1e-3, "cosine": 1e-4}
"""Largest differences allowed: of box sides in pixels; of scores and of their logits (made-up images have few large
scores, and the small ones differ little whatever a graph computes); of the score of the class that was taken from that
of the likeliest; of the two embeddings of an anchor, as 1 - cosine."""

_TOLD_SCORES = 1e-4, 1 - 1e-4  # onnxruntime's sigmoid is exact to 1e-7: that is little of a logit between these scores
_CANDIDATES = 200  # anchors per image that enter the suppression which is checked


def check_parity(graph: DetectionGraph, path: Path, sizes: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Compare a graph of dense outputs in onnxruntime with torch, on batches of 1 and 4 made-up images.

    Args:
        graph: the network and the decoding, in torch.
        path: the same in ONNX.
        sizes: height and width of the images of each round.

    Returns:
        The largest differences over all anchors, by the names in :data:`LIMITS`.

    Raises:
        ParityError: if one is above its limit in :data:`LIMITS`, or a value is not finite.
    """
    session = open_session(path, "onnxruntime", "cpu")
    worst: dict[str, float] = {}
    for size in sizes:
        for batch in BATCHES:
            images = made_up_images(batch, *size)
            with torch.inference_mode():
                raw = graph.network(torch.from_numpy(images))
                expected = {k: v.numpy() for k, v in zip(graph.output_names, graph.decode(raw), strict=True)}
                classes = raw.scores.sigmoid().numpy()
            for name, value in _differences(session.run(images), expected, classes).items():
                worst[name] = max(worst.get(name, 0.0), value)
            _refuse(path, worst, f"a batch of {batch} at {size[0]}x{size[1]} pixels")
    return worst


def check_suppression(
    path: Path, size: tuple[int, int], conf: float, iou: float, max_det: int, pooling: str = "best"
) -> None:
    """Compare the suppression inside a graph with the one that follows a graph of dense outputs.

    Args:
        path: a graph with both kinds of outputs, see
            :func:`~jde_lightning.inference.onnx_suppression.add_suppression`.
        size: height and width of the images.
        conf: what the suppression inside was given.
        iou: what the suppression inside was given.
        max_det: what the suppression inside was given.
        pooling: what the suppression inside was given.

    Raises:
        ParityError: if they keep other boxes or give them other embeddings.
    """
    session = open_session(path, "onnxruntime", "cpu")
    for batch in BATCHES:
        found = session.run(made_up_images(batch, *size))
        for i in range(batch):
            looks = found.get("dense_embeddings")
            dense = (found["dense_boxes"][i], found["dense_scores"][i], found["dense_labels"][i])
            looks = None if looks is None else unit_norm(looks[i])
            expected = select_detections(*dense, looks, conf, iou, max_det, pooling)
            rows = np.flatnonzero(found["image_indices"] == i)
            rows = rows[np.argsort(-found["scores"][rows], kind="stable")[:max_det]]
            same = np.array_equal(np.sort(found["scores"][rows]), np.sort(expected.scores))
            same = same and _same_rows(found, rows, expected.boxes, expected.labels, expected.embeddings)
            if not same:
                msg = f"{path.name}: the suppression inside keeps other boxes than the one outside ({len(rows)} and "
                raise ParityError(msg + f"{len(expected)} of image {i}, batch {batch}); export without --nms")


def candidate_threshold(session_outputs: Outputs) -> float:
    """A confidence that leaves enough candidates in every image to check a suppression on."""
    scores = -np.sort(-session_outputs["scores"], axis=1)
    return float(scores[:, min(_CANDIDATES, scores.shape[1] - 1)].min())


def made_up_images(batch: int, height: int, width: int) -> npt.NDArray[np.float32]:
    """Smooth and fine noise, another in each image.

    Returns:
        ``(B, 3, H, W)`` float32 in 0..1, the same at every call.
    """
    rng = np.random.default_rng(batch)
    images = np.empty((batch, 3, height, width), np.float32)
    for image in images:
        smooth = cv2.resize(rng.random((8, 12, 3), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        fine = cv2.resize(rng.random((height // 4, width // 4, 3), np.float32), (width, height))
        image[:] = np.clip(0.7 * smooth + 0.3 * fine, 0, 1).transpose(2, 0, 1)
    return images


def _differences(
    found: Outputs, expected: dict[str, npt.NDArray[Any]], classes: npt.NDArray[np.float32]
) -> dict[str, float]:
    """The largest difference of each output; infinite where a value is not finite.

    That of labels is by how much the score of the chosen class, in torch, is below the best: two may be as good.
    """

    def largest(values: npt.NDArray[Any]) -> float:
        return float(values.max(initial=0)) if np.isfinite(values).all() else np.inf

    differences = {name: largest(np.abs(found[name] - expected[name])) for name in ("boxes", "scores")}
    differences["logits"] = largest(np.abs(_logits(found["scores"]) - _logits(expected["scores"])))
    chosen = np.take_along_axis(classes, found["labels"][:, None], axis=1)[:, 0]
    differences["labels"] = largest(expected["scores"] - chosen)
    if "embeddings" in expected:
        pair = unit_norm(found["embeddings"].reshape(-1, found["embeddings"].shape[-1]).astype(np.float64))
        other = unit_norm(expected["embeddings"].reshape(pair.shape).astype(np.float64))
        differences["cosine"] = largest(1 - (pair.astype(np.float64) * other).sum(axis=1))
    return differences


def _logits(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The logits of scores, the small and the large ones cut off."""
    likely = np.clip(scores.astype(np.float64), *_TOLD_SCORES)
    return np.log(likely / (1 - likely))


def _refuse(path: Path, worst: dict[str, float], where: str) -> None:
    """Raise if a difference is too large."""
    for name, limit in LIMITS.items():
        if worst.get(name, 0.0) > limit:
            told = {"cosine": "1 - cosine of embeddings"}.get(name, name)
            msg = f"{path.name}: onnxruntime does not agree with torch on {where}: {told} differ by {worst[name]:.3g}, "
            raise ParityError(msg + f"allowed are {limit:g}; the file is not written")


def _same_rows(found: Outputs, rows: npt.NDArray[Any], boxes: Any, labels: Any, embeddings: Any) -> bool:
    """Whether the detections ``rows`` are the expected ones, in any order."""

    def sortable(boxes: Any, labels: Any) -> npt.NDArray[Any]:
        return np.lexsort((*np.asarray(boxes, np.float64).T, labels))

    mine, theirs = sortable(found["boxes"][rows], found["labels"][rows]), sortable(boxes, labels)
    same = np.array_equal(found["boxes"][rows][mine], boxes[theirs])
    same = same and np.array_equal(found["labels"][rows][mine], labels[theirs])
    if embeddings is not None and same:
        same = bool(np.allclose(found["embeddings"][rows][mine], embeddings[theirs], atol=1e-5))
    return same
