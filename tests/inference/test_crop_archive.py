"""Crops in a ZIP file: any program opens it, and a row is read without its directory."""

import zipfile

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference import crop_archive
from jde_lightning.inference.crop_archive import CropArchive, CropWriter, cut_crop


def image(width=64, height=48, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def written(path, boxes):
    with CropWriter(path) as writer:
        places = [writer.add(image(), np.array(box, float)) for box in boxes]
    offsets, sizes = np.array(places).reshape(-1, 2).T
    return CropArchive(path, offsets, sizes)


BOXES = [(3, 4, 20, 40), (-10, -10, 12.4, 9.6), (60, 40, 90, 90), (70, 0, 90, 10), (np.nan, 0, 4, 4)]


def test_zipfile_reads_what_was_written(tmp_path):
    archive = written(tmp_path / "crops.zip", BOXES)
    with zipfile.ZipFile(tmp_path / "crops.zip") as content:
        assert content.testzip() is None
        assert content.namelist() == [f"{row:08d}.jpg" for row in range(5)]
        assert all(member.compress_type == zipfile.ZIP_STORED for member in content.infolist())
        for row, name in enumerate(content.namelist()):
            assert content.read(name) == archive.jpeg(row)
    assert len(archive) == 5


def test_beyond_four_gigabytes(tmp_path):
    path = tmp_path / "crops.zip"
    with CropWriter(path) as writer:
        places = [writer.add(image(), np.array(BOXES[0], float))]
        writer._file.seek(5 << 30)  # a hole in the file, which takes no space
        places += [writer.add(image(), np.array(box, float)) for box in BOXES[1:3]]
    assert places[1].offset > 5 << 30
    with zipfile.ZipFile(path) as content:
        assert content.testzip() is None
        assert len(content.namelist()) == 3
        archive = CropArchive(path, *np.array(places).T)
        assert [content.read(name) for name in content.namelist()] == [archive.jpeg(row) for row in range(3)]


def test_more_crops_than_sixteen_bits_can_count(tmp_path, monkeypatch):
    monkeypatch.setattr(crop_archive, "_MANY", 4)  # of 65535
    written(tmp_path / "crops.zip", BOXES * 4)
    with zipfile.ZipFile(tmp_path / "crops.zip") as content:
        assert len(content.namelist()) == 20
        assert content.testzip() is None


def test_a_crop_shows_its_box(tmp_path):
    picture = image()
    expected = cv2.resize(picture[4:40, 3:20], (60, 128))
    crop = written(tmp_path / "crops.zip", BOXES)[0]
    assert crop.shape == (128, 60, 3)
    assert np.abs(crop.astype(int) - expected).mean() < 4  # JPEG


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((0, 0, 64, 48), (48, 64)),
        ((0, 0, 10, 40), (128, 32)),
        ((-5, -5, 5, 15), (128, 43)),
        ((0.2, 0.2, 0.4, 0.4), (64, 64)),
        ((0, 0, 64, 1), (1, 64)),
        ((70, 0, 90, 10), (128, 64)),
        ((10, 10, 10, 30), (128, 64)),
        ((20, 20, 10, 10), (128, 64)),
    ],
)
def test_crops_keep_their_shape_within_the_size(box, shape):
    crop = cut_crop(image(), np.array(box, float))
    assert crop.shape[:2] == shape
    outside = box[0] >= 64 or box[2] <= box[0]
    assert (crop == 114).all() == outside


def test_a_missing_or_foreign_archive_is_named(tmp_path):
    archive = written(tmp_path / "crops.zip", BOXES)
    with pytest.raises(InputError, match="row 5: there are 5 crops, the rows 0 to 4"):
        archive.jpeg(5)
    other = tmp_path / "other.zip"
    other.write_bytes(b"x" * 20_000)
    broken = CropArchive(other, archive._offsets, archive._sizes)
    with pytest.raises(InputError, match=r"other.zip: no crop of row 2 where the table says"):
        broken[2]
    (tmp_path / "crops.zip").unlink()
    with pytest.raises(InputError, match=r"crops.zip: the crops are missing"):
        archive[0]
