"""Random changes of an image and its boxes: perspective warp, colour, flip.

Geometry and colour follow Ultralytics 8.4 (the paper's augmentation) to the pixel for the same random draws. The draws
come from an explicit generator and are kept apart from what is done with them, so that a test can hand both
implementations the same ones. Nothing here filters: masks go back to the caller, who filters boxes, labels, identities
and ignore flags with the same mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray

MIN_SIDE = 2.0
"""Boxes not larger than this many pixels in width or height after the warp are dropped."""
MIN_AREA_RATIO = 0.1
"""Boxes of which less than this share of the area is left after the warp are dropped."""
MAX_ASPECT = 100.0
"""Boxes longer than this ratio of their sides are dropped."""


@dataclass(frozen=True)
class AugmentationConfig:
    """How strongly training images are changed. The defaults are the paper's (Ultralytics' defaults of its time).

    Attributes:
        mosaic: probability that a sample is a mosaic of four images instead of one.
        hsv_h: largest shift of the hue, as a share of the circle.
        hsv_s: largest relative change of the saturation.
        hsv_v: largest relative change of the brightness.
        translate: largest shift, as a share of the image size.
        scale: largest relative change of size: factors from ``1 - scale`` to ``1 + scale``.
        fliplr: probability of a left-right flip.
        degrees: largest rotation in degrees.
        shear: largest shear in degrees.
        perspective: largest perspective coefficient; useful values are below 0.001.
        mixup: probability that a second sample is blended in, with the boxes of both (Zhang et al., ICLR 2018).
        erase: probability, for each box, that a patch inside it is erased. Half of every box stays visible.
        erase_min: smallest area of a patch, as a share of its box.
        erase_max: largest area of a patch, as a share of its box, at most 0.5.
        erase_fill: what erased pixels become: ``grey``, or ``noise`` of random colours.
    """

    mosaic: float = 1.0
    hsv_h: float = 0.015
    hsv_s: float = 0.7
    hsv_v: float = 0.4
    translate: float = 0.1
    scale: float = 0.5
    fliplr: float = 0.5
    degrees: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    mixup: float = 0.0
    erase: float = 0.0
    erase_min: float = 0.02
    erase_max: float = 0.3
    erase_fill: Literal["grey", "noise"] = "grey"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: if a value is outside its range.
        """
        limits = {"degrees": 180.0, "shear": 89.0, "scale": 0.99, "erase_max": 0.5}
        if self.erase_fill not in ("grey", "noise"):
            msg = f"augmentation.erase_fill is {self.erase_fill!r}, expected grey or noise"
            raise InputError(msg)
        if self.erase_min > self.erase_max:
            msg = f"augmentation.erase_min is {self.erase_min}, above erase_max {self.erase_max}; exchange them"
            raise InputError(msg)
        for name in [name for name in self.__dataclass_fields__ if name != "erase_fill"]:
            value, limit = getattr(self, name), limits.get(name, 1.0)
            if not 0.0 <= value <= limit:
                msg = f"augmentation.{name} is {value}, expected a number from 0 to {limit:g}"
                raise InputError(msg)


class PerspectiveDraw(NamedTuple):
    """One random warp.

    Attributes:
        perspective_x: perspective coefficient along x.
        perspective_y: perspective coefficient along y.
        degrees: rotation.
        scale: factor of size.
        shear_x: shear along x in degrees.
        shear_y: shear along y in degrees.
        translate_x: where the source's centre goes, as a share of the output's width.
        translate_y: where the source's centre goes, as a share of the output's height.
    """

    perspective_x: float
    perspective_y: float
    degrees: float
    scale: float
    shear_x: float
    shear_y: float
    translate_x: float
    translate_y: float


def draw_perspective(config: AugmentationConfig, rng: np.random.Generator) -> PerspectiveDraw:
    """Draw a warp within the limits of ``config``."""
    c = config
    centre = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5])
    reach = np.array([c.perspective, c.perspective, c.degrees, c.scale, c.shear, c.shear, c.translate, c.translate])
    return PerspectiveDraw(*(centre + reach * rng.uniform(-1.0, 1.0, len(reach))).tolist())


