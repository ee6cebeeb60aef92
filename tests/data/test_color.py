import pickle

import cv2
import numpy as np
import pytest

from jde_lightning.data.augment import AugmentationConfig, draw_hsv
from jde_lightning.data.color import ColorChanger, _factor, hsv_tables
from jde_lightning.data.images import PADDING
from jde_lightning.data.mosaic import Region


def plain(image, gains):
    """The whole image to HSV, three tables, and back, as Ultralytics does it."""
    tables = hsv_tables(gains)
    if tables is None:
        return image[..., 2::-1]
    channels = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    changed = cv2.merge([cv2.LUT(channel, table) for channel, table in zip(channels, tables, strict=True)])
    return cv2.cvtColor(changed, cv2.COLOR_HSV2RGB)


@pytest.mark.parametrize("shape", [(64, 64, 4), (301, 517, 4), (700, 300, 3), (1, 1, 4)])
def test_equals_the_plain_way_for_all_draws(shape):
    rng, changer = np.random.default_rng(0), ColorChanger()
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    rgb = np.empty((*shape[:2], 3), np.uint8)
    draws = [draw_hsv(AugmentationConfig(hsv_h=0.5), rng) for _ in range(20)]
    for gains in [*draws, np.zeros(3), np.array([0.0, 0.5, 0]), np.array([0, 0, -1.0]), np.array([0.01, 1, 1])]:
        changer.write(image, Region(0, 0, shape[1], shape[0]), gains, rgb)
        np.testing.assert_array_equal(rgb, plain(image, gains))


def test_every_table_is_exact():
    # A gain for which multiplying and looking up differ must be looked up.
    rng, changer = np.random.default_rng(0), ColorChanger()
    ramp = np.stack([np.arange(256, dtype=np.uint8)] * 3, axis=-1)[None]
    rgb = np.empty_like(ramp)
    for gain in [*rng.uniform(-0.9, 0.9, 500), -0.6397063560045141, 0.38297871963301855]:
        gains = np.array([0, 0, gain])
        changer.write(ramp, Region(0, 0, 256, 1), gains, rgb)
        np.testing.assert_array_equal(rgb, plain(ramp, gains))


@pytest.mark.parametrize("gains", [np.zeros(3), np.array([0.01, 0.6, -0.3])])
@pytest.mark.parametrize("region", [None, Region(3, 5, 40, 59), Region(0, 0, 64, 10), Region(63, 63, 64, 64)])
def test_only_the_region_is_looked_at_and_the_rest_is_grey(gains, region):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    expected = np.full((64, 64, 4), PADDING, np.uint8)
    if region is not None:
        x1, y1, x2, y2 = region
        expected[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    rgb = np.zeros((64, 64, 3), np.uint8)
    ColorChanger().write(image, region, gains, rgb)
    # One level apart at most: OpenCV rounds differently in the last pixels of a row, and the rows end elsewhere.
    np.testing.assert_allclose(rgb.astype(int), plain(expected, gains).astype(int), atol=1)


def test_most_tables_are_multiplied():
    gains = np.random.default_rng(0).uniform(-0.7, 0.7, 200)
    factors = [_factor(1 + gain, hsv_tables(np.full(3, gain))[2]) for gain in gains]
    assert sum(factor is not None for factor in factors) > 180


def test_travels_without_its_memory():
    changer = ColorChanger()
    changer.write(
        np.zeros((500, 500, 4), np.uint8), Region(0, 0, 500, 500), np.ones(3) / 2, np.empty((500, 500, 3), np.uint8)
    )
    assert len(pickle.dumps(changer)) < 1000
