"""Four images around a random point: the geometry of Ultralytics' Mosaic, painted only where it will be seen.

The canvas is twice the sample's size; the warp afterwards shows a part of it. What the warp cannot show is neither
painted nor (see :mod:`jde_lightning.data.datasets`) decoded, which changes no pixel of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from jde_lightning.data.augment import is_affine
from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.structures import FloatArray

# Bilinear interpolation reads one pixel beyond; the second allows for the rounding of the inverse in float32.
_MARGIN = 2


class Region(NamedTuple):
    """A rectangle of the canvas in whole pixels, the right and bottom ends excluded."""

    x1: int
    y1: int
    x2: int
    y2: int

    def intersect(self, other: Region) -> Region | None:
        """Return the common rectangle, or ``None`` if there is none."""
        x1, y1, x2, y2 = max(self[0], other[0]), max(self[1], other[1]), min(self[2], other[2]), min(self[3], other[3])
        return Region(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


class Placement(NamedTuple):
    """Where one tile lies.

    Attributes:
        region: the part of the canvas that it covers.
        left: canvas column of the tile's own column 0; negative where the canvas cuts the tile.
        top: canvas row of the tile's own row 0.
    """

    region: Region
    left: int
    top: int


def draw_center(size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the point where the four tiles meet, x and y from ``size / 2`` to ``3 * size / 2``."""
    y, x = rng.uniform(size // 2, 2 * size - size // 2, 2).astype(int).tolist()
    return x, y


def place_tiles(center: tuple[int, int], sizes: Sequence[tuple[int, int]], size: int) -> list[Placement]:
    """Lay tiles around ``center``: top left, top right, bottom left, bottom right, each touching it with a corner.

    Args:
        center: x and y in canvas pixels.
        sizes: width and height of the four tiles.
        size: side of the sample; the canvas has twice as many pixels a side.

    Returns:
        Four placements.
    """
    x, y = center
    placements = []
    for corner, (width, height) in enumerate(sizes):
        left = x if corner % 2 else x - width
        top = y if corner >= 2 else y - height
        region = Region(max(left, 0), max(top, 0), min(left + width, 2 * size), min(top + height, 2 * size))
        placements.append(Placement(region, left, top))
    return placements


def visible_region(matrix: FloatArray, size: int, canvas: Region) -> Region | None:
    """Find the part of the canvas that a warp into ``(size, size)`` can show.

    Args:
        matrix: ``(3, 3)`` from canvas to output pixels.
        size: side of the output.
        canvas: the whole canvas.

    Returns:
        A rectangle that contains every pixel that the warp reads; ``None`` if it shows nothing of the canvas.
    """
    if not is_affine(matrix):
        return canvas
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]], dtype=np.float64)
    points = corners @ np.linalg.inv(matrix.astype(np.float64)).T
    (x1, y1), (x2, y2) = points[:, :2].min(0).tolist(), points[:, :2].max(0).tolist()
    shown = Region(math.floor(x1) - _MARGIN, math.floor(y1) - _MARGIN, math.ceil(x2) + _MARGIN, math.ceil(y2) + _MARGIN)
    return canvas.intersect(shown)


def paint(
    canvas: ImageArray, tiles: Sequence[ImageArray | None], placements: Sequence[Placement], visible: Region
) -> None:
    """Paint the tiles on grey into the visible part of the canvas, leaving the rest as it is.

    Args:
        canvas: ``(H, W, 4)`` uint8, BGR and an unused channel, changed in place. OpenCV warps four channels more than
            twice as fast as three, with the same result.
        tiles: the ``(h, w, 3)`` uint8 images; ``None`` for one that lies outside the visible part.
        placements: where each lies.
        visible: the part to paint.
    """
    x1, y1, x2, y2 = visible
    canvas[y1:y2, x1:x2] = PADDING
    for tile, placement in zip(tiles, placements, strict=True):
        part = placement.region.intersect(visible)
        if tile is None or part is None:
            continue
        x1, y1, x2, y2 = part
        left, top = placement.left, placement.top
        source = tile[y1 - top : y2 - top, x1 - left : x2 - left]
        cv2.cvtColor(source, cv2.COLOR_BGR2BGRA, dst=canvas[y1:y2, x1:x2])
