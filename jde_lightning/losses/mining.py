"""Which pairs of a batch are compared: all of them, and all but some that are not to be pushed apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Anchors and positives of the positive pairs, anchors and negatives of the negative ones, ``(T,)`` int64 each."""


class AllPairs(nn.Module):
    """No mining: for losses that weigh all pairs themselves, such as ``SupConLoss`` and ``MultiSimilarityLoss``."""

    def forward(self, embeddings: torch.Tensor, identities: torch.Tensor) -> None:
        """Choose nothing, which a loss of pytorch-metric-learning takes as all pairs.

        Args:
            embeddings: ``(N, D)``.
            identities: ``(N,)`` int64.
        """

    @torch.no_grad()
    def mine_allowed(self, embeddings: torch.Tensor, identities: torch.Tensor, forbidden: ForbiddenNegatives) -> Pairs:
        """List all pairs but the forbidden ones.

        Args:
            embeddings: ``(N, D)``.
            identities: ``(N,)`` int64.
            forbidden: which pairs are no negatives although their identities differ.
        """
        rows = torch.arange(len(identities), device=identities.device)
        same = identities[:, None] == identities
        negative = ~(same | forbidden(rows, rows))
        anchors, positives = torch.where(same.fill_diagonal_(False))
        other_anchors, negatives = torch.where(negative)
        return anchors, positives, other_anchors, negatives


@dataclass(frozen=True)
class ForbiddenNegatives:
    """Pairs of different identities that are not to be pushed apart; asked for a block of pairs at a time.

    Two rows may show the same person although their identities differ, if they have the same scope (a video without
    identity labels) and come from different frames of it. And two rows of different classes may be left to the
    detector's class branch to tell apart.

    Attributes:
        source_frames: ``(N,)`` int64; ``None`` if every identity is certain.
        scopes: ``(N,)`` int64, -1 where the identity is certain; ``None`` if every one is.
        labels: ``(N,)`` int64 classes, to leave out pairs of different classes; ``None`` compares them too.
    """

    source_frames: torch.Tensor | None = None
    scopes: torch.Tensor | None = None
    labels: torch.Tensor | None = None

    def __call__(self, rows: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        """Return ``(R, C)`` bool for ``(R,)`` and ``(C,)`` int64 rows."""
        return self.of_pairs(rows[:, None], references)

    def of_pairs(self, rows: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
        """Return bool for each pair of ``rows`` and ``references``, int64 of shapes that broadcast."""
        shape = torch.broadcast_shapes(rows.shape, references.shape)  # type: ignore[no-untyped-call]
        forbidden = torch.zeros(shape, dtype=torch.bool, device=rows.device)
        if self.scopes is not None and self.source_frames is not None:
            # a scope of -1 equals none, and only one of the two needs to be told so
            scopes = torch.where(self.scopes[rows] >= 0, self.scopes[rows], -2)
            forbidden |= scopes == self.scopes[references]
            forbidden &= self.source_frames[rows] != self.source_frames[references]
        if self.labels is not None:
            forbidden |= self.labels[rows] != self.labels[references]
        return forbidden

    def leave_out(self, mined: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Leave out what a miner chose with a forbidden negative.

        Args:
            mined: anchors, positives and negatives; or anchors and positives, anchors and negatives. ``(T,)`` int64.
        """
        anchors, negatives = (mined[0], mined[2]) if len(mined) == 3 else mined[2:]
        allowed = ~self.of_pairs(anchors, negatives)
        if len(mined) == 3:
            return tuple(rows[allowed] for rows in mined)
        return *mined[:2], anchors[allowed], negatives[allowed]


@runtime_checkable
class RestrictableMiner(Protocol):
    """A miner that can be kept from choosing some negatives, and then looks for the next best."""

    def mine_allowed(self, embeddings: torch.Tensor, identities: torch.Tensor, forbidden: ForbiddenNegatives) -> Pairs:
        """Choose pairs among the negatives that are not forbidden.

        Args:
            embeddings: ``(N, D)``.
            identities: ``(N,)`` int64.
            forbidden: which pairs are no negatives although their identities differ.
        """
