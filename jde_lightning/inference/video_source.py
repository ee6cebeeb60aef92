"""Video files, through OpenCV; a damaged file is an error that names the frame."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import cv2

from jde_lightning.errors import InputError
from jde_lightning.inference.frames import DEFAULT_FRAME_RATE, Frame, FrameSource, plausible_frame_rate

_LOG = logging.getLogger(__name__)

_TIMEOUT_MS = 10_000
"""Longest wait for an address, and for its next frame: a stream that is silent for so long is taken for dropped."""

_CLEAR_LACK = 0.95
"""The count of frames in a header is an estimate; only if less than this fraction came is it worth a word."""


class VideoSource(FrameSource):
    """A video file, local or at an address.

    Args:
        source: path or address.
        name: for the files that are written about it.
        frame_rate: frames per second, if the file is not to be believed.

    Raises:
        InputError: if it cannot be opened.
    """

    def __init__(self, source: str, name: str, frame_rate: float | None = None) -> None:
        self.source = source
        self.name = name
        capture = open_capture(source)
        self.frame_rate = told_frame_rate(capture, source) if frame_rate is None else frame_rate
        self.length = told_length(capture)
        capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames until the video ends.

        Raises:
            InputError: if no frame can be decoded, or a later one cannot.
        """
        capture = open_capture(self.source)
        number = 0
        try:
            while True:
                read, image = capture.read()
                if not read:
                    break
                number += 1
                yield Frame(number, image)
        finally:
            capture.release()
        if number == 0:
            msg = f"{self.source}: opens, but no frame of it can be decoded; is the file complete?"
            raise InputError(msg)
        if self.length is not None and number < self.length:
            self._explain_early_end(number)

    def _explain_early_end(self, frames: int) -> None:
        """Say what is wrong with a file that gave fewer frames than its header promises, if anything is.

        Raises:
            InputError: if a frame cannot be decoded, or the file is cut off.
        """
        damage = find_damage(self.source, frames)
        if damage:
            msg = f"{self.source}: frame {frames + 1} of {self.length} cannot be read: {damage}"
            raise InputError(msg)
        if damage is None and frames < _CLEAR_LACK * (self.length or 0):
            _LOG.warning("%s: ends after %d of %d frames; is the file complete?", self.source, frames, self.length)


def find_damage(source: str, decoded: int) -> str | None:
    """Find out why a video ended before its header said so, from the packets that are in the file.

    A count in a header proves nothing: copies that were trimmed without re-encoding keep frames that are never shown.

    Args:
        source: path or address.
        decoded: number of frames that could be decoded.

    Returns:
        What is wrong with the file, and what mends it; an empty text if nothing is; ``None`` if nobody can say,
        because PyAV is missing or cannot open it.
    """
    try:
        import av
    except ImportError:
        return None
    shown, end = 0, 0.0
    try:
        with av.open(source) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    shown += 1
                    end = max(end, _seconds(packet.pts, stream) + _seconds(packet.duration, stream))
            promised = _seconds(stream.duration, stream)
            missing = promised - end
    except (av.error.FFmpegError, IndexError, OSError):
        return None
    if shown > decoded + 1:  # the last packet of a field-coded video may hold half a frame
        return "the file is damaged there; get a good copy, or re-encode what is left of it (ffmpeg -i OLD NEW.mp4)"
    if missing > max(0.5, (1 - _CLEAR_LACK) * promised):
        return f"the file is cut off {missing:.1f} s before its end; get the whole file"
    return ""


def open_capture(source: str | int) -> cv2.VideoCapture:
    """Open a video, a camera or a stream.

    Args:
        source: path, address, or number of a camera.

    Raises:
        InputError: if it cannot be opened.
    """
    capture = try_capture(source)
    if not capture.isOpened():
        if isinstance(source, int):
            msg = f"camera {source}: cannot be opened; is it connected (the first is 0), and free?"
        elif "://" in source:
            msg = f"{source}: cannot be opened as a video; does the address answer, and is it that of a video?"
        else:
            msg = f"{source}: cannot be opened as a video; the file is damaged, or its codec unknown to OpenCV"
        raise InputError(msg)
    return capture


def try_capture(source: str | int) -> cv2.VideoCapture:
    """Open as :func:`open_capture` does, but leave it to the caller to ask whether that worked."""
    if isinstance(source, str) and "://" in source:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        if capture.isOpened():
            return capture
    return cv2.VideoCapture(source)


def told_frame_rate(capture: cv2.VideoCapture, source: str | int) -> float:
    """Frames per second that a video tells, or the default and a warning where it does not."""
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    if plausible_frame_rate(rate):
        return rate
    _LOG.warning("%s does not tell its frame rate; %g is assumed (--fps changes it)", source, DEFAULT_FRAME_RATE)
    return DEFAULT_FRAME_RATE


def told_length(capture: cv2.VideoCapture) -> int | None:
    """Number of frames that a video tells; ``None`` where it does not, as streams."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and count > 0 else None


def _seconds(ticks: int | None, stream: Any) -> float:
    """Time of a packet or stream in seconds; 0 where it is not known."""
    return float(ticks * stream.time_base) if ticks is not None and stream.time_base is not None else 0.0
