"""Which found box is which annotated one."""

from __future__ import annotations

from scipy.optimize import linear_sum_assignment

from jde_lightning import boxes as box_ops
from jde_lightning.structures import FloatArray, IntArray


def match_one_to_one(found: FloatArray, boxes: FloatArray, iou: float) -> tuple[IntArray, IntArray]:
    """Match the boxes of detections to annotated ones, one to one, with the largest sum of overlaps.

    Args:
        found: ``(N, 4)`` xyxy pixels.
        boxes: ``(M, 4)`` xyxy pixels.
        iou: lowest overlap of a match.

    Returns:
        ``(K,)`` rows of ``found`` and ``(K,)`` rows of ``boxes`` that belong together.
    """
    overlap = box_ops.iou(found, boxes)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= iou
    return rows[good], columns[good]
