"""Four images around a random point: the geometry of Ultralytics' Mosaic, without a pixel.

The canvas is twice the sample's size; the warp afterwards shows a part of it. :mod:`jde_lightning.data.painting` and
:mod:`jde_lightning.data.fused` paint what is laid out here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.data import augment
from jde_lightning.data.augment import AugmentationConfig, PerspectiveDraw, is_affine
from jde_lightning.data.images import tile_size
from jde_lightning.structures import FloatArray, IntArray

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


class MosaicView(NamedTuple):
    """Where the images of a mosaic lie, and how the canvas is seen; a single image is a mosaic of one.

    Attributes:
        frames: ``(T,)`` int64 positions of the images in the index, T is 4 or 1.
        image_sizes: ``(T, 2)`` int32 width and height of the images in their files.
        tile_sizes: width and height of the images on the canvas.
        placements: where each lies.
        canvas: the whole canvas.
        draw: the random numbers of the warp.
        matrix: ``(3, 3)`` float32 from canvas to sample pixels.
    """

    frames: IntArray
    image_sizes: npt.NDArray[np.integer[Any]]
    tile_sizes: list[tuple[int, int]]
    placements: list[Placement]
    canvas: Region
    draw: PerspectiveDraw
    matrix: FloatArray


def draw_view(
    frames: Sequence[int],
    sizes: npt.NDArray[np.integer[Any]],
    size: int,
    config: AugmentationConfig,
    rng: np.random.Generator,
) -> MosaicView:
    """Draw how a mosaic is laid out and seen.

    Args:
        frames: the four images; only the first is used where no mosaic is drawn.
        sizes: ``(F, 2)`` width and height of all images of the index.
        size: side of the sample in pixels.
        config: limits of the draws.
        rng: the sample's generator.
    """
    shown = np.array(frames if rng.random() < config.mosaic else frames[:1], dtype=np.int64)
    image_sizes = sizes[shown]
    tiles = [tile_size(width, height, size) for width, height in image_sizes.tolist()]
    if len(shown) > 1:
        placements = place_tiles(draw_center(size, rng), tiles, size)
        canvas = Region(0, 0, 2 * size, 2 * size)
    else:
        canvas = Region(0, 0, *tiles[0])
        placements = [Placement(canvas, 0, 0)]
    draw = augment.draw_perspective(config, rng)
    matrix = augment.perspective_matrix(draw, (canvas.x2, canvas.y2), size)
    return MosaicView(shown, image_sizes, tiles, placements, canvas, draw, matrix)


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
