"""Which pairs and triplets of a batch are compared."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class AllPairs(nn.Module):
    """No mining: for losses that weigh all pairs themselves, such as ``SupConLoss`` and ``MultiSimilarityLoss``."""

    def forward(self, embeddings: torch.Tensor, identities: torch.Tensor) -> None:
        """Choose nothing, which a loss of pytorch-metric-learning takes as all pairs.

        Args:
            embeddings: ``(N, D)``.
            identities: ``(N,)`` int64.
        """


@torch.no_grad()
def certain_triplets(
    embeddings: torch.Tensor,
    identities: torch.Tensor,
    source_frames: torch.Tensor,
    scopes: torch.Tensor,
    block_size: int = 1024,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mine the hardest positive and the closest negative farther away than it, among people who are certain to differ.

    Two rows of different identities may still show the same person if they have the same scope (a video without
    identity labels) and come from different frames of it: such pairs are neither positives nor negatives. The rest is
    what pytorch-metric-learning's ``BatchEasyHardMiner("hard", "semihard")`` does.

    Args:
        embeddings: ``(N, D)`` float32, any norm.
        identities: ``(N,)`` int64.
        source_frames: ``(N,)`` int64.
        scopes: ``(N,)`` int64, -1 where the identity is certain.
        block_size: rows that are compared with all others at a time; memory grows with ``block_size * N``.

    Returns:
        Rows ``(T,)`` int64 of anchors, positives and negatives; anchors without either are left out.
    """
    unit = F.normalize(embeddings)
    triplets = [torch.zeros((3, 0), dtype=torch.int64, device=unit.device)]
    for start in range(0, len(unit), block_size):
        rows = torch.arange(start, min(start + block_size, len(unit)), device=unit.device)
        distance = torch.cdist(unit[rows], unit)
        same = identities[rows, None] == identities
        doubtful = (scopes[rows, None] == scopes) & (scopes >= 0) & (source_frames[rows, None] != source_frames)
        positive = same & (rows[:, None] != torch.arange(len(unit), device=unit.device))
        farthest, hardest = distance.masked_fill(~positive, -torch.inf).max(dim=1)
        negative = ~same & ~doubtful & (distance > farthest[:, None])
        nearest, closest = distance.masked_fill(~negative, torch.inf).min(dim=1)
        found = positive.any(dim=1) & nearest.isfinite()
        triplets.append(torch.stack([rows[found], hardest[found], closest[found]]))
    anchors, positives, negatives = torch.cat(triplets, dim=1)
    return anchors, positives, negatives
