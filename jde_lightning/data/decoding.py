"""Decoding into memory that is already there.

OpenCV's usual way allocates twice the size of an image for each, and the operating system gives fresh memory page by
page: for a 1080p image that takes about as long as decoding it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.data.images import REDUCED, ImageArray, decode_reduced

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Since version 4.10, OpenCV reads into an array that it is given.
_READS_INTO = "dst" in (cv2.imread.__doc__ or "")
# What an array begins with before an image is read into it. Where OpenCV fails it leaves the array alone and says so
# only to the terminal; that an image begins with these pixels is out of the question.
_UNTOUCHED = np.frombuffer(os.urandom(48), np.uint8)


class Decoder:
    """Decodes images one after the other into the same memory."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def decode(self, path: Path, factor: int, size: tuple[int, int]) -> ImageArray:
        """Decode an image file at a fraction of its size.

        Args:
            path: the image file.
            factor: 1, 2, 4 or 8, see :func:`~jde_lightning.data.images.decode_reduced`.
            size: width and height that the image is expected to have in the file.

        Returns:
            ``(ceil(H / factor), ceil(W / factor), 3)`` uint8 BGR of the real size, valid until the next call.

        Raises:
            InputError: if the file is missing or cannot be decoded.
        """
        shape = (-(-size[1] // factor), -(-size[0] // factor), 3)
        if not _READS_INTO or min(shape) == 0 or not _is_complete_jpeg(path):
            return decode_reduced(path, factor)
        length = math.prod(shape)
        if len(self._memory) < length:
            self._memory = np.empty(length, np.uint8)
        mark = _UNTOUCHED[: min(length, len(_UNTOUCHED))]
        self._memory[: len(mark)] = mark
        image = self._memory[:length].reshape(shape)
        flags = dict(REDUCED).get(factor, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            read = cv2.imread(str(path), image, flags)
        except cv2.error:  # another size than expected
            read = None
        if read is not image or np.array_equal(self._memory[: len(mark)], mark):
            return decode_reduced(path, factor)  # says what is wrong with it
        return image

    def __getstate__(self) -> dict[str, object]:
        """Go to worker processes without the memory."""
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Arrive empty."""
        self.__init__()  # type: ignore[misc]


def _is_complete_jpeg(path: Path) -> bool:
    """Whether a file is a JPEG with an end: of one that was cut off, OpenCV would fill the rest with grey."""
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(2)
            file.seek(-2, os.SEEK_END)
            return start == _JPEG_START and file.read(2) == _JPEG_END
    except OSError:
        return False
