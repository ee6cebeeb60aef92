"""What losses exchange between ranks: rows, in uneven numbers and with gradients, and sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


@contextmanager
def without_exchange() -> Iterator[None]:
    """Within it losses ask no other rank: they answer as if every rank had what this one has.

    For a rank that computes a loss while the others do not, such as to try out what a step takes.
    """
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


class _ScaleGradient(torch.autograd.Function):
    """Leave the values as they are and multiply their gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.factor, None


def _num_ranks() -> int:
    """Number of ranks that compute the loss together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(value: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Add up a tensor over all ranks, without gradient, and return the sum and the number of ranks.

    Args:
        value: of the same shape on all ranks, each of which must call this.
    """
    ranks = _num_ranks()
    total = value.detach().clone()
    if ranks > 1 and _ALONE.get():
        return total * ranks, ranks
    if ranks > 1:
        dist.all_reduce(total)
    return total, ranks


def gather_rows(embeddings: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Concatenate the rows of all ranks, in the order of ranks, the same on every rank.

    Every rank computes the same loss of the same rows, so each backpropagates through its own rows only, and no
    communication is needed backwards. Their gradient is multiplied by the number of ranks: DDP's mean over ranks is
    then the gradient of that loss, as if one process had held the whole batch.

    Args:
        embeddings: ``(N, D)`` float32 rows of this rank; ``N`` may differ between ranks and be 0.
        others: ``(N, ...)`` values of the same rows, without gradient.

    Returns:
        The same of all ranks; the arguments themselves where no process group is initialised.
    """
    ranks = _num_ranks()
    if ranks == 1:
        return embeddings, *others
    if _ALONE.get():
        copies = [embeddings, *[embeddings.detach().clone() for _ in range(ranks - 1)]]
        return torch.cat(copies), *(torch.cat([values] * ranks) for values in others)
    count = torch.tensor([len(embeddings)], device=embeddings.device)
    counts = [torch.zeros_like(count) for _ in range(ranks)]
    dist.all_gather(counts, count)
    sizes = [int(c) for c in counts]
    all_embeddings = _gather(embeddings.detach(), sizes)
    all_embeddings[dist.get_rank()] = _ScaleGradient.apply(embeddings, float(ranks))
    return torch.cat(all_embeddings), *(torch.cat(_gather(values, sizes)) for values in others)


def _gather(rows: torch.Tensor, sizes: list[int]) -> list[torch.Tensor]:
    """Gather ``(N, ...)`` of every rank, padded to the longest on the way, without gradient."""
    padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
    padded[: len(rows)] = rows
    received = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(received, padded)
    return [tensor[:size] for tensor, size in zip(received, sizes, strict=True)]
