"""From the rows of a sequence to the overlapping pairs that every tracking metric starts from.

Follows TrackEval's ``MotChallenge2DBox`` (J. Luiten, https://github.com/JonathonLuiten/TrackEval), the reference of
MOTChallenge: which boxes are removed, which are evaluated. Own implementation, equal to it to the last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from jde_lightning.metrics.mot_challenge import PEDESTRIAN, MOTRows
from jde_lightning.metrics.sequences import Benchmark

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EPSILON = float(np.finfo(np.float64).eps)
"""TrackEval's tolerance; equality with it at a threshold needs the same."""

_DISTRACTORS = {
    "mot16": (2, 7, 8, 12),
    "mot17": (2, 7, 8, 12),
    "mot20": (2, 6, 7, 8, 12),
}


@dataclass(frozen=True, slots=True)
class SequencePairs:
    """Everything that the tracking metrics need to know about one sequence, after MOTChallenge's preprocessing.

    Ids are relabelled to 0..n-1. F is the number of frames in which anything is left, numbered 0..F-1.

    Attributes:
        gt_ids: ``(N,)`` identity of each evaluated ground-truth box, frame by frame.
        tracker_ids: ``(M,)`` identity of each evaluated tracker box, frame by frame.
        gt_counts: ``(F,)`` number of ground-truth boxes of each frame.
        tracker_counts: ``(F,)`` number of tracker boxes of each frame.
        frames: ``(P,)`` frame of each pair of boxes that overlap, never decreasing.
        rows: ``(P,)`` position of the pair's ground-truth box in its frame.
        columns: ``(P,)`` position of the pair's tracker box in its frame.
        iou: ``(P,)`` intersection over union of the pair.
        shares: ``(P,)`` IoU over the IoU of all pairs of the two boxes (HOTA's weight of a potential match).
        frame_numbers: ``(F,)`` number of each frame in the sequence, increasing.
        gt_labels: ids of the ground truth as in its file, by relabelled id.
        tracker_labels: ids of the tracker as in its file, by relabelled id.
    """

    gt_ids: Ints
    tracker_ids: Ints
    gt_counts: Ints
    tracker_counts: Ints
    frames: Ints
    rows: Ints
    columns: Ints
    iou: Floats
    shares: Floats
    frame_numbers: Ints
    gt_labels: Ints
    tracker_labels: Ints

    @property
    def num_gt_ids(self) -> int:
        """Number of evaluated ground-truth identities."""
        return int(self.gt_ids.max(initial=-1)) + 1

    @property
    def num_tracker_ids(self) -> int:
        """Number of evaluated tracker identities."""
        return int(self.tracker_ids.max(initial=-1)) + 1

    @property
    def pair_gt_ids(self) -> Ints:
        """``(P,)`` ground-truth identity of each pair."""
        return self.gt_ids[(np.cumsum(self.gt_counts) - self.gt_counts)[self.frames] + self.rows]

    @property
    def pair_tracker_ids(self) -> Ints:
        """``(P,)`` tracker identity of each pair."""
        return self.tracker_ids[(np.cumsum(self.tracker_counts) - self.tracker_counts)[self.frames] + self.columns]


