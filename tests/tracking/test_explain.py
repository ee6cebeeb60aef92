"""Records of decisions: one scene in which every rule decides once, and agreement with what the tracker did."""

import numpy as np
import pytest
from tracking_scenes import random_scene

from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker
from jde_lightning.tracking.explain import AssociationRecord, Decision
from jde_lightning.tracking.kalman import CHI2_95_4DOF

TRACKERS = pytest.mark.parametrize("tracker_class", [YOLO11JDETracker, FairMOTTracker])
EAST, NORTH, UP = np.eye(3)
BOX = np.array([0.0, 0, 60, 150])


def at(x, y=200.0):
    return (BOX + np.array([x, y, x, y])).tolist()


def turned(degrees):
    """A look that is so far from EAST."""
    return np.cos(np.radians(degrees)) * EAST + np.sin(np.radians(degrees)) * NORTH


def frame(*rows):
    """Rows of (box, look, score, label)."""
    boxes, looks, scores, labels = ([row[i] for row in rows] for i in range(4))
    return Detections(np.reshape(boxes, (-1, 4)), scores, labels, np.reshape(looks, (-1, 3)))


def table(record):
    """``{(stage, id, detection): decision}``."""
    keys = zip(record.stage.tolist(), record.track_ids.tolist(), record.detection_indices.tolist(), strict=True)
    return dict(zip(keys, map(Decision, record.decisions.tolist()), strict=True))


def one(record, stage, track, detection):
    found = record[(record.stage == stage) & (record.track_ids == track) & (record.detection_indices == detection)]
    assert len(found) == 1
    return {name: getattr(found, name)[0] for name in AssociationRecord.__slots__}


FIRST = [(at(300 * i), EAST, 0.9, 0) for i in range(7)]


def test_every_rule_decides_once():
    """Seven people who look alike, far from each other; in the next frame something else happens to each."""
    tracker = YOLO11JDETracker(
        explain=True, class_aware=True, proximity_thresh=0.8, appearance_thresh=0.9, gate_thresh=0.3
    )
    tracker.update(frame(*FIRST))
    assert len(tracker.explanations) == 0
    tracker.update(
        frame(
            (at(0), EAST, 0.9, 0),  # 0: nothing happened
            (at(300), EAST, 0.9, 1),  # 1: the class changed
            (at(600, 280), EAST, 0.9, 0),  # 2: too far for the motion gate, but overlapping
            (at(900 + 37), EAST, 0.7, 0),  # 3: within the gate, with too little overlap
            (at(1200), turned(88), 0.9, 0),  # 4: looks like somebody else: appearance_thresh
            (at(1500), turned(60), 0.9, 0),  # 5: looks rather like somebody else: gate_thresh
            (at(1801), turned(10), 0.9, 0),  # 6: two for one person: this one a little worse
            (at(1800), EAST, 0.9, 0),  # 7: and this one better
        )
    )
    record = tracker.explanations
    assert table(record) == {
        (1, 1, 0): Decision.MATCHED,
        (1, 2, 1): Decision.CLASS,
        (1, 3, 2): Decision.MOTION,
        (1, 4, 3): Decision.PROXIMITY,
        (1, 5, 4): Decision.APPEARANCE,
        (1, 6, 5): Decision.LOOK_GATE,
        (1, 7, 6): Decision.OUTBID,
        (1, 7, 7): Decision.MATCHED,
    }
    match = one(record, 1, 1, 0)
    assert match["iou_distance"] == pytest.approx(0, abs=1e-6)
    assert match["fused_distance"] == pytest.approx(0.1, abs=1e-6)
    assert match["motion_distance"] == pytest.approx(0, abs=1e-6)
    assert match["cosine_distance"] == pytest.approx(0, abs=1e-6)
    assert match["cost"] == pytest.approx(0.55 * 0.1, abs=1e-6)
    assert match["limit"] == 0.7
    assert one(record, 1, 2, 1)["cost"] == np.inf
    assert one(record, 1, 3, 2)["motion_distance"] > CHI2_95_4DOF
    far = one(record, 1, 4, 3)
    assert far["iou_distance"] == pytest.approx(1 - 23 / 97, abs=1e-6)
    assert far["fused_distance"] == pytest.approx(1 - 0.7 * 23 / 97, abs=1e-6)
    assert far["motion_distance"] < CHI2_95_4DOF
    assert far["cost"] == pytest.approx(0.55 + 1.0)
    assert one(record, 1, 5, 4)["cosine_distance"] == pytest.approx(1 - np.cos(np.radians(88)), abs=1e-6)
    gated = one(record, 1, 6, 5)
    assert gated["cosine_distance"] == pytest.approx(0.5, abs=1e-6)
    assert gated["cost"] == pytest.approx(0.55 + 0.98 * 0.5, abs=1e-6)


