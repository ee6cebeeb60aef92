"""Whom the detections of the validation data show, and their crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.data.images import decode
from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.inference.crop_archive import cut_crop
from jde_lightning.inference.report.run import Run
from jde_lightning.inference.report.validation_pass import Observed
from jde_lightning.metrics.box_matching import match_one_to_one
from jde_lightning.plots.canvas import Picture
from jde_lightning.structures import NO_IDENTITY, Detections, FloatArray, FrameAnnotations, IntArray

_PADDING = 114


@dataclass
class Described:
    """``N`` detections with their embeddings, in the order of the data.

    Attributes:
        embeddings: ``(N, D)`` float32; NaN where the network gave it.
        identities: ``(N,)`` int64 number of the identity, unique over all sequences, from 0; all -1 where the data has
            no identities.
        annotated_ids: ``(N,)`` int64 what the annotations call it.
        groups: names of the sequences.
        group_of: ``(N,)`` int64 which of them.
        frames: ``(N,)`` int64 number of the frame.
        times: ``(N,)`` float64 seconds, NaN for single images.
        positions: ``(N,)`` int64 position of the frame in the index.
        boxes: ``(N, 4)`` float32 xyxy pixels of the image.
    """

    embeddings: FloatArray
    identities: IntArray
    annotated_ids: IntArray
    groups: list[str]
    group_of: IntArray
    frames: IntArray
    times: npt.NDArray[np.float64]
    positions: IntArray
    boxes: FloatArray

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.identities)

    def take(self, rows: IntArray) -> Described:
        """The detections of some rows."""
        columns = ("embeddings", "identities", "annotated_ids", "group_of", "frames", "times", "positions", "boxes")
        return Described(groups=self.groups, **{name: getattr(self, name)[rows] for name in columns})

    def caption(self, row: int) -> str:
        """Whom and where a row shows."""
        identity = int(self.annotated_ids[row])
        who = "nobody known" if identity == NO_IDENTITY else f"id {identity}"
        return f"{who}, {self.groups[self.group_of[row]]}, frame {self.frames[row]}"


def describe_observed(run: Run, observed: Observed) -> Described | None:
    """Match detections with annotated identities as the callback ``embedding_quality`` does.

    Args:
        run: whose configuration has the limits of confidence and overlap.
        observed: annotations and detections.

    Returns:
        The detections whose identity is known; all sure ones where the data has no identities at all. ``None`` if the
        detections have no embeddings.
    """
    conf, iou = (
        float(run.setting("embedding_quality", name) or default) for name, default in (("conf", 0.1), ("iou", 0.5))
    )
    groups = list(observed.groups)
    matched: list[tuple[int, int, FrameAnnotations, Detections, IntArray]] = []
    sure: list[tuple[int, int, FrameAnnotations, Detections, IntArray]] = []
    seen_embeddings = False
    for group, ((_, frames, found), positions) in enumerate(
        zip(observed.pairs(), observed.groups.values(), strict=True)
    ):
        for frame, detections, position in zip(frames, found, positions.tolist(), strict=True):
            if detections.embeddings is None:
                continue
            seen_embeddings = True
            confident = detections[detections.scores >= conf]
            if not len(confident):
                continue
            sure.append((group, position, frame, confident, np.full(len(confident), NO_IDENTITY, np.int64)))
            known = frame.positive & (frame.identities != NO_IDENTITY)
            if known.any():
                rows, columns = match_one_to_one(confident.boxes, frame.boxes[known], iou)
                matched.append((group, position, frame, confident[rows], frame.identities[known][columns]))
    if not seen_embeddings:
        return None
    return _joined(groups, matched if any(len(entry[4]) for entry in matched) else sure)


def _joined(groups: list[str], parts: Sequence[tuple[int, int, FrameAnnotations, Detections, IntArray]]) -> Described:
    """One table of the detections of all frames."""
    counts = [len(ids) for *_, ids in parts]

    def column(values: Sequence[float], dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.repeat(np.array(values, dtype), counts)

    frames = [frame for _, _, frame, _, _ in parts]
    ids = np.concatenate([np.zeros(0, np.int64), *(ids for *_, ids in parts)])
    group_of = column([group for group, *_ in parts], np.int64)
    scopes = {(frame.dataset, frame.sequence): number for number, frame in enumerate(frames)}
    scope_of = column([scopes[frame.dataset, frame.sequence] for frame in frames], np.int64)
    identities = np.full(len(ids), NO_IDENTITY, np.int64)
    known = ids != NO_IDENTITY
    keys = np.stack([scope_of[known], ids[known]], axis=1)
    identities[known] = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    embeddings = [found.embeddings for _, _, _, found, _ in parts if found.embeddings is not None]
    return Described(
        embeddings=np.concatenate(embeddings) if embeddings else np.zeros((0, 1), np.float32),
        identities=identities,
        annotated_ids=ids,
        groups=groups,
        group_of=group_of,
        frames=column([frame.frame for frame in frames], np.int64),
        times=column([np.nan if f.sequence is None else f.frame / f.frame_rate for f in frames], np.float64),
        positions=column([position for _, position, *_ in parts], np.int64),
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(found.boxes for _, _, _, found, _ in parts)]),
    )


def cut_crops(
    index: FrameIndex, described: Described, rows: IntArray, size: tuple[int, int], progress: bool = False
) -> tuple[dict[int, Picture], int]:
    """Cut the boxes of some rows out of their images, each of which is read once.

    Args:
        index: the frames.
        described: the boxes.
        rows: which of them.
        size: width and height in pixels that a crop is fitted into.
        progress: show a progress bar on stderr.

    Returns:
        The crops by row, grey where the image cannot be read, and the number of rows where it cannot.
    """
    crops: dict[int, Picture] = {}
    missing = 0
    wanted = np.unique(rows)
    images = np.unique(described.positions[wanted])
    for position in tqdm(images.tolist(), desc="crops", unit="image", disable=None if progress else True):
        here = wanted[described.positions[wanted] == position].tolist()
        try:
            image = decode(index.path(position))
        except InputError:
            missing += len(here)
            crops |= {row: np.full((size[1], size[0], 3), _PADDING, np.uint8) for row in here}
            continue
        crops |= {row: cut_crop(image, described.boxes[row], size) for row in here}
    return crops, missing


def sprite_sheet(crops: Sequence[Picture], size: tuple[int, int], columns: int) -> Picture:
    """Put crops into one picture, row by row, each in the middle of a white tile.

    Args:
        crops: BGR, of at most ``size``; at least one.
        size: width and height of a tile in pixels.
        columns: tiles in a row.
    """
    width, height = size
    lines = -(-len(crops) // columns)
    sheet = np.full((lines * height, columns * width, 3), 255, np.uint8)
    for number, crop in enumerate(crops):
        top = number // columns * height + (height - crop.shape[0]) // 2
        left = number % columns * width + (width - crop.shape[1]) // 2
        sheet[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return sheet
