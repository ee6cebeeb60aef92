"""The appearance loss: embeddings of one identity together, of different identities apart."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from jde_lightning.errors import InputError
from jde_lightning.losses.blockwise_miner import BlockwiseEasyHardMiner
from jde_lightning.losses.checks import (
    check_classes,
    check_columns,
    check_combinations,
    check_confidences,
    check_finite,
    class_count,
)
from jde_lightning.losses.gather import gather_rows
from jde_lightning.losses.mining import ForbiddenNegatives, RestrictableMiner
from jde_lightning.losses.pair_triplet_loss import PairTripletMarginLoss
from jde_lightning.losses.selection import most_confident, most_confident_of_each
from jde_lightning.structures import NO_IDENTITY


class ReIDLoss(nn.Module):
    """Mine triplets among the embeddings of a batch, and pull and push them (YOLO11-JDE, section 3.3).

    Whether embeddings are brought to unit norm is the miner's and the loss's choice (by default they are), and the
    weight next to the detection losses is :class:`~jde_lightning.losses.joint.JDELoss`'s.

    Args:
        miner: a miner of pytorch-metric-learning; the hardest positive and the closest negative that is farther
            away than it, if not given. :class:`~jde_lightning.losses.mining.AllPairs` leaves the choice to the loss.
        loss: a loss of pytorch-metric-learning; a triplet loss of margin 0.075 on unit-norm embeddings, if not given.
            Losses that classify (ArcFace, softmax) need identities from 0 to below their ``num_classes``, so full
            supervision, and are best used with ``AllPairs``.
        top_confidence: share of the rows, by confidence, that takes part; 1 is all (YOLO11-JDE, Table 3). It is taken
            of the rows that the two limits leave over, with ``gather`` of those of all ranks.
        gather: whether triplets are mined over all ranks (else over this rank's rows). Without a process group both
            are the same.
        negatives: who counts as somebody else. ``any`` is the paper: every other identity. ``certain`` differs from it
            in videos without identity labels, where the same person has another identity in every frame: only boxes
            that cannot show the same person. Which these are the data say (``data.ambiguity``): those of one frame,
            of different sequences, or of different chains of boxes that are linked from frame to frame.
        negative_classes: whether ``any`` other class counts as somebody else, too, or negatives are looked for in the
            ``same`` class only. Without effect on positives. For both options, our miners look for the next best
            negative; from what a miner of another origin chose, the doubtful pairs are left out.
        max_per_object: most anchors of one box that take part, the most confident ones; ``None`` is all.
        max_per_image: most anchors of one image that take part, after ``max_per_object``; ``None`` is all.

    Raises:
        InputError: if ``top_confidence`` is not in (0, 1], a limit is below 1, or a choice is not one of those named.
    """

    def __init__(
        self,
        miner: nn.Module | None = None,
        loss: nn.Module | None = None,
        top_confidence: float = 1.0,
        gather: bool = False,
        negatives: Literal["any", "certain"] = "certain",
        negative_classes: Literal["any", "same"] = "any",
        max_per_object: int | None = None,
        max_per_image: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(top_confidence, float | int) or not 0 < top_confidence <= 1:
            msg = f"top_confidence must be above 0 and at most 1, got {top_confidence!r}"
            raise InputError(msg)
        for name, limit in (("max_per_object", max_per_object), ("max_per_image", max_per_image)):
            if limit is not None and (not isinstance(limit, int) or limit < 1):
                msg = f"{name} must be a whole number of at least 1, or null for no limit, got {limit!r}"
                raise InputError(msg)
        self.miner = BlockwiseEasyHardMiner() if miner is None else miner
        self.loss = PairTripletMarginLoss() if loss is None else loss
        choices = {
            "negatives": (negatives, ("any", "certain")),
            "negative_classes": (negative_classes, ("any", "same")),
        }
        for name, (choice, known) in choices.items():
            if choice not in known:
                msg = f"{name} must be {' or '.join(known)}, got {choice!r}"
                raise InputError(msg)
        self.top_confidence = top_confidence
        self.gather = gather
        self.negatives = negatives
        self.negative_classes = negative_classes
        self.max_per_object = max_per_object
        self.max_per_image = max_per_image

    def forward(
        self,
        embeddings: torch.Tensor,
        identities: torch.Tensor,
        confidences: torch.Tensor | None = None,
        source_frames: torch.Tensor | None = None,
        scopes: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        objects: torch.Tensor | None = None,
        images: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the loss.

        Args:
            embeddings: ``(N, D)``, any norm; rows may come from several anchors of one box.
            identities: ``(N,)`` int64; rows of :data:`~jde_lightning.structures.NO_IDENTITY` are left out.
            confidences: ``(N,)`` in 0..1; only needed for a ``top_confidence`` below 1 and for limits.
            source_frames: ``(N,)`` int64, see :class:`~jde_lightning.structures.Batch`; for certain negatives.
            scopes: ``(N,)`` int64, see :class:`~jde_lightning.structures.Batch`; for certain negatives. All
                identities are taken as certain if omitted.
            labels: ``(N,)`` int64 class; only needed for negatives of the same class.
            objects: ``(N,)`` int64 box that each row belongs to; only needed for ``max_per_object``.
            images: ``(N,)`` int64 image that each row belongs to; only needed for ``max_per_image``.

        Returns:
            Scalar float32, computed outside autocast. Exactly 0, with a gradient of 0, where nothing can be compared:
            no rows, no identity twice, or nothing mined. A loss that classifies needs no identity twice.

        Raises:
            InputError: if a column is missing that an option needs or has another length than the embeddings,
                identities are no int64, confidences that decide are not in 0..1, the loss has no class for an identity,
                or NTXentLoss would set too many pairs against each other.
            NonFiniteEmbeddingsError: if an embedding that takes part is NaN or infinite; with ``gather`` on all ranks.
        """
        columns = {
            "confidences": confidences,
            "source_frames": source_frames,
            "scopes": scopes,
            "labels": labels,
            "objects": objects,
            "images": images,
        }
        given = {name: column for name, column in columns.items() if column is not None}
        check_columns(embeddings, identities, given)
        self._check_needs(given)
        if self._orders_rows and confidences is not None:
            check_confidences(confidences)
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            # What is not compared must still take part, or DDP waits for its gradients.
            nothing = embeddings[:0].sum() + sum(p.reshape(-1)[:0].sum() for p in self.loss.parameters())
            kept = self._within_limits(identities, given)
            rows, ids, given = embeddings[kept], identities[kept], {name: c[kept] for name, c in given.items()}
            if self.gather:
                rows, ids, *others = gather_rows(rows, ids, *given.values())
                given = dict(zip(given, others, strict=True))
            check_finite(rows.detach())
            if self.top_confidence < 1:
                best = most_confident(given["confidences"].float(), self.top_confidence)
                rows, ids, given = rows[best], ids[best], {name: column[best] for name, column in given.items()}
            classes = class_count(self.loss)
            if classes is not None:
                check_classes(ids, classes, self.loss)
            if len(ids) == 0 or (classes is None and not _has_pairs(ids)):
                return nothing
            mined = self._mine(rows, ids, given)
            if mined is not None and len(mined[0]) == 0:
                return nothing
            check_combinations(self.loss, ids, mined)
            return self.loss(rows, ids, mined) + nothing

    @property
    def _orders_rows(self) -> bool:
        """Whether the confidences decide which rows take part."""
        return self.top_confidence < 1 or self.max_per_object is not None or self.max_per_image is not None

    def _check_needs(self, given: dict[str, torch.Tensor]) -> None:
        """Say which column is missing for which option."""
        limited = [name for name in ("max_per_object", "max_per_image") if getattr(self, name) is not None]
        needs = [(name, "confidences") for name in (*limited, *(["top_confidence"] if self.top_confidence < 1 else []))]
        needs += [(name, name.removeprefix("max_per_") + "s") for name in limited]
        needs += [("negative_classes", "labels")] if self.negative_classes == "same" else []
        for option, column in needs:
            if column not in given:
                msg = f"{option}={getattr(self, option)} needs the {column} of the rows"
                raise InputError(msg)

    def _within_limits(self, identities: torch.Tensor, given: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the rows int64 that have an identity and are within the limits of their box and image."""
        kept = (identities != NO_IDENTITY).nonzero().flatten()
        for column, limit in (("objects", self.max_per_object), ("images", self.max_per_image)):
            if limit is not None:
                kept = kept[most_confident_of_each(given[column][kept], given["confidences"][kept], limit)]
        return kept

    def _mine(
        self, rows: torch.Tensor, ids: torch.Tensor, given: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...] | None:
        """Choose pairs or triplets among the rows; ``None`` is all."""
        certain = self.negatives == "certain" and {"scopes", "source_frames"} <= given.keys()
        certain = certain and bool((given["scopes"] >= 0).any())  # else no identity is doubtful
        same_class = self.negative_classes == "same"
        if not (certain or same_class):
            return self.miner(rows, ids)
        forbidden = ForbiddenNegatives(
            given["source_frames"] if certain else None,
            given["scopes"] if certain else None,
            given["labels"] if same_class else None,
        )
        if isinstance(self.miner, RestrictableMiner):
            return self.miner.mine_allowed(rows, ids, forbidden)
        mined = self.miner(rows, ids)
        return None if mined is None else forbidden.leave_out(mined)


def _has_pairs(identities: torch.Tensor) -> bool:
    """Whether any identity is seen twice."""
    return bool((torch.unique(identities, return_counts=True)[1] > 1).any())
