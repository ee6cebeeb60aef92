"""HOTA: higher order tracking accuracy (Luiten et al., IJCV 2021, sections 5 and 7)."""

from __future__ import annotations

import numpy as np

from jde_lightning.metrics.matching import EPSILON, Floats, Ints, SequencePairs, assigned_pairs

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""The 19 localisation thresholds."""


def hota_counts(pairs: SequencePairs) -> dict[str, Floats]:
    """Count what HOTA is made of, for one sequence.

    Boxes are matched once per frame, whatever the threshold: the largest sum of IoU times the global alignment of the
    two identities. A matched pair then counts at every threshold that its IoU reaches.

    Args:
        pairs: the pairs of the sequence.

    Returns:
        ``(19,)`` sums over the sequence, which add up over sequences: ``hota_tp``, ``hota_fn``, ``hota_fp``; and sums
        over true positives of their association accuracy, recall and precision and of their IoU: ``ass_a``,
        ``ass_re``, ``ass_pr``, ``loc_a``.
    """
    gt_ids, tracker_ids = pairs.pair_gt_ids, pairs.pair_tracker_ids
    gt_lengths = np.bincount(pairs.gt_ids, minlength=pairs.num_gt_ids)
    tracker_lengths = np.bincount(pairs.tracker_ids, minlength=pairs.num_tracker_ids)
    cells = gt_ids * pairs.num_tracker_ids + tracker_ids

    potential = np.bincount(cells, weights=pairs.shares, minlength=1)[cells]
    alignment = potential / (gt_lengths[gt_ids] + tracker_lengths[tracker_ids] - potential)
    matched = assigned_pairs(pairs, alignment * pairs.iou, np.ones(len(cells), bool))

    iou = pairs.iou[matched]
    reached = np.searchsorted(ALPHAS - EPSILON, iou, side="right")
    tp = _at_least(reached, np.ones_like(iou))
    association = _association(cells[matched], reached, gt_lengths, tracker_lengths)
    return {
        "hota_tp": tp,
        "hota_fn": len(pairs.gt_ids) - tp,
        "hota_fp": len(pairs.tracker_ids) - tp,
        **association,
        "loc_a": _at_least(reached, iou),
    }


def _at_least(reached: Ints, weights: Floats) -> Floats:
    """Sum weights at every threshold that is reached.

    Args:
        reached: ``(K,)`` number of thresholds that a pair reaches.
        weights: ``(K,)`` its weight.

    Returns:
        ``(19,)`` sums.
    """
    sums = np.bincount(reached, weights=weights, minlength=len(ALPHAS) + 1).astype(np.float64, copy=False)
    return np.cumsum(sums[::-1])[::-1][1:]


def _association(cells: Ints, reached: Ints, gt_lengths: Ints, tracker_lengths: Ints) -> dict[str, Floats]:
    """Sum the association scores of all true positives.

    Args:
        cells: ``(K,)`` pair of identities of each match, ground truth * number of tracker identities + tracker.
        reached: ``(K,)`` number of thresholds that the match reaches.
        gt_lengths: number of boxes of each ground-truth identity.
        tracker_lengths: number of boxes of each tracker identity.
    """
    levels = len(ALPHAS) + 1
    unique, position = np.unique(cells, return_inverse=True)
    histogram = np.bincount(position.reshape(-1) * levels + reached, minlength=len(unique) * levels)
    counts = np.cumsum(histogram.reshape(len(unique), levels)[:, ::-1], axis=1)[:, ::-1][:, 1:].astype(np.float64)
    gt = gt_lengths[unique // max(len(tracker_lengths), 1)][:, None]
    tracker = tracker_lengths[unique % max(len(tracker_lengths), 1)][:, None]
    # Every true positive of a pair of identities has the same score, hence count * (count / length).
    squares = counts**2
    return {
        "ass_a": (squares / (gt + tracker - counts)).sum(0),
        "ass_re": (squares / gt).sum(0),
        "ass_pr": (squares / tracker).sum(0),
    }
