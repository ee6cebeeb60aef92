"""Views against OpenCV and against what a scale, a shift and a flip are by definition."""

import cv2
import numpy as np
import pytest
import torch

from jde_lightning.data.views import View, ViewAugmentation, change_colours, draw_view, make_views
from jde_lightning.errors import InputError

PLAIN = View(1.0, 1.0, 0.0, 0.0)
NOTHING = ViewAugmentation(0, 0, 0, 0, 0, 0)


def noise(height=48, width=64, count=2):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, height, width), np.uint8))


def smooth(height=96, width=128):
    """An image whose pixels can be interpolated at other places without much error."""
    small = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_nothing_changes_without_augmentation():
    images = noise()
    views = [draw_view(NOTHING, 64, 48, np.random.default_rng(k)) for k in range(2)]
    assert torch.allclose(make_views(images, views), images / 255, atol=1e-5)
    assert torch.allclose(make_views(images.float() / 255, views), images / 255, atol=1e-5)


def test_flip_and_whole_shift_move_pixels_and_boxes_alike():
    images = noise()
    flip, shift = View(-1.0, 1.0, 64.0, 0.0), View(1.0, 1.0, 5.0, -3.0)
    views = make_views(images, [flip, shift])
    assert torch.allclose(views[0], images[0].flip(2) / 255, atol=1e-5)
    assert torch.allclose(views[1, :, :-3, 5:], images[1, :, 3:, :-5] / 255, atol=1e-5)
    assert torch.allclose(views[1, :, :, :5], torch.tensor(114 / 255), atol=1e-5)
    assert torch.allclose(views[1, :, -3:], torch.tensor(114 / 255), atol=1e-5)
    boxes = np.float32([[4, 6, 24, 40]])
    assert flip.warp_boxes(boxes).tolist() == [[40, 6, 60, 40]]
    assert shift.warp_boxes(boxes).tolist() == [[9, 3, 29, 37]]


@pytest.mark.parametrize("view", [View(1.4, 1.4, -20.0, -9.0), View(-0.6, 0.6, 100.0, 11.0)])
def test_warp_equals_opencv(view):
    image = smooth()
    # OpenCV counts from the centre of the first pixel, we from its edge
    x = view.shift_x + 0.5 * view.scale_x - 0.5
    y = view.shift_y + 0.5 * view.scale_y - 0.5
    matrix = np.float64([[view.scale_x, 0, x], [0, view.scale_y, y]])
    expected = cv2.warpAffine(image, matrix, (128, 96), borderValue=(114,) * 3)
    got = make_views(torch.from_numpy(image.transpose(2, 0, 1).copy())[None], [view])[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(got - expected).mean() < 1.5
    assert np.quantile(np.abs(got - expected), 0.95) < 4


def test_a_box_around_a_bright_square_stays_around_it():
    rng = np.random.default_rng(3)
    config = ViewAugmentation(scale=0.4, translate=0.05, hsv_h=0, hsv_s=0, hsv_v=0)
    for _ in range(20):
        view = draw_view(config, 128, 96, rng)
        image = torch.zeros(1, 3, 96, 128)
        image[:, :, 40:60, 50:62] = 1
        seen = make_views(image, [view])[0, 0].numpy() > 0.5
        seen &= make_views(image * 0 + 0.1, [view])[0, 0].numpy() < 0.3  # grey around the image is no square
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        expected = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert view.warp_boxes(np.float32([[50, 40, 62, 60]]))[0] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("gains", [(0.0, 0.0, 0.0), (0.3, -0.5, 0.2), (-0.2, 0.7, -0.4), (0.015, 0.0, 0.0)])
def test_colours_equal_opencv(gains):
    rgb = noise(count=1)[0].permute(1, 2, 0).numpy().astype(np.float32) / 255
    rgb[:4], rgb[4:8], rgb[8:12] = 0, 1, 0.4  # black, white and grey have no hue
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = (hsv[..., 0] + 360 * gains[0]) % 360
    hsv[..., 1:] = np.clip(hsv[..., 1:] * (1 + np.float32(gains[1:])), 0, 1)
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    got = change_colours(torch.from_numpy(rgb).permute(2, 0, 1)[None], torch.tensor([gains]))
    assert np.allclose(got[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)


def test_draws_stay_within_the_limits_and_reach_them():
    rng = np.random.default_rng(0)
    views = [draw_view(ViewAugmentation(), 200, 100, rng) for _ in range(2000)]
    scales = np.array([view.scale_y for view in views])
    assert 0.5 <= scales.min() < 0.51
    assert 1.49 < scales.max() <= 1.5
    assert all(abs(view.scale_x) == view.scale_y for view in views)
    assert np.mean([view.scale_x < 0 for view in views]) == pytest.approx(0.5, abs=0.05)
    # where the centre of the image goes
    centres = np.array([[100 * v.scale_x + v.shift_x, 50 * v.scale_y + v.shift_y] for v in views]) - [100, 50]
    assert np.abs(centres).max(axis=0) == pytest.approx([20, 10], rel=0.01)
    colours = np.abs([[view.hue, view.saturation, view.brightness] for view in views]).max(axis=0)
    assert colours == pytest.approx([0.015, 0.7, 0.4], rel=0.01)


@pytest.mark.parametrize(("name", "value", "limit"), [("scale", 1.0, "0.99"), ("hsv_h", -0.1, "1"), ("fliplr", 2, "1")])
def test_values_out_of_range_are_named(name, value, limit):
    with pytest.raises(InputError, match=rf"view_retrieval.augmentation.{name} is {value}, expected .* 0 to {limit}"):
        ViewAugmentation(**{name: value})
