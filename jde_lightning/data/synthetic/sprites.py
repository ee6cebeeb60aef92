"""Anti-aliased drawing of small pictures with transparency, and putting them into a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

Point = tuple[float, float]
Points = Sequence[Point] | np.ndarray
Colour = tuple[float, float, float]
"""Blue, green, red in 0..255."""

_FRACTION_BITS = 4
OPAQUE = 128
"""A pixel belongs to a sprite (in masks, boxes and areas) from this alpha on: at least half of it is covered."""


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour, lighter (``factor`` above 1) or darker."""
    b, g, r = colour
    return min(b * factor, 255.0), min(g * factor, 255.0), min(r * factor, 255.0)


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """``share`` of ``b`` and the rest of ``a``."""
    keep = 1.0 - share
    return a[0] * keep + b[0] * share, a[1] * keep + b[1] * share, a[2] * keep + b[2] * share


# Half a circle around the start of a stroke along the positive real axis, as complex numbers.
_HALF_TURN = np.exp(1j * np.pi * (0.5 + np.arange(6) / 5))


class Sprite:
    """A picture with transparency at an integer position of a frame, which it may leave.

    Attributes:
        bgra: ``(h, w, 4)`` uint8, colours multiplied by alpha.
        left: column of the first pixel, may be negative.
        top: row of the first pixel, may be negative.
    """

    __slots__ = ("bgra", "left", "top")

    def __init__(self, bgra: np.ndarray, left: int, top: int) -> None:
        self.bgra, self.left, self.top = bgra, left, top

    def solid(self) -> np.ndarray:
        """``(h, w)`` bool, the pixels of which the sprite covers at least half."""
        return self.bgra[..., 3] >= OPAQUE

    def blend(
        self, image: np.ndarray, owners: np.ndarray, index: int, layers: np.ndarray | None = None, rank: int = 0
    ) -> None:
        """Draw the sprite into ``image`` and mark its pixels.

        Args:
            image: ``(H, W, 3)`` uint8 BGR, changed in place.
            owners: ``(H, W)`` of any integer type, gets ``index`` where the sprite covers at least half a pixel.
            index: what to write into ``owners``.
            layers: ``(H, W)`` uint8; where it is above ``rank``, something nearer hides the sprite. Nothing does if
                omitted.
            rank: the sprite's own place in the order of ``layers``.
        """
        target, source = overlap(image.shape, self.bgra.shape, self.left, self.top)
        if target is None:
            return
        patch = self.bgra[source]
        if layers is not None:
            patch = cv2.bitwise_and(patch, patch, mask=cv2.compare(layers[target], rank, cv2.CMP_LE))
        alpha = cv2.extractChannel(patch, 3)
        rest = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR)
        colour = cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR)
        image[target] = cv2.add(cv2.multiply(image[target], rest, scale=1 / 255), colour)
        np.copyto(owners[target], index, where=alpha >= OPAQUE)


def overlap(
    frame_shape: Sequence[int], patch_shape: Sequence[int], left: int, top: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | tuple[None, None]:
    """Which part of a frame a patch covers, and which part of the patch that is; ``(None, None)`` for no overlap."""
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + patch_shape[1], frame_shape[1]), min(top + patch_shape[0], frame_shape[0])
    if x0 >= x1 or y0 >= y1:
        return None, None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


# A round body lit from the left: brightest a third of the way in, darkest at the right edge.
_ROUND_BODY = np.full((1, 33, 4), 255, np.uint8)
_ROUND_BODY[0, :, :3] = (255 * (1 - 0.32 * np.minimum((np.linspace(-1, 1, 33) + 0.35) ** 2, 1.4) / 1.4))[:, None]


