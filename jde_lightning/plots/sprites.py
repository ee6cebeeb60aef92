"""Many small pictures in one, as viewers that draw points as pictures want them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.plots.canvas import Picture


def cut_out(image: Picture, box: npt.NDArray[np.float32]) -> Picture | None:
    """Cut a box out of an image.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        box: ``(4,)`` xyxy pixels; may leave the image.

    Returns:
        ``(h, w, 3)`` uint8 BGR, a view of the image; ``None`` where the box is outside of it or thinner than a pixel.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.clip(np.round(box), 0, [width, height, width, height]).astype(int)
    return image[y1:y2, x1:x2] if x2 > x1 and y2 > y1 else None


def sprite_sheet(crops: Sequence[Picture | None], tile: int) -> npt.NDArray[np.uint8]:
    """Arrange crops in a square grid, row by row, each in the middle of a square tile on transparent ground.

    The grid has as many rows as columns, because TensorBoard's projector takes one for the other, and the tiles are
    square, because it draws every point as a square.

    Args:
        crops: ``(h, w, 3)`` uint8 BGR each, of any sizes; ``None`` leaves its tile transparent.
        tile: side of a tile in pixels.

    Returns:
        ``(n * tile, n * tile, 4)`` uint8 BGR and opacity, where ``n * n`` is the next square number.
    """
    side = max(1, math.isqrt(max(len(crops) - 1, 0)) + 1)
    sheet = np.zeros((side * tile, side * tile, 4), np.uint8)
    for index, crop in enumerate(crops):
        if crop is None:
            continue
        gain = tile / max(crop.shape[:2])
        width, height = (max(1, round(length * gain)) for length in (crop.shape[1], crop.shape[0]))
        scaled = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR)
        top, left = index // side * tile + (tile - height) // 2, index % side * tile + (tile - width) // 2
        sheet[top : top + height, left : left + width, :3] = scaled
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet
