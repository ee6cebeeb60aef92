"""CLEAR MOT: MOTA, MOTP, identity switches, fragmentation, mostly tracked and lost (Bernardin, Stiefelhagen, 2008)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.matching import EPSILON, Floats, Ints, SequencePairs, frames_with_choice, solve_frame

_THRESHOLD = 0.5 - EPSILON
_BONUS = 1000.0
"""Score of continuing the previous frame's match: outweighs any sum of IoU (TrackEval, as in py-motmetrics)."""


def clear_counts(pairs: SequencePairs) -> dict[str, Floats]:
    """Count what the CLEAR metrics are made of, for one sequence.

    Args:
        pairs: the pairs of the sequence.

    Returns:
        Scalars that add up over sequences: ``clear_tp``, ``clear_fn``, ``clear_fp``, ``idsw``, ``mt``, ``pt``, ``ml``,
        ``frag``, ``motp_sum`` (IoU of the true positives).
    """
    matched = clear_matches(pairs)
    gt_ids, tracker_ids = pairs.pair_gt_ids[matched], pairs.pair_tracker_ids[matched]
    # Frames without ground truth or without tracker boxes neither continue nor break a track.
    active = np.cumsum((pairs.gt_counts > 0) & (pairs.tracker_counts > 0))[pairs.frames[matched]]

    same_gt = np.diff(gt_ids) == 0
    gaps = same_gt & (np.diff(active) > 1)

    lengths = np.bincount(pairs.gt_ids, minlength=pairs.num_gt_ids)
    ratio = np.bincount(gt_ids, minlength=pairs.num_gt_ids) / lengths
    mostly_tracked = np.count_nonzero(ratio > 0.8)
    at_least_partly = np.count_nonzero(ratio >= 0.2)
    counts = {
        "clear_tp": len(matched),
        "clear_fn": len(pairs.gt_ids) - len(matched),
        "clear_fp": len(pairs.tracker_ids) - len(matched),
        "idsw": np.count_nonzero(switches_after(gt_ids, tracker_ids)),
        "mt": mostly_tracked,
        "pt": at_least_partly - mostly_tracked,
        "ml": pairs.num_gt_ids - at_least_partly,
        "frag": np.count_nonzero(gaps),
        "motp_sum": pairs.iou[matched].sum(),
    }
    return {name: np.asarray(value, np.float64) for name, value in counts.items()}


def clear_matches(pairs: SequencePairs) -> Ints:
    """Return the pairs that CLEAR counts as true positives.

    Args:
        pairs: the pairs of the sequence.

    Returns:
        Their numbers, by ground-truth identity and, for each identity, by frame.
    """
    matched = np.flatnonzero(_matches(pairs))
    return matched[np.argsort(pairs.pair_gt_ids[matched], kind="stable")]


def switches_after(gt_ids: Ints, tracker_ids: Ints) -> npt.NDArray[np.bool_]:
    """Tell which matches are followed by an identity switch: the identity's next match is with another track.

    Args:
        gt_ids: ``(K,)`` ground-truth identity of each match of :func:`clear_matches`.
        tracker_ids: ``(K,)`` tracker identity of each match.

    Returns:
        ``(K - 1,)``: whether the switch lies between match k and match k + 1; empty if there is no match.
    """
    return (np.diff(gt_ids) == 0) & (np.diff(tracker_ids) != 0)


def _matches(pairs: SequencePairs) -> npt.NDArray[np.bool_]:
    """Return which pairs are matched, ``(P,)``: most of the previous frame's matches, then the largest sum of IoU.

    The previous frame is the last one that had both ground truth and tracker boxes.
    """
    chosen = pairs.iou >= _THRESHOLD
    candidates = np.flatnonzero(chosen)
    bounds = np.searchsorted(pairs.frames, np.arange(len(pairs.gt_counts) + 1))
    active = np.flatnonzero((pairs.gt_counts > 0) & (pairs.tracker_counts > 0))
    before = dict(zip(active[1:].tolist(), active[:-1].tolist(), strict=True))
    gt_ids, tracker_ids = pairs.pair_gt_ids, pairs.pair_tracker_ids
    last_tracker = np.full(pairs.num_gt_ids, -1)
    for frame, part in frames_with_choice(pairs, candidates):
        here = candidates[part]
        scores = pairs.iou[here]
        if frame in before:
            span = slice(bounds[before[frame]], bounds[before[frame] + 1])
            last_gt = gt_ids[span][chosen[span]]
            last_tracker[last_gt] = tracker_ids[span][chosen[span]]
            scores = _BONUS * (last_tracker[gt_ids[here]] == tracker_ids[here]) + scores
            last_tracker[last_gt] = -1
        chosen[here] = solve_frame(pairs, frame, here, scores)
    return chosen
