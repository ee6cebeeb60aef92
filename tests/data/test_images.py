import pickle

import cv2
import numpy as np
import pytest
from dataset_files import write_image

from jde_lightning.data.images import (
    TileCache,
    decode,
    image_size,
    letterbox,
    letterbox_into,
    letterbox_shape,
    resize_long_side,
    tile_size,
    to_rgb_planes,
)
from jde_lightning.errors import InputError


@pytest.mark.parametrize(
    ("max_size", "expected"),
    [(None, 640), (640, 640), (321, 640), (320, 320), (161, 320), (160, 160), (1, 80), (2000, 640)],
)
def test_reduced_decoding_never_goes_below_the_wanted_size(tmp_path, max_size, expected):
    write_image(tmp_path / "a.jpg", 640, 352)
    assert decode(tmp_path / "a.jpg", max_size).shape == (expected * 352 // 640, expected, 3)
    assert decode(tmp_path / "a.jpg", max_size, size=(640, 352)).shape[1] == expected


def test_reduced_decoding_looks_like_the_image(tmp_path):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8), (1200, 800), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, 98])
    full, reduced = (resize_long_side(decode(tmp_path / "a.jpg", size), 300) for size in (None, 300))
    assert np.abs(full.astype(int) - reduced).mean() < 2


def test_only_jpeg_is_reduced(tmp_path):
    write_image(tmp_path / "a.png", 640, 352)
    assert decode(tmp_path / "a.png", 64).shape == (352, 640, 3)


def test_grey_images_get_three_channels(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 9), np.uint8))
    assert decode(tmp_path / "a.png").shape == (8, 9, 3)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no image at all"])
def test_undecodable_files_are_named(tmp_path, content):
    (tmp_path / "bad.jpg").write_bytes(content)
    for read in (decode, image_size, lambda path: decode(path, 320)):
        with pytest.raises(InputError, match=r"bad\.jpg: cannot be read as an image"):
            read(tmp_path / "bad.jpg")


def test_missing_files_are_named(tmp_path):
    for read in (decode, image_size):
        with pytest.raises(InputError, match=r"gone\.jpg: no such image"):
            read(tmp_path / "gone.jpg")


def test_sizes_come_from_the_header(tmp_path):
    write_image(tmp_path / "a.jpg", 33, 77)
    assert image_size(tmp_path / "a.jpg") == (33, 77)


@pytest.mark.parametrize("size", [(1920, 1080), (640, 480), (37, 991), (5000, 3)])
def test_tile_size_predicts_the_resized_image(size):
    width, height = size
    tile = resize_long_side(np.zeros((height, width, 3), np.uint8), 320)
    assert tile.shape[1::-1] == tile_size(width, height, 320)
    assert max(tile.shape) == 320


def test_letterbox_shape_and_boxes():
    image = np.full((1080, 1920, 3), 255, np.uint8)
    padded, fit = letterbox(image, 640)
    assert padded.shape == (384, 640, 3) == (*letterbox_shape(1920, 1080, 640), 3)
    assert (fit.left, fit.top) == (0, 12)
    assert (padded[:12] == 114).all()
    assert (padded[12:-12] == 255).all()
    boxes = np.array([[0, 0, 1920, 1080]], np.float32)
    assert fit.to_network(boxes).tolist() == [[0, 12, 640, 372]]


@pytest.mark.parametrize(("size", "suggested"), [(650, 640), (10, 32), (0, 32)])
def test_letterbox_needs_a_multiple_of_the_stride(size, suggested):
    with pytest.raises(InputError, match=f"image_size is {size}, .*stride 32, for example {suggested}"):
        letterbox_shape(100, 100, size)


def test_planes_are_rgb_and_contiguous():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    planes = to_rgb_planes(image)
    np.testing.assert_array_equal(planes, image[..., ::-1].transpose(2, 0, 1))
    assert planes.flags.c_contiguous


def test_the_cache_forgets_the_oldest_and_travels_empty():
    cache, loaded = TileCache(2), []

    def get(key):
        return cache.get(key, lambda spare: loaded.append(key) or np.full((1, 1, 3), key, np.uint8))[0, 0, 0]

    assert [get(key) for key in (1, 2, 1, 3, 1)] == [1, 2, 1, 3, 1]
    assert loaded == [1, 2, 3, 1]
    assert len(cache) == 2
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.capacity, copy.max_bytes, len(copy)) == (2, float("inf"), 0)


def test_a_cache_of_nothing_keeps_nothing():
    cache = TileCache(0)
    cache.get(1, lambda spare: np.zeros((1, 1, 3), np.uint8))
    assert len(cache) == 0


def test_the_cache_stays_within_its_memory():
    cache = TileCache(100, max_bytes=1000)
    for key in range(20):
        cache.get(key, lambda _: np.zeros((10, 10, 3), np.uint8))
    assert len(cache) == 3
    assert 19 in cache
    cache.get(20, lambda _: np.zeros((30, 30, 3), np.uint8))  # larger than all of it
    assert len(cache) == 0


def test_a_forgotten_image_lends_its_memory_to_the_next():
    cache, spares = TileCache(1), []

    def load(spare):
        spares.append(spare)
        return np.zeros((4, 4, 3), np.uint8)

    images = [cache.get(key, load) for key in range(3)]
    assert spares[:2] == [None, None]
    assert spares[2] is images[0]


@pytest.mark.parametrize(
    ("width", "height", "size"), [(1920, 1080, 640), (60, 90, 96), (33, 200, 64), (1000, 201, 320)]
)
def test_fixed_size_that_fits_is_the_letterbox(width, height, size):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    expected, box = letterbox(image, size)
    padded, into = letterbox_into(image, *expected.shape[:2])
    np.testing.assert_array_equal(padded, expected)
    assert into == pytest.approx(box)


@pytest.mark.parametrize(("width", "height", "gain", "left", "top"), [(100, 50, 0.64, 0, 32), (50, 200, 0.48, 20, 0)])
def test_fixed_size_of_another_shape_is_filled_up(width, height, gain, left, top):
    padded, box = letterbox_into(np.full((height, width, 3), 7, np.uint8), 96, 64)
    assert padded.shape == (96, 64, 3)
    assert box == pytest.approx((gain, left, top))
    content = padded[top : 96 - top, left : 64 - left]
    assert (content == 7).all()
    assert (padded == 7).sum() == content.size
