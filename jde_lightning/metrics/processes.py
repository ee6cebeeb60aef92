"""Exchange of metric states between processes that hold different amounts of data, on whatever device."""

from __future__ import annotations

from typing import Any

import torch.distributed


def gathered_states(states: dict[str, Any], process_group: Any | None) -> list[dict[str, Any]]:
    """Return the states of all processes, in the order of their ranks.

    torchmetrics exchanges tensor by tensor: that needs the metric on the GPU for NCCL, and never returns where one
    process holds more tensors than another. Objects have neither limit.

    Args:
        states: states by name, without tensors on a GPU. Every process must call this, with data or without.
        process_group: the group, ``None`` for all processes.
    """
    parts: list[dict[str, Any]] = [{} for _ in range(torch.distributed.get_world_size(process_group))]
    torch.distributed.all_gather_object(parts, states, group=process_group)
    return parts
