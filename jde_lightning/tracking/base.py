"""What the trackers of the JDE family share: the pool of tracklets and its bookkeeping from frame to frame."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, Tracks
from jde_lightning.tracking.association import IndexArray, assign, fuse_score, overlapping_pairs
from jde_lightning.tracking.tracklets import Observations, Tracklets

_DUPLICATE_DISTANCE = 0.15  # a tracked and a lost tracklet with a smaller IoU distance are one object
_REMOVED_LIMIT, _REMOVED_KEPT = 1000, 999  # the list of removed tracklets is cut to its end when it grows too long

Match = Callable[[IndexArray, IndexArray, Observations], tuple[IndexArray, IndexArray]]
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

    refound: npt.NDArray[np.bool_]
    lost: IndexArray
    rejected: IndexArray
    starting: IndexArray


class Tracker(ABC):
    """Frame-by-frame tracker; the subclass decides which tracklet gets which detection.

    The rules of life are those of the trackers of YOLO11-JDE's authors. Detections of the first frame after a reset
    are confirmed at once, later ones with their second match; without it they are removed. Unconfirmed tracklets are
    not predicted. A confirmed tracklet without a detection is lost, and removed after ``track_buffer`` frames. Where a
    tracked and a lost tracklet cover each other, the one with the shorter life goes. Ids count up from 1 as tracklets
    are created, unconfirmed ones included, for each tracker on its own. Classes do not restrict the association; the
    class of a tracklet is the one with the largest sum of scores so far.

    Args:
        frame_rate: frames per second of the video, > 0.
        track_buffer: how long a lost tracklet lives, in frames at 30 frames per second, >= 0.
        appearance: whether embeddings are compared; ``False`` for motion only.

    Raises:
        InputError: if a parameter is out of range.
    """

    def __init__(self, frame_rate: float, track_buffer: int, *, appearance: bool) -> None:
        if not _is_number(frame_rate) or frame_rate <= 0:
            msg = f"frame_rate must be a number of frames per second above 0, got {frame_rate!r}"
            raise InputError(msg)
        if not _is_number(track_buffer) or track_buffer < 0 or track_buffer != int(track_buffer):
            msg = f"track_buffer must be a whole number of frames, at least 0, got {track_buffer!r}"
            raise InputError(msg)
        self.appearance = appearance
        self.max_frames_lost = int(frame_rate / 30 * track_buffer)
        self.reset()

    def reset(self) -> None:
        """Forget everything, ids included: the next frame is the first of a new video."""
        self._tracklets = Tracklets()
        self._tracked = np.zeros(0, np.intp)
        self._lost = np.zeros(0, np.intp)
        self._frame = 0
        self._removed_first = 0
        self._removed_end = 0

    def update(self, detections: Detections, image: npt.NDArray[np.uint8] | None = None) -> Tracks:
        """Take in the next frame. A frame without detections is a frame too: tracklets age in it.

        Args:
            detections: what the detector found in the frame; not changed.
            image: ``(H, W, 3)`` uint8 BGR frame, for trackers that look at it; these do not.

        Returns:
            The confirmed tracklets that were matched in this frame, with their boxes after the filter's update.

        Raises:
            InputError: if appearance is used and the detections have no (finite) embeddings, or of another width
                than before; or if a label is negative.
        """
        tracklets = self._tracklets
        seen = Observations.of(detections, appearance=self.appearance)
        tracklets.check_width(seen)
        self._frame += 1
        confirmed = tracklets.confirmed[self._tracked]
        active, waiting = self._tracked[confirmed], self._tracked[~confirmed]
        tracklets.predict(active, self._lost)
        found = self._associate(active, self._lost, waiting, seen)
        started = tracklets.create(seen, found.starting, self._frame, confirmed=self._frame == 1)
        self._keep_books(found, started)
        return tracklets.tracks(self._tracked[tracklets.confirmed[self._tracked]])

    @abstractmethod
    def _associate(self, active: IndexArray, lost: IndexArray, waiting: IndexArray, seen: Observations) -> Associated:
        """Match tracklets with detections and update the matched ones.

        Args:
            active: slots of confirmed tracklets that were matched in the previous frame, predicted.
            lost: slots of lost tracklets, predicted.
            waiting: slots of unconfirmed tracklets, not predicted.
            seen: the detections of the frame.
        """

    def _stage(
        self, match: Match, slots: IndexArray, columns: IndexArray, seen: Observations, *, learn_appearance: bool = True
    ) -> tuple[npt.NDArray[np.bool_], IndexArray]:
        """Match some tracklets with some detections and update the matched tracklets.

        Args:
            match: the association.
            slots: ``(S,)`` slots of the tracklets.
            columns: ``(C,)`` rows of the detections.
            seen: the detections of the frame.
            learn_appearance: whether matched tracklets learn the embedding of their detection.

        Returns:
            ``(S,)`` bool, which tracklets were matched; and the detections that were not.
        """
        matched = np.zeros(len(slots), bool)
        if not len(slots) or not len(columns):
            return matched, columns
        hits, taken = match(slots, columns, seen)
        self._tracklets.update(slots[hits], seen, columns[taken], self._frame, learn_appearance=learn_appearance)
        matched[hits] = True
        left = np.ones(len(columns), bool)
        left[taken] = False
        return matched, columns[left]

    def _overlap_match(
        self, slots: IndexArray, columns: IndexArray, seen: Observations, *, limit: float, fuse: bool = False
    ) -> tuple[IndexArray, IndexArray]:
        """Associate by overlap alone, weighed by the detection's score if ``fuse``, below ``limit``."""
        rows, taken, cost = overlapping_pairs(self._tracklets.boxes(slots), seen.boxes[columns])
        return assign(rows, taken, fuse_score(cost, seen.scores[columns[taken]]) if fuse else cost, limit)

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


def _is_number(value: object) -> bool:
    """Whether ``value`` is a finite real number, and not a flag."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