def sequence_pairs(gt: MOTRows, result: MOTRows, benchmark: Benchmark) -> SequencePairs:
    """Preprocess one sequence as MOTChallenge does, and find its overlapping pairs.

    1. In each frame, all ground truth (every class, marked or not) is matched one to one to all tracker boxes:
       largest sum of IoU, at least 0.5. Tracker boxes matched to a distractor class are removed (not in MOT15).
    2. Ground truth with mark 0 is dropped, and for MOT16, MOT17 and MOT20 every class but pedestrian.

    Args:
        gt: ground truth of the sequence; ids unique in each frame.
        result: tracker boxes of the sequence; ids unique in each frame.
        benchmark: whose rules hold; ``none`` removes nothing but ground truth with mark 0.

    Returns:
        The pairs.
    """
    gt = gt[np.argsort(gt.frames, kind="stable")]
    result = result[np.argsort(result.frames, kind="stable")]
    evaluated = gt.scores.astype(np.int64) != 0
    if benchmark in _DISTRACTORS:
        evaluated &= gt.classes == PEDESTRIAN
    distractor = np.isin(gt.classes, _DISTRACTORS.get(benchmark, ()))

    kept = np.ones(len(result), bool)
    found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("frames", "rows", "columns", "iou", "totals")}
    for number, frame_gt, frame_result in _common_frames(gt, result):
        similarity = _iou(gt.boxes_ltwh[frame_gt], result.boxes_ltwh[frame_result])
        mask = evaluated[frame_gt]
        removed = _on_distractors(similarity, distractor[frame_gt])
        if len(removed):
            kept[frame_result.start + removed] = False
            # np.delete, not a mask: its memory layout decides how sums round, and sums decide ties.
            similarity = np.delete(similarity, removed, axis=1)
        if not mask.all():
            similarity = similarity[mask]
        rows, columns = np.nonzero(similarity > 0)
        found["frames"].append(np.full(len(rows), number))
        found["rows"].append(rows)
        found["columns"].append(columns)
        found["iou"].append(similarity[rows, columns])
        found["totals"].append(similarity.sum(0)[columns] + similarity.sum(1)[rows])

    def joined(name: str, dtype: type) -> npt.NDArray[Any]:
        return np.concatenate(found[name]).astype(dtype, copy=False) if found[name] else np.zeros(0, dtype)

    iou = joined("iou", np.float64)
    denominators = joined("totals", np.float64) - iou
    gt_kept, result_kept = gt[evaluated], result[kept]
    frames = np.union1d(gt_kept.frames, result_kept.frames)
    gt_labels, gt_ids = np.unique(gt_kept.ids, return_inverse=True)
    tracker_labels, tracker_ids = np.unique(result_kept.ids, return_inverse=True)
    return SequencePairs(
        gt_ids=gt_ids.reshape(-1),
        tracker_ids=tracker_ids.reshape(-1),
        gt_counts=np.bincount(np.searchsorted(frames, gt_kept.frames), minlength=len(frames)),
        tracker_counts=np.bincount(np.searchsorted(frames, result_kept.frames), minlength=len(frames)),
        frames=np.searchsorted(frames, joined("frames", np.int64)),
        rows=joined("rows", np.int64),
        columns=joined("columns", np.int64),
        iou=iou,
        shares=np.divide(iou, denominators, out=np.zeros_like(iou), where=denominators > EPSILON),
        frame_numbers=frames,
        gt_labels=gt_labels,
        tracker_labels=tracker_labels,
    )


