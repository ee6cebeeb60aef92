"""Ground truth and results that never were a file, as the rows that the file would have had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jde_lightning.boxes import xyxy_to_ltwh
from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.metrics.mot_challenge import MOTRows, parse_results
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role, Tracks

_CLASS_OF_ROLE = {Role.POSITIVE: 1, Role.IGNORE: 8, Role.OTHER: 9}
"""Pedestrian; distractor, whose detections are removed; occluder, which only takes part in the matching."""

_ROW = "%d,%d,%.2f,%.2f,%.2f,%.2f,%.4f,%d,-1,-1\n"
_NO_CLASS = -1


def format_results(frames: Sequence[int], tracks: Sequence[Tracks], num_classes: int = 1) -> str:
    """Write tracks as the text of a MOTChallenge result file.

    Args:
        frames: number of each frame, from 1.
        tracks: the tracks of each frame, boxes 0-based xyxy.
        num_classes: number of classes of the detector. With more than one, the eighth column is the class, from 1 as in
            ground truth: label + 1.

    Returns:
        One line per box: frame, id, left, top, width, height (1-based, two decimals), score, class or -1, -1, -1.

    Raises:
        InputError: if there are several classes and a label is none of them.
    """
    several = num_classes > 1
    parts = []
    for frame, found in zip(frames, tracks, strict=True):
        ltwh = xyxy_to_ltwh(found.boxes.astype(np.float64))
        ltwh[:, :2] += 1
        if several and not ((found.labels >= 0) & (found.labels < num_classes)).all():
            msg = f"frame {frame}: labels {sorted(set(found.labels.tolist()))}, expected 0 to {num_classes - 1}"
            raise InputError(msg)
        classes = found.labels + 1 if several else np.full(len(found), _NO_CLASS)
        columns = zip(found.ids.tolist(), ltwh.tolist(), found.scores.tolist(), classes.tolist(), strict=True)
        parts += [_ROW % (frame, identity, *box, score, number) for identity, box, score, number in columns]
    return "".join(parts)


def write_results(path: Path, frames: Sequence[int], tracks: Sequence[Tracks], num_classes: int = 1) -> None:
    """Write tracks to a MOTChallenge result file; see :func:`format_results`.

    Args:
        path: the file; its folder is created.
        frames: number of each frame, from 1.
        tracks: the tracks of each frame, boxes 0-based xyxy.
        num_classes: number of classes of the detector; with more than one, each row has its class.
    """
    text = format_results(frames, tracks, num_classes)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def result_rows(
    frames: Sequence[int], tracks: Sequence[Tracks], source: str = "tracks", num_classes: int = 1
) -> MOTRows:
    """Return the rows that :func:`write_results` would write, rounded as in the file.

    The boxes go through the very text of the file, so that an evaluation in memory and one of the file agree to the
    last digit.

    Args:
        frames: number of each frame, from 1.
        tracks: the tracks of each frame, boxes 0-based xyxy.
        source: what errors call these tracks.
        num_classes: number of classes of the detector; with more than one, each row has its class.

    Raises:
        InputError: if a box is not finite, an id is not positive or occurs twice in a frame.
    """
    classes = range(1, num_classes + 1) if num_classes > 1 else None
    return parse_results(format_results(frames, tracks, num_classes), source, classes)


def ground_truth_from_annotations(frames: Sequence[FrameAnnotations], num_classes: int = 1) -> MOTRows:
    """Return annotations as the rows of a ``gt.txt``.

    A positive box is evaluated, an ignored one is a distractor (a detection that matches it is removed), any other one
    only takes part in that matching. For the numbers of the official file, a reader must therefore give the role
    ``IGNORE`` to the benchmark's distractor classes and to no other: MOTChallenge counts a detection on a crowd box
    (class 13) or on a zero-marked pedestrian as a false positive.

    Boxes become 1-based left, top, width, height and are rounded to 0.001 pixel, which gives back the decimals that
    float32 blurred.

    Args:
        frames: the frames of one sequence, numbered from 1.
        num_classes: number of classes of the data; with more than one, the class of a positive box is its label + 1.

    Returns:
        The rows, frame by frame in the given order.

    Raises:
        InputError: if a positive box has no identity, or an identity occurs twice in a frame.
    """
    counts = [len(frame) for frame in frames]
    if not sum(counts):
        empty = np.zeros(0)
        integers = np.zeros(0, np.int64)
        return MOTRows(integers, integers, np.zeros((0, 4)), empty, integers, empty)
    numbers = np.repeat(np.array([frame.frame for frame in frames], np.int64), counts)
    roles = np.concatenate([frame.roles for frame in frames])
    ids = np.concatenate([frame.identities for frame in frames])
    positive = roles == Role.POSITIVE
    unnamed = ids == NO_IDENTITY
    if (unnamed & positive).any():
        number = numbers[np.argmax(unnamed & positive)]
        msg = f"sequence {frames[0].sequence}, frame {number}: a positive box has no identity, tracking needs one"
        raise InputError(msg)
    named, times = np.unique(np.stack([numbers, ids], axis=1)[positive], axis=0, return_counts=True)
    if (times > 1).any():
        number, identity = named[np.argmax(times > 1)]
        msg = f"sequence {frames[0].sequence}, frame {number}: identity {identity} occurs {times.max()} times"
        raise InputError(msg)
    # Boxes that are not evaluated may lack an identity; each gets a number of its own, since ids must be unique.
    ids = np.where(unnamed, -1 - np.arange(len(ids)), ids)
    ltwh = xyxy_to_ltwh(np.concatenate([frame.boxes for frame in frames]).astype(np.float64))
    ltwh[:, :2] += 1
    classes = np.array([_CLASS_OF_ROLE[role] for role in Role], np.int64)[roles]
    if num_classes > 1:
        classes = np.where(positive, np.concatenate([frame.labels for frame in frames]) + 1, classes)
    return MOTRows(
        frames=numbers,
        ids=ids.astype(np.int64),
        boxes_ltwh=ltwh.round(3),
        scores=positive.astype(np.float64),
        classes=classes,
        visibility=np.concatenate([frame.visibility for frame in frames]).astype(np.float64),
    )
