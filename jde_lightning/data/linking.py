"""Identities from boxes alone: boxes of neighbouring frames of a video that can only be the same object are linked.

A link needs each of the two boxes to be the other's best overlap, a minimum of overlap, and no rival near. The shift
that the picture as a whole has made is taken out first, because a camera that pans moves everybody to where a neighbour
was. No link bridges a frame that shows others but not the object: a chain that is broken costs positives, a wrong link
teaches that two people are one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jde_lightning.boxes import iou
from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray, IntArray, Role

_ANY_CLASS = -1  # of ignored boxes: nobody knows what is in them
_SHIFT_PAIRS = 3  # the median of fewer is the movement of one object, not of the picture
_SHIFT_IOU = 0.1  # below it, pairs are mostly wrong


@dataclass(frozen=True)
class LinkingConfig:
    """When boxes of neighbouring frames share an identity.

    Attributes:
        min_iou: least overlap (intersection over union) of the two boxes.
        max_rival: how much of that overlap any third box may reach with one of the two; with 1 it only has to be less.
        max_gap: longest time between the two frames in seconds. In a longer time people walk to where others were.
    """

    min_iou: float = 0.5
    max_rival: float = 0.7
    max_gap: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: if a value is outside its range.
        """
        for name in ("min_iou", "max_rival"):
            value = getattr(self, name)
            if not 0.0 < value <= 1.0:
                msg = f"linking.{name} is {value}, expected a number above 0, at most 1"
                raise InputError(msg)
        if not 0.0 < self.max_gap < float("inf"):
            msg = f"linking.max_gap is {self.max_gap}, expected a number of seconds above 0"
            raise InputError(msg)


def link_boxes(index: FrameIndex, linkable: BoolArray, config: LinkingConfig | None = None) -> IntArray:
    """Number the chains of boxes that show one object each.

    Neighbours are frames of one sequence with no box in between; empty frames are passed over if ``max_gap`` allows.
    Objects that are not linkable, and ignored boxes, still count as rivals; boxes of another class do not.

    Args:
        index: the frames.
        linkable: ``(N,)`` bool: boxes that may be linked, of role POSITIVE.
        config: when boxes are linked; the defaults if omitted.

    Returns:
        ``(N,)`` int64: the chain of each linkable box, numbered from 0 in the order of their first boxes; -1 for the
        others. A box without link, and each box of a single image, is a chain of its own.
    """
    config = config or LinkingConfig()
    first_rows = np.arange(len(index.boxes))  # of the chain of each box
    rivals = (index.roles == Role.POSITIVE) | (index.roles == Role.IGNORE)
    classes = np.where(index.roles == Role.IGNORE, _ANY_CLASS, index.labels)
    for before, after in _neighbours(index, config.max_gap):
        rows = [np.arange(*index.offsets[frame : frame + 2]) for frame in (before, after)]
        if not all(linkable[own].any() for own in rows):
            continue
        a, b = (own[rivals[own]] for own in rows)
        pairs = _pairs(index.boxes[a], index.boxes[b], classes[a], classes[b], linkable[a], linkable[b], config)
        first_rows[b[pairs[:, 1]]] = first_rows[a[pairs[:, 0]]]
    chains = np.full(len(index.boxes), -1, dtype=np.int64)
    chains[linkable] = np.unique(first_rows[linkable], return_inverse=True)[1].reshape(-1)
    return chains


def _neighbours(index: FrameIndex, max_gap: float) -> list[tuple[int, int]]:
    """Pairs of frames of one sequence, in order of time, with no box in between and not too long apart."""
    frames = np.flatnonzero((index.sequence_codes >= 0) & (np.diff(index.offsets) > 0))
    frames = frames[np.lexsort((index.frame_numbers[frames], index.sequence_codes[frames]))]
    before, after = frames[:-1], frames[1:]
    passed = (index.frame_numbers[after] - index.frame_numbers[before]).astype(np.float64)
    # Frames per second are float32: a gap of exactly max_gap counts.
    near = passed <= max_gap * index.frame_rates[before] * (1 + 1e-6)
    near &= index.sequence_codes[after] == index.sequence_codes[before]
    return list(zip(before[near].tolist(), after[near].tolist(), strict=True))


def _pairs(
    a: FloatArray,
    b: FloatArray,
    classes_a: IntArray,
    classes_b: IntArray,
    linkable_a: BoolArray,
    linkable_b: BoolArray,
    config: LinkingConfig,
) -> IntArray:
    """Rows of the ``(A, 4)`` boxes of a frame and the ``(B, 4)`` boxes of the next that are linked, ``(M, 2)``."""
    comparable = (classes_a[:, None] == classes_b) | (classes_a == _ANY_CLASS)[:, None] | (classes_b == _ANY_CLASS)
    linkable = linkable_a[:, None] & linkable_b
    shift = _shift(a, b, comparable, linkable)
    overlaps = np.where(comparable, iou(a + shift, b), 0)
    pairs = _mutual_best(overlaps)
    best = overlaps[pairs[:, 0], pairs[:, 1]]
    overlaps[pairs[:, 0], pairs[:, 1]] = 0
    rival = np.maximum(overlaps.max(axis=1)[pairs[:, 0]], overlaps.max(axis=0)[pairs[:, 1]])
    clear = (best >= config.min_iou) & (rival < config.max_rival * best)
    return pairs[clear & linkable[pairs[:, 0], pairs[:, 1]]]


def _shift(a: FloatArray, b: FloatArray, comparable: BoolArray, linkable: BoolArray) -> FloatArray:
    """How far the picture moved between two frames, ``(4,)`` pixels to add to boxes; 0 where too few boxes tell."""
    overlaps = np.where(comparable & linkable, iou(a, b), 0)
    pairs = _mutual_best(overlaps)
    pairs = pairs[overlaps[pairs[:, 0], pairs[:, 1]] > _SHIFT_IOU]
    if len(pairs) < _SHIFT_PAIRS:
        return np.zeros(4, np.float32)
    moved = (b[pairs[:, 1]] - a[pairs[:, 0]]).reshape(-1, 2, 2).mean(axis=1)  # of the centres
    return np.tile(np.median(moved, axis=0), 2).astype(np.float32)


def _mutual_best(overlaps: FloatArray) -> IntArray:
    """Row and column of every entry above 0 that is the first largest one of both, ``(M, 2)``."""
    rows = np.arange(len(overlaps))
    columns = overlaps.argmax(axis=1)
    mutual = (overlaps.argmax(axis=0)[columns] == rows) & (overlaps[rows, columns] > 0)
    return np.stack([rows[mutual], columns[mutual]], axis=1)
