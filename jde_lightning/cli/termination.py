"""SIGTERM, as clusters and containers send it at the end of their time, ends a verb as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_CODE = 143
"""128 + 15, as a shell reports a process that SIGTERM ended."""


class Terminated(KeyboardInterrupt):
    """A verb was told to end: what it has is written whole, and nothing unfinished stays behind."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise :class:`Terminated` at SIGTERM, unless somebody else listens to it; only a main thread can."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
