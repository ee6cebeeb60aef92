"""The memory of a tracker: everything it knows of all tracklets, as contiguous arrays with one slot per tracklet."""

from __future__ import annotations

import math
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
            InputError: if they are no :class:`Detections`, arrays differ in length, a box has a negative side, a score
                is outside 0..1, a label is negative, a number is not finite, or embeddings are needed and missing.
        """
        _check(detections)
        embeddings = None
        if appearance and len(detections):
            if detections.embeddings is None:
                msg = (
                    f"{len(detections)} detections have no embeddings, which this tracker compares: "
                    "give detections with embeddings, or build the tracker with appearance=False"
                )
                raise InputError(msg)
            if len(detections.embeddings) != len(detections):
                msg = f"{len(detections)} detections have {len(detections.embeddings)} embeddings: give one for each"
                raise InputError(msg)
            embeddings = normalise(detections.embeddings)
            if np.isnan(embeddings[:, :1]).any():
                msg = "embeddings of detections must be finite, got NaN or infinity: check the network's Re-ID branch"
                raise InputError(msg)
        measurements = kalman.measure(detections.boxes)
        return cls(detections.boxes, detections.scores, detections.labels, measurements, embeddings)


def _check(detections: Detections) -> None:
    """Refuse what no detector should give; arrays can have been changed since ``Detections`` looked at them."""
    if not isinstance(detections, Detections):
        msg = (
            f"a tracker is updated with Detections, got {type(detections).__name__}: make them with "
            "Detections(boxes, scores, labels, embeddings), Detections.empty() for a frame without"
        )
        raise InputError(msg)
    boxes, scores, labels = detections.boxes, detections.scores, detections.labels
    if not len(boxes) == len(scores) == len(labels):
        msg = (
            f"boxes, scores and labels of detections must be equally many, got {len(boxes)}, {len(scores)} and "
            f"{len(labels)}: select from all of them alike, as detections[mask] does"
        )
        raise InputError(msg)
    if not len(boxes):
        return
    sides = boxes[:, 2:] - boxes[:, :2]  # NaN or infinite where a corner is
    if not (sides.min() >= 0 and sides.max() < math.inf):
        row = int(np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)))[0])
        msg = (
            f"box of detection {row} must be finite xyxy pixels with x1 <= x2 and y1 <= y2, got "
            f"{boxes[row].tolist()}: convert other formats with jde_lightning.boxes first"
        )
        raise InputError(msg)
    if not (scores.min() >= 0 and scores.max() <= 1):
        row = int(np.flatnonzero(~((scores >= 0) & (scores <= 1)))[0])
        msg = (
            f"scores of detections must be confidences in 0..1, got {scores[row]:g} for detection {row}: "
            "put logits through a sigmoid, divide per cent by 100"
        )
        raise InputError(msg)
    if labels.min() < 0:
        msg = f"labels of detections must be class indices from 0, got {labels.min()}"
        raise InputError(msg)


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
        self._boxes = np.zeros((capacity, 4), np.float32)
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
        self._set_state(slots, kalman.initiate(seen.measurements[:, columns]))
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

    def predict(self, tracked: IndexArray, lost: IndexArray, steps: int = 1) -> None:
        """Move tracklets on in time; the shape of lost ones is held, and after the first step that of all.

        So the states after several steps are those after as many frames in which nothing was detected.

        Args:
            tracked: slots of tracklets that were matched in the previous frame.
            lost: slots of tracklets that were not.
            steps: number of frames, at least 1.
        """
        slots = np.concatenate((tracked, lost))
        if not len(slots):
            return
        state = self.state.take(slots, axis=2)
        state[1, 2:, len(tracked) :] = 0
        state = kalman.predict(state)
        for _ in range(steps - 1):
            state[1, 2:] = 0
            state = kalman.predict(state)
        self._set_state(slots, state)

    def warp(self, slots: IndexArray, transform: kalman.Array) -> None:
        """Move tracklets along with a moving camera, see :func:`kalman.warp`.

        Args:
            slots: ``(K,)`` slots of the tracklets.
            transform: ``(2, 3)`` from the pixels of the previous frame to those of this one.
        """
        if len(slots):
            self._set_state(slots, kalman.warp(self.state.take(slots, axis=2), transform))

    def update(
        self, slots: IndexArray, seen: Observations, columns: IndexArray, frame: int, *, learning: int | None = None
    ) -> None:
        """Take in the matched detections and confirm their tracklets.

        Args:
            slots: ``(K,)`` slots of the matched tracklets.
            seen: the detections of the frame.
            columns: ``(K,)`` the detection that each one was matched with.
            frame: number of the frame.
            learning: how many of the tracklets, from the first, let their embeddings follow those of their
                detections; all if ``None``.
        """
        if not len(slots):
            return
        state = self.state.take(slots, axis=2)
        self._set_state(slots, kalman.update(state, seen.measurements.take(columns, axis=1)))
        self.confirmed[slots] = True
        self._note(slots, seen, columns, frame)
        if seen.embeddings is not None and learning != 0:
            slots, columns = slots[:learning], columns[:learning]
            smoothed = self.embeddings.take(slots, axis=0)
            smoothed *= _SMOOTHING
            smoothed += (1 - _SMOOTHING) * seen.embeddings.take(columns, axis=0)
            self.embeddings[slots] = normalise(smoothed)

    def boxes(self, slots: IndexArray) -> npt.NDArray[np.float32]:
        """Boxes ``(K, 4)`` float32 xyxy pixels of the states in ``slots``."""
        return self._boxes.take(slots, axis=0)

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

    def _set_state(self, slots: IndexArray, state: kalman.Array) -> None:
        """Store states and their boxes, which are asked for several times a frame."""
        self.state[:, :, slots] = state
        self._boxes[slots] = kalman.to_boxes(state)

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
            for name in ("embeddings", "votes", "_boxes"):
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
