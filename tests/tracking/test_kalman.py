"""The 2x2-block filter against full 8x8 matrices."""

import numpy as np
import pytest
from plain_tracker import OBSERVATION, Track, measurement_noise, to_xyah

from jde_lightning.tracking import kalman


def random_boxes(rng, n):
    centre, height = rng.uniform(0, 1000, (n, 2)), rng.uniform(20, 400, n)
    half = np.stack([height * rng.uniform(0.2, 1.5, n), height], axis=1) / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def as_blocks(track):
    covariance = track.covariance
    rest = covariance.copy()
    for i in range(4):
        rest[np.ix_([i, i + 4], [i, i + 4])] = 0
    assert not rest.any()
    i = np.arange(4)
    return np.stack([track.mean[:4], track.mean[4:], covariance[i, i], covariance[i, i + 4], covariance[i + 4, i + 4]])


def as_states(tracks):
    return np.stack([as_blocks(t) for t in tracks], axis=2)


def test_filter_equals_full_matrices_over_a_long_life():
    rng = np.random.default_rng(0)
    boxes = random_boxes(rng, 7)
    tracks = [Track(b, 0.9, 0, None, 0, 1, i) for i, b in enumerate(boxes)]
    state = kalman.initiate(kalman.measure(boxes))
    np.testing.assert_allclose(state, as_states(tracks), rtol=1e-12)
    for step in range(40):
        state = kalman.predict(state)
        for track in tracks:
            track.predict()
        np.testing.assert_allclose(state, as_states(tracks), rtol=1e-9, atol=1e-12)
        if step % 3 == 0:  # some frames without a measurement
            continue
        boxes = boxes + rng.normal(0, 3, boxes.shape).astype(np.float32)
        state = kalman.update(state, kalman.measure(boxes))
        for track, box in zip(tracks, boxes, strict=True):
            track.update(box, 0.9, 0, None, 0, step)
        np.testing.assert_allclose(state, as_states(tracks), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(kalman.to_boxes(state), [t.box for t in tracks], atol=1e-3)


def test_gating_distances_equal_full_matrices():
    rng = np.random.default_rng(1)
    tracks = [Track(b, 0.9, 0, None, 0, 1, i) for i, b in enumerate(random_boxes(rng, 6))]
    for track in tracks:
        track.predict()
    others = random_boxes(rng, 5)
    want = np.empty((6, 5))
    for i, track in enumerate(tracks):
        covariance = OBSERVATION @ track.covariance @ OBSERVATION.T + measurement_noise(track.mean[3])
        for j, box in enumerate(others):
            offset = to_xyah(box) - track.mean[:4]
            want[i, j] = offset @ np.linalg.solve(covariance, offset)
    state, measurements = as_states(tracks), kalman.measure(others)
    np.testing.assert_allclose(kalman.gating_distance(state, measurements), want, rtol=1e-8)
    rows, columns = np.divmod(np.arange(30), 5)
    np.testing.assert_allclose(
        kalman.paired_gating_distance(state, measurements, rows, columns), want.ravel(), rtol=1e-10
    )


def test_expanded_gating_distance_keeps_digits_far_from_the_origin_and_near_the_gate():
    boxes = np.array([[7000.0, 4000, 7020, 4040]], np.float32)
    state = kalman.predict(kalman.initiate(kalman.measure(boxes)))
    near = kalman.measure(boxes + np.float32(3.0))
    pair = kalman.paired_gating_distance(state, near, np.array([0]), np.array([0]))
    assert abs(kalman.gating_distance(state, near)[0, 0] - pair[0]) < 1e-8


def test_steps_do_not_change_their_arguments():
    boxes = random_boxes(np.random.default_rng(2), 3)
    measurements = kalman.measure(boxes)
    state = kalman.initiate(measurements)
    kept = state.copy(), measurements.copy(), boxes.copy()
    kalman.update(kalman.predict(state), measurements)
    for array, copy in zip((state, measurements, boxes), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_measure_and_to_boxes_are_inverse():
    boxes = random_boxes(np.random.default_rng(3), 20)
    np.testing.assert_allclose(kalman.to_boxes(kalman.initiate(kalman.measure(boxes))), boxes, atol=1e-3)


@pytest.mark.parametrize("box", [[5, 5, 5, 5], [5, 5, 25, 5], [5, 5, 5, 25], [25, 25, 5, 5]])
def test_boxes_without_area_stay_finite(box):
    measurements = kalman.measure(np.array([box], np.float32))
    state = kalman.update(kalman.predict(kalman.initiate(measurements)), measurements)
    assert np.isfinite(state).all()
    assert np.isfinite(kalman.gating_distance(state, measurements)).all()
    assert np.isfinite(kalman.to_boxes(state)).all()


def test_nothing_is_normal():
    state = kalman.initiate(kalman.measure(np.zeros((0, 4), np.float32)))
    assert kalman.update(kalman.predict(state), np.zeros((4, 0))).shape == (5, 4, 0)
    assert kalman.gating_distance(state, np.zeros((4, 3))).shape == (0, 3)
    assert kalman.to_boxes(state).shape == (0, 4)


def similarity(scale, angle=0.0, shift=(0.0, 0.0)):
    """``(2, 3)`` transform; ``angle`` in radians."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def filtered_tracks(rng, n):
    """Plain tracks and their states after some steps, so that velocities and covariances are not trivial."""
    boxes = random_boxes(rng, n)
    tracks = [Track(b, 0.9, 0, None, 0, 1, i) for i, b in enumerate(boxes)]
    for step in range(5):
        boxes = boxes + np.float32(4) + rng.normal(0, 1, boxes.shape).astype(np.float32)
        for track, box in zip(tracks, boxes, strict=True):
            track.predict()
            track.update(box, 0.9, 0, None, 0, step)
            track.predict()
    return tracks


def test_warp_by_scale_and_translation_equals_full_matrices():
    tracks = filtered_tracks(np.random.default_rng(4), 6)
    scale, shift = 1.07, np.array([12.0, -30.0])
    got = kalman.warp(as_states(tracks), similarity(scale, shift=shift))
    full = np.diag([scale, scale, 1, scale, scale, scale, 1, scale])
    for track in tracks:
        track.mean = full @ track.mean
        track.mean[:2] += shift
        track.covariance = full @ track.covariance @ full.T
    np.testing.assert_allclose(got, as_states(tracks), rtol=1e-12)


def test_warp_by_a_rotation_too_is_exact_for_the_centre():
    """x and y have equal blocks, so a rotated covariance of the centre is the same covariance."""
    tracks = filtered_tracks(np.random.default_rng(5), 6)
    transform = similarity(0.95, 0.2, (3.0, 4.0))
    got = kalman.warp(as_states(tracks), transform)
    full = np.diag([1, 1, 1, 0.95, 1, 1, 1, 0.95])
    full[:2, :2] = full[4:6, 4:6] = transform[:, :2]
    for track in tracks:
        track.mean = full @ track.mean
        track.mean[:2] += transform[:, 2]
        track.covariance = full @ track.covariance @ full.T
        off = track.covariance[np.ix_([0, 4], [1, 5])]
        assert np.abs(off).max() < 1e-9 * track.covariance[0, 0]
        track.covariance[np.ix_([0, 4], [1, 5])] = track.covariance[np.ix_([1, 5], [0, 4])] = 0
    np.testing.assert_allclose(got, as_states(tracks), rtol=1e-9, atol=1e-12)


def test_warp_commutes_with_prediction():
    """So it does not matter whether the camera or the people are thought to move first."""
    state = as_states(filtered_tracks(np.random.default_rng(6), 5))
    transform = similarity(1.1, 0.1, (20.0, 5.0))
    before = kalman.predict(kalman.warp(state, transform))
    np.testing.assert_allclose(kalman.warp(kalman.predict(state), transform), before, rtol=1e-9)
