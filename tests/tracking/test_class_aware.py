"""Tracklets that only take detections of their own class; equality with the plain tracker is in the oracles' tests."""

import numpy as np
import pytest

from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

TRACKERS = pytest.mark.parametrize("tracker_class", [YOLO11JDETracker, FairMOTTracker])
HERE = [200, 200, 260, 350]
PERSON, BICYCLE = 0, 1


def frame(*labels, score=0.9):
    """All detections in the same place, and of the same looks."""
    n = len(labels)
    return Detections([HERE] * n, np.full(n, score), labels, np.ones((n, 2)))


def ids_by_label(tracks):
    return dict(zip(tracks.labels.tolist(), tracks.ids.tolist(), strict=True))


@TRACKERS
@pytest.mark.parametrize("appearance", [True, False])
def test_rider_and_bicycle_in_one_place_keep_apart(tracker_class, appearance):
    tracker = tracker_class(class_aware=True, appearance=appearance)
    for labels in ((PERSON, BICYCLE), (BICYCLE, PERSON), (PERSON, BICYCLE)):
        assert ids_by_label(tracker.update(frame(*labels))) == {PERSON: 1, BICYCLE: 2}
    assert tracker.update(frame(BICYCLE)).ids.tolist() == [2]
    assert ids_by_label(tracker.update(frame(BICYCLE, PERSON))) == {PERSON: 1, BICYCLE: 2}


@TRACKERS
@pytest.mark.parametrize(("class_aware", "found"), [(False, [1]), (True, [])])
def test_stage_of_tracked_and_lost(tracker_class, class_aware, found):
    tracker = tracker_class(class_aware=class_aware)
    tracker.update(frame(PERSON))
    assert tracker.update(frame(BICYCLE)).ids.tolist() == found
    tracker = tracker_class(class_aware=class_aware)
    tracker.update(frame(PERSON))
    tracker.update(frame())
    assert tracker.update(frame(BICYCLE)).ids.tolist() == found


@pytest.mark.parametrize(("class_aware", "found"), [(False, [1]), (True, [])])
def test_stage_of_weak_detections(class_aware, found):
    tracker = YOLO11JDETracker(class_aware=class_aware, second_match_thresh=0.5)
    tracker.update(frame(PERSON))
    assert tracker.update(frame(BICYCLE, score=0.12)).ids.tolist() == found


@TRACKERS
@pytest.mark.parametrize(("class_aware", "found"), [(False, [1]), (True, [])])
def test_stage_of_unconfirmed_tracklets(tracker_class, class_aware, found):
    tracker = tracker_class(class_aware=class_aware)
    tracker.update(frame())
    tracker.update(frame(PERSON))
    assert tracker.update(frame(BICYCLE)).ids.tolist() == found


@TRACKERS
@pytest.mark.parametrize(("class_aware", "lost"), [(False, 0), (True, 1)])
def test_lost_and_tracked_of_two_classes_in_one_place_are_no_duplicates(tracker_class, class_aware, lost):
    tracker = tracker_class(class_aware=class_aware)
    tracker.update(frame(PERSON, BICYCLE))
    tracker.update(frame(PERSON, BICYCLE))
    tracks = tracker.update(frame(BICYCLE))
    assert len(tracks) == 1
    assert not class_aware or tracks.ids.tolist() == [2]
    assert len(tracker._lost) == lost


@TRACKERS
def test_off_by_default(tracker_class):
    assert tracker_class().class_aware is False
