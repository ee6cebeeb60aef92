"""Which detection shows which annotated identity."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from jde_lightning import boxes as box_ops
from jde_lightning.structures import NO_IDENTITY, FloatArray, IntArray, ValidationOutput


class MatchedEmbeddings:
    """Collects the embeddings of detections that match an annotated identity, over a whole validation.

    Args:
        conf: lowest confidence of a detection.
        iou: lowest overlap of a detection and its annotation.
    """

    def __init__(self, conf: float, iou: float) -> None:
        self.conf = conf
        self.iou = iou
        self._embeddings: list[FloatArray] = []
        self._identities: list[tuple[str, IntArray]] = []

    def collect(self, output: ValidationOutput) -> None:
        """Match one batch: one to one, the largest sum of overlaps, in each image."""
        for frame, found in zip(output.frames, output.detections, strict=True):
            known = frame.positive & (frame.identities != NO_IDENTITY)
            sure = found.scores >= self.conf
            if found.embeddings is None or not known.any() or not sure.any():
                continue
            rows, columns = match_one_to_one(found.boxes[sure], frame.boxes[known], self.iou)
            self._embeddings.append(found.embeddings[sure][rows])
            key = f"{frame.dataset}/{frame.sequence or 'global'}"
            self._identities.append((key, frame.identities[known][columns]))

    def arrays(self) -> tuple[list[FloatArray], list[tuple[str, IntArray]]]:
        """What was collected, to be gathered from all ranks."""
        return self._embeddings, self._identities


def match_one_to_one(found: FloatArray, boxes: FloatArray, iou: float) -> tuple[IntArray, IntArray]:
    """Match the boxes of detections to annotated ones, one to one, with the largest sum of overlaps.

    Args:
        found: ``(N, 4)`` xyxy pixels.
        boxes: ``(M, 4)`` xyxy pixels.
        iou: lowest overlap of a match.

    Returns:
        ``(K,)`` rows of ``found`` and ``(K,)`` rows of ``boxes`` that belong together.
    """
    overlap = box_ops.iou(found, boxes)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= iou
    return rows[good], columns[good]


def join(parts: list[tuple[list[FloatArray], list[tuple[str, IntArray]]]]) -> tuple[FloatArray, IntArray]:
    """Join the collections of all ranks.

    Args:
        parts: what :meth:`MatchedEmbeddings.arrays` returned on each rank.

    Returns:
        Embeddings ``(N, D)`` and identities ``(N,)`` that are unique over all sequences.
    """
    embeddings = [array for part in parts for array in part[0]]
    keyed = [entry for part in parts for entry in part[1]]
    if not embeddings:
        return np.zeros((0, 1), np.float32), np.zeros(0, np.int64)
    sequence_number = {key: number for number, key in enumerate(sorted({key for key, _ in keyed}))}
    pairs = np.concatenate(
        [np.stack([np.full(len(ids), sequence_number[key], np.int64), ids], axis=1) for key, ids in keyed]
    )
    _, identities = np.unique(pairs, axis=0, return_inverse=True)
    return np.concatenate(embeddings), identities.reshape(-1).astype(np.int64)
