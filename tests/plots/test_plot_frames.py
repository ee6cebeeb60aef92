from pathlib import Path

import numpy as np

from jde_lightning.plots.colors import CORRECT, FALSE_POSITIVE, GRAY, MISSED, identity_color
from jde_lightning.plots.frames import draw_training_batch, draw_validation, match_boxes
from jde_lightning.structures import Detections, FrameAnnotations


def colors_in(picture):
    return {tuple(c) for c in picture.reshape(-1, 3).tolist()}


def count(picture, color):
    return int((picture == np.array(color)).all(axis=2).sum())


def truth(boxes, roles=None, identities=None):
    n = len(boxes)
    roles = np.zeros(n) if roles is None else roles
    identities = np.arange(n) if identities is None else identities
    return FrameAnnotations(Path("a.jpg"), 320, 240, boxes, np.zeros(n), identities, roles, np.ones(n))


def test_recurring_identities_are_thicker_than_the_rest():
    images = np.zeros((2, 3, 64, 64), np.uint8)
    boxes = np.array([[8, 8, 24, 40], [8, 8, 24, 40], [36, 8, 60, 40]], np.float32)
    drawn = draw_training_batch(images, boxes, np.array([7, 7, 8]), np.array([0, 1, 1]), tile=256)
    assert drawn.shape[2] == 3
    # The lone box is the larger one, yet it takes fewer pixels.
    assert count(drawn, identity_color(7)) > 4 * count(drawn, identity_color(8)) > 0


def test_recurrence_counts_images_that_are_not_shown():
    images = np.zeros((2, 3, 64, 64), np.uint8)
    boxes = np.array([[8, 8, 24, 40], [8, 8, 24, 40]], np.float32)
    again = draw_training_batch(images, boxes, np.array([3, 3]), np.array([0, 1]), max_images=1)
    once = draw_training_batch(images, boxes, np.array([3, 4]), np.array([0, 1]), max_images=1)
    assert count(again, identity_color(3)) > 3 * count(once, identity_color(3))


def test_boxes_without_identity_never_count_as_recurring():
    images = np.zeros((1, 3, 64, 64), np.uint8)
    boxes = np.array([[8, 8, 24, 40], [36, 8, 60, 40]], np.float32)
    drawn = draw_training_batch(images, boxes, np.array([-1, -1]), np.array([0, 0]), tile=256)
    assert 0 < count(drawn, GRAY) < 2 * 4 * 256


def test_batch_picture_is_bgr():
    images = np.zeros((1, 3, 32, 32), np.uint8)
    images[0, 0] = 200  # red, of RGB
    none = np.zeros(0, np.int64)
    drawn = draw_training_batch(images, np.zeros((0, 4), np.float32), none, none, tile=32)
    assert colors_in(drawn) == {(0, 0, 200)}


def test_batch_without_images():
    none = np.zeros(0, np.int64)
    drawn = draw_training_batch(np.zeros((0, 3, 32, 32), np.uint8), np.zeros((0, 4)), none, none)
    assert drawn.ndim == 3


def test_match_takes_each_object_once_and_the_most_confident_first():
    found = Detections([[0, 0, 10, 10], [0, 0, 10, 11], [50, 50, 60, 60]], [0.5, 0.9, 0.8])
    objects = np.array([[0, 0, 10, 11], [200, 200, 220, 220]], np.float32)
    assert match_boxes(found, objects, 0.5).tolist() == [-1, 0, -1]
    assert match_boxes(found, objects[:0], 0.5).tolist() == [-1, -1, -1]
    assert match_boxes(Detections.empty(), objects, 0.5).tolist() == []


def validation(found, annotated):
    image = np.full((240, 320, 3), 5, np.uint8)
    return draw_validation([image], [found], [annotated], tile=320)[:240]


def test_validation_tells_found_wrong_missed_and_ignored_apart():
    annotated = truth([[20, 60, 60, 160], [100, 60, 140, 160], [200, 60, 300, 200]], roles=[0, 0, 1])
    found = Detections([[21, 61, 60, 160], [150, 60, 180, 160], [210, 70, 240, 150]], [0.9, 0.8, 0.7])
    drawn = validation(found, annotated)
    assert drawn[110, 21].tolist() == list(CORRECT)
    assert drawn[110, 150].tolist() == list(FALSE_POSITIVE)
    assert drawn[110, 210].tolist() == list(GRAY)
    assert MISSED in colors_in(drawn[60:160, 98:143])
    assert MISSED not in colors_in(drawn[60:160, 15:65])


def test_validation_leaves_weak_detections_out():
    drawn = validation(Detections([[20, 60, 60, 160]], [0.1]), truth([]))
    assert FALSE_POSITIVE not in colors_in(drawn)


def test_validation_of_nothing():
    assert draw_validation([], [], []).ndim == 3
    assert colors_in(validation(Detections.empty(), truth([]))) == {(5, 5, 5)}
