"""The rules of life that both trackers share, one scripted scene each; and what callers may rely on."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from tracking_scenes import random_scene

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, Tracker, YOLO11JDETracker

TRACKERS = pytest.mark.parametrize("tracker_class", [YOLO11JDETracker, FairMOTTracker])
HERE = [200, 200, 260, 350]
THERE = [600, 200, 660, 350]
LOOKS = {tuple(HERE): [1, 0, 0], tuple(THERE): [0, 1, 0]}


def frame(*boxes, score=0.9, label=0):
    looks = [LOOKS.get(tuple(box), [0, 0, 1]) for box in boxes]
    n = len(boxes)
    return Detections(np.reshape(boxes, (n, 4)), np.full(n, score), np.full(n, label), np.reshape(looks, (n, 3)))


def ids(tracker, *frames):
    """Ids of the tracks of each frame."""
    return [tracker.update(f).ids.tolist() for f in frames]


@TRACKERS
def test_first_frame_confirms_at_once_and_later_ones_with_the_second_match(tracker_class):
    tracker = tracker_class()
    assert ids(tracker, frame(HERE), frame(HERE, THERE), frame(HERE, THERE)) == [[1], [1], [1, 2]]


@TRACKERS
def test_an_empty_first_frame_is_a_frame(tracker_class):
    assert ids(tracker_class(), Detections.empty(), frame(HERE), frame(HERE)) == [[], [], [1]]


@TRACKERS
def test_unconfirmed_tracklet_without_second_match_is_removed_and_its_id_is_spent(tracker_class):
    tracker = tracker_class()
    scene = [frame(HERE), frame(HERE, THERE), frame(HERE), frame(HERE, THERE), frame(HERE, THERE)]
    assert ids(tracker, *scene) == [[1], [1], [1], [1], [1, 3]]


@TRACKERS
def test_lost_tracklet_is_found_until_one_frame_after_the_buffer(tracker_class):
    gap = [Detections.empty()] * 3
    for extra, found in ((0, [1]), (1, [])):
        tracker = tracker_class(track_buffer=2)
        assert ids(tracker, frame(HERE), *gap, *[Detections.empty()] * extra, frame(HERE))[-1] == found


@TRACKERS
def test_tracklet_found_after_its_removal_disappears_at_its_next_loss(tracker_class):
    gap = [Detections.empty()]
    late = tracker_class(track_buffer=2)
    scene = [frame(HERE), *gap * 3, frame(HERE), frame(HERE), *gap, frame(HERE)]
    assert ids(late, *scene) == [[1], [], [], [], [1], [1], [], []]
    in_time = tracker_class(track_buffer=2)
    scene = [frame(HERE), *gap * 2, frame(HERE), frame(HERE), *gap, frame(HERE)]
    assert ids(in_time, *scene) == [[1], [], [], [1], [1], [], [1]]


@TRACKERS
@pytest.mark.parametrize(
    ("earlier", "clutter", "found"), [(0, 999, []), (0, 1000, [1]), (1, 998, []), (1, 999, [1]), (2, 998, [])]
)
def test_list_of_removed_tracklets_is_cut_to_999_beyond_1000(tracker_class, earlier, clutter, found):
    """With ``earlier`` entries before that of the tracklet in question and ``clutter`` after it.

    The cut makes the tracker forget that the tracklet was removed, so that it may be lost and found once more.
    """

    def burst(count):
        corner = 30.0 * np.stack(np.divmod(np.arange(count), 25), axis=1) + 3000
        return frame(HERE, *np.concatenate([corner, corner + 10], axis=1).tolist())

    gap = [Detections.empty()]
    tracker = tracker_class(track_buffer=2)
    scene = [frame(HERE), burst(earlier), frame(HERE), *gap * 3, frame(HERE), burst(clutter), frame(HERE)]
    assert ids(tracker, *scene) == [[1], [1], [1], [], [], [], [1], [1], [1]]
    assert ids(tracker, *gap, frame(HERE))[-1] == found


def walk(start, stop):
    """Frames of one figure that looks like the one THERE and walks from x = ``start`` to ``stop``, gently."""
    steps = start + (stop - start) * (1 - np.cos(np.linspace(0, np.pi, 41)[1:])) / 2
    return [
        Detections([[x, 200, x + 60, 350]], [0.9], None, [LOOKS[tuple(THERE)]]) for x in steps.tolist() + [stop] * 5
    ]


@TRACKERS
@pytest.mark.parametrize(("turn", "found"), [(200, [2]), (450, [2, 1])])
def test_tracked_tracklet_that_comes_to_stand_on_a_younger_lost_one_ends_it(tracker_class, turn, found):
    there_and_back = [*walk(600, turn), *walk(turn, 600)]
    answers = ids(tracker_class(track_buffer=120), frame(HERE, THERE), *there_and_back, frame(HERE, THERE))
    assert answers[:-1] == [[1, 2]] + [[2]] * len(there_and_back)
    assert answers[-1] == found


@TRACKERS
def test_tracked_tracklet_that_comes_to_stand_on_an_older_lost_one_ends_itself(tracker_class):
    scene = [frame(HERE)] * 60 + [frame(THERE)] * 2 + walk(600, 200)
    answers = ids(tracker_class(track_buffer=90), *scene)
    assert answers[61:85] == [[2]] * 24
    assert answers[-1] == []
    scene = [frame(HERE)] * 2 + [frame(THERE)] * 2 + walk(600, 200)
    assert ids(tracker_class(track_buffer=90), *scene)[-1] == [2]


@TRACKERS
def test_class_is_the_one_with_the_largest_sum_of_scores(tracker_class):
    tracker = tracker_class()
    votes = [(0, 0.9), (2, 0.7), (2, 0.4), (0, 0.5)]
    labels = [tracker.update(frame(HERE, score=score, label=label)).labels for label, score in votes]
    assert [x.tolist() for x in labels] == [[0], [0], [2], [0]]


@TRACKERS
def test_tracks_carry_score_and_index_of_their_detection(tracker_class):
    tracker = tracker_class()
    tracker.update(frame(HERE, THERE))
    detections = frame(THERE, [900, 0, 950, 90], HERE)
    detections.scores[:] = [0.8, 0.9, 0.7]
    tracks = tracker.update(detections)
    assert tracks.ids.tolist() == [1, 2]
    assert tracks.detection_indices.tolist() == [2, 0]
    np.testing.assert_array_equal(tracks.scores, detections.scores[[2, 0]])
    np.testing.assert_allclose(tracks.boxes, [HERE, THERE], atol=1e-3)


@TRACKERS
def test_reset_gives_the_same_answers_again_and_ids_are_per_tracker(tracker_class):
    scene = random_scene(4, frames=25)
    tracker, other = tracker_class(), tracker_class()

    def answers(t):
        return [(r.ids.tolist(), r.detection_indices.tolist(), r.boxes.tolist()) for r in map(t.update, scene)]

    first = answers(tracker)
    assert first[0][0][0] == 1
    assert answers(tracker) != first
    tracker.reset()
    assert answers(tracker) == first
    assert answers(other) == first


@TRACKERS
def test_detections_are_not_changed(tracker_class):
    tracker = tracker_class()
    for detections in random_scene(5, frames=15):
        detections.embeddings *= 3  # not unit: the tracker normalises its own copy
        arrays = [detections.boxes, detections.scores, detections.labels, detections.embeddings]
        kept = [a.copy() for a in arrays]
        for array in arrays:
            array.flags.writeable = False
        tracks = tracker.update(detections)
        for array, before in zip(arrays, kept, strict=True):
            np.testing.assert_array_equal(array, before)
        tracks.boxes[:] = -1  # nor does the caller reach the tracker's memory through the answer
        assert not (tracker._tracklets.boxes(tracker._tracked) == -1).any()


@TRACKERS
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda tracker: pickle.loads(pickle.dumps(tracker))])
def test_copies_live_on_their_own(tracker_class, duplicate):
    scene = random_scene(9, frames=30)
    tracker, undisturbed = tracker_class(), tracker_class()
    ids(tracker, *scene[:15])
    twin = duplicate(tracker)
    ids(tracker, *scene[:5])
    assert ids(twin, *scene[15:]) == ids(undisturbed, *scene)[15:]


@TRACKERS
def test_length_of_embeddings_does_not_matter(tracker_class):
    scene = random_scene(6, frames=15)
    one, two = tracker_class(), tracker_class()
    for detections in scene:
        longer = Detections(detections.boxes, detections.scores, detections.labels, detections.embeddings * 7)
        np.testing.assert_array_equal(one.update(detections).ids, two.update(longer).ids)


@TRACKERS
def test_boxes_without_area_give_finite_tracks(tracker_class):
    tracker = tracker_class()
    point = [5, 5, 5, 5]
    for _ in range(4):
        tracks = tracker.update(frame(point, [9, 9, 9, 30], HERE))
        assert np.isfinite(tracks.boxes).all()
    assert len(tracks) >= 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, 2, 3, 4], [0.5]), r"boxes must have shape \(N, 4\), got \(4,\)"),
        (([[1, 2, 3]], [0.5]), r"boxes must have shape \(N, 4\), got \(1, 3\)"),
        (([[1, 2, 3, 4]], [0.5, 0.6]), r"scores must have shape \(1\), got \(2,\)"),
        (([[1, 2, 3, 4]], [0.5], [0, 0]), r"labels must have shape \(1\), got \(2,\)"),
        (([[1, 2, 3, 4]], [0.5], [0], [1, 0]), r"embeddings must have shape \(1, N\), got \(2,\)"),
        (([[1, 2, np.nan, 4]], [0.5]), "boxes and scores must be finite"),
        (([[1, 2, 3, 4]], [np.nan]), "boxes and scores must be finite"),
        (([[1, 2, 3, 4], [1, 2, 3, 4]], [0.5, 0.6], [1.0, 0.5]), "labels must be whole numbers, got 0.5"),
        (([[1, 2, 3, 4]], [0.5], [np.nan]), "labels must be whole numbers, got nan"),
        (([[1, 2, 3, 4], [1, 2]], [0.5, 0.6]), "boxes must be an array of numbers, got list"),
        (([[1, 2, 3, 4]], ["much"]), "scores must be an array of numbers, got list"),
    ],
)
def test_wrong_shapes_do_not_come_as_far_as_the_tracker(arguments, text):
    with pytest.raises(InputError, match=text):
        Detections(*arguments)


def test_whole_numbers_in_floats_are_labels():
    assert Detections([[1, 2, 3, 4]], [0.5], [2.0]).labels.tolist() == [2]


@TRACKERS
@pytest.mark.parametrize("given", [None, np.zeros((3, 6)), [[1, 2, 3, 4]]])
def test_what_is_no_detections_is_named(tracker_class, given):
    with pytest.raises(InputError, match=rf"updated with Detections, got {type(given).__name__}: make them with"):
        tracker_class().update(given)


@TRACKERS
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_ends_of_the_range_of_scores_are_scores(tracker_class, score):
    tracks = tracker_class().update(frame(HERE, score=score))
    assert len(tracks) == score


@TRACKERS
@pytest.mark.parametrize("parameters", [{}, {"appearance": False}, {"class_aware": True}, {"explain": True}])
def test_nobody_for_a_long_time_then_one_then_nobody(tracker_class, parameters):
    tracker = tracker_class(**parameters)
    nobody = [Detections.empty(), Detections.empty(3), Detections([], [])] * 40
    answers = ids(tracker, *nobody, frame(HERE), frame(HERE), frame(HERE), *nobody, frame(THERE), frame(THERE))
    assert answers == [[]] * 121 + [[1], [1]] + [[]] * 121 + [[2]]
    assert len(tracker._tracklets.ids) == 64


def crowd(rng, order, where, score=0.9):
    """People on a grid, a little shaken, in a given order; each with a look of his own."""
    n = len(order)
    centre = np.stack(np.divmod(order, 40), axis=1)[:, ::-1] * [47.0, 41.0] + 30 + where + rng.normal(0, 0.3, (n, 2))
    looks = np.random.default_rng(0).normal(size=(n, 32))[order]
    half = np.array([9, 18])
    return Detections(np.hstack([centre - half, centre + half]), np.full(n, score), order % 3, looks)


ANYWHERE = {
    "motion_gate": float("inf"),
    "motion_weight": 0.0,
    "proximity_thresh": 1.0,
    "gate_thresh": 1.0,
    "min_weight": 0.2,
}
CROWDS = [
    (cls, parameters)
    for cls in (YOLO11JDETracker, FairMOTTracker)
    for parameters in ({}, {"appearance": False}, {"class_aware": True}, {"explain": True}, ANYWHERE)
    if parameters is not ANYWHERE or cls is YOLO11JDETracker
]


@pytest.mark.parametrize(("tracker_class", "parameters"), CROWDS)
def test_thousand_people_keep_their_identities(tracker_class, parameters):
    tracker, rng = tracker_class(**parameters), np.random.default_rng(1)
    for step in range(4):
        order = rng.permutation(1000) if step else np.arange(1000)
        tracks = tracker.update(crowd(rng, order, 2.0 * step))
        assert len(tracks) == 1000
        np.testing.assert_array_equal(tracks.ids, order[tracks.detection_indices] + 1)


@TRACKERS
def test_zero_embeddings_are_no_appearance_and_not_nan(tracker_class):
    tracker = tracker_class()
    for _ in range(3):
        detections = frame(HERE)
        detections.embeddings[:] = 0
        tracker.update(detections)
    assert np.isfinite(tracker._tracklets.embeddings).all()


@TRACKERS
def test_missing_embeddings_are_an_error_unless_motion_only(tracker_class):
    bare = Detections([HERE], [0.9])
    with pytest.raises(InputError, match=r"1 detections have no embeddings.*appearance=False"):
        tracker_class().update(bare)
    tracker_class().update(Detections([], []))
    assert ids(tracker_class(appearance=False), bare, bare) == [[1], [1]]


@TRACKERS
def test_motion_only_ignores_embeddings_and_refinds_lost_tracklets(tracker_class):
    tracker = tracker_class(appearance=False)
    other = frame(HERE)
    other.embeddings[:] = np.nan
    assert ids(tracker, frame(HERE), Detections.empty(), other) == [[1], [], [1]]


@TRACKERS
@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda d: d.embeddings.__setitem__(0, np.nan), "embeddings of detections must be finite"),
        (lambda d: d.embeddings.__setitem__((0, 1), np.inf), "embeddings of detections must be finite"),
        (lambda d: d.labels.__setitem__(0, -1), "labels of detections must be class indices from 0, got -1"),
        (lambda d: setattr(d, "embeddings", d.embeddings[:, :2]), r"have 2 numbers, the tracklets' have 3.*reset\(\)"),
        (lambda d: setattr(d, "embeddings", d.embeddings[:1]), "2 detections have 1 embeddings: give one for each"),
        (lambda d: setattr(d, "embeddings", None), "2 detections have no embeddings"),
        (
            lambda d: d.boxes.__setitem__((1, 2), np.nan),
            r"box of detection 1 must be finite .*\[600.0, 200.0, nan",
        ),
        (lambda d: d.boxes.__setitem__((0, 0), -np.inf), "box of detection 0 must be finite xyxy pixels"),
        (lambda d: d.boxes.__setitem__((1, 2), 599), r"with x1 <= x2 and y1 <= y2, got \[600.0, 200.0, 599.0, 350.0\]"),
        (
            lambda d: d.boxes.__setitem__((0, 3), 100),
            r"box of detection 0 .* y1 <= y2, got \[200.0, 200.0,",
        ),
        (lambda d: d.scores.__setitem__(1, 1.5), r"scores .* confidences in 0..1, got 1.5 for detection 1: put logits"),
        (lambda d: d.scores.__setitem__(0, -0.1), r"scores .* confidences in 0..1, got -0.1 for detection 0"),
        (lambda d: d.scores.__setitem__(1, np.nan), r"scores .* confidences in 0..1, got nan for detection 1"),
        (lambda d: setattr(d, "scores", d.scores[:1]), "must be equally many, got 2, 1 and 2: select from all"),
        (lambda d: setattr(d, "labels", d.labels[:0]), "must be equally many, got 2, 2 and 0"),
        (lambda d: setattr(d, "boxes", d.boxes[:1]), "must be equally many, got 1, 2 and 2"),
    ],
)
def test_bad_detections_are_refused_and_leave_the_tracker_as_it_was(tracker_class, spoil, text):
    tracker, undisturbed = tracker_class(), tracker_class()
    scene = [frame(HERE), frame(HERE, THERE), frame(HERE, THERE)]
    ids(tracker, *scene[:2])
    bad = frame(HERE, THERE)
    spoil(bad)
    with pytest.raises(InputError, match=text):
        tracker.update(bad)
    assert ids(tracker, scene[2]) == ids(undisturbed, *scene)[2:]


@TRACKERS
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "30", True])
def test_frame_rate_is_checked(tracker_class, value):
    with pytest.raises(InputError, match="frame_rate must be a number of frames per second above 0, got"):
        tracker_class(value)


@TRACKERS
@pytest.mark.parametrize("value", [-1, 2.5, float("nan"), "3"])
def test_track_buffer_is_checked(tracker_class, value):
    with pytest.raises(InputError, match="track_buffer must be a whole number of frames, at least 0, got"):
        tracker_class(track_buffer=value)


def test_track_buffer_scales_with_the_frame_rate():
    assert YOLO11JDETracker(14, track_buffer=40).max_frames_lost == 18
    assert FairMOTTracker(60).max_frames_lost == 80


def test_trackers_need_neither_torch_nor_lightning_nor_scipy():
    code = "import sys, jde_lightning.tracking; print(sorted({'torch', 'lightning', 'scipy'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_both_are_trackers():
    assert issubclass(YOLO11JDETracker, Tracker)
    assert issubclass(FairMOTTracker, Tracker)
