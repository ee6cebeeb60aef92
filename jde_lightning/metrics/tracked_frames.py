"""Annotated frames and their tracks as the rows that tracking metrics take, class by class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from jde_lightning.metrics.in_memory import ground_truth_from_annotations, result_rows
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Tracks


def rows_of_classes(
    frames: Sequence[FrameAnnotations], tracks: Sequence[Tracks], num_classes: int = 1
) -> Iterator[tuple[MOTRows, MOTRows]]:
    """Yield ground truth and result of one sequence for each class.

    What is ignored is so for every class: a distractor may look like any of them.

    Args:
        frames: annotations of the frames of one sequence, numbered from 1.
        tracks: what was tracked in each.
        num_classes: with one, labels do not matter.

    Raises:
        InputError: if a positive box has no identity, or a track is none (see the functions that make the rows).
    """
    truth = ground_truth_from_annotations(frames)
    result = result_rows([frame.frame for frame in frames], tracks)
    if num_classes == 1:
        yield truth, result
        return
    true_labels = np.concatenate([np.where(frame.positive, frame.labels, -1) for frame in frames])
    found_labels = np.concatenate([found.labels for found in tracks])
    for label in range(num_classes):
        yield truth[(true_labels == label) | (true_labels == -1)], result[found_labels == label]


def identities_known(frames: Sequence[FrameAnnotations]) -> bool | None:
    """Whether tracking of a sequence can be measured.

    Args:
        frames: annotations of its frames.

    Returns:
        ``True`` if there are objects, and all have an identity; ``False`` if some do and some do not; ``None`` if there
        is nobody with an identity.
    """
    identities = np.concatenate([np.zeros(0, np.int64), *(frame.identities[frame.positive] for frame in frames)])
    known = identities != NO_IDENTITY
    return bool(known.all()) if known.any() else None
