"""The appearance loss: embeddings of one identity together, of different identities apart."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner
from torch import nn

from jde_lightning.errors import InputError
from jde_lightning.losses.gather import gather_rows
from jde_lightning.losses.mining import certain_triplets
from jde_lightning.structures import NO_IDENTITY


class ReIDLoss(nn.Module):
    """Mine triplets among the embeddings of a batch, and pull and push them (YOLO11-JDE, section 3.3).

    Args:
        miner: a miner of pytorch-metric-learning; the hardest positive and the closest negative that is farther
            away than it, if not given. :class:`~jde_lightning.losses.mining.AllPairs` leaves the choice to the loss.
        loss: a loss of pytorch-metric-learning; a triplet loss of margin 0.075 on unit-norm embeddings, if not given.
        top_confidence: share of the rows, by confidence, that takes part; 1 is all.
        negatives: who counts as somebody else. ``any`` is the paper: every other identity. ``certain`` is for videos
            without identity labels, where the same person has another identity in every frame: only boxes that
            cannot show the same person, because they stand in one frame or come from different sequences. It mines
            hard positives and semi-hard negatives by itself, so it takes no miner.
        gather: whether triplets are mined over all ranks (else over this rank's rows). Without a process group both
            are the same.

    Raises:
        InputError: if ``top_confidence`` is not in (0, 1], or a miner is given with ``negatives="certain"``.
    """

    def __init__(
        self,
        miner: nn.Module | None = None,
        loss: nn.Module | None = None,
        top_confidence: float = 1.0,
        gather: bool = False,
        negatives: Literal["any", "certain"] = "any",
    ) -> None:
        super().__init__()
        if not 0 < top_confidence <= 1:
            msg = f"top_confidence must be above 0 and at most 1, got {top_confidence}"
            raise InputError(msg)
        if negatives == "certain" and miner is not None:
            msg = f"negatives: certain mines by itself; leave out the miner {type(miner).__name__}"
            raise InputError(msg)
        self.miner = BatchEasyHardMiner(pos_strategy="hard", neg_strategy="semihard") if miner is None else miner
        self.loss = TripletMarginLoss(margin=0.075) if loss is None else loss
        self.top_confidence = top_confidence
        self.gather = gather
        self.negatives = negatives

    def forward(
        self,
        embeddings: torch.Tensor,
        identities: torch.Tensor,
        confidences: torch.Tensor | None = None,
        source_frames: torch.Tensor | None = None,
        scopes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            embeddings: ``(N, D)``, any norm; rows may come from several anchors of one box.
            identities: ``(N,)`` int64; rows of :data:`~jde_lightning.structures.NO_IDENTITY` are left out.
            confidences: ``(N,)`` in 0..1; only needed for a ``top_confidence`` below 1.
            source_frames: ``(N,)`` int64, see :class:`~jde_lightning.structures.Batch`; for certain negatives.
            scopes: ``(N,)`` int64, see :class:`~jde_lightning.structures.Batch`; for certain negatives. All
                identities are taken as certain if omitted.

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
            if scopes is None or source_frames is None:
                scopes, source_frames = torch.full_like(identities, -1), torch.zeros_like(identities)
            known = identities != NO_IDENTITY
            kept = (embeddings, identities, confidences.float(), source_frames, scopes)
            rows, ids, certainty, frames, scopes = (values[known] for values in kept)
            if self.gather:
                rows, ids, certainty, frames, scopes = gather_rows(rows, ids, certainty, frames, scopes)
            if self.top_confidence < 1:
                best = certainty.topk(math.ceil(self.top_confidence * len(rows))).indices
                rows, ids, frames, scopes = rows[best], ids[best], frames[best], scopes[best]
            if not _has_pairs(ids):
                return nothing
            if self.negatives == "certain":
                mined = certain_triplets(rows, ids, frames, scopes)
            else:
                mined = self.miner(rows, ids)
            if mined is not None and len(mined[0]) == 0:
                return nothing
            return self.loss(rows, ids, mined) + nothing


def _has_pairs(identities: torch.Tensor) -> bool:
    """Whether any identity is seen twice."""
    return bool((torch.unique(identities, return_counts=True)[1] > 1).any())
