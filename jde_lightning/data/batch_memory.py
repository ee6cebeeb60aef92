"""Memory for the images of batches, used again when a batch is gone."""

from __future__ import annotations

import math
import weakref

import numpy as np

from jde_lightning.data.images import ImageArray

_KEPT = 2  # one that is filled while the one before is still on its way


class BatchMemory:
    """Hands out arrays and takes their memory back when nobody refers to them or to a part of them any more.

    A batch is so large that the operating system gives fresh memory for each, page by page, and zeroes it: at 1280
    pixels that takes as long as a tenth of the work on the images.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[bytearray, weakref.ref[ImageArray]]] = []

    def take(self, shape: tuple[int, ...]) -> ImageArray:
        """Return an array of ``shape``, uint8, with any content."""
        size = math.prod(shape)
        for position, (memory, user) in enumerate(self._kept):
            if user() is None and len(memory) == size:
                del self._kept[position]
                return self._give(memory, shape)
        if len(self._kept) >= _KEPT:
            del self._kept[0]  # lives on as long as its user
        return self._give(bytearray(size), shape)

    def _give(self, memory: bytearray, shape: tuple[int, ...]) -> ImageArray:
        # In memory that is not numpy's, the array is the root of all its views: while one of them lives, so does it.
        array = np.ndarray(shape, np.uint8, buffer=memory)
        self._kept.append((memory, weakref.ref(array)))
        return array

    def __getstate__(self) -> dict[str, object]:
        """Go to worker processes empty."""
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Arrive empty."""
        self.__init__()  # type: ignore[misc]
