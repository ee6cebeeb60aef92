"""Non-maximum suppression and what follows it on numpy arrays, for exported networks; neither torch nor torchvision.

Equal to :func:`jde_lightning.models.decode.decode`, decision by decision: the arithmetic is float32 in the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import iou as box_iou
from jde_lightning.structures import BoolArray, Detections, FloatArray, IntArray

_MAX_CANDIDATES = 30_000
_POOLED_SHARE = 0.5  # of the confidence of a box, as in models/decode.py
_SMALL = 4000  # numbers: from how many on torchvision goes class by class


def batched_nms(
    boxes: FloatArray, scores: FloatArray, labels: IntArray, iou: float, max_keep: int | None = None
) -> IntArray:
    """Suppress the less confident of two boxes of a class that overlap; the same as ``torchvision.ops.batched_nms``.

    Args:
        boxes: ``(N, 4)`` float32 xyxy pixels.
        scores: ``(N,)`` float32 confidence.
        labels: ``(N,)`` int64; boxes of different labels do not suppress each other.
        iou: overlap above which a box goes, in 0..1.
        max_keep: the most confident that are wanted; all if omitted.

    Returns:
        ``(K,)`` int64 rows of the boxes that are kept, most confident first; equal ones in the order of the input.
    """
    if not len(boxes):
        return np.zeros(0, np.int64)
    order = np.argsort(-scores, kind="stable")
    if not labels.any():
        return order[_nms(boxes[order], iou, max_keep)]
    if boxes.size <= _SMALL:
        # Classes are moved apart, with the rounding that this has in torchvision.
        shifts = labels.astype(np.float32) * (boxes.max() + np.float32(1))
        return order[_nms((boxes + shifts[:, None])[order], iou, max_keep)]
    kept = np.zeros(len(boxes), bool)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        kept[rows[_nms(boxes[rows], iou, max_keep)]] = True
    return order[kept[order]][:max_keep]


def _nms(boxes: FloatArray, iou: float, max_keep: int | None) -> IntArray:
    """Positions of the boxes to keep, of boxes sorted by falling confidence."""
    x1, y1, x2, y2 = (np.ascontiguousarray(column) for column in boxes.T)
    areas = (x2 - x1) * (y2 - y1)
    left = np.arange(len(boxes))
    kept: list[int] = []
    with np.errstate(divide="ignore", invalid="ignore"):  # boxes without area: no overlap, which NaN compares as
        while len(left) and (max_keep is None or len(kept) < max_keep):
            first, left = left[0], left[1:]
            kept.append(int(first))
            if not len(left):
                break
            width = np.minimum(x2[first], x2[left]) - np.maximum(x1[first], x1[left])
            height = np.minimum(y2[first], y2[left]) - np.maximum(y1[first], y1[left])
            shared = np.maximum(width, 0) * np.maximum(height, 0)
            overlap = shared / (areas[first] + areas[left] - shared)
            # torchvision compares in double precision; numpy before 2 takes a limit alone to be as narrow as the array
            left = left[~(overlap.astype(np.float64) > iou)]
    return np.array(kept, np.int64)


def select_detections(
    boxes: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    embeddings: FloatArray | None,
    conf: float,
    iou: float,
    max_det: int,
    pooling: str = "best",
) -> Detections:
    """Find the detections among the anchors of one image.

    Args:
        boxes: ``(A, 4)`` float32 xyxy pixels.
        scores: ``(A,)`` float32 confidence of the likeliest class, in 0..1.
        labels: ``(A,)`` int64, that class.
        embeddings: ``(A, D)`` float32 of unit norm, or ``None``.
        conf: confidence that a detection must exceed.
        iou: overlap above which the less confident of two boxes of a class goes.
        max_det: most detections.
        pooling: ``best`` or ``mean``, see :func:`jde_lightning.models.decode.decode`.

    Returns:
        The detections, most confident first.
    """
    pooled = pooling == "mean" and embeddings is not None
    rows = np.flatnonzero(scores > np.float32(conf * _POOLED_SHARE if pooled else conf))
    sure = rows[scores[rows] > np.float32(conf)]
    sure = sure[np.argsort(-scores[sure], kind="stable")[:_MAX_CANDIDATES]]
    kept = sure[batched_nms(boxes[sure], scores[sure], labels[sure], iou, max_det)]
    if embeddings is None:
        looks = None
    elif pooled:
        same = _same_objects(kept, rows, boxes, scores, labels, iou)
        looks = unit_norm((same * scores[rows]) @ embeddings[rows])
    else:
        looks = embeddings[kept]
    return Detections(boxes[kept], scores[kept], labels[kept], looks)


def unit_norm(embeddings: npt.NDArray[Any]) -> FloatArray:
    """Scale the rows of ``(N, D)`` to unit norm; zeros stay zeros."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit: FloatArray = (embeddings / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def _same_objects(
    kept: IntArray, rows: IntArray, boxes: FloatArray, scores: FloatArray, labels: IntArray, iou: float
) -> BoolArray:
    """``(K, P)``: which of the candidates ``rows`` found the same object as each kept box, itself included."""
    share = scores[rows] / scores[kept, None]
    same: BoolArray = box_iou(boxes[kept], boxes[rows]) > iou
    same &= (labels[kept, None] == labels[rows]) & (share >= _POOLED_SHARE) & (share <= 1)
    same |= kept[:, None] == rows
    return same
