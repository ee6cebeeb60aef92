import logging
from typing import ClassVar

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference import sources
from jde_lightning.inference.live_source import LiveSource
from jde_lightning.inference.sources import DEFAULT_FRAME_RATE, natural_key, open_source, open_sources


def image(value, height=24, width=32):
    return np.full((height, width, 3), value, np.uint8)


def write_sequence(folder, numbers, seqinfo="[Sequence]\nframeRate=25\nseqLength={n}\n", suffix=".png", name="{:06d}"):
    (folder / "img1").mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / "img1" / (name.format(number) + suffix)), image(number))
    if seqinfo:
        (folder / "seqinfo.ini").write_text(seqinfo.format(n=max(numbers)))
    return folder


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (32, 24))
    for value in (10, 60, 110, 160, 210):
        writer.write(image(value))
    writer.release()
    return path


def test_video_frames_in_order_numbered_from_one(video):
    source = open_source(str(video))
    assert (source.name, source.frame_rate, source.length, source.live) == ("walk", 12.0, 5, False)
    frames = list(source)
    assert [f.number for f in frames] == [1, 2, 3, 4, 5]
    assert [round(float(f.image.mean()), -1) for f in frames] == pytest.approx([10, 60, 110, 160, 210], abs=5)
    assert [f.number for f in source] == [1, 2, 3, 4, 5]  # and again from the start


def test_real_video(real_data):
    source = open_source(str(real_data / "video/mot17_04_frames1-8.mp4"))
    frames = list(source)
    assert source.frame_rate == 3
    assert [f.number for f in frames] == list(range(1, 9))
    assert frames[0].image.shape == (1080, 1920, 3)


def test_unreadable_video_is_named(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(InputError, match=r"broken\.mp4: cannot be opened as a video; the file is damaged"):
        open_source(str(path))


class FakeCapture:
    """Stands in for cv2.VideoCapture: a camera that tells ``properties`` and delivers ``frames``."""

    properties: ClassVar[dict] = {}
    frames = 3
    opened = True

    def __init__(self, source, *limits):
        self.left = self.frames

    def isOpened(self):  # noqa: N802
        return self.opened

    def get(self, key):
        return self.properties.get(key, 0.0)

    def read(self):
        self.left -= 1
        return (True, image(1)) if self.left >= 0 else (False, None)

    def release(self):
        pass


@pytest.mark.parametrize("rate", [0.0, float("nan"), 90000.0, -1.0])
def test_camera_without_a_frame_rate_gets_a_default_and_a_warning(monkeypatch, caplog, rate):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "properties", {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: -1})
    (source,) = open_sources("0")
    assert (source.name, source.frame_rate, source.length, source.live) == ("camera0", DEFAULT_FRAME_RATE, None, True)
    assert isinstance(source, LiveSource)
    assert "does not tell its frame rate" in caplog.text
    assert open_sources("0", frame_rate=12.5)[0].frame_rate == 12.5


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://10.0.0.1:554/hall/cam 2?user=x", "cam_2"),
        ("http://example.org/a/street.mp4", "street"),
        ("rtsp://camera/", "camera"),
    ],
)
def test_address_names_its_files(monkeypatch, address, name):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "properties", {cv2.CAP_PROP_FPS: 25.0})
    source = open_source(address)
    assert (source.name, source.live) == (name, True)


def test_address_of_a_file_is_not_live(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "properties", {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_FRAME_COUNT: 100})
    assert not open_source("http://example.org/street.mp4").live


def test_missing_camera(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "opened", False)
    with pytest.raises(InputError, match="camera 7: cannot be opened"):
        open_source("7")


def test_folder_of_images_in_natural_order(tmp_path):
    for name, value in (("frame10.png", 30), ("frame2.png", 20), ("Frame1.PNG", 10)):
        cv2.imwrite(str(tmp_path / name.lower()), image(value))
        (tmp_path / name.lower()).rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    source = open_source(str(tmp_path))
    assert (source.name, source.length, source.frame_rate) == (tmp_path.name, 3, DEFAULT_FRAME_RATE)
    assert [(n, int(i.mean())) for n, i in source] == [(1, 10), (2, 20), (3, 30)]


def test_natural_key_compares_numbers_by_value_and_mixed_names():
    names = ["b1", "a10", "10", "a2", "2", "a"]
    assert sorted(names, key=natural_key) == ["2", "10", "a", "a2", "a10", "b1"]


def test_folder_without_images_says_what_it_found(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"no images .* in this folder, found notes\.txt"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("kind", ["folder", "sequence", "video"])
def test_frame_rate_that_is_given_wins(tmp_path, video, kind):
    write_sequence(tmp_path / "S", [1, 2])
    write_sequence(tmp_path / "images", [1, 2])
    (tmp_path / "images/img1").rename(tmp_path / "frames")
    source = {"folder": tmp_path / "frames", "sequence": tmp_path / "S", "video": video}[kind]
    assert open_sources(str(source), frame_rate=7.5)[0].frame_rate == 7.5


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 5000.0])
def test_impossible_frame_rate(tmp_path, rate):
    write_sequence(tmp_path / "S", [1])
    with pytest.raises(InputError, match=r"--fps must be above 0 and at most 1000 frames per second, got"):
        open_sources(str(tmp_path / "S"), frame_rate=rate)


def test_negative_number_of_tries():
    with pytest.raises(InputError, match="--reconnect must be at least 0, got -1"):
        open_sources("0", reconnects=-1)


