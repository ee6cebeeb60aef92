"""Camera motion: the estimators on warped textures, and what a tracker makes of a camera that pans and zooms."""

import builtins
import copy
import subprocess
import sys

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker
from jde_lightning.tracking.camera_motion import ECC, SparseFlow, check_transform, make_estimator

TRACKERS = pytest.mark.parametrize("tracker_class", [YOLO11JDETracker, FairMOTTracker])
WIDTH, HEIGHT = 960, 540
NOBODY = np.zeros((0, 4), np.float32)


def texture(seed=0, width=WIDTH * 2, height=HEIGHT * 2):
    """A street that corners can be found in: blotches of several sizes, BGR."""
    rng = np.random.default_rng(seed)
    grey = sum(
        cv2.resize(rng.normal(size=(height // s, width // s)), (width, height), interpolation=cv2.INTER_CUBIC)
        for s in (6, 15, 40)
    )
    grey = np.clip(128 + 40 * grey, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def camera(x, y, zoom=1.0, angle=0.0):
    """World to image ``(2, 3)``: the image's centre sees the world's ``(x, y)``."""
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, np.array([WIDTH / 2, HEIGHT / 2]) - linear @ [x, y]])


def between(before, after):
    """Image to image ``(2, 3)`` of two cameras."""
    a, b = (np.vstack([m, [0, 0, 1]]) for m in (before, after))
    return (b @ np.linalg.inv(a))[:2]


def photo(world, view):
    return cv2.warpAffine(world, view, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def corner_error(got, want):
    """Largest distance in pixels between where two transforms send the corners of the image."""
    corners = np.array([[0, 0, 1], [WIDTH, 0, 1], [0, HEIGHT, 1], [WIDTH, HEIGHT, 1]]).T
    return np.linalg.norm(got @ corners - want @ corners, axis=0).max()


MOTIONS = {
    "pan": (camera(900, 500), camera(918, 494)),
    "zoom": (camera(900, 500), camera(900, 500, zoom=1.03)),
    "roll": (camera(900, 500), camera(903, 500, angle=0.015)),
    "none": (camera(900, 500), camera(900, 500)),
}


@pytest.mark.parametrize("estimator", [SparseFlow, ECC])
@pytest.mark.parametrize("name", list(MOTIONS))
def test_estimate_is_the_motion_of_the_background(estimator, name):
    before, after = MOTIONS[name]
    world, estimator = texture(), estimator()
    np.testing.assert_array_equal(estimator.estimate(photo(world, before), NOBODY), np.eye(2, 3))
    got = estimator.estimate(photo(world, after), NOBODY)
    assert corner_error(got, between(before, after)) < 1.5


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixels_are_those_of_the_image_whatever_size_the_estimator_works_at(factor):
    """The image is smaller inside; a shift of half a small pixel would show as a shift of the fixed point."""
    world = texture(3)
    before, after = photo(world, camera(900, 500)), photo(world, camera(900, 500, zoom=1.04))
    size = (WIDTH * factor, HEIGHT * factor)
    large = [cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in (before, after)]
    estimator = ECC()  # the more exact of the two
    estimator.estimate(large[0], NOBODY)
    got = estimator.estimate(large[1], NOBODY)
    fixed = np.linalg.solve(np.eye(2) - got[:, :2], got[:, 2])
    want = (np.array([WIDTH / 2, HEIGHT / 2]) + 0.5) * factor - 0.5
    np.testing.assert_allclose(fixed, want, atol=0.4)


@pytest.mark.parametrize("estimator", [SparseFlow, ECC])
def test_people_are_masked(estimator):
    """A large crowd walks against the camera: without its boxes the estimate would follow the crowd."""
    world, crowd = texture(), texture(9)
    box = np.array([[100, 60, 860, 480]], np.float32)
    images = []
    for step in range(2):
        image = photo(world, camera(900 + 6 * step, 500))
        image[60:480, 100:860] = crowd[60:480, 100 + 12 * (1 - step) : 860 + 12 * (1 - step)]
        images.append(image)
    want = between(camera(900, 500), camera(906, 500))
    masked, blind = estimator(), estimator()
    masked.estimate(images[0], box)
    blind.estimate(images[0], NOBODY)
    assert corner_error(masked.estimate(images[1], box), want) < 2
    assert corner_error(blind.estimate(images[1], NOBODY), want) > 4


@pytest.mark.parametrize("estimator", [SparseFlow, ECC])
@pytest.mark.parametrize(
    "second",
    [np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.full((HEIGHT, WIDTH, 3), 77, np.uint8)],
    ids=["black", "grey"],
)
def test_nothing_to_see_is_no_motion(estimator, second):
    estimator = estimator()
    for image in (second, texture()[:HEIGHT, :WIDTH], second, second):
        np.testing.assert_array_equal(estimator.estimate(image, NOBODY), np.eye(2, 3))


@pytest.mark.parametrize("estimator", [SparseFlow, ECC])
def test_everything_covered_by_people_is_no_motion(estimator):
    estimator, everywhere = estimator(), np.array([[-5, -5, WIDTH + 5, HEIGHT + 5]], np.float32)
    for view in MOTIONS["pan"]:
        got = estimator.estimate(photo(texture(), view), everywhere)
        np.testing.assert_array_equal(got, np.eye(2, 3))


def test_grey_images_do_too():
    estimator = SparseFlow()
    before, after = MOTIONS["pan"]
    for view in (before, after):
        got = estimator.estimate(photo(texture(), view)[:, :, 0], NOBODY)
    assert corner_error(got, between(before, after)) < 1.5


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((4, 4, 3)), r"uint8 of shape \(H, W, 3\) or \(H, W\), got float64 of shape \(4, 4, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got uint8 of shape \(4, 4, 4\)"),
        ("frame.jpg", "got str"),
    ],
)
def test_what_is_no_image_is_refused(image, text):
    with pytest.raises(InputError, match=text):
        SparseFlow().estimate(image, NOBODY)


