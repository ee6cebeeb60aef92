"""What the trackers of the JDE family share: the pool of tracklets and its bookkeeping from frame to frame."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, Tracks
from jde_lightning.tracking import kalman
from jde_lightning.tracking.association import (
    FloatArray,
    IndexArray,
    all_pairs,
    assign,
    fuse_score,
    overlapping_pairs,
)
from jde_lightning.tracking.camera_motion import CameraMotion, Transform, check_transform, make_estimator
from jde_lightning.tracking.explain import AssociationRecord, Decision, Mask, StageTerms, record_stage
from jde_lightning.tracking.tracklets import Observations, Tracklets

_DUPLICATE_DISTANCE = 0.15  # a tracked and a lost tracklet with a smaller IoU distance are one object
_LAST_CHANCE = 2  # a tracklet older than the buffer can still be matched one frame later, see _keep_books
_REMOVED_LIMIT, _REMOVED_KEPT = 1000, 999  # the list of removed tracklets is cut to its end when it grows too long

Matched = tuple[IndexArray, IndexArray]
Match = Callable[[IndexArray, IndexArray, Observations], Matched]
"""Association of tracklets (slots) with detections (rows of the frame): positions in both of the matches."""


@dataclass(slots=True)
class Associated:
    """What became of the tracklets in one frame.

    Attributes:
        refound: ``(L,)`` bool, which of the lost tracklets were matched.
        lost: slots of the confirmed tracklets that were tracked and found no detection.
        rejected: slots of the unconfirmed tracklets that found no second detection.
        starting: rows of the detections that start a tracklet.
    """

    refound: Mask
    lost: IndexArray
    rejected: IndexArray
    starting: IndexArray


@dataclass(slots=True)
class Matches:
    """The matches of one frame, stage by stage: tracklets are updated once, after all stages.

    Attributes:
        learning: slots and rows of the matches whose tracklets learn the embedding of their detection.
        others: slots and rows of the other matches.
    """

    learning: list[tuple[IndexArray, IndexArray]] = field(default_factory=list)
    others: list[tuple[IndexArray, IndexArray]] = field(default_factory=list)


class Tracker(ABC):
    """Frame-by-frame tracker; the subclass decides which tracklet gets which detection.

    The rules of life are those of the trackers of YOLO11-JDE's authors. Detections of the first frame after a reset
    are confirmed at once, later ones with their second match; without it they are removed. Unconfirmed tracklets are
    not predicted. A confirmed tracklet without a detection is lost, and removed after ``track_buffer`` frames. Where a
    tracked and a lost tracklet cover each other, the one with the shorter life goes. Ids count up from 1 as tracklets
    are created, unconfirmed ones included, for each tracker on its own. The class of a tracklet is the one with the
    largest sum of scores so far; it restricts the association only if ``class_aware``.

    Time is counted in frames of ``frame_rate``. Whoever drops frames says so with ``elapsed_frames``.

    Args:
        frame_rate: frames per second of the video, > 0.
        track_buffer: how long a lost tracklet lives, in frames at 30 frames per second, >= 0.
        appearance: whether embeddings are compared; ``False`` for motion only.
        class_aware: whether a tracklet only takes detections of its own class, in every stage.
        camera_motion: how the motion of the camera is estimated: ``none``, ``sparse_flow`` or ``ecc``; the latter two
            need images (and OpenCV).
        explain: whether every decision is recorded, see ``explanations``.

    Attributes:
        max_frames_lost: how long a lost tracklet lives, in frames of the video.
        explanations: the decisions of the latest frame; ``None`` without ``explain`` and before the first frame.
        motion_gate: squared Mahalanobis distance above which a detection lies outside a tracklet's motion gate.

    Raises:
        InputError: if a parameter is out of range.
    """

    def __init__(
        self,
        frame_rate: float,
        track_buffer: int,
        *,
        appearance: bool,
        class_aware: bool = False,
        camera_motion: CameraMotion = "none",
        explain: bool = False,
    ) -> None:
        if not _is_number(frame_rate) or frame_rate <= 0:
            msg = f"frame_rate must be a number of frames per second above 0, got {frame_rate!r}"
            raise InputError(msg)
        if not _is_number(track_buffer) or track_buffer < 0 or track_buffer != int(track_buffer):
            msg = f"track_buffer must be a whole number of frames, at least 0, got {track_buffer!r}"
            raise InputError(msg)
        self.frame_rate, self.track_buffer = frame_rate, track_buffer
        self.appearance = appearance
        self.class_aware = class_aware
        self.camera_motion = camera_motion
        self.explain = explain
        self.max_frames_lost = int(frame_rate / 30 * track_buffer)
        self.motion_gate = kalman.CHI2_95_4DOF
        self._camera = make_estimator(camera_motion)
        self.reset()

    def reset(self) -> None:
        """Forget everything, ids included: the next frame is the first of a new video."""
        self._tracklets = Tracklets()
        self._tracked = np.zeros(0, np.intp)
        self._lost = np.zeros(0, np.intp)
        self._frame = 0
        self._removed_first = 0
        self._removed_end = 0
        self.explanations: AssociationRecord | None = None
        self._records: list[AssociationRecord] = []
        if self._camera is not None:
            self._camera.reset()

    def update(
        self,
        detections: Detections,
        image: npt.NDArray[np.uint8] | None = None,
        *,
        elapsed_frames: int = 1,
        camera_motion: npt.ArrayLike | None = None,
    ) -> Tracks:
        """Take in the next frame. A frame without detections is a frame too: tracklets age in it.

        Frames that nobody looked at (dropped by a camera, skipped for speed) are no evidence that somebody left: give
        their number in ``elapsed_frames``. Tracklets are then predicted and aged by so many frames, but stay tracked,
        and unconfirmed ones still wait for their second match. With timestamps it is
        ``max(1, round((now - before) * frame_rate))``.

        Args:
            detections: what the detector found in the frame; not changed.
            image: ``(H, W, 3)`` uint8 BGR frame; needed where the motion of the camera is estimated.
            elapsed_frames: frames since the previous call, at least 1; of no meaning in the first call.
            camera_motion: ``(2, 3)`` affine transform from the pixels of the previous call's frame to those of this
                one, where somebody else knows it.

        Returns:
            The confirmed tracklets that were matched in this frame, with their boxes after the filter's update.

        Raises:
            InputError: if the detections are not what :class:`Detections` describes; if appearance is used and they
                have no (finite) embeddings, or of another width than before; if ``elapsed_frames`` is not a whole
                number above 0; or if the image or ``camera_motion`` is missing, given twice or cannot be used. The
                tracker is then as it was before.
        """
        tracklets = self._tracklets
        seen = Observations.of(detections, appearance=self.appearance)
        tracklets.check_width(seen)
        if elapsed_frames != 1:
            _check_elapsed(elapsed_frames)
        moved = self._motion_of_camera(image, seen, camera_motion)
        is_first = self._frame == 0
        self._frame += int(elapsed_frames)
        if elapsed_frames != 1:
            self._forget_aged()
        confirmed = tracklets.confirmed[self._tracked]
        active, waiting = self._tracked[confirmed], self._tracked[~confirmed]
        tracklets.predict(active, self._lost, int(elapsed_frames))
        if moved is not None:
            tracklets.warp(np.concatenate((self._tracked, self._lost)), moved)
        matches = Matches()
        found = self._associate(active, self._lost, waiting, seen, matches)
        self._take_in(matches, seen)
        started = tracklets.create(seen, found.starting, self._frame, confirmed=is_first)
        self._keep_books(found, started)
        if self.explain:
            self.explanations, self._records = AssociationRecord.joined(self._records), []
        return tracklets.tracks(self._tracked[tracklets.confirmed[self._tracked]])

    @abstractmethod
    def _associate(
        self, active: IndexArray, lost: IndexArray, waiting: IndexArray, seen: Observations, matches: Matches
    ) -> Associated:
        """Match tracklets with detections.

        Args:
            active: slots of confirmed tracklets that were matched in the previous frame, predicted.
            lost: slots of lost tracklets, predicted.
            waiting: slots of unconfirmed tracklets, not predicted.
            seen: the detections of the frame.
            matches: receives the matches.
        """

    def _motion_of_camera(
        self, image: npt.NDArray[np.uint8] | None, seen: Observations, given: npt.ArrayLike | None
    ) -> Transform | None:
        """Transform from the previous frame to this one, as given or estimated; ``None`` if the camera stands."""
        if self._camera is None:
            return None if given is None else check_transform(given)
        if given is not None:
            msg = (
                f"camera_motion is estimated by this tracker ({self.camera_motion}) and was given to update() too: "
                "leave it out, or build the tracker with camera_motion='none'"
            )
            raise InputError(msg)
        if image is None:
            msg = (
                f"a tracker with camera_motion={self.camera_motion!r} needs the image of every frame: call "
                "update(detections, image), or build the tracker with camera_motion='none'"
            )
            raise InputError(msg)
        return self._camera.estimate(image, seen.boxes)

    def _forget_aged(self) -> None:
        """Drop whom nobody could find any more, had the frames of a gap been seen without detections."""
        oldest = self._frame - self.max_frames_lost - _LAST_CHANCE
        last = self._tracklets.last_frame
        self._tracked = self._tracked[last[self._tracked] >= oldest]
        self._lost = self._lost[last[self._lost] >= oldest]

    def _stage(
        self, match: Match, slots: IndexArray, columns: IndexArray, seen: Observations, matches: list[Matched]
    ) -> tuple[Mask, IndexArray]:
        """Match some tracklets with some detections.

        Args:
            match: the association.
            slots: ``(S,)`` slots of the tracklets.
            columns: ``(C,)`` rows of the detections.
            seen: the detections of the frame.
            matches: receives slots and rows of the matches.

        Returns:
            ``(S,)`` bool, which tracklets were matched; and the detections that were not.
        """
        matched = np.zeros(len(slots), bool)
        if not len(slots) or not len(columns):
            return matched, columns
        hits, taken = match(slots, columns, seen)
        matches.append((slots[hits], columns[taken]))
        matched[hits] = True
        left = np.ones(len(columns), bool)
        left[taken] = False
        return matched, columns[left]

    def _overlap_match(
        self,
        slots: IndexArray,
        columns: IndexArray,
        seen: Observations,
        *,
        stage: int,
        limit: float,
        fuse: bool = False,
    ) -> tuple[IndexArray, IndexArray]:
        """Associate by overlap alone, weighed by the detection's score if ``fuse``, below ``limit``."""
        rows, taken, cost = self._pairs(slots, columns, seen)
        matches = assign(rows, taken, fuse_score(cost, seen.scores[columns[taken]]) if fuse else cost, limit)
        if self.explain:
            iou = self._iou_matrix(slots, columns, seen)
            fused = fuse_score(iou, seen.scores[columns]) if fuse else None
            self._record(
                stage, slots, columns, seen, matches, limit, StageTerms(iou, iou if fused is None else fused, fused)
            )
        return matches

    def _pairs(
        self, slots: IndexArray, columns: IndexArray, seen: Observations, *, every: bool = False
    ) -> tuple[IndexArray, IndexArray, FloatArray]:
        """Pairs that may match, as positions in both, and their IoU distances: those that overlap, or ``every`` one."""
        rows, taken, distance = overlapping_pairs(self._tracklets.boxes(slots), seen.boxes[columns])
        if every:
            rows, taken, distance = all_pairs((len(slots), len(columns)), rows, taken, distance)
        if self.class_aware:
            same = self._tracklets.labels[slots[rows]] == seen.labels[columns[taken]]
            rows, taken, distance = rows[same], taken[same], distance[same]
        return rows, taken, distance

    def _iou_matrix(self, slots: IndexArray, columns: IndexArray, seen: Observations) -> FloatArray:
        """IoU distances ``(S, C)`` of all pairs, for records."""
        distance = np.ones((len(slots), len(columns)), np.float32)
        rows, taken, values = overlapping_pairs(self._tracklets.boxes(slots), seen.boxes[columns])
        distance[rows, taken] = values
        return distance

    def _record(
        self,
        stage: int,
        slots: IndexArray,
        columns: IndexArray,
        seen: Observations,
        matches: tuple[IndexArray, IndexArray],
        limit: float,
        terms: StageTerms,
    ) -> None:
        """Write down what a stage decided; before the tracklets are updated."""
        if self.class_aware:
            other = self._tracklets.labels[slots][:, None] != seen.labels[columns]
            terms.cost = np.where(other, np.inf, terms.cost)
            terms.rules = {**(terms.rules or {}), Decision.CLASS: other}
        ids = self._tracklets.ids[slots]
        self._records.append(record_stage(stage, ids, columns, terms, limit, self.motion_gate, matches))

    def _take_in(self, matches: Matches, seen: Observations) -> None:
        """Update the matched tracklets, all at once."""
        pairs = matches.learning + matches.others
        if not pairs:
            return
        slots, columns = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        learning = sum(len(hits) for hits, _ in matches.learning)
        self._tracklets.update(slots, seen, columns, self._frame, learning=learning)

    def _keep_books(self, found: Associated, started: IndexArray) -> None:
        """Move tracklets between the lists, in the order that decides who may live one frame longer.

        The lost are filtered by the removals of earlier frames, before those of this frame are entered: a tracklet
        that is too old now can still be matched in the next frame, and if it is, it keeps its entry and disappears
        when it is lost again.
        """
        tracklets = self._tracklets
        aged = self._lost[self._frame - tracklets.last_frame[self._lost] > self.max_frames_lost]
        stays = np.ones(len(tracklets.ids), bool)
        stays[found.lost] = stays[found.rejected] = False
        tracked = np.concatenate((self._tracked[stays[self._tracked]], started, self._lost[found.refound]))
        lost = np.concatenate((self._lost[~found.refound], found.lost))
        lost = lost[tracklets.removal[lost] < self._removed_first]
        self._tracked, self._lost = self._without_duplicates(tracked, lost)
        self._enter_removals(np.concatenate((found.rejected, aged)))
        tracklets.keep_only(np.concatenate((self._tracked, self._lost)))

    def _enter_removals(self, slots: IndexArray) -> None:
        """Append to the list of removed tracklets, of which only the place of each one's latest entry is stored."""
        self._tracklets.removal[slots] = np.arange(self._removed_end, self._removed_end + len(slots))
        self._removed_end += len(slots)
        if self._removed_end - self._removed_first > _REMOVED_LIMIT:
            self._removed_first = self._removed_end - _REMOVED_KEPT

    def _without_duplicates(self, tracked: IndexArray, lost: IndexArray) -> tuple[IndexArray, IndexArray]:
        """Drop, of every tracked and lost tracklet on the same place, the one that was seen over fewer frames."""
        if not len(tracked) or not len(lost):
            return tracked, lost
        tracklets = self._tracklets
        rows, columns, distance = overlapping_pairs(tracklets.boxes(tracked), tracklets.boxes(lost))
        same = distance < _DUPLICATE_DISTANCE
        if self.class_aware:
            same &= tracklets.labels[tracked[rows]] == tracklets.labels[lost[columns]]
        if not same.any():
            return tracked, lost
        rows, columns = rows[same], columns[same]
        life = tracklets.last_frame - tracklets.start_frame
        tracked_longer = life[tracked[rows]] > life[lost[columns]]
        return np.delete(tracked, rows[~tracked_longer]), np.delete(lost, columns[tracked_longer])


def check_fraction(name: str, value: float) -> float:
    """Return a parameter between 0 and 1.

    Raises:
        InputError: if it is not.
    """
    if not _is_number(value) or not 0 <= value <= 1:
        msg = f"{name} must be a number between 0 and 1, got {value!r}"
        raise InputError(msg)
    return float(value)


def _check_elapsed(value: int) -> None:
    """Refuse what is no number of frames."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        msg = (
            f"elapsed_frames must be a whole number of frames since the previous call, at least 1, got {value!r}: "
            "frames must come in order"
        )
        raise InputError(msg)


def _is_number(value: object) -> bool:
    """Whether ``value`` is a finite real number, and not a flag."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
