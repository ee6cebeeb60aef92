import pickle

import cv2
import numpy as np
import pytest

from jde_lightning.data import decoding
from jde_lightning.data.decoding import Decoder
from jde_lightning.data.images import decode_reduced
from jde_lightning.errors import InputError


@pytest.fixture
def image(tmp_path):
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), (301, 203))
    for suffix in ("jpg", "png", "bmp"):
        cv2.imwrite(str(tmp_path / f"a.{suffix}"), pixels)
    return tmp_path


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_equals_the_usual_way(image, suffix, factor):
    path, decoder = image / f"a.{suffix}", Decoder()
    for _ in range(2):
        np.testing.assert_array_equal(decoder.decode(path, factor, (301, 203)), decode_reduced(path, factor))


def test_memory_is_used_again(image):
    decoder = Decoder()
    first = decoder.decode(image / "a.jpg", 1, (301, 203))
    assert decoder.decode(image / "a.jpg", 1, (301, 203)) is not first
    assert np.shares_memory(decoder.decode(image / "a.jpg", 2, (301, 203)), first) == decoding._READS_INTO


@pytest.mark.parametrize("size", [(300, 203), (301, 205), (640, 480), (1, 1), (0, 0)])
def test_an_image_of_another_size_has_its_own(image, size):
    np.testing.assert_array_equal(Decoder().decode(image / "a.jpg", 1, size), decode_reduced(image / "a.jpg", 1))


def test_an_image_that_fails_is_not_the_one_before(image):
    decoder, data = Decoder(), (image / "a.jpg").read_bytes()
    bad = {
        "empty": b"",
        "short": b"\xff",
        "header": data[:200],
        "cut": data[: len(data) // 2],
        "junk": b"\xff\xd8" + b"abc" * 100 + b"\xff\xd9",
        "ended": data[:200] + b"\xff\xd9",
    }
    for name, content in bad.items():
        decoder.decode(image / "a.jpg", 1, (301, 203))
        (image / f"{name}.jpg").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.jpg: cannot be read as an image"):
            decoder.decode(image / f"{name}.jpg", 1, (301, 203))
    with pytest.raises(InputError, match=r"gone\.jpg: no such image"):
        decoder.decode(image / "gone.jpg", 1, (301, 203))


def test_works_with_an_opencv_that_cannot(image, monkeypatch):
    monkeypatch.setattr(decoding, "_READS_INTO", False)
    np.testing.assert_array_equal(Decoder().decode(image / "a.jpg", 2, (301, 203)), decode_reduced(image / "a.jpg", 2))


def test_travels_without_its_memory(image):
    decoder = Decoder()
    decoder.decode(image / "a.jpg", 1, (301, 203))
    assert len(pickle.dumps(decoder)) < 200