class Pen:
    """Draws shapes in frame coordinates on a finer grid, which :meth:`sprite` averages: that is the anti-aliasing.

    Args:
        left: leftmost column that may be drawn, in pixels of the frame.
        top: topmost row.
        right: rightmost column.
        bottom: lowest row.
        fineness: subpixels per pixel and axis.
    """

    def __init__(self, left: float, top: float, right: float, bottom: float, fineness: int = 2) -> None:
        self.left, self.top, self.fineness = math.floor(left), math.floor(top), fineness
        self.size = max(math.ceil(right) - self.left, 1), max(math.ceil(bottom) - self.top, 1)
        self._canvas = np.zeros((self.size[1] * fineness, self.size[0] * fineness, 4), np.uint8)
        self._one = fineness << _FRACTION_BITS
        self._origin = np.array([self.left, self.top], np.float64)
        # Limbs wait here until something else is drawn: their outlines are cheaper to compute together.
        self._limbs: list[tuple[float, float, float, float, float, float]] = []
        self._limb_colours: list[Colour] = []

    def _fixed_point(self, point: Point) -> tuple[int, int]:
        half = 1 << (_FRACTION_BITS - 1)
        return round((point[0] - self.left) * self._one) - half, round((point[1] - self.top) * self._one) - half

    def _fixed(self, points: Points) -> np.ndarray:
        """Points of the frame as ``(..., 2)`` int32 fixed-point coordinates of the fine grid."""
        half = 1 << (_FRACTION_BITS - 1)
        return np.rint((np.asarray(points) - self._origin) * self._one - half).astype(np.int32)

    def polygon(self, points: Points, colour: Colour, convex: bool = True) -> None:
        """Fill a polygon."""
        self._draw_limbs()
        fixed = self._fixed(points)
        if convex:
            cv2.fillConvexPoly(self._canvas, fixed, (*colour, 255), cv2.LINE_8, _FRACTION_BITS)
        else:
            cv2.fillPoly(self._canvas, [fixed], (*colour, 255), cv2.LINE_8, _FRACTION_BITS)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill an upright rectangle."""
        self.polygon(((left, top), (right, top), (right, bottom), (left, bottom)), colour)

    def circle(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self._draw_limbs()
        fixed_radius = max(round(radius * self._one), 1)
        cv2.circle(
            self._canvas, self._fixed_point(centre), fixed_radius, (*colour, 255), -1, cv2.LINE_8, _FRACTION_BITS
        )

    def ellipse(
        self, centre: Point, half_width: float, half_height: float, colour: Colour, start: float = 0, end: float = 360
    ) -> None:
        """Fill an upright ellipse or a sector of it; angles in degrees, clockwise from the right."""
        self._draw_limbs()
        axes = max(round(half_width * self._one), 1), max(round(half_height * self._one), 1)
        cv2.ellipse(
            self._canvas, self._fixed_point(centre), axes, 0, start, end, (*colour, 255), -1, cv2.LINE_8, _FRACTION_BITS
        )

    def limb(self, a: Point, b: Point, radius_a: float, radius_b: float, colour: Colour) -> None:
        """Fill a tapered stroke with round ends."""
        self._limbs.append((a[0], a[1], b[0], b[1], radius_a, radius_b))
        self._limb_colours.append(colour)

    def _draw_limbs(self) -> None:
        if not self._limbs:
            return
        limbs = np.array(self._limbs)
        start, end = limbs[:, 0] + 1j * limbs[:, 1], limbs[:, 2] + 1j * limbs[:, 3]
        length = np.abs(end - start)
        along = np.where(length > 1e-6, end - start, 1) / np.where(length > 1e-6, length, 1)
        caps = [
            _HALF_TURN * (along * limbs[:, 4])[:, None] + start[:, None],
            _HALF_TURN * (-along * limbs[:, 5])[:, None] + end[:, None],
        ]
        outlines = np.concatenate(caps, axis=1).view(np.float64).reshape(len(limbs), -1, 2)
        for outline, colour in zip(self._fixed(outlines), self._limb_colours, strict=True):
            cv2.fillConvexPoly(self._canvas, outline, (*colour, 255), cv2.LINE_8, _FRACTION_BITS)
        self._limbs.clear()
        self._limb_colours.clear()

    def textured(self, points: Points, texture: np.ndarray, matrix: np.ndarray) -> None:
        """Fill a polygon with a picture, shaded like a round body.

        Args:
            points: the polygon, not necessarily convex.
            texture: ``(h, w, 4)`` uint8 BGRA.
            matrix: ``(2, 3)`` from pixels of the texture to pixels of the frame.
        """
        self._draw_limbs()
        fixed = self._fixed(points)
        x0, y0 = np.maximum(fixed.min(axis=0) >> _FRACTION_BITS, 0).tolist()
        x1, y1 = ((fixed.max(axis=0) >> _FRACTION_BITS) + 2).tolist()
        region = self._canvas[y0:y1, x0:x1]
        if region.size == 0:
            return
        size = region.shape[1::-1]
        mask = np.zeros(region.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_8, _FRACTION_BITS, (-x0, -y0))
        to_region = matrix * self.fineness
        to_region[:, 2] -= (self.left * self.fineness + x0, self.top * self.fineness + y0)
        fill = cv2.warpAffine(texture, to_region, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        fill = cv2.multiply(fill, cv2.resize(_ROUND_BODY, size), scale=1 / 255)
        cv2.copyTo(fill, mask, region)

    def sprite(self) -> Sprite:
        """The drawing at the resolution of the frame."""
        self._draw_limbs()
        return Sprite(cv2.resize(self._canvas, self.size, interpolation=cv2.INTER_AREA), self.left, self.top)
