"""The running statistics of batch norms, where several processes train."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn


@torch.no_grad()
def share_norm_statistics(network: nn.Module) -> None:
    """Give every process the batch norms' running means and variances of the first one.

    DDP makes them equal before a training step, in which each process then changes its own. Without this the processes
    would validate different networks, of which only the first one's is saved. Every process must call it.

    Args:
        network: anything with batch norms; nothing happens where one process trains.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    statistics = [one for norm in norms for one in (norm.running_mean, norm.running_var) if one is not None]
    if not statistics:
        return
    whole = torch.cat(statistics)
    dist.broadcast(whole, src=0)
    parts = whole.split([len(one) for one in statistics])  # type: ignore[no-untyped-call]
    for mine, first in zip(statistics, parts, strict=True):
        mine.copy_(first)