def perspective_matrix(draw: PerspectiveDraw, source: tuple[int, int], size: int) -> FloatArray:
    """Compose the warp from source pixels to output pixels.

    In this order: the source's centre to the origin, perspective, rotation and scale, shear, and the origin to its
    place in the output.

    Args:
        draw: the random numbers.
        source: width and height of the image that is warped.
        size: side of the square output in pixels.

    Returns:
        ``(3, 3)`` float32.
    """
    center, perspective, rotation, shear, translation = np.tile(np.eye(3, dtype=np.float32), (5, 1, 1))
    center[0, 2], center[1, 2] = -source[0] / 2, -source[1] / 2
    perspective[2, :2] = draw.perspective_x, draw.perspective_y
    rotation[:2] = cv2.getRotationMatrix2D(angle=draw.degrees, center=(0, 0), scale=draw.scale)
    shear[0, 1] = math.tan(draw.shear_x * math.pi / 180)
    shear[1, 0] = math.tan(draw.shear_y * math.pi / 180)
    translation[0, 2], translation[1, 2] = draw.translate_x * size, draw.translate_y * size
    return translation @ shear @ rotation @ perspective @ center


def is_affine(matrix: FloatArray) -> bool:
    """Whether a warp keeps parallels parallel."""
    return not matrix[2, :2].any()


def is_upright(matrix: Sequence[Sequence[float]]) -> bool:
    """Whether a warp only moves, scales and mirrors; three rows of three."""
    (_, xy, _), (yx, _, _), (px, py, _) = matrix
    return xy == yx == px == py == 0


def warp_image(image: ImageArray, matrix: FloatArray, size: int) -> ImageArray:
    """Warp ``(H, W, C)`` into ``(size, size, C)``, grey where the source ends; fastest with four channels."""
    border = (PADDING,) * 4
    if is_affine(matrix):
        return cv2.warpAffine(image, matrix[:2], dsize=(size, size), borderValue=border)
    return cv2.warpPerspective(image, matrix, dsize=(size, size), borderValue=border)


def warp_boxes(boxes: FloatArray, matrix: FloatArray) -> FloatArray:
    """Warp boxes and return the upright boxes around the results.

    Args:
        boxes: ``(N, 4)`` float32 xyxy pixels of the source.
        matrix: ``(3, 3)`` from :func:`perspective_matrix`.

    Returns:
        ``(N, 4)`` float32 xyxy pixels of the output, unclipped.
    """
    if len(boxes) == 0:
        return boxes.copy()
    if is_upright(matrix.tolist()):
        return boxes * matrix[[0, 1, 0, 1], [0, 1, 0, 1]] + matrix[[0, 1, 0, 1], 2]
    corners = np.ones((len(boxes) * 4, 3), dtype=boxes.dtype)
    corners[:, :2] = boxes[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 2)
    warped = corners @ matrix.T
    points = (warped[:, :2] if is_affine(matrix) else warped[:, :2] / warped[:, 2:3]).reshape(-1, 4, 2)
    return np.concatenate((points.min(1), points.max(1)), axis=1)


def keep_after_warp(before: FloatArray, after: FloatArray) -> BoolArray:
    """Tell which boxes are still objects after a warp.

    Args:
        before: ``(N, 4)`` xyxy before the warp, multiplied by its scale so that areas compare.
        after: ``(N, 4)`` xyxy after the warp, clipped to the output.

    Returns:
        ``(N,)`` bool: large enough (:data:`MIN_SIDE`), enough of the area left (:data:`MIN_AREA_RATIO`), and no
        sliver (:data:`MAX_ASPECT`).
    """
    epsilon = 1e-16
    old_width, old_height = before[:, 2] - before[:, 0], before[:, 3] - before[:, 1]
    width, height = after[:, 2] - after[:, 0], after[:, 3] - after[:, 1]
    aspect = np.maximum(width / (height + epsilon), height / (width + epsilon))
    area_ratio = width * height / (old_width * old_height + epsilon)
    large = (width > MIN_SIDE) & (height > MIN_SIDE)
    return large & (area_ratio > MIN_AREA_RATIO) & (aspect < MAX_ASPECT)


def draw_hsv(config: AugmentationConfig, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw ``(3,)`` signed relative changes of hue, saturation and brightness."""
    return rng.uniform(-1.0, 1.0, 3) * [config.hsv_h, config.hsv_s, config.hsv_v]


def draw_mixup(rng: np.random.Generator) -> float:
    """Draw the share of the first image in MixUp, close to a half."""
    return float(rng.beta(32.0, 32.0))


def flip_boxes(boxes: FloatArray, width: int) -> FloatArray:
    """Mirror xyxy boxes of an image of ``width`` pixels left to right."""
    flipped = boxes.copy()
    flipped[:, 0] = width - boxes[:, 2]
    flipped[:, 2] = width - boxes[:, 0]
    return flipped
