"""The tracker of FairMOT (and JDE): appearance first, overlap for what is left."""

from __future__ import annotations

from functools import partial

import numpy as np

from jde_lightning.tracking import kalman
from jde_lightning.tracking.association import IndexArray, assign, cosine_distances, paired_cosine_distance
from jde_lightning.tracking.base import Associated, Matches, Tracker, check_fraction
from jde_lightning.tracking.camera_motion import CameraMotion
from jde_lightning.tracking.explain import Decision, StageTerms
from jde_lightning.tracking.tracklets import Observations

_MOTION_WEIGHT = 0.02  # share of the squared Mahalanobis distance in the embedding distance


class FairMOTTracker(Tracker):
    """Online tracker of FairMOT as the authors of YOLO11-JDE ship it; same answers with equal parameters.

    Only detections of at least ``conf_thresh`` take part.

    1. Confirmed tracklets, tracked and lost, by appearance: cosine distance mixed with a little Mahalanobis distance,
       within the motion gate, below ``first_match_thresh``.
    2. Tracked tracklets left over with detections left over, by overlap.
    3. Unconfirmed tracklets with detections left over, by overlap; what is left then starts tracklets.

    Without appearance (``appearance=False``) stage 1 goes by overlap too, below ``second_match_thresh``, so that lost
    tracklets can still be found; embeddings may be missing and ``first_match_thresh`` has no effect.

    Defaults are those of the authors of YOLO11-JDE; FairMOT's own are 0.4, 0.4, 0.5, 0.7 and 30.

    Args:
        frame_rate: frames per second of the video.
        conf_thresh: detections below this score are ignored, 0..1.
        first_match_thresh: limit of the cost in stage 1, 0..1.
        second_match_thresh: limit of the IoU distance in stage 2, 0..1.
        new_match_thresh: limit of the IoU distance in stage 3, 0..1.
        track_buffer: how long a lost tracklet lives, in frames at 30 frames per second.
        appearance: whether embeddings are compared.
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
        conf_thresh: float = 0.35,
        first_match_thresh: float = 0.1,
        second_match_thresh: float = 0.85,
        new_match_thresh: float = 0.7,
        track_buffer: int = 40,
        appearance: bool = True,
        class_aware: bool = False,
        camera_motion: CameraMotion = "none",
        explain: bool = False,
    ) -> None:
        self.conf_thresh = check_fraction("conf_thresh", conf_thresh)
        self.first_match_thresh = check_fraction("first_match_thresh", first_match_thresh)
        self.second_match_thresh = check_fraction("second_match_thresh", second_match_thresh)
        self.new_match_thresh = check_fraction("new_match_thresh", new_match_thresh)
        super().__init__(
            frame_rate,
            track_buffer,
            appearance=appearance,
            class_aware=class_aware,
            camera_motion=camera_motion,
            explain=explain,
        )

    def _associate(
        self, active: IndexArray, lost: IndexArray, waiting: IndexArray, seen: Observations, matches: Matches
    ) -> Associated:
        columns = np.flatnonzero(seen.scores >= self.conf_thresh)
        overlap = partial(self._overlap_match, limit=self.second_match_thresh)
        first = self._look_match if self.appearance else partial(overlap, stage=1)
        second = partial(overlap, stage=2)
        third = partial(self._overlap_match, stage=3, limit=self.new_match_thresh)
        matched, columns = self._stage(first, np.concatenate((active, lost)), columns, seen, matches.learning)
        left = active[~matched[: len(active)]]
        found, columns = self._stage(second, left, columns, seen, matches.learning)
        accepted, columns = self._stage(third, waiting, columns, seen, matches.learning)
        return Associated(
            refound=matched[len(active) :], lost=left[~found], rejected=waiting[~accepted], starting=columns
        )

    def _look_match(self, slots: IndexArray, columns: IndexArray, seen: Observations) -> tuple[IndexArray, IndexArray]:
        """Associate by appearance within the motion gate."""
        assert seen.embeddings is not None  # see Observations.of
        tracklets, limit = self._tracklets, self.first_match_thresh
        motion = kalman.gating_distance(tracklets.state.take(slots, axis=2), seen.measurements.take(columns, axis=1))
        near = motion <= kalman.CHI2_95_4DOF
        if self.class_aware:
            near &= tracklets.labels[slots][:, None] == seen.labels[columns]
        rows, taken = near.nonzero()
        look = paired_cosine_distance(tracklets.embeddings, seen.embeddings, slots[rows], columns[taken])
        cost = (1 - _MOTION_WEIGHT) * look + _MOTION_WEIGHT * motion[rows, taken]
        matches = assign(rows, taken, cost, limit)
        if self.explain:
            costs = np.full(motion.shape, np.inf)
            costs[rows, taken] = cost
            terms = StageTerms(
                iou=self._iou_matrix(slots, columns, seen),
                cost=costs,
                motion=motion,
                cosine=cosine_distances(tracklets.embeddings[slots], seen.embeddings[columns]),
                rules={Decision.MOTION: motion > kalman.CHI2_95_4DOF},
            )
            self._record(1, slots, columns, seen, matches, limit, terms)
        return matches
