"""The mosaic in one step: each image is warped from its decoded pixels straight to its place in the sample.

The geometry is that of :mod:`jde_lightning.data.painting`; the pixels differ by interpolation only: one instead of two,
and none across the edge of a tile. To the same end everything here counts pixels by their centres: a pixel of an image
that was decoded at ``1 / f`` stands for ``f`` x ``f`` pixels of the file, and a resized pixel for the area that it
covers.

A pixel of the sample belongs to the tile that owns the nearest pixel of the canvas, and is interpolated from that tile
alone, whose own edge is continued where the interpolation reaches beyond. So tiles meet without a line between them and
without bleeding into each other.

Aliasing: the decoder averages (a JPEG's discrete cosine transform at 1/2, 1/4 or 1/8), and what is drawn at less than
0.4 of its decoded size is averaged down by 2, 4 or 8 first; bilinear interpolation does the rest. Against the exact
average of all pixels, 0.4 is where averaging first and not averaging are equally wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from jde_lightning.data.augment import is_affine, is_upright
from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.data.mosaic import MosaicView, Region
from jde_lightning.data.painting import Decoded, Painting

_Matrix = list[list[float]]  # three by three; so small that numpy would take longer

# Bilinear interpolation reads one pixel beyond; the second allows for rounding.
_MARGIN = 2
_MAX_STEP = 8
_AVERAGED = 0.4


class FusedPainter:
    """Warps decoded images straight into the sample.

    Args:
        size: side of the samples in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._image = np.empty((size, size, 4), np.uint8)

    def paint(self, view: MosaicView, flip: bool, load: Callable[[int], Decoded]) -> Painting:
        """Paint a mosaic.

        Args:
            view: where the images lie.
            flip: mirror the sample left to right.
            load: returns the image of a frame of the index, with a fourth channel. It is asked only for what can be
                seen.
        """
        matrix: _Matrix = view.matrix.tolist()
        if flip:
            matrix[0] = [(self.size - 1) * w - value for value, w in zip(matrix[0], matrix[2], strict=True)]
        upright = is_upright(matrix)
        owners = None if upright else self._owners(view, matrix)
        regions = upright_regions(view, self.size, flip) if owners is None else _regions_of(owners, len(view.frames))
        shown = [region for region in regions if region is not None]
        if not shown:
            return Painting(self._image, None)
        whole = Region(
            min(r.x1 for r in shown), min(r.y1 for r in shown), max(r.x2 for r in shown), max(r.y2 for r in shown)
        )
        if not upright or sum(map(_area, shown)) < _area(whole):
            self._image[whole.y1 : whole.y2, whole.x1 : whole.x2] = PADDING
        for tile, region in enumerate(regions):
            if region is None:
                continue
            target = self._image[region.y1 : region.y2, region.x1 : region.x2]
            decoded = load(int(view.frames[tile]))
            if owners is None:
                self._warp(decoded, view, tile, matrix, region, target)
            else:
                painted = np.empty_like(target)
                self._warp(decoded, view, tile, matrix, region, painted)
                own = owners[region.y1 : region.y2, region.x1 : region.x2] == tile + 1
                cv2.copyTo(painted, own.view(np.uint8), target)
        return Painting(self._image, whole)

    def blend(self, first: ImageArray, second: ImageArray, share: float) -> ImageArray:
        """MixUp: ``share`` of the first image and the rest of the second, rounded to nearest."""
        return cv2.addWeighted(first, share, second, 1 - share, 0)

    def _owners(self, view: MosaicView, matrix: _Matrix) -> ImageArray:
        """``(S, S)`` uint8: the number of the tile that owns each pixel of the sample, counted from 1, or 0."""
        canvas = np.zeros((view.canvas.y2, view.canvas.x2), np.uint8)
        for number, placement in enumerate(view.placements, start=1):
            x1, y1, x2, y2 = placement.region
            canvas[y1:y2, x1:x2] = number
        size = (self.size, self.size)
        if is_affine(view.matrix):
            return cv2.warpAffine(canvas, np.array(matrix[:2]), dsize=size, flags=cv2.INTER_NEAREST)
        return cv2.warpPerspective(canvas, np.array(matrix), dsize=size, flags=cv2.INTER_NEAREST)

    def _warp(
        self, decoded: Decoded, view: MosaicView, tile: int, matrix: _Matrix, region: Region, target: ImageArray
    ) -> None:
        """Warp one image into ``target``, which is ``region`` of the sample."""
        size = (region.x2 - region.x1, region.y2 - region.y1)
        (width, height), place = view.tile_sizes[tile], view.placements[tile]
        full_width, full_height = view.image_sizes[tile].tolist()
        gain_x, gain_y = width / full_width * decoded.factor, height / full_height * decoded.factor
        left, top = place.left + gain_x / 2 - 0.5, place.top + gain_y / 2 - 0.5
        to_region = _moved(_scaled_first(matrix, gain_x, gain_y, left, top), -region.x1, -region.y1)
        step = 1
        while step * max(gain_x, gain_y) * view.draw.scale < _AVERAGED and step < _MAX_STEP:
            step *= 2
        source, left, top = _cut(decoded.pixels, to_region, size, step)
        if step > 1:
            smaller = (max(source.shape[1] // step, 1), max(source.shape[0] // step, 1))
            source = cv2.resize(source, smaller, interpolation=cv2.INTER_AREA)
        warp = np.array(_scaled_first(to_region, step, step, left + (step - 1) / 2, top + (step - 1) / 2))
        if is_affine(view.matrix):
            cv2.warpAffine(source, warp[:2], size, dst=target, borderMode=cv2.BORDER_REPLICATE)
        else:
            cv2.warpPerspective(source, warp, size, dst=target, borderMode=cv2.BORDER_REPLICATE)

    def __getstate__(self) -> dict[str, int]:
        """Go to worker processes without the scratch memory."""
        return {"size": self.size}

    def __setstate__(self, state: dict[str, int]) -> None:
        """Arrive empty."""
        self.__init__(state["size"])  # type: ignore[misc]


def upright_regions(view: MosaicView, size: int, flip: bool) -> list[Region | None]:
    """What each tile owns of a sample of ``size`` pixels, where the warp turns and slants nothing."""
    (scale_x, _, shift_x), (_, scale_y, shift_y), _ = view.matrix.tolist()
    whole = Region(0, 0, size, size)
    regions = []
    for placement in view.placements:
        # The first pixel whose centre lies behind an edge. An edge lies half a pixel before the pixel that it is named
        # after; two tiles that share one get the same number, so no pixel is left out and none is painted twice.
        x1, x2 = (math.ceil(scale_x * (x - 0.5) + shift_x) for x in (placement.region.x1, placement.region.x2))
        y1, y2 = (math.ceil(scale_y * (y - 0.5) + shift_y) for y in (placement.region.y1, placement.region.y2))
        if flip:
            x1, x2 = size - x2, size - x1
        regions.append(Region(x1, y1, x2, y2).intersect(whole))
    return regions


def _regions_of(owners: ImageArray, count: int) -> list[Region | None]:
    """The rectangle around each tile's pixels."""
    regions: list[Region | None] = []
    for number in range(1, count + 1):
        x, y, width, height = cv2.boundingRect((owners == number).view(np.uint8))
        regions.append(Region(x, y, x + width, y + height) if width else None)
    return regions


def _area(region: Region) -> int:
    return (region.x2 - region.x1) * (region.y2 - region.y1)


def _scaled_first(matrix: _Matrix, x: float, y: float, left: float, top: float) -> _Matrix:
    """Scale, then move, then do what ``matrix`` does."""
    return [[a * x, b * y, a * left + b * top + c] for a, b, c in matrix]


def _moved(matrix: _Matrix, left: float, top: float) -> _Matrix:
    """Do what ``matrix`` does, then move."""
    first, second, last = matrix
    return [
        [value + left * w for value, w in zip(first, last, strict=True)],
        [value + top * w for value, w in zip(second, last, strict=True)],
        last,
    ]


def _cut(pixels: ImageArray, matrix: _Matrix, size: tuple[int, int], step: int) -> tuple[ImageArray, int, int]:
    """Cut out the part of an image that a warp reads.

    Args:
        pixels: ``(h, w, C)`` uint8.
        matrix: from pixels to the warp's output.
        size: width and height of the output.
        step: the part begins at a multiple of it and has a multiple of it in size, where the image has as much.

    Returns:
        The part, and its first column and row.
    """
    height, width = pixels.shape[:2]
    right, bottom = size[0] - 1.0, size[1] - 1.0
    if is_upright(matrix):
        (scale_x, _, shift_x), (_, scale_y, shift_y), _ = matrix
        columns = (-shift_x / scale_x, (right - shift_x) / scale_x)
        rows = (-shift_y / scale_y, (bottom - shift_y) / scale_y)
    else:
        corners = np.array([[0.0, 0.0, 1.0], [right, 0.0, 1.0], [0.0, bottom, 1.0], [right, bottom, 1.0]])
        points = corners @ np.linalg.inv(np.array(matrix)).T
        if (points[:, 2] <= 0).any():  # seen from behind: no rectangle contains what the warp reads
            return pixels, 0, 0
        columns, rows = (points[:, :2] / points[:, 2:]).T.tolist()
    x1, x2 = _span(min(columns), max(columns), width, step)
    y1, y2 = _span(min(rows), max(rows), height, step)
    return pixels[y1:y2, x1:x2], x1, y1


def _span(low: float, high: float, length: int, step: int) -> tuple[int, int]:
    """First and end of the pixels from ``low`` to ``high`` with margin, in whole steps, inside ``length``."""
    margin = _MARGIN * step
    last = max(length // step, 1)  # a rest at the end that fills no step is left out; the edge is continued instead
    first = min(max((math.floor(low) - margin) // step, 0), last - 1)
    end = min(max(-(-(math.ceil(high) + 1 + margin) // step), first + 1), last)
    return first * step, min(end * step, length)
