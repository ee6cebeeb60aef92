"""Whole trackers against the authors' answers on real and synthetic data, and against a plain second writing."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from plain_tracker import PlainTracker
from tracking_scenes import random_scene

from jde_lightning.boxes import cxcywh_to_xyxy, ltwh_to_xyxy
from jde_lightning.metrics import TrackingMetrics
from jde_lightning.metrics.in_memory import result_rows
from jde_lightning.metrics.mot_challenge import read_ground_truth
from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

TRACKERS = {"yolo11_jde": YOLO11JDETracker, "fairmot": FairMOTTracker}
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "trackers"
KINDS = pytest.mark.parametrize("kind", list(TRACKERS))


# -- the authors' answers ---------------------------------------------------------------------------------------------
def synthetic30(folder):
    data = dict(np.load(folder / "tracker_reference/synthetic30.npz"))
    ends = np.cumsum(data["counts"])
    frames = [
        Detections(cxcywh_to_xyxy(data["xywh"][a:b]), data["scores"][a:b], None, data["embeddings"][a:b])
        for a, b in zip(ends - data["counts"], ends, strict=True)
    ]
    return frames, data


def mot17_09(folder):
    data = dict(np.load(folder / "mot17/mot17_09_yolox_x_ablation_osnet_x025.npz"))
    frames = []
    for frame in range(264, 526):
        mask = data["frame"] == frame
        looks = data["embedding"][mask].astype(np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        frames.append(Detections(ltwh_to_xyxy(data["tlwh"][mask]), data["score"][mask], None, looks))
    return frames, dict(np.load(folder / "tracker_reference/mot17_09_val_half.npz"))


@KINDS
@pytest.mark.parametrize("load", [synthetic30, mot17_09])
def test_answers_equal_the_authors(real_data, load, kind):
    frames, reference = load(real_data)
    tracker, theirs_of, ours_of = TRACKERS[kind](), {}, {}
    for i, detections in enumerate(frames):
        tracks = tracker.update(detections)
        rows = reference[kind][reference[kind][:, 0] == i]
        np.testing.assert_array_equal(tracks.detection_indices, rows[:, 8], err_msg=f"frame {i}")
        np.testing.assert_allclose(tracks.boxes, rows[:, 1:5], atol=1e-3, err_msg=f"frame {i}")
        np.testing.assert_allclose(tracks.scores, rows[:, 6], atol=1e-6)
        np.testing.assert_array_equal(tracks.labels, rows[:, 7])
        for ours, theirs in zip(tracks.ids.tolist(), rows[:, 5].tolist(), strict=True):
            assert theirs_of.setdefault(ours, theirs) == theirs, f"frame {i}"
            assert ours_of.setdefault(theirs, ours) == ours, f"frame {i}"


def test_bytetrack_scores_what_its_authors_code_scores(real_data):
    """The numbers of ``data/README.md``, from ByteTrack with its own thresholds on the same detections."""
    folder = real_data / "mot17"
    rows = np.loadtxt(folder / "det_yolox/MOT17-09.txt", delimiter=",")
    parameters = yaml.safe_load((CONFIGS / "bytetrack.yaml").read_text(encoding="utf-8"))["init_args"]
    tracker, tracks = YOLO11JDETracker(30, **parameters), []
    for frame in range(264, 526):
        found = rows[rows[:, 0] == frame]
        tracks.append(tracker.update(Detections(ltwh_to_xyxy(found[:, 2:6] - [1, 1, 0, 0]), found[:, 6])))
    metrics = TrackingMetrics("mot17")
    truth = read_ground_truth(folder / "gt_val_half/MOT17-09-FRCNN/gt/gt.txt", "mot17", 262)
    metrics.update(truth, result_rows(range(1, 263), tracks))
    scores = {name: float(value) for name, value in metrics.compute().items()}
    got = [round(100 * scores[name], 2) for name in ("HOTA", "MOTA", "IDF1")]
    assert (got, scores["IDSW"]) == ([65.50, 83.05, 77.96], 14)


# -- a second writing of the same algorithm ---------------------------------------------------------------------------
def rows_of(tracks):
    return [tuple(int(v) for v in row) for row in zip(tracks.ids, tracks.detection_indices, tracks.labels, strict=True)]


def assert_same(tracker, plain, scene):
    count = 0
    for i, detections in enumerate(scene):
        got, want = tracker.update(detections), plain.update(detections)
        assert rows_of(got) == [(t.id, t.index, t.label) for t in want], f"frame {i}"
        np.testing.assert_allclose(got.boxes, np.reshape([t.box for t in want], (-1, 4)), atol=1e-3)
        np.testing.assert_array_equal(got.scores, np.array([t.score for t in want], np.float32))
        if want and want[0].embedding is not None:
            memory = tracker._tracklets
            slots = [int(np.flatnonzero((memory.ids == t.id) & ~memory._free)[0]) for t in want]
            np.testing.assert_allclose(memory.embeddings[slots], [t.embedding for t in want], atol=1e-4)
        count += len(got)
    return count


SCENES = {
    "usual": {},
    "one class": {"classes": 1, "frames": 40},
    "dense": {"objects": 35, "frames": 35},
    "sparse": {"objects": 2, "frames": 80},
    "ambiguous looks": {"look_noise": 0.4, "frames": 40},
    "useless looks": {"look_noise": 0.5, "frames": 30},
    "low scores": {"low": 0.4, "miss": 0.1},
    "gaps": {"occlusion": 0.06, "frames": 80, "objects": 10},
    "empty frames": {"empty": 0.4},
    "jumps": {"jitter": 0.1, "frames": 40},
    "clutter": {"clutter": 1.0, "frames": 40, "objects": 10},
}


@KINDS
@pytest.mark.parametrize("name", list(SCENES))
def test_answers_equal_plain_tracker(kind, name):
    scene = random_scene(sum(map(ord, name)), **SCENES[name])
    assert assert_same(TRACKERS[kind](), PlainTracker(kind), scene) > 50


@KINDS
@pytest.mark.parametrize("name", ["usual", "low scores", "gaps"])
def test_motion_only_equals_plain_tracker(kind, name):
    scene = [Detections(d.boxes, d.scores, d.labels) for d in random_scene(7, **SCENES[name])]
    tracker, plain = TRACKERS[kind](appearance=False), PlainTracker(kind, appearance=False)
    assert assert_same(tracker, plain, scene) > 100


@KINDS
@pytest.mark.parametrize("appearance", [True, False])
@pytest.mark.parametrize("name", ["usual", "low scores", "gaps"])
def test_class_aware_equals_plain_tracker(kind, name, appearance):
    scene = random_scene(17, **{**SCENES[name], "classes": 3})
    plain = PlainTracker(kind, class_aware=True, appearance=appearance)
    assert assert_same(TRACKERS[kind](class_aware=True, appearance=appearance), plain, scene) > 50


def test_low_frame_rate_preset_equals_plain_tracker():
    parameters = yaml.safe_load((CONFIGS / "low_frame_rate.yaml").read_text(encoding="utf-8"))["init_args"]
    assert (parameters["motion_gate"], parameters["motion_weight"]) == (np.inf, 0.0)
    scene = random_scene(12, frames=160, objects=12, low=0.2)[::8]
    for extra in ({}, {"class_aware": True}):
        plain = PlainTracker("yolo11_jde", **parameters, **extra)
        assert assert_same(YOLO11JDETracker(**parameters, **extra), plain, scene) > 50


@pytest.mark.parametrize(("gate", "weight"), [(40.0, 0.02), (np.inf, 0.005), (9.4877, 0.0)])
def test_wider_motion_gates_equal_plain_tracker(gate, weight):
    scene = random_scene(29, frames=90, objects=10, low=0.2)[::3]
    parameters = {"motion_gate": gate, "motion_weight": weight, "proximity_thresh": 1.0, "min_weight": 0.3}
    assert assert_same(YOLO11JDETracker(**parameters), PlainTracker("yolo11_jde", **parameters), scene) > 30


@pytest.mark.parametrize("appearance", [True, False])
def test_unconfirmed_by_appearance_equals_plain_tracker(appearance):
    scene = random_scene(23, frames=60, objects=10, low=0.2)[::3]
    parameters = {"new_appearance": True, "appearance": appearance, "proximity_thresh": 1.0, "min_weight": 0.3}
    assert assert_same(YOLO11JDETracker(**parameters), PlainTracker("yolo11_jde", **parameters), scene) > 30


def test_who_has_left_the_first_box_is_confirmed_by_appearance_only():
    look = np.eye(4, dtype=np.float32)[:1]
    places = (np.array([[100 + 300 * step, 100, 140 + 300 * step, 200]], np.float32) for step in range(3))
    scene = [Detections.empty(4)]  # whoever comes after the first frame is unconfirmed at first
    scene += [Detections(place, np.ones(1, np.float32), np.zeros(1, np.int64), look) for place in places]
    parameters = yaml.safe_load((CONFIGS / "low_frame_rate.yaml").read_text(encoding="utf-8"))["init_args"]
    for new_appearance, expected in ((True, [[], [], [1], [1]]), (False, [[], [], [], []])):
        tracker = YOLO11JDETracker(**{**parameters, "new_appearance": new_appearance, "explain": True})
        assert [tracker.update(detections).ids.tolist() for detections in scene] == expected


@KINDS
def test_short_buffer_equals_plain_tracker_and_meets_late_rescues(kind):
    plain = PlainTracker(kind, track_buffer=3)
    assert_same(TRACKERS[kind](track_buffer=3), plain, random_scene(1, frames=150, occlusion=0.1, objects=10))
    assert plain.events["refound_after_removal"] > 0
    assert plain.events["refound"] > plain.events["refound_after_removal"]


@KINDS
def test_scenes_meet_duplicates_and_second_stage(kind):
    events = {"duplicates": 0, "second": 0}
    parameters = {"second_match_thresh": 0.5} if kind == "yolo11_jde" else {}
    for name in ("ambiguous looks", "low scores"):
        plain = PlainTracker(kind, **parameters)
        assert_same(TRACKERS[kind](**parameters), plain, random_scene(3, **SCENES[name]))
        events = {k: v + plain.events[k] for k, v in events.items()}
    assert min(events.values()) > 0, events


@KINDS
def test_loose_limits_leave_the_decision_to_the_motion_gate(kind):
    own = {"conf_thresh": 0.4, "first_match_thresh": 0.4, "second_match_thresh": 0.5, "track_buffer": 30}
    parameters = own if kind == "fairmot" else {"first_match_thresh": 1.0, "gate_thresh": 0.9}
    scene = random_scene(8, frames=50, jitter=0.12)
    assert assert_same(TRACKERS[kind](**parameters), PlainTracker(kind, **parameters), scene) > 100


@KINDS
def test_frame_rate_scales_the_buffer_equally(kind):
    scene = random_scene(2, frames=60, occlusion=0.06, objects=8)
    assert_same(TRACKERS[kind](10, track_buffer=10), PlainTracker(kind, 10, track_buffer=10), scene)


def random_parameters(rng):
    names = "new_track_thresh first_match_thresh second_match_thresh new_match_thresh proximity_thresh "
    names += "appearance_thresh gate_thresh appearance_weight min_weight"
    parameters = {name: int(rng.integers(21)) / 20 for name in names.split()}
    parameters["track_high_thresh"] = int(rng.integers(2, 15)) / 20
    parameters |= {name: bool(rng.integers(2)) for name in ("first_fuse", "second_fuse", "new_fuse")}
    return parameters | {"track_buffer": int(rng.integers(0, 11)) * 10}


@pytest.mark.parametrize("seed", range(12))
def test_any_parameters_of_the_search_space_equal_plain_tracker(seed):
    """Some parameters let pairs match that have nothing in common; ties among them are decided as by the authors."""
    parameters = random_parameters(np.random.default_rng(seed))
    scene = random_scene(seed, frames=25, objects=10, low=0.3)
    assert_same(YOLO11JDETracker(**parameters), PlainTracker("yolo11_jde", full_lap=True, **parameters), scene)


@pytest.mark.parametrize(("gate", "proximity", "fuse"), [(1.0, 0.3, True), (1.0, 0.0, False), (0.4, 1.0, True)])
def test_pairs_beyond_the_proximity_match_where_the_weights_let_them(gate, proximity, fuse):
    parameters = {
        "gate_thresh": gate,
        "proximity_thresh": proximity,
        "first_fuse": fuse,
        "appearance_weight": 0.3,
        "min_weight": 0.6,
    }
    scene = random_scene(11, frames=40)
    tracker = YOLO11JDETracker(**parameters)
    assert_same(tracker, PlainTracker("yolo11_jde", **parameters), scene)


def test_scenes_can_tell_a_predicted_unconfirmed_tracklet():
    with pytest.raises(AssertionError):
        assert_same(YOLO11JDETracker(), PlainTracker("yolo11_jde", predict_unconfirmed=True), random_scene(0))
