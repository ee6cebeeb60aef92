"""Videos that browsers and notebooks play: H.264 through PyAV, or else MPEG-4 through OpenCV."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.files import written_whole

_LOG = logging.getLogger(__name__)

Picture = npt.NDArray[np.uint8]


class _Encoder(Protocol):
    """What turns pictures of one even size into a file."""

    def write(self, picture: Picture, position: int) -> None:
        """Append a picture that is shown from frame ``position`` on, counted from 0."""

    def close(self) -> None:
        """Write what is left, and the index of the file."""


class VideoWriter:
    """Writes pictures into a video; the file appears whole when the block ends, or not at all.

    Sizes are rounded up to even numbers, which H.264 needs. A picture of another size than the first is scaled to fit.

    Args:
        path: of the video, ``.mp4``.
        frame_rate: frames per second.

    Attributes:
        frames: number of pictures that were written.

    Example:
        >>> with VideoWriter(Path("out.mp4"), 30) as video:
        ...     video.write(picture)
    """

    def __init__(self, path: Path, frame_rate: float) -> None:
        self.path = path
        self.frame_rate = frame_rate
        self.frames = 0
        self._encoder: _Encoder | None = None
        self._file = ExitStack()
        self._size = (0, 0)
        self._next_position = 0

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, picture: Picture, position: int | None = None) -> None:
        """Append a picture.

        Args:
            picture: ``(H, W, 3)`` uint8 BGR.
            position: frame of the video from which on it is shown, counted from 0; the next one if omitted. Over
                frames that are left out, the previous picture stays.

        Raises:
            ValueError: if the position is not after that of the previous picture.
        """
        position = self._next_position if position is None else position
        if position < self._next_position:
            msg = f"position must be at least {self._next_position}, got {position}"
            raise ValueError(msg)
        if self._encoder is None:
            # The file is opened late: without a picture there is no size, and no video.
            self._size = (picture.shape[1] + picture.shape[1] % 2, picture.shape[0] + picture.shape[0] % 2)
            temporary = self._file.enter_context(written_whole(self.path))
            self._encoder = _open_encoder(temporary, self.frame_rate, self._size)
        self._encoder.write(fit(picture, self._size), position)
        self._next_position = position + 1
        self.frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an exception, leave none."""
        try:
            if self._encoder is not None:
                if kind is None:
                    self._encoder.close()
                else:
                    # An encoder that cannot finish must not hide the exception that ended the block.
                    with suppress(Exception):
                        self._encoder.close()
        except BaseException as failure:
            self._file.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._file.__exit__(kind, error, trace)


def fit(picture: Picture, size: tuple[int, int]) -> Picture:
    """Bring a picture to ``(width, height)`` without distortion; one row or column short is repeated.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        size: width and height in pixels.

    Returns:
        ``(height, width, 3)`` uint8 BGR.
    """
    width, height = size
    right, below = width - picture.shape[1], height - picture.shape[0]
    if (right, below) == (0, 0):
        return picture
    if right in (0, 1) and below in (0, 1):
        return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
    gain = min(width / picture.shape[1], height / picture.shape[0])
    columns = min(width, max(1, round(picture.shape[1] * gain)))
    rows = min(height, max(1, round(picture.shape[0] * gain)))
    left, top = (width - columns) // 2, (height - rows) // 2
    scaled = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR)
    borders = (top, height - rows - top, left, width - columns - left)
    return cv2.copyMakeBorder(scaled, *borders, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def _open_encoder(path: Path, frame_rate: float, size: tuple[int, int]) -> _Encoder:
    """Open the best encoder that is installed, and say so if browsers will not play the result."""
    try:
        import av
    except ImportError:
        reason = 'PyAV is not installed (pip install "jde-lightning[video]")'
    else:
        for codec in ("libx264", "libopenh264"):
            if codec in av.codecs_available:
                return _PyAVEncoder(path, frame_rate, size, codec)
        reason = "the installed PyAV has no H.264 encoder"
    _LOG.warning("%s: the video is written as MPEG-4 (mp4v), which most browsers and notebooks do not play", reason)
    return _OpenCVEncoder(path, frame_rate, size)


class _PyAVEncoder:
    """H.264 in 4:2:0, with the index at the front so that playing starts before the download ends."""

    def __init__(self, path: Path, frame_rate: float, size: tuple[int, int], codec: str) -> None:
        import av

        self._frame_of: Any = av.VideoFrame.from_ndarray
        self._container: Any = av.open(str(path), mode="w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(frame_rate).limit_denominator(1001)
        self._frame_time = 1 / rate
        self._stream: Any = self._container.add_stream(codec, rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            self._stream.options = {"crf": "23", "preset": "veryfast"}

    def write(self, picture: Picture, position: int) -> None:
        """Append a picture."""
        frame = self._frame_of(np.ascontiguousarray(picture), format="bgr24")
        frame.pts, frame.time_base = position, self._frame_time
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back, and the index of the file."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class _OpenCVEncoder:
    """MPEG-4 Part 2, which every OpenCV can write."""

    def __init__(self, path: Path, frame_rate: float, size: tuple[int, int]) -> None:
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), frame_rate, size)
        if not self._writer.isOpened():
            msg = f"OpenCV cannot write a video to {path}"
            raise OSError(msg)
        self._last: Picture | None = None
        self._frames = 0

    def write(self, picture: Picture, position: int) -> None:
        """Append a picture; this format knows no longer frames, so the previous one is repeated up to it."""
        for _ in range(position - self._frames):
            self._writer.write(picture if self._last is None else self._last)
        self._writer.write(picture)
        self._last, self._frames = picture, position + 1

    def close(self) -> None:
        """Write the index of the file."""
        self._writer.release()
