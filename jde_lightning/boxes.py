"""Box conversions and overlaps on numpy arrays. Boxes are ``xyxy`` pixels unless a name says otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def xyxy_to_ltwh(boxes: Array) -> Array:
    """Convert corners to left, top, width, height.

    Args:
        boxes: ``(N, 4)`` xyxy.

    Returns:
        ``(N, 4)`` left, top, width, height, of the same dtype.
    """
    out = boxes.copy()
    out[:, 2:] -= boxes[:, :2]
    return out


def ltwh_to_xyxy(boxes_ltwh: Array) -> Array:
    """Convert left, top, width, height to corners; the inverse of :func:`xyxy_to_ltwh`."""
    out = boxes_ltwh.copy()
    out[:, 2:] += boxes_ltwh[:, :2]
    return out


def xyxy_to_cxcywh(boxes: Array) -> Array:
    """Convert corners to centre x, centre y, width, height, of the same dtype."""
    out = np.empty_like(boxes)
    out[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
    out[:, 2:] = boxes[:, 2:] - boxes[:, :2]
    return out


def cxcywh_to_xyxy(boxes_cxcywh: Array) -> Array:
    """Convert centre x, centre y, width, height to corners; the inverse of :func:`xyxy_to_cxcywh`."""
    out = np.empty_like(boxes_cxcywh)
    half = boxes_cxcywh[:, 2:] / 2
    out[:, :2] = boxes_cxcywh[:, :2] - half
    out[:, 2:] = boxes_cxcywh[:, :2] + half
    return out


def area(boxes: Array) -> Array:
    """Area of each box in square pixels, ``(N,)``; 0 where a corner pair is swapped."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def clip(boxes: Array, width: float, height: float) -> Array:
    """Clip corners to an image of ``width`` x ``height`` pixels; boxes outside collapse to zero area.

    Args:
        boxes: ``(N, 4)`` xyxy pixels.
        width: image width.
        height: image height.

    Returns:
        A clipped copy.
    """
    return np.minimum(np.maximum(boxes, 0), np.array([width, height, width, height], dtype=boxes.dtype))


def intersection(a: Array, b: Array) -> Array:
    """Areas of overlap of every pair.

    Args:
        a: ``(N, 4)`` xyxy.
        b: ``(M, 4)`` xyxy.

    Returns:
        ``(N, M)`` square pixels.
    """
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    return np.maximum(width, 0) * np.maximum(height, 0)


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every pair; 0 where both boxes are empty.

    Args:
        a: ``(N, 4)`` xyxy.
        b: ``(M, 4)`` xyxy.

    Returns:
        ``(N, M)`` in 0..1.
    """
    overlap = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