def test_damaged_image_is_named(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8 not a jpeg")
    with pytest.raises(InputError, match=r"1\.jpg"):
        list(open_source(str(tmp_path)))


def test_missing_path():
    with pytest.raises(InputError, match=r"no/such/file\.mp4: no such file or folder; a source is"):
        open_source("no/such/file.mp4")


def test_mot_sequence_keeps_the_numbers_of_its_files(tmp_path):
    folder = write_sequence(tmp_path / "MOT17-99-FRCNN", [7, 8, 9, 100])
    source = open_source(str(folder))
    assert (source.name, source.frame_rate, source.length) == ("MOT17-99-FRCNN", 25.0, 4)
    assert [(n, int(i.mean())) for n, i in source] == [(7, 7), (8, 8), (9, 9), (100, 100)]


@pytest.mark.parametrize("inner", ["", "img1"])
def test_the_image_folder_of_a_sequence_stands_for_the_sequence(tmp_path, inner):
    folder = write_sequence(tmp_path / "S", [1, 2])
    assert open_source(str(folder / inner)).name == "S"


# The table of facts: N frames -> last training and first validation frame of both conventions.
@pytest.mark.parametrize(
    ("convention", "n", "last_train", "first_val"),
    [("centertrack", 10, 6, 7), ("centertrack", 9, 5, 6), ("fairmot", 10, 5, 6), ("fairmot", 9, 4, 5)],
)
def test_halves(tmp_path, convention, n, last_train, first_val):
    folder = str(write_sequence(tmp_path / "S", range(1, n + 1)))
    (train,) = open_sources(folder, "train_half", convention)
    (val,) = open_sources(folder, "val_half", convention)
    assert [f.number for f in train] == list(range(1, last_train + 1))
    assert [f.number for f in val] == list(range(first_val, n + 1))
    assert val.length == n - first_val + 1


def test_real_half(real_data):
    (source,) = open_sources(str(real_data / "mot17/train"), "val_half")
    assert (source.name, source.length, source.frame_rate) == ("MOT17-09-FRCNN", 262, 30)
    assert next(iter(source)).number == 264


def test_half_of_which_no_image_is_there(tmp_path):
    folder = write_sequence(tmp_path / "S", [1, 2, 3, 4], "[Sequence]\nframeRate=30\nseqLength=600\n")
    with pytest.raises(InputError, match="none of its 4 images is in val_half of 600 frames"):
        open_sources(str(folder), "val_half")
    assert open_sources(str(folder))[0].length == 4


def test_split_of_something_else(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), image(1))
    with pytest.raises(InputError, match="--split val_half needs MOTChallenge sequences"):
        open_sources(str(tmp_path), "val_half")


def test_folder_of_sequences(tmp_path):
    for name in ("MOT20-02", "MOT20-10", "MOT20-1"):
        write_sequence(tmp_path / name, [1, 2])
    (tmp_path / "seqmaps").mkdir()
    assert [s.name for s in open_sources(str(tmp_path))] == ["MOT20-1", "MOT20-02", "MOT20-10"]
    with pytest.raises(InputError, match="holds 3 sequences, expected one; name one of them: MOT20-1"):
        open_source(str(tmp_path))


def test_sequence_without_seqinfo(tmp_path, caplog):
    source = open_source(str(write_sequence(tmp_path / "S", [1, 2], seqinfo=None, name="img_{:06d}")))
    assert source.frame_rate == DEFAULT_FRAME_RATE
    assert [f.number for f in source] == [1, 2]
    assert "no frameRate in seqinfo.ini" in caplog.text


@pytest.mark.parametrize(
    ("numbers", "split", "told"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], "all", None),
        ([3, 4, 5, 6, 7, 8], "all", None),  # the first ones were left out as a whole
        ([1, 2, 4, 5, 6, 7, 8], "all", "no image for 1 of 8 frames (3)"),
        ([1, 2], "all", "no image for 6 of 8 frames (3, 4, 5, ...)"),
        ([1, 2, 4, 5, 6, 7, 8], "val_half", None),
        ([1, 2, 3, 4, 5, 6, 8], "val_half", "no image for 1 of 3 frames (7)"),
    ],
)
def test_frames_without_image_are_told(tmp_path, caplog, numbers, split, told):
    (source,) = open_sources(
        str(write_sequence(tmp_path / "S", numbers, seqinfo="[Sequence]\nframeRate=25\nseqLength=8\n")), split=split
    )
    assert [f.number for f in source] == [n for n in numbers if split == "all" or n >= 6]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == ([told] if told else [])


def test_sequence_with_other_image_folder_and_lower_case_keys(tmp_path, caplog):
    folder = write_sequence(tmp_path / "S", [1], "[Sequence]\nimdir = frames\nframerate = 14\n")
    (folder / "img1").rename(folder / "frames")
    with caplog.at_level(logging.WARNING):
        source = open_source(str(folder))
    assert (source.frame_rate, source.length) == (14, 1)
    assert not caplog.records


def test_sequence_with_unnumbered_image(tmp_path):
    folder = write_sequence(tmp_path / "S", [1])
    cv2.imwrite(str(folder / "img1" / "cover.png"), image(0))
    with pytest.raises(InputError, match=r"cover\.png: the name of a MOTChallenge image ends with its frame number"):
        open_source(str(folder))


def test_sequence_without_images(tmp_path):
    folder = write_sequence(tmp_path / "S", [1])
    (folder / "img1" / "000001.png").unlink()
    with pytest.raises(InputError, match=r"img1: no images .* found nothing"):
        open_source(str(folder))


def test_every_source_is_a_frame_source(tmp_path, video):
    write_sequence(tmp_path / "a" / "S", [1])
    for path in (video, tmp_path / "a" / "S"):
        assert isinstance(open_source(str(path)), sources.FrameSource)
