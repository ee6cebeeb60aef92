"""Random erasing inside boxes: a person is to be recognised by what is left of them (Zhong et al., AAAI 2020)."""

from __future__ import annotations

import math

import numpy as np

from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.images import PADDING, ImageArray
from jde_lightning.structures import FloatArray, IntArray

MAX_ERASED = 0.5
"""No box loses more than this share of its area, whoever's patches cover it."""
MAX_ASPECT = 1 / 0.3
"""Longest patch, as a ratio of its sides (the paper's choice)."""


def draw_patches(boxes: FloatArray, size: int, config: AugmentationConfig, rng: np.random.Generator) -> IntArray:
    """Draw the patches to erase, at most one for each box.

    A patch lies inside its box. One that would leave too little of any box (:data:`MAX_ERASED`), its own or one behind
    or before it, is not used.

    Args:
        boxes: ``(N, 4)`` float32 xyxy pixels, clipped to the image.
        size: side of the image in pixels.
        config: probability and sizes.
        rng: the sample's generator.

    Returns:
        ``(K, 4)`` int64 xyxy pixels, the right and bottom ends excluded.
    """
    chosen = np.flatnonzero(rng.random(len(boxes)) < config.erase).tolist()
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = np.maximum(sides.prod(axis=1), 1e-6)
    erased = np.zeros(len(boxes))
    patches = []
    for box in chosen:
        share = rng.uniform(config.erase_min, config.erase_max)
        aspect = math.exp(rng.uniform(-1.0, 1.0) * math.log(MAX_ASPECT))
        place = rng.random(2)
        wanted = np.sqrt(areas[box] * share * np.array([1 / aspect, aspect]))
        extent = np.minimum(wanted, sides[box])
        corner = boxes[box, :2] + place * (sides[box] - extent)
        low = np.ceil(corner - 0.5).clip(0, size)
        high = np.ceil(corner + extent - 0.5).clip(0, size)
        overlap = np.clip(np.minimum(boxes[:, 2:], high) - np.maximum(boxes[:, :2], low), 0, None).prod(axis=1)
        total = erased + overlap / areas
        if (high <= low).any() or (total > MAX_ERASED).any():
            continue
        erased = total
        patches.append([*low.tolist(), *high.tolist()])
    return np.array(patches, dtype=np.int64).reshape(-1, 4)


def erase(image: ImageArray, patches: IntArray, config: AugmentationConfig, rng: np.random.Generator) -> None:
    """Paint over patches of ``(H, W, 3)`` uint8, in place: with grey or with noise."""
    for x1, y1, x2, y2 in patches.tolist():
        patch = image[y1:y2, x1:x2]
        patch[:] = PADDING if config.erase_fill == "grey" else rng.integers(0, 256, patch.shape, dtype=np.uint8)
