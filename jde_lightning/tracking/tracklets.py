"""The memory of a tracker: everything it knows of all tracklets, as contiguous arrays with one slot per tracklet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections, Tracks
from jde_lightning.tracking import kalman
from jde_lightning.tracking.association import IndexArray, normalise

_SMOOTHING = np.float32(0.9)  # weight of the past in a tracklet's embedding (YOLO11-JDE, FairMOT)
_FIRST_CAPACITY = 64


@dataclass(slots=True)
class Observations:
    """The detections of one frame in the forms that association and filter need.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy pixels.
        scores: ``(N,)`` float32.
        labels: ``(N,)`` int64.
        measurements: ``(4, N)`` float64, see :func:`kalman.measure`.
        embeddings: ``(N, D)`` float32 unit rows, or ``None`` where appearance is not used.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    measurements: kalman.Array
    embeddings: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, detections: Detections, *, appearance: bool) -> Observations:
        """Prepare detections for a tracker.

        Args:
            detections: of one frame; not changed.
            appearance: whether the tracker compares embeddings.

        Raises:
            InputError: if embeddings are needed and missing or not finite, or a label is negative.
        """
        embeddings = None
        if appearance and len(detections):
            if detections.embeddings is None:
                msg = (
                    f"{len(detections)} detections have no embeddings, which this tracker compares: "
                    "give detections with embeddings, or build the tracker with appearance=False"
                )
                raise InputError(msg)
            embeddings = normalise(detections.embeddings)
            if np.isnan(embeddings[:, :1]).any():
                msg = "embeddings of detections must be finite, got NaN or infinity: check the network's Re-ID branch"
                raise InputError(msg)
        if len(detections) and detections.labels.min() < 0:
            msg = f"labels of detections must be class indices from 0, got {detections.labels.min()}"
            raise InputError(msg)
        measurements = kalman.measure(detections.boxes)
        return cls(detections.boxes, detections.scores, detections.labels, measurements, embeddings)


