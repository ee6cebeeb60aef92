import numpy as np
import pytest

from jde_lightning.data.augment import (
    AugmentationConfig,
    PerspectiveDraw,
    draw_hsv,
    draw_perspective,
    flip_boxes,
    keep_after_warp,
    perspective_matrix,
    warp_boxes,
    warp_image,
)
from jde_lightning.data.images import PADDING
from jde_lightning.data.mosaic import Placement, Region, draw_center, place_tiles, visible_region
from jde_lightning.data.painting import paste
from jde_lightning.errors import InputError

IDENTITY = PerspectiveDraw(0, 0, 0, 1, 0, 0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "value"), [("mosaic", 1.5), ("fliplr", -0.1), ("scale", 1.0), ("degrees", 181), ("hsv_h", float("nan"))]
)
def test_ranges_are_checked(name, value):
    with pytest.raises(InputError, match=rf"augmentation\.{name} is .*, expected a number from 0 to"):
        AugmentationConfig(**{name: value})


def test_draws_stay_within_their_limits():
    config, rng = AugmentationConfig(degrees=10, shear=3, perspective=0.001), np.random.default_rng(0)
    draws = np.array([draw_perspective(config, rng) for _ in range(500)])
    low = [-0.001, -0.001, -10, 0.5, -3, -3, 0.4, 0.4]
    high = [0.001, 0.001, 10, 1.5, 3, 3, 0.6, 0.6]
    assert (draws >= low).all()
    assert (draws <= high).all()
    np.testing.assert_allclose(draws.min(0), low, atol=0.05 * np.ptp([low, high], axis=0).max())
    gains = np.array([draw_hsv(config, rng) for _ in range(500)])
    np.testing.assert_allclose(np.abs(gains).max(0), [0.015, 0.7, 0.4], rtol=0.05)


def test_the_default_draw_without_strength_changes_nothing():
    config = AugmentationConfig(translate=0, scale=0, hsv_h=0, hsv_s=0, hsv_v=0)
    assert draw_perspective(config, np.random.default_rng(0)) == IDENTITY
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    matrix = perspective_matrix(IDENTITY, (64, 64), 64)
    np.testing.assert_array_equal(warp_image(image, matrix, 64), image)


def test_a_warped_box_surrounds_the_warped_object():
    image = np.zeros((200, 200, 3), np.uint8)
    image[40:100, 60:90] = 255
    draw = PerspectiveDraw(0.0004, -0.0003, 15, 0.8, 4, -3, 0.55, 0.45)
    matrix = perspective_matrix(draw, (200, 200), 200)
    warped = warp_image(image, matrix, 200)[..., 0]
    rows, columns = np.nonzero(warped == 255)
    seen = [columns.min(), rows.min(), columns.max(), rows.max()]
    np.testing.assert_allclose(warp_boxes(np.array([[60, 40, 90, 100]], np.float32), matrix)[0], seen, atol=2.5)


def test_no_boxes_stay_no_boxes():
    assert warp_boxes(np.zeros((0, 4), np.float32), np.eye(3, dtype=np.float32)).shape == (0, 4)
    assert keep_after_warp(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)


def test_what_is_too_small_too_cut_or_too_thin_goes():
    before = np.array([[0, 0, 50, 50], [0, 0, 2, 50], [0, 0, 50, 50], [0, 0, 500, 500], [0, 0, 0, 0]], np.float32)
    after = np.array([[0, 0, 50, 50], [0, 0, 2, 50], [0, 0, 50, 4.9], [0, 0, 500, 4], [0, 0, 9, 9]], np.float32)
    assert keep_after_warp(before, after).tolist() == [True, False, False, False, True]


def test_flip_mirrors_boxes_with_the_image():
    assert flip_boxes(np.array([[1, 2, 3, 4]], np.float32), 10).tolist() == [[7, 2, 9, 4]]


def test_tiles_meet_in_the_centre_and_are_cut_by_the_canvas():
    placements = place_tiles((50, 150), [(100, 60), (100, 60), (100, 100), (30, 20)], 100)
    assert placements == [
        Placement(Region(0, 90, 50, 150), -50, 90),
        Placement(Region(50, 90, 150, 150), 50, 90),
        Placement(Region(0, 150, 50, 200), -50, 150),
        Placement(Region(50, 150, 80, 170), 50, 150),
    ]


def test_centres_cover_the_middle_half():
    rng = np.random.default_rng(0)
    centers = np.array([draw_center(64, rng) for _ in range(500)])
    assert (centers.min(0).tolist(), centers.max(0).tolist()) == ([32, 32], [95, 95])


def test_painting_only_the_visible_part_changes_no_pixel():
    rng = np.random.default_rng(0)
    size, canvas = 64, Region(0, 0, 128, 128)
    for config in (
        AugmentationConfig(),
        AugmentationConfig(degrees=30, shear=10),
        AugmentationConfig(perspective=0.002),
    ):
        for _ in range(60):
            tiles = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for w, h in rng.integers(20, 65, (4, 2))]
            placements = place_tiles(draw_center(size, rng), [tile.shape[1::-1] for tile in tiles], size)
            matrix = perspective_matrix(draw_perspective(config, rng), (128, 128), size)
            whole, part = np.empty((128, 128, 4), np.uint8), rng.integers(0, 256, (128, 128, 4), dtype=np.uint8)
            visible = visible_region(matrix, size, canvas)
            x1, y1, x2, y2 = visible
            whole[:] = part[y1:y2, x1:x2] = PADDING
            for tile, placement in zip(tiles, placements, strict=True):
                paste(whole, tile, placement, canvas)
                paste(part, tile, placement, visible)
            np.testing.assert_array_equal(
                warp_image(whole, matrix, size)[..., :3], warp_image(part, matrix, size)[..., :3]
            )


def test_nothing_is_visible_of_a_canvas_far_away():
    draw = PerspectiveDraw(0, 0, 0, 1, 0, 0, 9, 9)
    assert visible_region(perspective_matrix(draw, (64, 64), 64), 64, Region(0, 0, 64, 64)) is None
