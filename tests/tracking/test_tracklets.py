"""The memory behind the trackers: slots, growth and reuse."""

import numpy as np

from jde_lightning.structures import Detections
from jde_lightning.tracking import kalman
from jde_lightning.tracking.tracklets import Observations, Tracklets


def observations(n, label=0):
    corner = np.arange(n)[:, None] * 50.0
    boxes = np.concatenate([corner, corner, corner + 20, corner + 40], axis=1)
    looks = np.random.default_rng(n).normal(size=(n, 4))
    return Observations.of(Detections(boxes, np.full(n, 0.5), np.full(n, label), looks), appearance=True)


def test_arrays_grow_without_losing_what_they_hold():
    tracklets, small, large = Tracklets(), observations(40), observations(500, label=3)
    first = tracklets.create(small, np.arange(40), 1, confirmed=True)
    second = tracklets.create(large, np.arange(500), 2, confirmed=False)
    assert len(set(first) | set(second)) == 540
    assert tracklets.ids[first].tolist() == list(range(1, 41))
    assert tracklets.ids[second].tolist() == list(range(41, 541))
    np.testing.assert_allclose(tracklets.boxes(first), small.boxes)
    np.testing.assert_allclose(tracklets.boxes(second), large.boxes)
    np.testing.assert_array_equal(tracklets.embeddings[first], small.embeddings)
    assert tracklets.confirmed[first].all()
    assert not tracklets.confirmed[second].any()
    assert set(tracklets.labels[first]) == {0}
    assert set(tracklets.labels[second]) == {3}
    assert tracklets.state.flags.c_contiguous


def test_slots_are_used_again_and_start_clean():
    tracklets, many = Tracklets(), observations(60, label=2)
    slots = tracklets.create(many, np.arange(60), 1, confirmed=True)
    tracklets.removal[slots] = 5
    tracklets.keep_only(slots[:10])
    again = tracklets.create(observations(50, label=1), np.arange(50), 2, confirmed=False)
    assert len(tracklets.ids) == 64
    assert not set(again) & set(slots[:10])
    assert (tracklets.removal[again] == -1).all()
    assert set(tracklets.labels[again]) == {1}
    assert tracklets.ids[again].tolist() == list(range(61, 111))


def test_creating_and_updating_nothing_is_normal():
    tracklets, seen = Tracklets(), observations(3)
    nothing = np.zeros(0, np.intp)
    assert len(tracklets.create(seen, nothing, 1, confirmed=True)) == 0
    tracklets.update(nothing, seen, nothing, 1)
    tracklets.predict(nothing, nothing)
    assert len(tracklets.tracks(nothing)) == 0


def test_only_lost_tracklets_hold_their_shape():
    tracklets = Tracklets()
    slots = tracklets.create(observations(2), np.arange(2), 1, confirmed=True)
    tracklets.state[1, :, slots] = 1
    before = tracklets.state[0][:, slots].copy()
    tracklets.predict(slots[:1], slots[1:])
    np.testing.assert_allclose(tracklets.state[0][:, slots] - before, [[1, 1], [1, 1], [1, 0], [1, 0]], atol=1e-9)
    np.testing.assert_allclose(tracklets.state[1][:, slots], [[1, 1], [1, 1], [1, 0], [1, 0]])


def test_embedding_is_smoothed_and_stays_unit():
    tracklets, seen, other = Tracklets(), observations(2), observations(3)
    slots = tracklets.create(seen, np.arange(2), 1, confirmed=True)
    tracklets.update(slots, other, np.array([2, 0]), 2)
    want = 0.9 * seen.embeddings + 0.1 * other.embeddings[[2, 0]]
    np.testing.assert_allclose(
        tracklets.embeddings[slots], want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-6
    )
    kept = tracklets.embeddings[slots].copy()
    tracklets.update(slots, other, np.array([1, 0]), 3, learning=0)
    np.testing.assert_array_equal(tracklets.embeddings[slots], kept)


def test_the_first_few_learn_their_appearance():
    tracklets, seen = Tracklets(), observations(3)
    slots = tracklets.create(seen, np.arange(3), 1, confirmed=True)
    tracklets.update(slots, seen, np.array([1, 2, 0]), 2, learning=1)
    kept = (tracklets.embeddings[slots] == seen.embeddings).all(axis=1)
    assert kept.tolist() == [False, True, True]
    assert tracklets.detection_indices[slots].tolist() == [1, 2, 0]


def test_boxes_follow_the_states():
    tracklets, seen, other = Tracklets(), observations(70), observations(80)
    slots = tracklets.create(seen, np.arange(70), 1, confirmed=True)
    tracklets.predict(slots, slots[:0])
    for change in (
        lambda: tracklets.update(slots, other, np.arange(1, 71), 2),
        lambda: tracklets.predict(slots[:50], slots[50:], 3),
        lambda: tracklets.warp(slots, np.array([[1.1, 0, 5], [0, 1.1, 7]])),
    ):
        before = tracklets.boxes(slots)
        change()
        np.testing.assert_array_equal(tracklets.boxes(slots), kalman.to_boxes(tracklets.state[:, :, slots]))
        assert (tracklets.boxes(slots) != before).any()
