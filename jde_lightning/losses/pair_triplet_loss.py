"""The triplet margin loss, computed from the pairs of its triplets alone."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.reducers import AvgNonZeroReducer
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_triplets
from torch import nn
from torch.nn import functional as F

from jde_lightning.errors import InputError

Triplets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class PairTripletMarginLoss(BaseMetricLossFunction):  # type: ignore[misc]  # it comes without types
    """``relu(d(anchor, positive) - d(anchor, negative) + margin)``, on embeddings of unit norm.

    Value and gradient are those of pytorch-metric-learning's ``TripletMarginLoss`` on the same triplets, but only the
    distances in the triplets are computed, not those of all pairs. They are differences of rows instead of a matrix
    product, so close rows lose no digits.

    Args:
        margin: by how much the negative shall be farther away than the positive (Euclidean distance of unit-norm
            embeddings, 0 to 2; YOLO11-JDE, Table 2: 0.075).
        swap: compare with the distance between positive and negative where it is smaller than that between anchor
            and negative.
        smooth_loss: softplus instead of relu.
        reducer: a reducer of pytorch-metric-learning; the mean over the triplets that are above 0 if omitted.

    Raises:
        InputError: if ``margin`` is below 0.
    """

    def __init__(
        self,
        margin: float = 0.075,
        swap: bool = False,
        smooth_loss: bool = False,
        reducer: nn.Module | None = None,
    ) -> None:
        super().__init__(reducer=reducer)
        if not isinstance(margin, float | int) or not margin >= 0:
            msg = f"margin must be a number of at least 0, got {margin!r}"
            raise InputError(msg)
        self.margin = margin
        self.swap = swap
        self.smooth_loss = smooth_loss

    def compute_loss(
        self, embeddings: torch.Tensor, labels: Any, indices_tuple: Any, ref_emb: Any, ref_labels: Any
    ) -> dict[str, Any]:
        """Compute the losses of triplets; called by the base class, which reduces them.

        Args:
            embeddings: ``(N, D)`` anchors, any norm; half precision is computed in float32.
            labels: ``(N,)`` int64, or ``None`` if there are triplets.
            indices_tuple: what a miner returned: anchors, positives, negatives, or pairs of both kinds, which give the
                triplets that share an anchor. ``None`` gives all triplets.
            ref_emb: ``(M, D)`` that positives and negatives are rows of.
            ref_labels: ``(M,)`` int64.

        Returns:
            The losses as the reducers of pytorch-metric-learning expect them. Those that the default reducer drops may
            be missing.
        """
        triplets = _triplets(indices_tuple, labels, ref_labels)
        if len(triplets[0]) == 0:
            return self.zero_losses()
        with torch.autocast(embeddings.device.type, enabled=False):
            unit = _unit(embeddings)
            others = unit if ref_emb is embeddings else _unit(ref_emb)
            if type(self.reducer) is AvgNonZeroReducer and not self.smooth_loss:
                active = self._losses(unit.detach(), others.detach(), triplets) > 0
                anchors, positives, negatives = (rows[active] for rows in triplets)
                triplets = (anchors, positives, negatives)
            losses = self._losses(unit, others, triplets)
        return {"loss": {"losses": losses, "indices": triplets, "reduction_type": "triplet"}}

    def get_default_reducer(self) -> nn.Module:
        """Return the mean over the losses above 0."""
        return AvgNonZeroReducer()

    def _losses(self, unit: torch.Tensor, others: torch.Tensor, triplets: Triplets) -> torch.Tensor:
        """Return the ``(T,)`` losses of triplets."""
        anchors, positives, negatives = unit[triplets[0]], others[triplets[1]], others[triplets[2]]
        farther = torch.linalg.vector_norm(anchors - negatives, dim=1)
        if self.swap:
            farther = torch.minimum(farther, torch.linalg.vector_norm(positives - negatives, dim=1))
        violations = torch.linalg.vector_norm(anchors - positives, dim=1) - farther + self.margin
        return F.softplus(violations) if self.smooth_loss else F.relu(violations)


def _unit(rows: torch.Tensor) -> torch.Tensor:
    """Bring rows to unit norm, in float32 at least."""
    return F.normalize(rows if rows.dtype == torch.float64 else rows.float())


def _triplets(mined: Any, labels: torch.Tensor | None, reference_labels: torch.Tensor | None) -> Triplets:
    """Join what a miner returned on the anchors, in the order that pytorch-metric-learning does."""
    if mined is None or len(mined) == 3:
        triplets: Triplets = convert_to_triplets(mined, labels, reference_labels, t_per_anchor="all")
        return triplets
    anchors, positives, others, negatives = mined
    if torch.equal(anchors, others) and bool((anchors[1:] > anchors[:-1]).all()):
        return anchors, positives, negatives
    # The library compares every positive pair with every negative one; here they are looked up.
    others, order = torch.sort(others, stable=True)
    first = torch.searchsorted(others, anchors)
    counts = torch.searchsorted(others, anchors, right=True) - first
    pairs = torch.repeat_interleave(counts)
    within = torch.arange(len(pairs), device=pairs.device) - (counts.cumsum(0) - counts)[pairs]
    return anchors[pairs], positives[pairs], negatives[order[first[pairs] + within]]
