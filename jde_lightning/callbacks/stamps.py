"""Points in time, of this process or of the GPU."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch


class Stamps(Protocol):
    """Takes stamps and says how far apart two of them are."""

    def now(self) -> Any:
        """Return a stamp of this moment."""

    def ms(self, first: Any, last: Any) -> float:
        """Return the milliseconds between two stamps."""


class HostStamps:
    """Stamps of this process."""

    def now(self) -> float:
        """Return seconds."""
        return time.perf_counter()

    def ms(self, first: float, last: float) -> float:
        """Return the milliseconds between two stamps."""
        return 1000 * (last - first)


class CudaStamps:
    """Stamps of the GPU: events in its queue of work. Only asking for a duration waits, for the later event."""

    def now(self) -> torch.cuda.Event:
        """Put an event into the queue."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def ms(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        """Return the milliseconds between two events."""
        last.synchronize()
        return float(first.elapsed_time(last))