class Tracklets:
    """State of all living tracklets, one slot each.

    Attributes:
        state: ``(5, 4, C)`` float64, see :mod:`kalman`.
        ids: ``(C,)`` int64, counted from 1 as tracklets are created.
        confirmed: ``(C,)`` bool.
        start_frame: ``(C,)`` int64 frame of the first detection.
        last_frame: ``(C,)`` int64 frame of the latest detection.
        scores: ``(C,)`` float32 of the latest detection.
        labels: ``(C,)`` int64 class with the largest sum of scores so far.
        detection_indices: ``(C,)`` int64 row of the latest detection in its frame.
        removal: ``(C,)`` int64 place of the latest entry in the list of removed tracklets, -1 if never removed.
        embeddings: ``(C, D)`` float32 smoothed unit embeddings; ``D`` is 0 until the first one arrives.
        votes: ``(C, K)`` float64 sum of the scores by class.
    """

    def __init__(self) -> None:
        capacity = _FIRST_CAPACITY
        self.state = np.zeros((5, 4, capacity))
        self.ids = np.zeros(capacity, np.int64)
        self.confirmed = np.zeros(capacity, bool)
        self.start_frame = np.zeros(capacity, np.int64)
        self.last_frame = np.zeros(capacity, np.int64)
        self.scores = np.zeros(capacity, np.float32)
        self.labels = np.zeros(capacity, np.int64)
        self.detection_indices = np.zeros(capacity, np.int64)
        self.removal = np.zeros(capacity, np.int64)
        self.embeddings = np.zeros((capacity, 0), np.float32)
        self.votes = np.zeros((capacity, 1))
        self._free = np.ones(capacity, bool)
        self._created = 0

    def create(self, seen: Observations, columns: IndexArray, frame: int, *, confirmed: bool) -> IndexArray:
        """Start one tracklet at each of the given detections.

        Args:
            seen: the detections of the frame.
            columns: ``(K,)`` those that start a tracklet, in the order of the new ids.
            frame: number of the frame.
            confirmed: whether the tracklets need no second match.

        Returns:
            ``(K,)`` slots of the new tracklets.
        """
        count = len(columns)
        if not count:
            return columns
        slots = self._reserve(count)
        self.state[:, :, slots] = kalman.initiate(seen.measurements[:, columns])
        self.ids[slots] = np.arange(self._created + 1, self._created + count + 1)
        self._created += count
        self.confirmed[slots] = confirmed
        self.start_frame[slots] = frame
        self.removal[slots] = -1
        self.labels[slots] = seen.labels[columns]
        self.votes[slots] = 0
        if seen.embeddings is not None:
            self._fit_width(seen.embeddings.shape[1])
            self.embeddings[slots] = seen.embeddings[columns]
        self._note(slots, seen, columns, frame)
        return slots

    def predict(self, tracked: IndexArray, lost: IndexArray) -> None:
        """Move tracklets one frame on; the shape of lost ones is held.

        Args:
            tracked: slots of tracklets that were matched in the previous frame.
            lost: slots of tracklets that were not.
        """
        slots = np.concatenate((tracked, lost))
        state = self.state.take(slots, axis=2)
        state[1, 2:, len(tracked) :] = 0
        self.state[:, :, slots] = kalman.predict(state)

    def update(
        self, slots: IndexArray, seen: Observations, columns: IndexArray, frame: int, *, learn_appearance: bool
    ) -> None:
        """Take in the matched detections and confirm their tracklets.

        Args:
            slots: ``(K,)`` slots of the matched tracklets.
            seen: the detections of the frame.
            columns: ``(K,)`` the detection that each one was matched with.
            frame: number of the frame.
            learn_appearance: whether the embeddings of the tracklets follow those of the detections.
        """
        if not len(slots):
            return
        state = self.state.take(slots, axis=2)
        self.state[:, :, slots] = kalman.update(state, seen.measurements.take(columns, axis=1))
        self.confirmed[slots] = True
        if learn_appearance and seen.embeddings is not None:
            smoothed = self.embeddings.take(slots, axis=0)
            smoothed *= _SMOOTHING
            smoothed += (1 - _SMOOTHING) * seen.embeddings.take(columns, axis=0)
            self.embeddings[slots] = normalise(smoothed)
        self._note(slots, seen, columns, frame)

    def boxes(self, slots: IndexArray) -> npt.NDArray[np.float32]:
        """Boxes ``(K, 4)`` float32 xyxy pixels of the states in ``slots``."""
        return kalman.to_boxes(self.state.take(slots, axis=2))

    def tracks(self, slots: IndexArray) -> Tracks:
        """What the tracklets in ``slots``, all matched in this frame, look like from outside."""
        return Tracks(
            self.boxes(slots), self.ids[slots], self.scores[slots], self.labels[slots], self.detection_indices[slots]
        )

    def keep_only(self, slots: IndexArray) -> None:
        """Forget every tracklet that is not in ``slots``."""
        self._free[:] = True
        self._free[slots] = False

    def check_width(self, seen: Observations) -> None:
        """Refuse embeddings of another width than those of the living tracklets.

        Raises:
            InputError: if the width changed since the last reset.
        """
        known = self.embeddings.shape[1]
        if seen.embeddings is not None and known not in (0, seen.embeddings.shape[1]):
            msg = (
                f"embeddings of detections have {seen.embeddings.shape[1]} numbers, the tracklets' have {known}: "
                "use one network throughout a sequence, and reset() between sequences"
            )
            raise InputError(msg)

    def _note(self, slots: IndexArray, seen: Observations, columns: IndexArray, frame: int) -> None:
        """Record the latest detection of each tracklet and let it vote for its class."""
        scores, labels = seen.scores[columns], seen.labels[columns]
        self.last_frame[slots] = frame
        self.scores[slots] = scores
        self.detection_indices[slots] = columns
        missing = int(labels.max()) + 1 - self.votes.shape[1]
        if missing > 0:
            self.votes = np.pad(self.votes, ((0, 0), (0, missing)))
        self.votes[slots, labels] += scores
        if self.votes.shape[1] == 1:
            return
        # Only the class that was just voted for can have taken the lead; on a tie the tracklet keeps its class.
        leads = self.votes[slots, labels] > self.votes[slots, self.labels[slots]]
        self.labels[slots[leads]] = labels[leads]

    def _reserve(self, count: int) -> IndexArray:
        """Return ``count`` free slots, growing the arrays if there are too few."""
        free = np.flatnonzero(self._free)
        if len(free) < count:
            capacity = len(self.ids)
            extra = max(capacity, count)
            for name in ("ids", "confirmed", "start_frame", "last_frame", "scores", "labels"):
                setattr(self, name, np.pad(getattr(self, name), (0, extra)))
            for name in ("detection_indices", "removal", "_free"):
                setattr(self, name, np.pad(getattr(self, name), (0, extra), constant_values=name == "_free"))
            for name in ("embeddings", "votes"):
                setattr(self, name, np.pad(getattr(self, name), ((0, extra), (0, 0))))
            self.state = np.pad(self.state, ((0, 0), (0, 0), (0, extra)))
            free = np.flatnonzero(self._free)
        slots = free[:count]
        self._free[slots] = False
        return slots

    def _fit_width(self, width: int) -> None:
        """Make room for embeddings of ``width`` numbers when the first ones arrive."""
        if self.embeddings.shape[1] == 0:
            self.embeddings = np.zeros((len(self.ids), width), np.float32)
