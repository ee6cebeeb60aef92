"""Against the other projects themselves, where they are installed; embeddings that decide show that they arrived."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from jde_lightning.errors import InputError
from jde_lightning.inference import (
    detections_from_supervision,
    detections_from_ultralytics,
    to_boxmot,
    to_rows,
    to_supervision,
    tracks_from_rows,
    tracks_from_supervision,
    tracks_from_ultralytics,
)
from jde_lightning.structures import Detections, Tracks
from jde_lightning.tracking import YOLO11JDETracker

SHAPE = (480, 640)


def some_detections(n=5, embed_dim=8, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 300, (n, 2))
    looks = rng.normal(size=(n, embed_dim))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 90, (n, 2))], axis=1)
    labels = rng.integers(0, 2, n)
    return Detections(boxes, rng.uniform(0.5, 1, n), labels, looks / np.linalg.norm(looks, axis=1, keepdims=True))


def some_tracks():
    found = some_detections(3)
    return Tracks(found.boxes, [7, 1, 12], found.scores, found.labels, [2, 0, -1])


def assert_same(left, right):
    for name in left.__dataclass_fields__:
        mine, theirs = getattr(left, name), getattr(right, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            assert mine.dtype == theirs.dtype, name
            np.testing.assert_allclose(mine, theirs, rtol=1e-6, err_msg=name)


@pytest.fixture
def sv():
    return pytest.importorskip("supervision")


def test_detections_to_supervision_and_back(sv):
    found = some_detections()
    theirs = to_supervision(found, class_names=["person", "dog"])
    assert isinstance(theirs, sv.Detections)
    assert list(theirs["class_name"]) == [["person", "dog"][i] for i in found.labels]
    assert_same(detections_from_supervision(theirs), found)
    # supervision's own selection keeps rows and embeddings together
    confident = theirs[theirs.confidence > np.median(theirs.confidence)]
    assert_same(detections_from_supervision(confident), found[found.scores > np.median(found.scores)])


def test_tracks_to_supervision_and_back(sv):
    tracks, found = some_tracks(), some_detections(3)
    theirs = to_supervision(tracks, detections=found)
    assert_same(tracks_from_supervision(theirs), tracks)
    np.testing.assert_array_equal(theirs.data["embedding"], [found.embeddings[2], found.embeddings[0], np.zeros(8)])
    image = np.zeros((*SHAPE, 3), np.uint8)
    assert sv.BoxAnnotator().annotate(image.copy(), theirs).any()


def test_nothing_found_to_supervision_and_back(sv):
    assert_same(detections_from_supervision(to_supervision(Detections.empty(8))), Detections.empty(8))
    assert len(tracks_from_supervision(to_supervision(Tracks.empty()))) == 0


def test_ids_of_trackers_that_begin_at_0(sv):
    theirs = to_supervision(some_detections(3))
    theirs.tracker_id = np.array([0, -1, 4])
    tracks = tracks_from_supervision(theirs, first_id=0)
    assert list(tracks.ids) == [1, 5]
    assert list(tracks.detection_indices) == [0, 2]
    with pytest.raises(InputError, match="first_id=0"):
        tracks_from_supervision(theirs)


def test_what_supervision_lacks(sv):
    bare = sv.Detections(xyxy=np.array([[0.0, 0, 10, 10]]))
    with pytest.raises(InputError, match="no confidence"):
        detections_from_supervision(bare)
    with pytest.raises(InputError, match="no tracker_id"):
        tracks_from_supervision(bare)
    with pytest.raises(InputError, match="label 1 has no name"):
        to_supervision(Detections([[0, 0, 9, 9]], [0.5], [1]), class_names=["person"])


def test_rows_are_those_of_ultralytics():
    from ultralytics.engine.results import Boxes, Results

    found, tracks = some_detections(), some_tracks()
    boxes = Boxes(to_rows(found), SHAPE)
    np.testing.assert_array_equal(boxes.xyxy, found.boxes)
    np.testing.assert_array_equal(boxes.conf, found.scores)
    np.testing.assert_array_equal(boxes.cls, found.labels)
    image = np.zeros((*SHAPE, 3), np.uint8)
    results = Results(image, "a.jpg", {0: "person", 1: "dog"}, boxes=torch.from_numpy(to_rows(tracks)))
    np.testing.assert_array_equal(results.boxes.id, tracks.ids)
    back = tracks_from_ultralytics(results)
    np.testing.assert_array_equal(back.ids, tracks.ids)
    np.testing.assert_array_equal(back.boxes, tracks.boxes)
    np.testing.assert_array_equal(back.labels, tracks.labels)
    for given in (boxes, boxes.data, torch.from_numpy(to_rows(found)), SimpleNamespace(boxes=boxes)):
        assert_same(detections_from_ultralytics(given, 3 * found.embeddings), found)
    assert len(tracks_from_ultralytics(boxes)) == 0  # no ids: nothing is followed
    with pytest.raises(InputError, match=r"\(N, 6\)"):
        detections_from_ultralytics(np.zeros((2, 5)))


def crossing(frames=40, look_alike=False):
    """Two people who stop behind each other and turn back: only their look tells who is who afterwards."""
    looks = np.eye(2, 8, dtype=np.float32)
    for frame in range(frames):
        phase = abs(frame - frames // 2)
        x = np.array([200 - 6 * phase, 200 + 6 * phase])
        boxes = np.stack([x, [100, 102], x + 40, [200, 202]], axis=1)
        hidden = phase < 4
        order = [1] if hidden else [0, 1]
        yield Detections(boxes[order], np.full(len(order), 0.9), None, looks[[0, 0] if look_alike else [0, 1]][order])


def test_embeddings_feed_ultralytics_botsort():
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers import BOTSORT
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    settings = {**YAML.load(check_yaml("botsort.yaml")), "gmc_method": "none", "with_reid": True, "model": "auto"}
    looks = {}
    for alike in (False, True):
        tracker = BOTSORT(IterableSimpleNamespace(**settings))
        frames = [
            tracks_from_rows(tracker.update(Boxes(to_rows(found), SHAPE), None, found.embeddings))
            for found in crossing(look_alike=alike)
        ]
        assert len(frames[10]) == 2
        assert set(frames[10].detection_indices) == {0, 1}
        looks[alike] = [np.round(track.smooth_feat, 3).tolist() for track in tracker.tracked_stracks]
    assert looks[False] != looks[True]


def test_embeddings_feed_boxmot():
    pytest.importorskip("boxmot")
    from boxmot.trackers.box.botsort.tracker import BotSort

    tracker = BotSort(use_cmc=False)
    image = np.zeros((*SHAPE, 3), np.uint8)
    for i, found in enumerate(crossing()):
        tracks = tracks_from_rows(tracker.update(to_boxmot(found, str(i)), image).to_aabb_rows())
        if i == 10:
            assert len(set(tracks.ids)) == 2
            np.testing.assert_allclose(tracks.boxes, found.boxes[tracks.detection_indices], atol=3)


def test_our_tracker_on_boxes_of_ultralytics():
    tracker = YOLO11JDETracker(frame_rate=30)
    for found in crossing(10):
        tracks = tracker.update(detections_from_ultralytics(to_rows(found), found.embeddings))
    assert len(tracks) == 2


def test_rows_of_nothing():
    assert len(tracks_from_rows([])) == 0
    with pytest.raises(InputError, match=r"\(M, 8\)"):
        tracks_from_rows(np.zeros((2, 9)))