def assigned_pairs(pairs: SequencePairs, scores: Floats, candidates: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Solve each frame's one-to-one assignment with the largest sum of scores.

    Where no box has two candidates the answer is the candidates themselves, and no solver runs. Everywhere else the
    solver gets the whole frame, so that ties break as in TrackEval.

    Args:
        pairs: the pairs of the sequence.
        scores: ``(P,)`` positive score of each pair.
        candidates: ``(P,)`` the pairs that may be assigned; all others score 0.

    Returns:
        ``(P,)`` the candidates that are assigned.
    """
    chosen = candidates.copy()
    index = np.flatnonzero(candidates)
    for frame, part in frames_with_choice(pairs, index):
        here = index[part]
        chosen[here] = solve_frame(pairs, frame, here, scores[here])
    return chosen


def frames_with_choice(pairs: SequencePairs, index: Ints) -> Iterator[tuple[int, slice]]:
    """Find the frames in which a box has more than one candidate.

    Args:
        pairs: the pairs of the sequence.
        index: ``(C,)`` increasing numbers of the candidate pairs.

    Yields:
        Frame, and the slice of ``index`` that holds its candidates.
    """
    frames = pairs.frames[index]
    num_frames = len(pairs.gt_counts)
    gt_box = (np.cumsum(pairs.gt_counts) - pairs.gt_counts)[frames] + pairs.rows[index]
    tracker_box = (np.cumsum(pairs.tracker_counts) - pairs.tracker_counts)[frames] + pairs.columns[index]
    crowded = (np.bincount(gt_box)[gt_box] > 1) | (np.bincount(tracker_box)[tracker_box] > 1)
    bounds = np.searchsorted(frames, np.arange(num_frames + 1))
    for frame in np.unique(frames[crowded]).tolist():
        yield frame, slice(int(bounds[frame]), int(bounds[frame + 1]))


def solve_frame(pairs: SequencePairs, frame: int, index: Ints, scores: Floats) -> npt.NDArray[np.bool_]:
    """Assign the boxes of one frame.

    Args:
        pairs: the pairs of the sequence.
        frame: the frame.
        index: ``(C,)`` numbers of the candidate pairs of that frame.
        scores: ``(C,)`` their scores.

    Returns:
        ``(C,)`` which of them are assigned.
    """
    rows, columns = pairs.rows[index], pairs.columns[index]
    matrix = np.zeros((pairs.gt_counts[frame], pairs.tracker_counts[frame]))
    matrix[rows, columns] = scores
    solved_rows, solved_columns = linear_sum_assignment(matrix, maximize=True)
    partner = np.full(len(matrix), -1)
    partner[solved_rows] = solved_columns
    return partner[rows] == columns


def _common_frames(gt: MOTRows, result: MOTRows) -> Iterator[tuple[int, slice, slice]]:
    """Yield frame number, slice of ground truth, slice of results, for the frames that have both; both sorted."""
    frames = np.intersect1d(gt.frames, result.frames)
    gt_slices, result_slices = (
        map(slice, *(np.searchsorted(rows.frames, frames, side).tolist() for side in ("left", "right")))
        for rows in (gt, result)
    )
    yield from zip(frames.tolist(), gt_slices, result_slices, strict=True)


def _iou(gt_ltwh: Floats, result_ltwh: Floats) -> Floats:
    """IoU of every pair, ``(n, m)``; 0 where a box or the union is empty.

    The corner is ``left + width``, without the +1 of pixel counting, and operations come in TrackEval's order: the last
    digit decides whether a pair reaches a threshold.
    """
    gt_right, gt_bottom = gt_ltwh[:, 0] + gt_ltwh[:, 2], gt_ltwh[:, 1] + gt_ltwh[:, 3]
    right, bottom = result_ltwh[:, 0] + result_ltwh[:, 2], result_ltwh[:, 1] + result_ltwh[:, 3]
    overlap = np.minimum(gt_right[:, None], right)
    overlap -= np.maximum(gt_ltwh[:, 0, None], result_ltwh[:, 0])
    height = np.minimum(gt_bottom[:, None], bottom)
    height -= np.maximum(gt_ltwh[:, 1, None], result_ltwh[:, 1])
    np.maximum(overlap, 0, out=overlap)
    np.maximum(height, 0, out=height)
    overlap *= height
    gt_area = (gt_right - gt_ltwh[:, 0]) * (gt_bottom - gt_ltwh[:, 1])
    area = (right - result_ltwh[:, 0]) * (bottom - result_ltwh[:, 1])
    union = gt_area[:, None] + area
    union -= overlap
    empty = union <= EPSILON
    if empty.any():
        overlap[empty] = 0
        union[empty] = 1
    overlap /= union
    return overlap


def _on_distractors(similarity: Floats, distractor: npt.NDArray[np.bool_]) -> Ints:
    """Return the columns of the tracker boxes that match a distractor.

    Args:
        similarity: ``(n, m)`` IoU of all ground truth, whatever its class and mark, with all tracker boxes.
        distractor: ``(n,)`` ground truth of a distractor class.
    """
    threshold = 0.5 - EPSILON
    numbers = np.flatnonzero(distractor)
    rows, columns = np.nonzero(similarity[numbers] >= threshold)
    if not len(rows):
        return columns
    rows = numbers[rows]
    close = similarity >= threshold
    # A pair without rivals is matched in any case; only where one has rivals the whole frame must be solved.
    if (close.sum(0)[columns] > 1).any() or (close.sum(1)[rows] > 1).any():
        rows, columns = linear_sum_assignment(np.where(close, similarity, 0), maximize=True)
        matched = distractor[rows] & close[rows, columns]
        return columns[matched]
    return columns
