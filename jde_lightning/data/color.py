"""Changes of colour, strip by strip."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.data.mosaic import Region

# Pixels that are changed at a time: a strip with its scratch memory stays in the processor's second-level cache, and
# the calls are still few.
_STRIP_PIXELS = 90_000
_ROUND_DOWN = -0.4999  # before OpenCV rounds to nearest
_RAMP = np.arange(256, dtype=np.uint8)


class ColorChanger:
    """Shifts the hue, scales saturation and brightness, and turns BGR into RGB.

    The result equals OpenCV's conversion of the whole image to HSV, three lookup tables, and the conversion back, which
    is how Ultralytics changes colours. Here the tables see one plane at a time, because OpenCV looks up interleaved
    channels one value at a time, and the scratch memory is kept from sample to sample, because fresh memory costs as
    much as the arithmetic.
    """

    def __init__(self) -> None:
        self._pixels = 0
        self._hsv = _memory(0, 0)
        self._channels: list[ImageArray] = []

    def write(self, image: ImageArray, region: Region | None, gains: npt.NDArray[np.float64], rgb: ImageArray) -> None:
        """Fill the pixels of a sample.

        Args:
            image: ``(H, W, 3)`` or ``(H, W, 4)`` uint8, BGR and a channel that is not looked at.
            region: where ``image`` is looked at; all around is grey. ``None``: all is grey.
            gains: ``(3,)`` relative changes, see :func:`~jde_lightning.data.augment.draw_hsv`.
            rgb: ``(H, W, 3)`` uint8, written.
        """
        tables = hsv_tables(gains)
        grey = PADDING if tables is None else int(tables[2, PADDING])  # without saturation, only brightness matters
        if region is None:
            rgb[:] = grey
            return
        x1, y1, x2, y2 = region
        for around in (rgb[:y1], rgb[y2:], rgb[y1:y2, :x1], rgb[y1:y2, x2:]):
            around[:] = grey
        if tables is None:
            to_rgb = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
            cv2.cvtColor(image[y1:y2, x1:x2], to_rgb, dst=rgb[y1:y2, x1:x2])
            return
        rows = max(1, _STRIP_PIXELS // (x2 - x1))
        self._reserve(rows * (x2 - x1))
        hue, *others = tables
        factors = [_factor(1.0, hue[:180]), *map(_factor, 1 + gains[1:], others)]
        for top in range(y1, y2, rows):
            bottom = min(top + rows, y2)
            self._change(image[top:bottom, x1:x2], tables, factors, rgb[top:bottom, x1:x2])

    def _reserve(self, pixels: int) -> None:
        """Have scratch memory for a strip of so many pixels."""
        if pixels > self._pixels:
            self._pixels = pixels
            self._hsv = _memory(3 * pixels, 16)
            self._channels = [_memory(pixels, offset) for offset in (16, 32, 48)]

    def _change(self, strip: ImageArray, tables: ImageArray, factors: list[float | None], rgb: ImageArray) -> None:
        """Change one strip."""
        height, width = strip.shape[:2]
        pixels = height * width
        flat = self._hsv[: 3 * pixels]
        hsv, row = flat.reshape(height, width, 3), flat.reshape(1, pixels, 3)
        channels = [channel[:pixels].reshape(1, pixels) for channel in self._channels]
        cv2.cvtColor(strip, cv2.COLOR_BGR2HSV, dst=hsv)
        cv2.split(row, channels)
        for channel, table, factor in zip(channels, tables, factors, strict=True):
            if factor is None:
                cv2.LUT(channel, table, dst=channel)
            else:
                cv2.convertScaleAbs(channel, channel, factor, _ROUND_DOWN)
        cv2.merge(channels, row)
        cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=rgb)

    def __getstate__(self) -> dict[str, object]:
        """Go to worker processes without the scratch memory."""
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Arrive empty."""
        self.__init__()  # type: ignore[misc]


def hsv_tables(gains: npt.NDArray[np.float64]) -> ImageArray | None:
    """Return ``(3, 256)`` uint8 tables of the new hue, saturation and brightness; ``None`` if nothing changes."""
    if not gains.any():
        return None
    values = np.arange(256, dtype=np.float64)
    tables = np.empty((3, 256), dtype=np.uint8)
    tables[0] = (values + gains[0] * 180) % 180  # OpenCV counts hue in steps of two degrees
    tables[1] = np.clip(values * (gains[1] + 1), 0, 255)
    tables[2] = np.clip(values * (gains[2] + 1), 0, 255)
    return tables


def _factor(factor: float, table: ImageArray) -> float | None:
    """``factor`` if multiplying by it equals a table, which most tables of saturation and brightness do, else ``None``.

    OpenCV multiplies four times as fast as it looks up.
    """
    multiplied = cv2.convertScaleAbs(_RAMP[: len(table)], None, factor, _ROUND_DOWN)
    return factor if np.array_equal(multiplied.reshape(-1), table) else None


def _memory(size: int, offset: int) -> ImageArray:
    """Return memory that starts ``offset`` bytes after a multiple of 64.

    OpenCV splits and merges past the caches where all outputs are aligned alike, and the next step then waits for main
    memory: the colours would take 1.6 times as long.
    """
    memory = np.empty(size + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    return memory[start : start + size]
