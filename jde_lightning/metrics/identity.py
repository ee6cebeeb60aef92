"""Identity metrics: IDF1, IDP, IDR (Ristani et al., 2016)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from jde_lightning.metrics.matching import Floats, SequencePairs

_THRESHOLD = 0.5


def identity_counts(pairs: SequencePairs) -> dict[str, Floats]:
    """Count what the identity metrics are made of, for one sequence.

    Ground-truth and tracker identities are matched one to one over the whole sequence, such that as many boxes as
    possible overlap by at least 0.5. Only the number of these boxes counts, so ties between matchings do not matter.

    Args:
        pairs: the pairs of the sequence.

    Returns:
        Scalars that add up over sequences: ``idtp``, ``idfn``, ``idfp``.
    """
    close = pairs.iou >= _THRESHOLD
    gt_ids, gt_rows = np.unique(pairs.pair_gt_ids[close], return_inverse=True)
    tracker_ids, tracker_columns = np.unique(pairs.pair_tracker_ids[close], return_inverse=True)
    shape = (len(gt_ids), len(tracker_ids))
    cells = gt_rows.reshape(-1) * len(tracker_ids) + tracker_columns.reshape(-1)
    together = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    idtp = together[linear_sum_assignment(together, maximize=True)].sum()
    counts = {"idtp": idtp, "idfn": len(pairs.gt_ids) - idtp, "idfp": len(pairs.tracker_ids) - idtp}
    return {name: np.asarray(value, np.float64) for name, value in counts.items()}
