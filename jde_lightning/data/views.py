"""Augmented views of whole images on the device: where the same box is seen twice, no identity needs to be annotated.

A view changes an image as training does (:mod:`~jde_lightning.data.augment`): another size and place, another hue,
saturation and brightness, perhaps mirrored. Here whole batches are changed at once with torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from jde_lightning.data.images import PADDING
from jde_lightning.errors import InputError
from jde_lightning.structures import FloatArray

_GREY = PADDING / 255


@dataclass(frozen=True)
class ViewAugmentation:
    """How much two views of an image may differ. The defaults are those of the paper's training.

    Attributes:
        scale: largest relative change of size: factors from ``1 - scale`` to ``1 + scale``.
        translate: largest shift, as a share of the image's width and height.
        fliplr: probability of a left-right flip.
        hsv_h: largest shift of the hue, as a share of the circle.
        hsv_s: largest relative change of the saturation.
        hsv_v: largest relative change of the brightness.
    """

    scale: float = 0.5
    translate: float = 0.1
    fliplr: float = 0.5
    hsv_h: float = 0.015
    hsv_s: float = 0.7
    hsv_v: float = 0.4

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: if a value is outside its range.
        """
        for name in self.__dataclass_fields__:
            value, limit = getattr(self, name), 0.99 if name == "scale" else 1.0
            if not 0.0 <= value <= limit:
                msg = f"view_retrieval.augmentation.{name} is {value}, expected a number from 0 to {limit:g}"
                raise InputError(msg)


class View(NamedTuple):
    """One random view: ``view = image * scale + shift`` for each axis, in pixels, and a change of colour.

    Attributes:
        scale_x: factor along x, negative where the view is mirrored.
        scale_y: factor along y.
        shift_x: pixels along x, after the factor.
        shift_y: pixels along y, after the factor.
        hue: shift of the hue, as a share of the circle.
        saturation: relative change of the saturation.
        brightness: relative change of the brightness.
    """

    scale_x: float
    scale_y: float
    shift_x: float
    shift_y: float
    hue: float = 0.0
    saturation: float = 0.0
    brightness: float = 0.0

    def warp_boxes(self, boxes: FloatArray) -> FloatArray:
        """Move boxes from the image into the view.

        Args:
            boxes: ``(N, 4)`` xyxy pixels of the image.

        Returns:
            ``(N, 4)`` float32 xyxy pixels of the view, unclipped.
        """
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        shift = np.array([self.shift_x, self.shift_y] * 2, np.float32)
        warped = boxes * scale + shift
        return warped[:, [2, 1, 0, 3]] if self.scale_x < 0 else warped


def draw_view(config: ViewAugmentation, width: int, height: int, rng: np.random.Generator) -> View:
    """Draw a view within the limits of ``config``.

    Args:
        config: the limits.
        width: width of image and view in pixels.
        height: height of image and view in pixels.
        rng: where the numbers come from; each view takes as many, whatever the limits are.
    """
    scale, x, y, *hsv = rng.uniform(-1.0, 1.0, 6).tolist()
    mirrored = rng.random() < config.fliplr
    scale = 1 + config.scale * scale
    # the centre of the image stays in the middle, but for the translation
    shift_x = width * (0.5 + config.translate * x - 0.5 * scale)
    shift_y = height * (0.5 + config.translate * y - 0.5 * scale)
    scale_x, shift_x = (-scale, width - shift_x) if mirrored else (scale, shift_x)
    hue, saturation, brightness = (
        limit * draw for limit, draw in zip((config.hsv_h, config.hsv_s, config.hsv_v), hsv, strict=True)
    )
    return View(scale_x, scale, shift_x, shift_y, hue, saturation, brightness)


def make_views(images: torch.Tensor, views: Sequence[View]) -> torch.Tensor:
    """Change images, one view of each.

    Args:
        images: ``(B, 3, H, W)`` uint8, or float in 0..1, RGB.
        views: ``B`` views.

    Returns:
        ``(B, 3, H, W)`` float32 in 0..1 on the device of ``images``; grey where the image ends.
    """
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    height, width = images.shape[-2:]
    theta = torch.zeros(len(views), 2, 3)
    for row, view in zip(theta, views, strict=True):
        # The grid leads from the view back to the image, both in -1..1 from edge to edge.
        row[0, 0], row[1, 1] = 1 / view.scale_x, 1 / view.scale_y
        row[0, 2] = (1 - 2 * view.shift_x / width) / view.scale_x - 1
        row[1, 2] = (1 - 2 * view.shift_y / height) / view.scale_y - 1
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=False)
    # Outside of the image the samples are zero, so grey has to be zero too.
    warped = F.grid_sample(images - _GREY, grid, align_corners=False).add_(_GREY)
    gains = torch.tensor([[view.hue, view.saturation, view.brightness] for view in views], device=images.device)
    return change_colours(warped, gains)


def change_colours(images: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Shift the hue, and scale saturation and brightness.

    Args:
        images: ``(B, 3, H, W)`` float RGB in 0..1.
        gains: ``(B, 3)`` shift of the hue as a share of the circle, relative changes of saturation and brightness.

    Returns:
        ``(B, 3, H, W)`` float RGB in 0..1.
    """
    red, green, blue = images.unbind(1)
    brightest, channel = images.max(dim=1)
    spread = brightest - images.min(dim=1).values
    # in sixths of the circle, from the brightest channel to the one that is next
    sixths = torch.stack(((green - blue), (blue - red), (red - green)), dim=1) / spread.clamp(min=1e-12)[:, None]
    sixths = sixths.gather(1, channel[:, None])[:, 0] + 2 * channel
    hue, saturation, brightness = (gain[:, None, None] for gain in gains.unbind(1))
    sixths = sixths + 6 * hue
    value = (brightest * (1 + brightness)).clamp(0, 1)
    chroma = value * (spread / brightest.clamp(min=1e-12) * (1 + saturation)).clamp(0, 1)
    # each channel falls short of the value by the chroma, less so the nearer the hue is to the channel's own
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    k = (sixths[:, None] + offsets) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)
