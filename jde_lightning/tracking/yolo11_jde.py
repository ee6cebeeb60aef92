"""The tracker of YOLO11-JDE: overlap and appearance in the first association, weak detections in the second."""

from __future__ import annotations

from functools import partial
from numbers import Real

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.tracking import kalman
from jde_lightning.tracking.association import (
    FloatArray,
    IndexArray,
    assign,
    cosine_distances,
    fuse_score,
    paired_cosine_distance,
)
from jde_lightning.tracking.base import Associated, Matches, Tracker, check_fraction
from jde_lightning.tracking.camera_motion import CameraMotion
from jde_lightning.tracking.explain import Decision, StageTerms
from jde_lightning.tracking.tracklets import Observations

Floats = npt.NDArray[np.floating]


class YOLO11JDETracker(Tracker):
    """Online tracker of the YOLO11-JDE paper; same answers as the authors' public code with equal parameters.

    1. Confirmed tracklets, tracked and lost, with detections of at least ``track_high_thresh``: the cost is
       ``min_weight * D_iou + appearance_weight * D_emb``, below ``first_match_thresh``.
    2. Tracked tracklets left over with detections between the two thresholds, by overlap; embeddings are not learnt
       from these.
    3. Unconfirmed tracklets with strong detections left over, by overlap; what is left then starts tracklets.

    Without appearance (``appearance=False``) the cost of stage 1 is ``D_iou`` alone, with ``first_match_thresh`` as its
    limit just as it stands; embeddings may be missing and are ignored, and ``proximity_thresh``,
    ``appearance_thresh``, ``gate_thresh``, ``motion_gate`` and the three weights have no effect. All else is the same.
    (On the second halves of four MOT17 training sequences with YOLOX detections, limits of 0.7 / 0.8 / 0.9 / 0.95 gave
    HOTA 69.9 / 69.6 / 68.0 / 66.7: a limit that leaves room for an appearance term would make motion look worse than
    it is.) With other thresholds this is ByteTrack: ``configs/trackers/bytetrack.yaml``.

    A pair that costs exactly the limit does not match. (The authors' solver may take one, so that with a limit of 1.0
    boxes without any overlap are matched; this is the one difference.)

    Defaults are the authors', tuned for HOTA on MOT17. All thresholds and weights lie in 0..1, the space of their
    search; a cost with larger weights can be scaled into it together with its limit.

    Args:
        frame_rate: frames per second of the video.
        track_high_thresh: detections from this score on take part in stages 1 and 3.
        track_low_thresh: detections from this score on take part in stage 2.
        new_track_thresh: detections from this score on may start a tracklet.
        first_match_thresh: limit of the cost in stage 1.
        second_match_thresh: limit of the IoU distance in stage 2.
        new_match_thresh: limit of the IoU distance in stage 3.
        first_fuse: whether the detection's score weighs the overlap in stage 1.
        second_fuse: the same in stage 2.
        new_fuse: the same in stage 3.
        proximity_thresh: ``D_iou`` above which appearance counts as fully different.
        appearance_thresh: ``D_emb`` above which appearance counts as fully different.
        gate_thresh: ``D_emb`` above which there counts to be no overlap.
        appearance_weight: weight of ``D_emb``.
        min_weight: weight of ``D_iou``.
        track_buffer: how long a lost tracklet lives, in frames at 30 frames per second.
        appearance: whether embeddings are compared.
        motion_gate: squared Mahalanobis distance above which a detection lies so far from where the motion filter
            expects it that it counts as fully different in appearance; at least 0. The default is the 95 % quantile.
            Larger for low frame rates, where people move farther than the filter believes.
        motion_weight: share of the squared Mahalanobis distance in ``D_emb``, the rest is the cosine distance; as in
            FairMOT.
        new_appearance: whether stage 3 compares appearance too, with the cost and the limit of stage 1 instead of
            ``new_fuse`` and ``new_match_thresh``. For low frame rates: who has moved out of its first box would
            otherwise never be confirmed.
        class_aware: whether a tracklet only takes detections of its own class.
        camera_motion: how the motion of the camera is estimated: ``none``, ``sparse_flow`` or ``ecc``.
        explain: whether every decision is recorded in ``explanations``.

    Raises:
        InputError: if a parameter is out of range.
    """

    def __init__(
        self,
        frame_rate: float = 30,
        *,
        track_high_thresh: float = 0.15,
        track_low_thresh: float = 0.1,
        new_track_thresh: float = 0.6,
        first_match_thresh: float = 0.7,
        second_match_thresh: float = 0.05,
        new_match_thresh: float = 0.95,
        first_fuse: bool = True,
        second_fuse: bool = False,
        new_fuse: bool = True,
        proximity_thresh: float = 0.95,
        appearance_thresh: float = 1.0,
        gate_thresh: float = 0.65,
        appearance_weight: float = 1.0,
        min_weight: float = 0.55,
        track_buffer: int = 40,
        appearance: bool = True,
        motion_gate: float = kalman.CHI2_95_4DOF,
        motion_weight: float = 0.02,
        new_appearance: bool = False,
        class_aware: bool = False,
        camera_motion: CameraMotion = "none",
        explain: bool = False,
    ) -> None:
        self.track_high_thresh = check_fraction("track_high_thresh", track_high_thresh)
        self.track_low_thresh = check_fraction("track_low_thresh", track_low_thresh)
        self.new_track_thresh = check_fraction("new_track_thresh", new_track_thresh)
        self.first_match_thresh = check_fraction("first_match_thresh", first_match_thresh)
        self.second_match_thresh = check_fraction("second_match_thresh", second_match_thresh)
        self.new_match_thresh = check_fraction("new_match_thresh", new_match_thresh)
        self.first_fuse, self.second_fuse, self.new_fuse = first_fuse, second_fuse, new_fuse
        self.proximity_thresh = check_fraction("proximity_thresh", proximity_thresh)
        self.appearance_thresh = check_fraction("appearance_thresh", appearance_thresh)
        self.gate_thresh = check_fraction("gate_thresh", gate_thresh)
        self.appearance_weight = check_fraction("appearance_weight", appearance_weight)
        self.min_weight = check_fraction("min_weight", min_weight)
        self.motion_weight = check_fraction("motion_weight", motion_weight)
        if track_low_thresh > track_high_thresh:
            span = f"between 0 and track_high_thresh ({track_high_thresh})"
            msg = f"track_low_thresh must be a number {span}, got {track_low_thresh}"
            raise InputError(msg)
        # Whether a pair beyond proximity_thresh, or without overlap, costs too much to match in any case.
        far_overlap = 1.0 if gate_thresh < 1 else proximity_thresh
        self._far_is_out = proximity_thresh < 1 and min_weight * far_overlap + appearance_weight >= first_match_thresh
        self.new_appearance = new_appearance
        super().__init__(
            frame_rate,
            track_buffer,
            appearance=appearance,
            class_aware=class_aware,
            camera_motion=camera_motion,
            explain=explain,
        )
        if not isinstance(motion_gate, Real) or isinstance(motion_gate, bool) or not motion_gate >= 0:
            msg = f"motion_gate must be a squared distance of at least 0 (.inf for no gate), got {motion_gate!r}"
            raise InputError(msg)
        self.motion_gate = float(motion_gate)

    def _associate(
        self, active: IndexArray, lost: IndexArray, waiting: IndexArray, seen: Observations, matches: Matches
    ) -> Associated:
        high = np.flatnonzero(seen.scores >= self.track_high_thresh)
        low = np.flatnonzero((seen.scores >= self.track_low_thresh) & (seen.scores < self.track_high_thresh))
        second = partial(self._overlap_match, stage=2, limit=self.second_match_thresh, fuse=self.second_fuse)
        third = partial(self._overlap_match, stage=3, limit=self.new_match_thresh, fuse=self.new_fuse)
        if self.new_appearance and self.appearance:
            third = partial(self._first_match, stage=3)
        matched, high = self._stage(self._first_match, np.concatenate((active, lost)), high, seen, matches.learning)
        left = active[~matched[: len(active)]]
        found, _ = self._stage(second, left, low, seen, matches.others)
        accepted, high = self._stage(third, waiting, high, seen, matches.learning)
        return Associated(
            refound=matched[len(active) :],
            lost=left[~found],
            rejected=waiting[~accepted],
            starting=high[seen.scores[high] >= self.new_track_thresh],
        )

    def _first_match(
        self, slots: IndexArray, columns: IndexArray, seen: Observations, *, stage: int = 1
    ) -> tuple[IndexArray, IndexArray]:
        """Associate by overlap and appearance."""
        if not self.appearance:
            return self._overlap_match(
                slots, columns, seen, stage=stage, limit=self.first_match_thresh, fuse=self.first_fuse
            )
        every = not self._far_is_out
        rows, taken, overlap = self._pairs(slots, columns, seen, every=every)
        if self.first_fuse:
            overlap = fuse_score(overlap, seen.scores[columns[taken]])
        if every:
            look = self._cosine_matrix(slots, columns, seen)[rows, taken]
        else:
            near = overlap <= self.proximity_thresh
            rows, taken, overlap = rows[near], taken[near], overlap[near]
            assert seen.embeddings is not None  # see Observations.of
            look = paired_cosine_distance(self._tracklets.embeddings, seen.embeddings, slots[rows], columns[taken])
        look = self._add_motion(look, self._motion(slots[rows], columns[taken], seen))
        matches = assign(rows, taken, self._cost(overlap, look), self.first_match_thresh)
        if self.explain:
            self._record_first(stage, slots, columns, seen, matches)
        return matches

    def _cosine_matrix(self, slots: IndexArray, columns: IndexArray, seen: Observations) -> FloatArray:
        """Cosine distances ``(S, C)`` of all pairs; as a matrix product it is far faster than pair by pair."""
        assert seen.embeddings is not None  # see Observations.of
        return cosine_distances(self._tracklets.embeddings[slots], seen.embeddings[columns])

    def _motion(self, slots: IndexArray, detections: IndexArray, seen: Observations) -> kalman.Array:
        """Squared Mahalanobis distances ``(P,)`` of pairs."""
        return kalman.paired_gating_distance(self._tracklets.state, seen.measurements, slots, detections)

    def _add_motion(self, look: Floats, motion: kalman.Array) -> Floats:
        """``D_emb`` before the thresholds: a little motion mixed in, infinite outside the motion gate."""
        look = (1 - self.motion_weight) * look + self.motion_weight * motion
        look[motion > self.motion_gate] = np.inf
        return look

    def _cost(self, overlap: FloatArray, look: Floats) -> npt.NDArray[np.float64]:
        """Cost of pairs with IoU distances ``overlap`` and ``D_emb`` before the thresholds, of the same shape."""
        look = np.where((look > self.appearance_thresh) | (overlap > self.proximity_thresh), 1, look)
        overlap = np.where(look > self.gate_thresh, 1, overlap.astype(np.float64))
        return self.min_weight * overlap + self.appearance_weight * look

    def _record_first(
        self,
        stage: int,
        slots: IndexArray,
        columns: IndexArray,
        seen: Observations,
        matches: tuple[IndexArray, IndexArray],
    ) -> None:
        """Write down the terms of overlap and appearance for all pairs."""
        shape = (len(slots), len(columns))
        rows, taken = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        iou = self._iou_matrix(slots, columns, seen)
        fused = fuse_score(iou, seen.scores[columns]) if self.first_fuse else None
        overlap = iou if fused is None else fused
        cosine = self._cosine_matrix(slots, columns, seen)
        motion = self._motion(slots[rows], columns[taken], seen).reshape(shape)
        look = self._add_motion(cosine, motion)
        rules = {
            Decision.PROXIMITY: overlap > self.proximity_thresh,
            Decision.APPEARANCE: look > self.appearance_thresh,
            Decision.LOOK_GATE: look > self.gate_thresh,
            Decision.MOTION: motion > self.motion_gate,
        }
        terms = StageTerms(iou, self._cost(overlap, look), fused, motion, cosine, rules)
        self._record(stage, slots, columns, seen, matches, self.first_match_thresh, terms)
