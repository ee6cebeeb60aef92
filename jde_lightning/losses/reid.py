"""The appearance loss: embeddings of one identity together, of different identities apart."""

from __future__ import annotations

import math

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from torch import nn

from jde_lightning.losses.gather import gather_rows
from jde_lightning.structures import NO_IDENTITY


class ReIDLoss(nn.Module):
    """Mine triplets among the embeddings of a batch, and pull and push them (YOLO11-JDE, section 3.3).

    Args:
        miner: a miner of pytorch-metric-learning; the hardest positive and the closest negative that is farther
            away than it, if not given.
        loss: a loss of pytorch-metric-learning; a triplet loss of margin 0.075 on unit-norm embeddings, if not given.
        top_confidence: share of the rows, by confidence, that takes part; 1 is all.
        gather: whether triplets are mined over all ranks (else over this rank's rows). Without a process group both
            are the same.

    Raises:
        ValueError: if ``top_confidence`` is not in (0, 1].
    """

    def __init__(
        self,
        miner: nn.Module | None = None,
        loss: nn.Module | None = None,
        top_confidence: float = 1.0,
        gather: bool = False,
    ) -> None:
        super().__init__()
        if not 0 < top_confidence <= 1:
            msg = f"top_confidence must be above 0 and at most 1, got {top_confidence}"
            raise ValueError(msg)
        self.miner = BatchEasyHardMiner(pos_strategy="hard", neg_strategy="semihard") if miner is None else miner
        self.loss = TripletMarginLoss(margin=0.075) if loss is None else loss
        self.top_confidence = top_confidence
        self.gather = gather

    def forward(
        self, embeddings: torch.Tensor, identities: torch.Tensor, confidences: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            embeddings: ``(N, D)``, any norm; rows may come from several anchors of one box.
            identities: ``(N,)`` int64; rows of :data:`~jde_lightning.structures.NO_IDENTITY` are left out.
            confidences: ``(N,)`` in 0..1; only needed for a ``top_confidence`` below 1.

        Returns:
            Scalar float32, computed outside autocast. Exactly 0, with a gradient of 0, where nothing can be compared:
            no rows, no identity twice, or nothing mined.

        Raises:
            ValueError: if ``top_confidence`` is below 1 and no confidences are given.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            nothing = embeddings.sum() * 0.0
            if confidences is None:
                if self.top_confidence < 1:
                    msg = f"top_confidence={self.top_confidence} needs the confidences of the rows"
                    raise ValueError(msg)
                confidences = embeddings.new_ones(len(embeddings))
            known = identities != NO_IDENTITY
            rows, ids, certainty = embeddings[known], identities[known], confidences.float()[known]
            if self.gather:
                rows, ids, certainty = gather_rows(rows, ids, certainty)
            if self.top_confidence < 1:
                best = certainty.topk(math.ceil(self.top_confidence * len(rows))).indices
                rows, ids = rows[best], ids[best]
            if not _has_pairs(ids):
                return nothing
            mined = self.miner(rows, ids)
            if len(mined[0]) == 0:
                return nothing
            return self.loss(rows, ids, mined) + nothing


def _has_pairs(identities: torch.Tensor) -> bool:
    """Whether any identity is seen twice."""
    return bool((torch.unique(identities, return_counts=True)[1] > 1).any())
