"""Why a tracklet got its detection, or did not: the cost terms of every pair that was considered, as columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.tracking.association import IndexArray

Matrix = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


class Decision(IntEnum):
    """What decided about a pair of tracklet and detection.

    Attributes:
        MATCHED: the detection went to the tracklet.
        OUTBID: the cost was below the limit, but the assignment with the least total cost has other pairs.
        OVER_LIMIT: no rule stood in the way; the cost was not below the limit.
        CLASS: the classes differ (``class_aware``), whatever the cost.
        MOTION: the detection lies outside the tracklet's motion gate, and the cost was not below the limit.
        PROXIMITY: so little overlap (``proximity_thresh``) that appearance counted as fully different, and the cost
            was not below the limit.
        APPEARANCE: so different in appearance (``appearance_thresh``) that it counted as fully different, likewise.
        LOOK_GATE: so different in appearance (``gate_thresh``) that the overlap counted as none, likewise.
    """

    MATCHED = 0
    OUTBID = 1
    OVER_LIMIT = 2
    CLASS = 3
    MOTION = 4
    PROXIMITY = 5
    APPEARANCE = 6
    LOOK_GATE = 7


@dataclass(slots=True)
class AssociationRecord:
    """The pairs that one frame's association considered, one row each, by stage, tracklet and detection.

    A pair was considered if its boxes overlap, or, where the stage looks at motion, if the detection lies in the
    motion gate, or if it could have matched. Terms that a stage does not use are NaN. Tracklets take part with the
    state that was predicted for the frame, before its update.

    Attributes:
        stage: ``(P,)`` int8, 1 to 3 as the tracker's documentation counts them.
        track_ids: ``(P,)`` int64; ids of unconfirmed tracklets among them.
        detection_indices: ``(P,)`` int64 row of the detection in its frame.
        iou_distance: ``(P,)`` float64, one minus intersection over union, 0..1.
        fused_distance: ``(P,)`` float64, the same after fusion with the detection's score, 0..1.
        motion_distance: ``(P,)`` float64 squared Mahalanobis distance (no unit); the gate is at
            :data:`jde_lightning.tracking.kalman.CHI2_95_4DOF`.
        cosine_distance: ``(P,)`` float64 between the smoothed and the new embedding, 0..2, before any rule.
        cost: ``(P,)`` float64 that the assignment saw, after all rules; infinite where the pair could not match.
        limit: ``(P,)`` float64 that the cost had to stay below.
        decisions: ``(P,)`` int8, see :class:`Decision`. If several rules applied to a pair that cost too much, the
            first in the order of :class:`Decision` is named.
    """

    stage: npt.NDArray[np.int8]
    track_ids: npt.NDArray[np.int64]
    detection_indices: npt.NDArray[np.int64]
    iou_distance: npt.NDArray[np.float64]
    fused_distance: npt.NDArray[np.float64]
    motion_distance: npt.NDArray[np.float64]
    cosine_distance: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.int8]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.stage)

    def __getitem__(self, index: Any) -> AssociationRecord:
        """Return the pairs that a mask, slice or index array selects."""
        return AssociationRecord(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def joined(cls, records: list[AssociationRecord]) -> AssociationRecord:
        """Put the records of several stages one after the other; none give an empty record."""
        if not records:
            integers, codes, values = np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0)
            return cls(codes, integers, integers, values, values, values, values, values, values, codes)
        return cls(*(np.concatenate([getattr(record, field.name) for record in records]) for field in fields(cls)))


@dataclass(slots=True)
class StageTerms:
    """The terms of all pairs of one stage, ``(S, C)`` matrices of tracklets and detections.

    Attributes:
        iou: IoU distances.
        cost: the final cost.
        fused: IoU distances after score fusion, ``None`` where scores do not count.
        motion: squared Mahalanobis distances, ``None`` where motion does not count.
        cosine: cosine distances, ``None`` where appearance does not count.
        rules: where each rule applied.
    """

    iou: Matrix
    cost: Matrix
    fused: Matrix | None = None
    motion: Matrix | None = None
    cosine: Matrix | None = None
    rules: dict[Decision, Mask] | None = None


def record_stage(
    stage: int,
    ids: npt.NDArray[np.int64],
    columns: IndexArray,
    terms: StageTerms,
    limit: float,
    gate: float,
    matches: tuple[IndexArray, IndexArray],
) -> AssociationRecord:
    """Write down what one stage decided.

    Args:
        stage: its number.
        ids: ``(S,)`` of the tracklets.
        columns: ``(C,)`` rows of the detections in their frame.
        terms: of all pairs.
        limit: of the cost.
        gate: of the squared Mahalanobis distance.
        matches: positions of the matches in ``ids`` and in ``columns``.

    Returns:
        One row for every pair that was considered.
    """
    rules = terms.rules or {}
    decisions = np.full(terms.cost.shape, Decision.OVER_LIMIT, np.int8)
    for rule in sorted(rules, reverse=True):
        decisions[rules[rule]] = rule
    decisions[terms.cost < limit] = Decision.OUTBID
    decisions[matches] = Decision.MATCHED
    considered = (terms.iou < 1) | (terms.cost < limit)
    if terms.motion is not None:
        considered |= terms.motion <= gate
    rows, places = np.nonzero(considered)

    def column(matrix: Matrix | None) -> npt.NDArray[np.float64]:
        return np.full(len(rows), np.nan) if matrix is None else matrix[rows, places].astype(np.float64)

    return AssociationRecord(
        stage=np.full(len(rows), stage, np.int8),
        track_ids=ids[rows],
        detection_indices=columns[places].astype(np.int64),
        iou_distance=column(terms.iou),
        fused_distance=column(terms.fused),
        motion_distance=column(terms.motion),
        cosine_distance=column(terms.cosine),
        cost=column(terms.cost),
        limit=np.full(len(rows), limit, np.float64),
        decisions=decisions[rows, places],
    )