def test_images_of_another_size_are_refused_until_reset():
    estimator = SparseFlow()
    estimator.estimate(np.zeros((40, 60, 3), np.uint8), NOBODY)
    with pytest.raises(InputError, match=r"shape \(30, 60, 3\), that of the frame before \(40, 60, 3\): reset\(\)"):
        estimator.estimate(np.zeros((30, 60, 3), np.uint8), NOBODY)
    estimator.reset()
    estimator.estimate(np.zeros((30, 60, 3), np.uint8), NOBODY)


def test_names():
    assert make_estimator("none") is None
    assert type(make_estimator("sparse_flow")) is SparseFlow
    assert type(make_estimator("ecc")) is ECC
    with pytest.raises(InputError, match="camera_motion must be one of none, sparse_flow, ecc, got 'orb'"):
        YOLO11JDETracker(camera_motion="orb")


def test_missing_opencv_is_an_error_of_one_line(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **others):
        if name == "cv2":
            raise ImportError(name)
        return real(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="camera_motion: ecc needs OpenCV, which is not installed: pip install"):
        FairMOTTracker(camera_motion="ecc")


def test_trackers_without_camera_motion_do_not_import_opencv():
    code = "import sys; from jde_lightning.tracking import *; YOLO11JDETracker(); print('cv2' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.eye(3), r"got an array of shape \(3, 3\); of a 3x3 matrix give the first two rows"),
        ([[1, 0, np.nan], [0, 1, 0]], "must be a finite"),
        ([[1, 0, 0], [0, -1, 0]], "determinant above 0"),
        ([[0, 0, 5], [0, 0, 5]], "determinant above 0"),
        ("pan", r"must be a \(2, 3\) affine transform of pixels, got 'pan'"),
    ],
)
def test_transforms_are_checked(given, text):
    with pytest.raises(InputError, match=text):
        check_transform(given)
    with pytest.raises(InputError, match=text):
        YOLO11JDETracker().update(Detections.empty(), camera_motion=given)


# -- trackers ---------------------------------------------------------------------------------------------------------
def street(frames=24):
    """Views of a camera that pans by more than a person's width per frame and zooms, and what a detector finds.

    Eight people stand in two rows on the street, 60 world pixels apart; the camera pans by 60 per frame, so that
    without compensation everybody comes to stand where the next one was.
    """
    places = np.array([(760 + 60 * i, y) for i in range(8) for y in (420, 560)], float)
    views = [camera(700 + 60 * min(t, 6) + 20 * max(t - 6, 0), 500, zoom=1 + 0.02 * (t % 4)) for t in range(frames)]
    scene = []
    for view in views:
        centres = places @ view[:, :2].T + view[:, 2]
        size = np.sqrt(np.linalg.det(view[:, :2])) * np.array([24.0, 70.0])
        inside = ((centres > 0) & (centres < [WIDTH, HEIGHT])).all(axis=1)
        boxes = np.concatenate([centres - size / 2, centres + size / 2], axis=1)[inside]
        scene.append((view, Detections(boxes, np.full(len(boxes), 0.9)), np.flatnonzero(inside)))
    return scene


