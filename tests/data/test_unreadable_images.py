import logging
import pickle

import cv2
import numpy as np
import pytest
from dataset_files import make_frame, write_image

from jde_lightning.data import AugmentationConfig, FrameDataset, FrameIndex, MosaicDataset, assign_training_identities
from jde_lightning.data.images import PADDING, TileCache
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.data.unreadable import UnreadableImages
from jde_lightning.errors import InputError

PLAIN = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, degrees=0, translate=0, scale=0, fliplr=0)


@pytest.fixture
def index(tmp_path):
    """Five images of 64 x 48; the second is damaged, the third is missing, the fourth has no boxes."""
    for number in (0, 1, 3, 4):
        write_image(tmp_path / f"{number}.jpg", color=(200, 10, 10))
    (tmp_path / "1.jpg").write_bytes(b"no image at all")
    return FrameIndex.from_frames(make_frame(tmp_path / f"{i}.jpg", 0 if i == 3 else 2) for i in range(5))


def mosaic(index, **options):
    identities, _ = assign_training_identities(index)
    return MosaicDataset(index, identities, 64, PLAIN, **options)


def test_a_tile_that_cannot_be_read_is_grey_and_without_boxes(index, caplog):
    dataset = mosaic(index)
    requests = [MosaicRequest((0, 1, 2 + k % 2, 4), (0, 0, k)) for k in range(30)]
    samples = dataset[requests]
    sources = np.concatenate([sample.source_frames for sample in samples])
    assert set(sources.tolist()) == {0, 4}
    whole = dataset[MosaicRequest((1, 1, 1, 1), (0, 0, 5))]
    assert np.unique(whole.image).tolist() == [PADDING]
    assert len(whole.boxes) == len(whole.ignore_boxes) == 0
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2  # each named once, however often it was asked for
    assert sum("1.jpg: cannot be read as an image" in line for line in lines) == 1
    assert sum("2.jpg: no such image" in line for line in lines) == 1


def test_what_was_asked_before_changes_nothing(index):
    request = MosaicRequest((0, 1, 2, 3), (0, 0, 7))
    fresh, used = mosaic(index), mosaic(index, cache=TileCache(0))
    used[[MosaicRequest((k % 4, 1, 2, 3), (0, 1, k)) for k in range(10)]]
    for a, b in zip(fresh[request], used[request], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_validation_frame_is_grey_and_keeps_its_annotations(index, caplog):
    dataset = FrameDataset(index, 64)
    for _ in range(2):
        sample = dataset[1]
        assert np.unique(sample.image).tolist() == [PADDING]
        assert len(sample.boxes) == len(sample.frame) == 2
    assert caplog.text.count("1.jpg: cannot be read as an image") == 1
    assert dataset[0].image[2].mean() > 150  # blue, BGR on disk


def test_another_size_is_still_an_error(index, tmp_path):
    write_image(tmp_path / "0.jpg", 32, 48)
    with pytest.raises(InputError, match=r"0\.jpg: 32x48 pixels where the annotations say 64x48; another copy"):
        FrameDataset(index, 64)[0]
    with pytest.raises(InputError, match=r"0\.jpg: 32x48 pixels where the annotations say 64x48; another copy"):
        mosaic(index)[MosaicRequest((0, 0, 0, 0), (0, 0, 0))]


def fail(kind):
    def load():
        raise kind

    return load


@pytest.mark.parametrize("error", [InputError("a.jpg: broken"), OSError(5, "Input/output error"), cv2.error("too big")])
def test_any_reason_will_do(error, caplog):
    images = UnreadableImages()
    assert images.read(3, fail(error)) is None
    assert images.frames == {3}
    assert len(caplog.records) == 1


def test_a_bug_is_not_hidden():
    with pytest.raises(KeyError):
        UnreadableImages().read(0, fail(KeyError("x")))


def test_names_come_to_an_end_and_a_lost_disk_ends_the_run(caplog):
    images = UnreadableImages()
    good = np.zeros((1, 1, 3), np.uint8)
    for frame in range(1000, 1150):
        assert images.read(frame, lambda: good) is good
    for frame in range(150):
        assert images.read(frame, fail(OSError("gone"))) is None
    assert len(caplog.records) == 21  # twenty names, and the count at 100
    with pytest.raises(InputError, match="151 images cannot be read, 150 could; the last: gone"):
        images.read(150, fail(OSError("gone")))
    few = UnreadableImages()
    for frame in range(99):  # a handful of damaged images is no reason to stop
        few.read(frame, fail(OSError("gone")))
    with caplog.at_level(logging.CRITICAL), pytest.raises(InputError, match="100 images cannot be read, 0 could"):
        few.read(99, fail(OSError("gone")))


def test_none_of_a_few_ends_the_run():
    images = UnreadableImages(3)
    for _ in range(2):  # the same ones again are no others
        for frame in range(2):
            assert images.read(frame, fail(OSError("gone"))) is None
    assert pickle.loads(pickle.dumps(images)).read(2, fail(OSError("gone"))) is None  # a worker's first
    with pytest.raises(InputError, match="none of the 3 images can be read; the last: gone"):
        images.read(2, fail(OSError("gone")))
    good = np.zeros((1, 1, 3), np.uint8)
    images = UnreadableImages(2)
    assert images.read(0, lambda: good) is good
    assert images.read(1, fail(OSError("gone"))) is None


def test_workers_note_their_own():
    images = UnreadableImages()
    images.read(3, fail(OSError("gone")))
    assert pickle.loads(pickle.dumps(images)).frames == set()
