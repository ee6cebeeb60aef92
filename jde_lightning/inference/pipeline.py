"""Stages that overlap: each works in a thread of its own, and bounded queues hand the items on in order.

The heavy parts of a stage (decoding, the network, drawing, encoding) release Python's lock, so threads do run at once.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE = 20.0
"""Seconds that a thread gets to end: longer than a stream is waited for, so only a device that hangs exceeds them."""


class ReadAhead(Generic[T]):
    """Items of an iterable, fetched by a thread while the consumer works on earlier ones.

    What the iterable raises is raised by :meth:`take`, after all items before it have been taken.

    Args:
        items: iterated in the thread, once; a generator is closed there too.
        depth: most items that wait to be taken.
        latest: what happens if that many wait: ``False`` makes the iterable wait; ``True`` drops the oldest, for
            sources that do not wait.
        stop: called when the block ends early, to wake an iterable that waits for something else.

    Attributes:
        dropped: number of items that were dropped.

    Example:
        >>> with ReadAhead(range(5), depth=2) as ahead:
        ...     ahead.take(3), ahead.take(3), ahead.take(3)
        ([0, 1, 2], [3, 4], [])
    """

    def __init__(
        self, items: Iterable[T], depth: int, latest: bool = False, stop: Callable[[], None] | None = None
    ) -> None:
        self.depth = depth
        self.latest = latest
        self.dropped = 0
        self._items = items
        self._stop = stop
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read", daemon=True)

    def __enter__(self) -> ReadAhead[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread, whether or not it has come to the end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._stop is not None:
            self._stop()
        _join(self._thread)

    def take(self, count: int) -> list[T]:
        """Wait for the next items.

        Args:
            count: how many; may be more than ``depth``.

        Returns:
            The next ``count`` items; fewer only before the end or before an error, and none after the end.

        Raises:
            BaseException: what the iterable raised, once no item before it is left.
        """
        taken: list[T] = []
        with self._changed:
            while len(taken) < count:
                _wait(self._changed, lambda: bool(self._ready) or self._ended)
                if not self._ready:
                    break
                taken.append(self._ready.popleft())
                self._changed.notify_all()
            if not taken and self._error is not None:
                raise self._error
        return taken

    def _run(self) -> None:
        """Fetch items until the end, an error, or until nobody wants them."""
        iterator: Iterator[T] | None = None
        try:
            iterator = iter(self._items)
            for item in iterator:
                if not self._offer(item):
                    break
        except BaseException as error:  # whatever it is, the consumer has to know
            self._error = error
        finally:
            try:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
            except BaseException as error:
                self._error = self._error or error
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, item: T) -> bool:
        """Queue an item; ``False`` if nobody wants it."""
        with self._changed:
            if self.latest and len(self._ready) >= self.depth:
                self._ready.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: len(self._ready) < self.depth or self._stopped)
            if not self._stopped:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._stopped


class Stage(Generic[T]):
    """Work that a thread does on one item after the other, in the order in which they are put.

    An error of the work ends the thread; the next :meth:`put` or :meth:`finish` raises it, as the very exception. As a
    context manager, a stage finishes what was put; after an exception it drops what waits.

    Args:
        work: done on each item.
        depth: most items that wait; :meth:`put` waits while there are as many.
        name: of the thread.
    """

    def __init__(self, work: Callable[[T], None], depth: int, name: str) -> None:
        self.depth = depth
        self._work = work
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Stage[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, or after an exception drop what waits; either way the thread has ended."""
        try:
            if kind is None:
                self.finish()
        finally:
            with self._changed:
                self._stopped = True
                self._waiting.clear()
                self._changed.notify_all()
            _join(self._thread)

    def put(self, item: T) -> None:
        """Hand over an item.

        Raises:
            BaseException: what the work raised on an earlier item.
            RuntimeError: if the stage has ended.
        """
        with self._changed:
            _wait(self._changed, lambda: len(self._waiting) < self.depth or self._over())
            self._raise_error()
            if self._stopped:
                msg = f"the stage {self._thread.name!r} has ended; it takes no more items"
                raise RuntimeError(msg)
            self._waiting.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until the work on all items is done.

        Raises:
            BaseException: what the work raised.
        """
        with self._changed:
            _wait(self._changed, lambda: self._over() or not (self._waiting or self._busy))
            self._raise_error()

    def _over(self) -> bool:
        """Whether no more work will be done."""
        return self._stopped or self._error is not None

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """Work until stopped, or until the work fails."""
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                item = self._waiting.popleft()
                self._busy = True
                self._changed.notify_all()
            try:
                self._work(item)
            except BaseException as error:  # whatever it is, the producer has to know
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return


def _wait(changed: threading.Condition, ready: Callable[[], bool]) -> None:
    """Wait, but not in one go: on Windows, Ctrl-C does not reach a thread that waits without a limit."""
    while not changed.wait_for(ready, timeout=0.5):
        pass


def _join(thread: threading.Thread) -> None:
    """Wait for a thread to end; leave one behind that hangs in a device, instead of hanging with it."""
    thread.join(_PATIENCE)
    if thread.is_alive():
        _LOG.warning("the thread %r has not ended after %g s and is left behind", thread.name, _PATIENCE)
