"""Which anchors take part in the Re-ID loss: the most confident of all, of an image, or of an object."""

from __future__ import annotations

import math

import torch


def most_confident(confidences: torch.Tensor, share: float) -> torch.Tensor:
    """Choose a share of all rows.

    Args:
        confidences: ``(N,)`` float32.
        share: above 0 and at most 1; the number of rows is rounded up.

    Returns:
        Rows int64, the most confident first; of equal ones the first.
    """
    return confidences.argsort(descending=True, stable=True)[: math.ceil(share * len(confidences))]


def most_confident_of_each(groups: torch.Tensor, confidences: torch.Tensor, limit: int) -> torch.Tensor:
    """Choose at most ``limit`` rows of every group.

    Args:
        groups: ``(N,)`` int64 group of each row.
        confidences: ``(N,)`` float32.
        limit: rows per group, at least 1.

    Returns:
        ``(N,)`` bool; of equally confident rows the first are chosen.
    """
    order = confidences.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    place = torch.arange(len(order), device=order.device) - torch.searchsorted(ordered, ordered)
    return torch.zeros_like(groups, dtype=torch.bool).index_fill_(0, order[place < limit], True)
