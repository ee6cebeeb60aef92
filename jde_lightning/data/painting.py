"""The mosaic in the order of Ultralytics: resize each image, paste it into the canvas, warp the canvas.

Pixel for pixel what Ultralytics makes of the same draws. Only what the warp can show is decoded and pasted, which
changes no pixel. :mod:`jde_lightning.data.fused` is the fast way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from jde_lightning.data import augment
from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.data.mosaic import MosaicView, Placement, Region, visible_region


class Decoded(NamedTuple):
    """An image as a painter gets it.

    Attributes:
        pixels: ``(h, w, 3)`` or ``(h, w, 4)`` uint8, BGR and a channel without meaning.
        factor: how many pixels of the file one pixel stands for, in both directions: 1, 2, 4 or 8.
    """

    pixels: ImageArray
    factor: int


class Painting(NamedTuple):
    """The pixels of a mosaic before its colours change.

    Attributes:
        image: ``(S, S, 4)`` uint8, BGR and a channel without meaning; the painter's own memory, valid until it paints
            again.
        region: the part of ``image`` that holds pixels; all around is grey. ``None``: there is nothing but grey.
    """

    image: ImageArray
    region: Region | None

    def whole(self) -> ImageArray:
        """Return ``image`` with the grey painted."""
        x1, y1, x2, y2 = self.region or (0, 0, 0, 0)
        for around in (self.image[:y1], self.image[y2:], self.image[y1:y2, :x1], self.image[y1:y2, x2:]):
            around[:] = PADDING
        return self.image


class UnfusedPainter:
    """Resizes, pastes, warps.

    Args:
        size: side of the samples in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._canvas = np.empty((0, 0, 4), np.uint8)

    def paint(self, view: MosaicView, flip: bool, load: Callable[[int], Decoded]) -> Painting:
        """Paint a mosaic.

        Args:
            view: where the images lie.
            flip: mirror the sample left to right.
            load: returns the image of a frame of the index, in the size of its tile. It is asked only for what can be
                seen.
        """
        shown = visible_region(view.matrix, self.size, view.canvas)
        if shown is None:
            return Painting(np.full((self.size, self.size, 4), PADDING, np.uint8), None)
        if self._canvas.shape[:2] != (view.canvas.y2, view.canvas.x2):  # kept: allocating it takes longer
            self._canvas = np.empty((view.canvas.y2, view.canvas.x2, 4), np.uint8)
        x1, y1, x2, y2 = shown
        self._canvas[y1:y2, x1:x2] = PADDING
        for frame, placement in zip(view.frames.tolist(), view.placements, strict=True):
            if placement.region.intersect(shown) is not None:
                paste(self._canvas, load(frame).pixels, placement, shown)
        image = augment.warp_image(self._canvas, view.matrix, self.size)
        return Painting(cv2.flip(image, 1) if flip else image, Region(0, 0, self.size, self.size))

    def blend(self, first: ImageArray, second: ImageArray, share: float) -> ImageArray:
        """MixUp: ``share`` of the first image and the rest of the second, rounded down, as Ultralytics computes it."""
        return (first * share + second * (1 - share)).astype(np.uint8)

    def __getstate__(self) -> dict[str, int]:
        """Go to worker processes without the canvas."""
        return {"size": self.size}

    def __setstate__(self, state: dict[str, int]) -> None:
        """Arrive without one."""
        self.__init__(state["size"])  # type: ignore[misc]


def paste(canvas: ImageArray, tile: ImageArray, placement: Placement, visible: Region) -> None:
    """Paste the visible part of a tile into the canvas, leaving the rest as it is.

    Args:
        canvas: ``(H, W, 4)`` uint8, BGR and an unused channel, changed in place. OpenCV warps four channels more than
            twice as fast as three, with the same result.
        tile: the ``(h, w, 3)`` uint8 image.
        placement: where it lies.
        visible: the part of the canvas to paint.
    """
    part = placement.region.intersect(visible)
    if part is None:
        return
    x1, y1, x2, y2 = part
    left, top = placement.left, placement.top
    source = tile[y1 - top : y2 - top, x1 - left : x2 - left]
    cv2.cvtColor(source, cv2.COLOR_BGR2BGRA, dst=canvas[y1:y2, x1:x2])