def identities_survive(answers, scene):
    """Share of people who keep their first id in every frame in which they are tracked."""
    seen = {}
    for tracks, (_, _, who) in zip(answers, scene, strict=True):
        for identity, row in zip(tracks.ids.tolist(), tracks.detection_indices.tolist(), strict=True):
            seen.setdefault(int(who[row]), set()).add(identity)
    return np.mean([len(found) == 1 for found in seen.values()])


@TRACKERS
def test_given_transforms_keep_identities_when_the_camera_pans_and_zooms(tracker_class):
    scene = street()
    with_motion, without = tracker_class(appearance=False), tracker_class(appearance=False)
    compensated, plain, before = [], [], None
    for view, detections, _ in scene:
        moved = None if before is None else between(before, view)
        compensated.append(with_motion.update(detections, camera_motion=moved))
        plain.append(without.update(detections))
        before = view
    assert identities_survive(compensated, scene) == 1.0
    assert identities_survive(plain, scene) < 0.7
    assert max(t.ids.max() for t in compensated if len(t)) == 16


@pytest.mark.parametrize("name", ["sparse_flow", "ecc"])
def test_estimated_transforms_keep_identities_too(name):
    world, scene = texture(), street()
    if name == "ecc":  # finds small movements only
        scene = scene[6:]
    tracker = YOLO11JDETracker(appearance=False, camera_motion=name)
    answers = []
    for view, detections, _ in scene:
        image = photo(world, view)
        for x1, y1, x2, y2 in detections.boxes.astype(int):
            cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), (40, 40, 200), -1)
        answers.append(tracker.update(detections, image))
    assert identities_survive(answers, scene) == 1.0


@TRACKERS
def test_standing_camera_changes_nothing_but_rounding(tracker_class):
    scene = street(8)
    one, two = tracker_class(appearance=False), tracker_class(appearance=False)
    for _, detections, _ in scene:
        a, b = one.update(detections), two.update(detections, camera_motion=np.eye(2, 3))
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_allclose(a.boxes, b.boxes, rtol=1e-6)


def test_unconfirmed_and_lost_tracklets_move_along():
    """A second person appears, the first is hidden; then the camera jumps by 300 pixels."""
    here, there = [100, 100, 140, 220], [300, 100, 340, 220]
    jump = [300, 0, 300, 0]
    tracker = YOLO11JDETracker(appearance=False)
    for boxes in ([here], [here], [here], [there]):
        tracker.update(Detections(boxes, [0.9]))
    tracks = tracker.update(Detections(np.add([here, there], jump), [0.9, 0.9]), camera_motion=[[1, 0, 300], [0, 1, 0]])
    assert sorted(zip(tracks.detection_indices.tolist(), tracks.ids.tolist(), strict=True)) == [(0, 1), (1, 2)]


def test_image_is_needed_where_motion_is_estimated_and_the_tracker_stays_as_it_was():
    tracker = YOLO11JDETracker(appearance=False, camera_motion="sparse_flow")
    image = np.zeros((40, 60, 3), np.uint8)
    tracker.update(Detections([[0, 0, 10, 20]], [0.9]), image)
    twin = copy.deepcopy(tracker)
    with pytest.raises(InputError, match=r"camera_motion='sparse_flow' needs the image of every frame: call update"):
        tracker.update(Detections([[0, 0, 10, 20]], [0.9]))
    with pytest.raises(InputError, match=r"estimated by this tracker \(sparse_flow\) and was given to update\(\) too"):
        tracker.update(Detections([[0, 0, 10, 20]], [0.9]), image, camera_motion=np.eye(2, 3))
    assert tracker._frame == twin._frame == 1
    tracker.reset()
    tracker.update(Detections([[0, 0, 10, 20]], [0.9]), np.zeros((30, 60, 3), np.uint8))