def test_limits_and_later_stages():
    tracker = YOLO11JDETracker(explain=True, second_match_thresh=0.3, first_match_thresh=0.3)
    tracker.update(frame((at(0), EAST, 0.9, 0), (at(300), EAST, 0.9, 0), (at(600), EAST, 0.9, 0)))
    tracker.update(
        frame(
            (at(0), EAST, 0.9, 0),
            (at(330), turned(50), 0.9, 0),  # stage 1: over the limit; stage 3 has nobody for it; starts 4
            (at(604), EAST, 0.12, 0),  # stage 2: weak, matched
        )
    )
    assert table(tracker.explanations) == {
        (1, 1, 0): Decision.MATCHED,
        (1, 2, 1): Decision.OVER_LIMIT,
        (2, 3, 2): Decision.MATCHED,
    }
    second = one(tracker.explanations, 2, 3, 2)
    assert second["limit"] == 0.3
    assert second["cost"] == second["iou_distance"] == pytest.approx(1 - 56 / 64, abs=1e-5)
    assert np.isnan([second["fused_distance"], second["motion_distance"], second["cosine_distance"]]).all()
    tracker.update(frame((at(0), EAST, 0.9, 0), (at(330), turned(50), 0.8, 0)))
    third = one(tracker.explanations, 3, 4, 1)
    assert third["decisions"] == Decision.MATCHED
    assert third["fused_distance"] == third["cost"] == pytest.approx(0.2, abs=1e-6)


def test_fairmot():
    tracker = FairMOTTracker(explain=True, class_aware=True)
    tracker.update(frame(*FIRST[:5]))
    tracker.update(
        frame(
            (at(0), EAST, 0.9, 0),
            (at(300), turned(60), 0.9, 0),  # stage 1: over the limit; stage 2: matched
            (at(600, 280), EAST, 0.9, 0),  # stage 1: outside the motion gate; stage 2: matched
            (at(900), EAST, 0.9, 1),
            (at(1200), EAST, 0.9, 0),
            (at(1201), turned(5), 0.9, 0),
        )
    )
    assert table(tracker.explanations) == {
        (1, 1, 0): Decision.MATCHED,
        (1, 2, 1): Decision.OVER_LIMIT,
        (1, 3, 2): Decision.MOTION,
        (1, 4, 3): Decision.CLASS,
        (1, 5, 4): Decision.MATCHED,
        (1, 5, 5): Decision.OUTBID,
        (2, 2, 1): Decision.MATCHED,
        (2, 3, 2): Decision.MATCHED,
        (2, 4, 3): Decision.CLASS,
    }
    assert one(tracker.explanations, 1, 2, 1)["cost"] == pytest.approx(0.98 * 0.5, abs=1e-6)
    assert one(tracker.explanations, 1, 3, 2)["cost"] == np.inf
    assert one(tracker.explanations, 1, 3, 2)["cosine_distance"] == pytest.approx(0, abs=1e-6)


VARIANTS = [
    (YOLO11JDETracker, {}),
    (YOLO11JDETracker, {"appearance": False}),
    (YOLO11JDETracker, {"class_aware": True, "second_match_thresh": 0.5}),
    (
        YOLO11JDETracker,
        {
            "motion_gate": float("inf"),
            "motion_weight": 0.0,
            "proximity_thresh": 1.0,
            "gate_thresh": 1.0,
            "min_weight": 0.2,
        },
    ),
    (FairMOTTracker, {}),
    (FairMOTTracker, {"appearance": False}),
    (FairMOTTracker, {"class_aware": True}),
]


@pytest.mark.parametrize(("tracker_class", "parameters"), VARIANTS)
def test_records_agree_with_what_the_tracker_did_and_change_nothing(tracker_class, parameters):
    tracker, silent = tracker_class(explain=True, **parameters), tracker_class(**parameters)
    rows = 0
    for detections in random_scene(21, frames=40, low=0.2, look_noise=0.3):
        tracks, same = tracker.update(detections), silent.update(detections)
        np.testing.assert_array_equal(tracks.ids, same.ids)
        np.testing.assert_array_equal(tracks.boxes, same.boxes)
        record = tracker.explanations
        rows += len(record)
        matched = record[record.decisions == Decision.MATCHED]
        pairs = set(zip(matched.track_ids.tolist(), matched.detection_indices.tolist(), strict=True))
        answered = set(zip(tracks.ids.tolist(), tracks.detection_indices.tolist(), strict=True))
        if tracker._frame > 1:
            assert answered <= pairs  # duplicates are removed after the association
        below = record.cost < record.limit
        np.testing.assert_array_equal(below, np.isin(record.decisions, [Decision.MATCHED, Decision.OUTBID]))
        assert (record.track_ids > 0).all()
        assert (record.stage[:-1] <= record.stage[1:]).all()
        assert len(record) == len({*zip(record.stage, record.track_ids, record.detection_indices, strict=True)})
        for taken in (matched.track_ids, matched.detection_indices):
            assert len(taken) == len(set(taken.tolist()))
    assert rows > 300
    assert silent.explanations is None


@TRACKERS
def test_nothing_to_explain(tracker_class):
    tracker = tracker_class(explain=True)
    assert tracker.explanations is None
    for detections in (Detections.empty(3), frame(*FIRST[:1]), Detections.empty(3), Detections.empty(3)):
        tracker.update(detections)
        assert len(tracker.explanations) == 0
        assert tracker.explanations.cost.dtype == np.float64
        assert tracker.explanations.track_ids.dtype == np.int64
    tracker.reset()
    assert tracker.explanations is None


def test_a_row_is_looked_up_by_track():
    tracker = YOLO11JDETracker(explain=True)
    for _ in range(2):
        tracker.update(frame(*FIRST))
    mine = tracker.explanations[tracker.explanations.track_ids == 3]
    assert mine.detection_indices.tolist() == [2]
    assert [Decision(d).name for d in mine.decisions] == ["MATCHED"]
