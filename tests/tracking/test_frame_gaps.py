"""Frames that nobody looked at: tracklets move and age through the gap, and nobody is lost for it."""

import numpy as np
import pytest
from tracking_scenes import random_scene

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

TRACKERS = pytest.mark.parametrize("tracker_class", [YOLO11JDETracker, FairMOTTracker])
HERE, THERE = [200, 200, 260, 350], [600, 200, 660, 350]


def frame(*boxes, score=0.9):
    n = len(boxes)
    return Detections(np.reshape(boxes, (n, 4)), np.full(n, score), None, np.ones((n, 2)))


def states(tracker):
    memory = tracker._tracklets
    slots = np.concatenate((tracker._tracked, tracker._lost))
    slots = slots[np.argsort(memory.ids[slots])]
    return memory.ids[slots], memory.state[:, :, slots], memory.boxes(slots)


@TRACKERS
@pytest.mark.parametrize("gap", [2, 3, 7])
def test_filter_goes_through_a_gap_as_through_frames_without_detections(tracker_class, gap):
    """Noise, positions and held shapes alike. Confirmed tracklets only: an empty frame would end the others."""
    skipped, watched = tracker_class(), tracker_class()
    for detections in random_scene(3, frames=12, clutter=0, empty=0, leave=0, miss=0, occlusion=0, low=0):
        skipped.update(detections)
        watched.update(detections)
    skipped.update(Detections.empty(16), elapsed_frames=gap)
    for _ in range(gap):
        watched.update(Detections.empty(16))
    for got, want in zip(states(skipped), states(watched), strict=True):
        np.testing.assert_array_equal(got, want)


@TRACKERS
def test_a_walker_is_found_again_where_the_gap_took_him(tracker_class):
    def at(t):
        return frame([100 + 9 * t, 200, 160 + 9 * t, 350])

    for told, found in ((True, [1]), (False, [])):
        tracker = tracker_class(appearance=False)
        for t in range(10):
            tracker.update(at(t))
        after = tracker.update(at(19), elapsed_frames=10 if told else 1)
        assert after.ids.tolist() == found


@TRACKERS
def test_a_gap_does_not_lose_anybody(tracker_class):
    """The second sight confirms, and a tracked person may still be found by a weak detection."""
    tracker = tracker_class()
    tracker.update(frame(HERE))
    tracker.update(frame(HERE, THERE))
    assert tracker.update(frame(HERE, THERE), elapsed_frames=5).ids.tolist() == [1, 2]
    tracker = YOLO11JDETracker(second_match_thresh=0.3)
    tracker.update(frame(HERE))
    assert tracker.update(frame(HERE, score=0.12), elapsed_frames=3).ids.tolist() == [1]


@TRACKERS
@pytest.mark.parametrize(("gap", "found"), [(12, [1]), (13, [])])
def test_memory_is_time_and_not_calls(tracker_class, gap, found):
    """As long as through frames without detections: buffer 10 and the last chance, see test_tracker_base."""
    tracker = tracker_class(track_buffer=10)
    tracker.update(frame(HERE))
    tracker.update(frame(HERE))
    watched = tracker_class(track_buffer=10)
    watched.update(frame(HERE))
    watched.update(frame(HERE))
    for _ in range(gap - 1):
        watched.update(Detections.empty(2))
    assert watched.update(frame(HERE)).ids.tolist() == found
    assert tracker.update(frame(HERE), elapsed_frames=gap).ids.tolist() == found


@TRACKERS
def test_gap_of_hours_ends_everything_at_once(tracker_class):
    tracker = tracker_class()
    for detections in random_scene(4, frames=10, dim=2):
        tracker.update(detections)
    assert len(tracker._tracked)
    assert len(tracker.update(frame(HERE), elapsed_frames=10**9)) == 0
    assert len(tracker._tracked) == 1
    assert not len(tracker._lost)
    assert len(tracker.update(frame(HERE))) == 1


@TRACKERS
def test_first_call_is_the_first_frame_whatever_elapsed(tracker_class):
    tracker = tracker_class()
    assert tracker.update(frame(HERE), elapsed_frames=250).ids.tolist() == [1]
    assert tracker.update(frame(HERE, THERE)).ids.tolist() == [1]


@TRACKERS
def test_one_elapsed_frame_is_the_default(tracker_class):
    one, two = tracker_class(), tracker_class()
    for detections in random_scene(6, frames=20):
        np.testing.assert_array_equal(one.update(detections).boxes, two.update(detections, elapsed_frames=1).boxes)


@TRACKERS
@pytest.mark.parametrize("value", [0, -2, 1.5, "2", None, float("nan")])
def test_elapsed_frames_are_checked_and_the_tracker_stays_as_it_was(tracker_class, value):
    tracker = tracker_class()
    tracker.update(frame(HERE))
    with pytest.raises(InputError, match="elapsed_frames must be a whole number of frames since .*, at least 1, got"):
        tracker.update(frame(HERE), elapsed_frames=value)
    assert tracker._frame == 1
    tracker.update(frame(HERE), elapsed_frames=np.int64(2))
    assert tracker._frame == 3
