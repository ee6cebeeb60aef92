"""The synthetic crowd's pictures and ground truth, against a depth buffer made by brute force."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from jde_lightning.data.synthetic.appearance import random_appearance, similar_appearance
from jde_lightning.data.synthetic.camera import Camera, CameraPath
from jde_lightning.data.synthetic.crowd import render_sequence, render_still
from jde_lightning.data.synthetic.figure import draw_figure
from jde_lightning.data.synthetic.pose import Stance, skeleton
from jde_lightning.data.synthetic.render import Renderer
from jde_lightning.data.synthetic.street import Street
from jde_lightning.data.synthetic.walkers import Crowd
from jde_lightning.structures import Role

SMALL = {"width": 320, "height": 192}


def streams(seed):
    return np.random.default_rng(seed).spawn(3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("moving", [False, True])
def test_visibility_is_what_a_depth_buffer_leaves_of_the_drawn_pixels(seed, moving):
    street_rng, crowd_rng, sensor_rng = streams(seed)
    street = Street(street_rng, 320, 192, moving=moving, far_crowd=False)
    crowd = Crowd(street, 14, crowd_rng)
    for _ in range(7):
        crowd.step(0.1)
    frame = Renderer(street, crowd, sensor_rng).frame(0.7)
    window = street.path.at(0.7)
    camera = street.camera.through(window)

    margin = 600  # every body lies inside this larger canvas, so nothing is cut
    depth = np.full((192 + 2 * margin, 320 + 2 * margin), np.inf)
    layers = cv2.warpAffine(street.layers, window.matrix(), (320, 192), flags=cv2.INTER_NEAREST)
    standing_depth = np.array([np.inf] + [s.z for s in street.standing])
    depth[margin:-margin, margin:-margin] = standing_depth[layers]
    masks = []
    for walker in crowd.walkers:
        sprite = draw_figure(walker.look, walker.stance(), camera).sprite
        mask = np.zeros(depth.shape, bool)
        h, w = sprite.bgra.shape[:2]
        mask[margin + sprite.top :, margin + sprite.left :][:h, :w] = sprite.solid()
        depth[mask] = np.minimum(depth[mask], walker.position[1])
        masks.append(mask)
    expected = {}
    inside = np.zeros(depth.shape, bool)
    inside[margin:-margin, margin:-margin] = True
    for walker, mask in zip(crowd.walkers, masks, strict=True):
        rows, columns = np.nonzero(mask)
        box = (columns.min() - margin, rows.min() - margin, columns.max() + 1 - margin, rows.max() + 1 - margin)
        if box[0] >= 320 or box[1] >= 192 or box[2] <= 0 or box[3] <= 0:
            continue
        seen = mask & inside & (depth == walker.position[1])
        expected[tuple(int(v) for v in box)] = seen.sum() / mask.sum()
    people = frame.categories == 1
    got = {tuple(box): v for box, v in zip(frame.boxes[people].tolist(), frame.visibility[people], strict=True)}
    assert got == pytest.approx(expected)
    assert len(got) > 5


@pytest.mark.parametrize("index", range(4))
def test_boxes_hold_every_pixel_of_their_identity(index):
    for frame in list(render_sequence(index, frames=12, **SMALL))[::4]:
        owners = frame.owners
        assert set(np.unique(owners)) <= {0, *frame.identities.tolist()}
        for row, (identity, category) in enumerate(zip(frame.identities, frame.categories, strict=True)):
            slack = 0 if category == 1 else 2
            left, top, right, bottom = frame.boxes[row]
            ys, xs = np.nonzero(owners == identity)
            if len(xs):
                assert left - slack <= xs.min() <= xs.max() < right + slack
                assert top - slack <= ys.min() <= ys.max() < bottom + slack
            if category == 1 and frame.visibility[row] == 1:
                assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (left, top, right, bottom)
                assert frame.visible_box(row) == (left, top, right, bottom)
            assert (frame.visible_box(row) is None) == (len(xs) == 0)


def test_rows_exist_only_while_the_box_overlaps_the_picture():
    for frame in render_sequence(1, frames=20, **SMALL):
        left, top, right, bottom = frame.boxes.T
        assert ((left < 320) & (top < 192) & (right > 0) & (bottom > 0)).all()
        assert ((right > left) & (bottom > top)).all()
        assert len(np.unique(frame.identities)) == len(frame.identities)
        assert ((frame.visibility >= 0) & (frame.visibility <= 1)).all()


def test_a_sequence_has_everything_that_makes_tracking_hard():
    frames = list(render_sequence(0, frames=60))
    people = [set(f.identities[f.categories == 1].tolist()) for f in frames]
    assert people[-1] - people[0], "somebody enters"
    assert people[0] - people[-1], "somebody leaves"
    visibility = np.concatenate([f.visibility[f.categories == 1] for f in frames])
    assert 0.05 < (visibility < 0.5).mean() < 0.7
    boxes = np.concatenate([f.boxes[f.categories == 1] for f in frames])
    assert (boxes[:, 0] < 0).any() or (boxes[:, 2] > 640).any(), "boxes leave the image"
    heights = boxes[:, 3] - boxes[:, 1]
    assert heights.max() > 2 * heights.min()


def test_identities_are_numbered_by_appearance_and_keep_their_category():
    seen = {}
    for frame in render_sequence(2, frames=40, **SMALL):
        new = [i for i in frame.identities.tolist() if i not in seen]
        assert new == list(range(len(seen) + 1, len(seen) + 1 + len(new)))
        for identity, category in zip(frame.identities.tolist(), frame.categories.tolist(), strict=True):
            assert seen.setdefault(identity, category) == category


def test_motion_per_frame_is_that_of_walking_people():
    shifts = []
    frames = list(render_sequence(0, frames=30, frame_rate=15))
    for before, after in pairwise(frames):
        common, a, b = np.intersect1d(before.identities, after.identities, return_indices=True)
        people = before.categories[a] == 1
        feet = [(f.boxes[i][people, 0] + f.boxes[i][people, 2]) / 2 for f, i in ((before, a), (after, b))]
        height = (before.boxes[a][people, 3] - before.boxes[a][people, 1]) / 1.7
        shifts.append(np.abs(feet[1] - feet[0]) / height * 15)
    speed = np.concatenate(shifts)
    assert np.median(speed) < 2.0
    assert np.quantile(speed, 0.9) < 3.0


def test_frames_depend_on_nothing_but_seed_split_and_index():
    long = list(render_sequence(1, frames=8, **SMALL))
    again = list(render_sequence(1, frames=4, **SMALL))
    for a, b in zip(long, again, strict=False):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.boxes, b.boxes)
    for other in (
        render_sequence(2, frames=1, **SMALL),
        render_sequence(1, "val", frames=1, **SMALL),
        render_sequence(1, frames=1, seed=1, **SMALL),
    ):
        assert (next(other).image != long[0].image).any()


def test_threads_do_not_change_the_bytes():
    threads = cv2.getNumThreads()
    try:
        pictures = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            pictures.append(render_still(3).image)
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(*pictures)


def test_annotations_are_the_packages_own():
    frame = render_still(1, people=20)
    annotations = frame.annotations(Path("000001.jpg"), sequence="s", frame=4)
    assert (annotations.width, annotations.height, annotations.frame) == (640, 384, 4)
    np.testing.assert_array_equal(annotations.boxes, frame.boxes)
    np.testing.assert_array_equal(annotations.positive, frame.categories == 1)
    np.testing.assert_array_equal(annotations.ignore, np.isin(frame.categories, (7, 8, 13)))
    np.testing.assert_array_equal(annotations.roles == Role.OTHER, np.isin(frame.categories, (3, 9)))


def test_a_street_without_people_has_no_person_rows():
    frame = next(render_sequence(0, frames=1, people=0, **SMALL))
    assert not (frame.categories == 1).any()
    assert frame.boxes.shape == (len(frame.identities), 4)


def test_looks_differ_and_similar_ones_share_the_clothes():
    rng = np.random.default_rng(0)
    looks = [random_appearance(rng) for _ in range(40)]
    assert len({(look.top_colour, look.bottom_colour, look.pattern) for look in looks}) == 40
    twin = similar_appearance(rng, looks[0])
    assert (twin.top, twin.pattern, twin.bottom) == (looks[0].top, looks[0].pattern, looks[0].bottom)
    assert np.abs(np.subtract(twin.top_colour, looks[0].top_colour)).max() < 70
    assert twin.skin != looks[0].skin


def test_pictures_of_one_identity_are_more_alike_than_those_of_two():
    rng = np.random.default_rng(1)
    looks = [random_appearance(rng) for _ in range(12)]
    camera = Camera(540, 2.6, 320, 120)

    def histogram(look, facing, phase):
        bgra = draw_figure(look, Stance(0, 8, facing, phase, 1.0), camera).sprite.bgra
        pixels = bgra[bgra[..., 3] == 255][:, :3]
        counts = np.histogramdd(pixels, bins=(6, 6, 6), range=[(0, 256)] * 3)[0].ravel()
        return counts / np.linalg.norm(counts)

    front = np.array([histogram(look, -1.6, 0.0) for look in looks])
    side = np.array([histogram(look, 0.4, 2.0) for look in looks])
    similarity = front @ side.T
    assert (similarity.argmax(axis=1) == np.arange(12)).mean() > 0.8


@pytest.mark.parametrize("phase", np.linspace(0, 6, 7))
def test_a_walking_body_stands_on_the_ground(phase):
    look = random_appearance(np.random.default_rng(2))
    bones = skeleton(look, Stance(1.0, 7.0, 0.3, phase, 1.0))
    assert min(ankle[1] for ankle in bones.ankles) == pytest.approx(0.04 * look.height)
    assert bones.head[1] == pytest.approx(0.92 * look.height, rel=0.05)


def test_a_figure_is_as_tall_as_its_body_at_its_depth():
    look = random_appearance(np.random.default_rng(5))
    camera = Camera(500, 2.5, 320, 120)
    for z in (5.0, 10.0, 20.0):
        sprite = draw_figure(look, Stance(0.5, z, 0.0), camera).sprite
        rows = np.nonzero(sprite.solid().any(axis=1))[0]
        assert len(rows) == pytest.approx(look.height * 500 / z, rel=0.08)
        assert sprite.top + rows[-1] == pytest.approx(camera.project(0, 0, z)[1], abs=0.02 * 500 / z * 1.8 + 2)


def test_the_moving_window_stays_on_the_canvas_and_agrees_with_the_projection():
    path = CameraPath(np.random.default_rng(3), 640, 384, moving=True)
    camera = Camera(540, 2.6, 400, 130)
    corners = np.array([[0, 0], [640, 384]])
    pans = []
    for seconds in np.linspace(0, 20, 60):
        window = path.at(seconds)
        on_canvas = (corners - (window.dx, window.dy)) / window.zoom
        assert (on_canvas >= -1e-6).all()
        assert (on_canvas <= np.array(path.canvas_size) + 1e-6).all()
        pans.append(on_canvas[0, 0])
        point = np.array(camera.project(1.0, 1.5, 9.0))
        moved = window.matrix() @ np.array([*(point - 0.5), 1.0]) + 0.5
        np.testing.assert_allclose(camera.through(window).project(1.0, 1.5, 9.0), moved)
    assert np.ptp(pans) > 30
    assert CameraPath(np.random.default_rng(3), 640, 384, moving=False).at(5.0) == (1.0, 0.0, 0.0)


def test_people_enter_until_about_the_wanted_number_is_there():
    street_rng, crowd_rng, _ = streams(11)
    street = Street(street_rng, 320, 192, moving=False, far_crowd=False)
    crowd = Crowd(street, 10, crowd_rng)
    counts = []
    for _ in range(150):
        crowd.step(0.1)
        counts.append(len(crowd.walkers))
    assert 7 <= np.mean(counts) <= 12
