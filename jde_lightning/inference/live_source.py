"""Cameras and streams: frames that arrive in their own time, over connections that drop."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator

from jde_lightning.errors import InputError
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.video_source import open_capture, try_capture

_LOG = logging.getLogger(__name__)


class FrameClock:
    """Numbers frames by the time of their arrival, so that the numbers tell how much time lies between two frames.

    Frames that arrive in bursts are counted one by one. A source that delivers more frames than its rate says runs
    ahead of the time; every few seconds the clock is set by the frame that was least ahead.

    Args:
        frame_rate: frames per second.
        window: seconds after which the clock is set.
    """

    def __init__(self, frame_rate: float, window: float = 5.0) -> None:
        self.frame_rate = frame_rate
        self.window = window
        self._start: float | None = None
        self._number = 0
        self._least_ahead = math.inf
        self._window_end = 0.0

    def number(self, now: float) -> int:
        """Number of a frame that arrives at ``now``, in seconds: 1 for the first, then growing."""
        if self._start is None:
            self._start, self._window_end = now, now + self.window
        due = 1 + round((now - self._start) * self.frame_rate)
        self._number = max(self._number + 1, due)
        self._least_ahead = min(self._least_ahead, self._number - due)
        if now >= self._window_end:
            self._start -= self._least_ahead / self.frame_rate
            self._least_ahead, self._window_end = math.inf, now + self.window
        return self._number


class LiveSource(FrameSource):
    """A camera or a stream. Frames are numbered by time; a connection that drops is opened again.

    Args:
        source: address, or number of a camera.
        name: for the files that are written about it.
        frame_rate: frames per second.
        reconnects: how often in a row a dropped connection is opened again before the source counts as ended.
        first_wait: seconds before the first try; twice as many before each further one.
    """

    live = True

    def __init__(
        self, source: str | int, name: str, frame_rate: float, reconnects: int = 5, first_wait: float = 1.0
    ) -> None:
        self.source = source
        self.name = name
        self.frame_rate = frame_rate
        self.reconnects = reconnects
        self.first_wait = first_wait
        self.length: int | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End a running iteration, also while it waits for a connection."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until :meth:`stop`, or until the connection is lost for good, which is no error.

        Raises:
            InputError: if it cannot be opened, or not a single frame arrives.
        """
        self._stopped.clear()
        clock = FrameClock(self.frame_rate)
        number = failures = 0
        while not self._stopped.is_set():
            # Until a frame has come, a source that does not open is an error of the user's and not a dropped one.
            capture = try_capture(self.source) if number else open_capture(self.source)
            try:
                while not self._stopped.is_set():
                    read, image = capture.read()
                    if not read:
                        break
                    number, failures = clock.number(time.monotonic()), 0
                    yield Frame(number, image)
            finally:
                capture.release()
            if self._stopped.is_set() or not self._wait(failures, number):
                break
            failures += 1
        if number == 0 and not self._stopped.is_set():
            msg = f"{self.source}: opens, but no frame of it can be decoded; is it a video stream?"
            raise InputError(msg)

    def _wait(self, failures: int, number: int) -> bool:
        """Wait before the next try; ``False`` if there is none, or the user has ended it."""
        if number == 0:
            return False
        if failures == self.reconnects:
            tries = f" and {failures} tries to open it again" if failures else ""
            _LOG.warning("%s: ended after frame %d%s", self.name, number, tries)
            return False
        wait = self.first_wait * 2**failures
        _LOG.warning(
            "%s: no more frames after frame %d; try %d of %d to open it again in %g s",
            self.name,  # an address may hold a password
            number,
            failures + 1,
            self.reconnects,
            wait,
        )
        return not self._stopped.wait(wait)
