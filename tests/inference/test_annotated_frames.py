"""Frames of sources and of an index, with what is annotated in them."""

import logging

import cv2
import numpy as np
import pytest
from painted_people import Painted, Scene

from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.inference.annotated_frames import every_nth, frames_of_index, frames_of_sources
from jde_lightning.inference.sources import open_sources
from jde_lightning.structures import Role


@pytest.fixture
def sequence(tmp_path):
    folder = tmp_path / "walk"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    lines = ["[Sequence]", "name=walk", "frameRate=20", "seqLength=6", "imWidth=64", "imHeight=48", "imExt=.png"]
    (folder / "seqinfo.ini").write_text("\n".join(lines) + "\n")
    for number in range(1, 7):
        cv2.imwrite(str(folder / "img1" / f"{number:06d}.png"), np.full((48, 64, 3), number, np.uint8))
    rows = [f"{f},{i},{i * 10},5,8,20,{flag},{cls},1" for f in (1, 2, 3, 5) for i, flag, cls in ((1, 1, 1), (2, 1, 7))]
    (folder / "gt" / "gt.txt").write_text("\n".join(rows))
    return folder


def test_a_sequence_comes_with_its_ground_truth(sequence):
    frames = list(frames_of_sources(open_sources(str(sequence))))
    assert [frame.annotations.frame for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert [len(frame.annotations) for frame in frames] == [2, 2, 2, 0, 2, 0]
    first = frames[0].annotations
    assert first.boxes.tolist() == [[9, 4, 17, 24], [19, 4, 27, 24]]
    assert first.identities.tolist() == [1, 2]
    assert first.roles.tolist() == [Role.POSITIVE, Role.IGNORE]
    assert {(f.annotations.sequence, f.annotations.frame_rate) for f in frames} == {("walk", 20)}
    assert frames[3].image_path.endswith("walk/img1/000004.png")


def test_every_nth_and_halves(sequence):
    assert [f.annotations.frame for f in frames_of_sources(open_sources(str(sequence)), every=2)] == [1, 3, 5]
    second_half = open_sources(str(sequence), "val_half")
    assert [(f.annotations.frame, len(f.annotations)) for f in frames_of_sources(second_half)] == [(5, 2), (6, 0)]


def test_an_image_folder_and_a_sequence_without_ground_truth(sequence):
    (frame,) = list(frames_of_sources(open_sources(str(sequence)), every=6))
    (sequence / "gt" / "gt.txt").unlink()
    assert len(next(iter(frames_of_sources(open_sources(str(sequence))))).annotations) == 0
    (sequence / "seqinfo.ini").unlink()
    (sequence / "img1").rename(sequence / "pictures")
    frames = list(frames_of_sources(open_sources(str(sequence / "pictures"))))
    assert [(f.annotations.sequence, f.annotations.frame, len(f.annotations)) for f in frames[:2]] == [
        ("pictures", 1, 0),
        ("pictures", 2, 0),
    ]
    assert (frames[0].image == frame.image).all()


def test_a_camera_is_refused():
    class Camera:
        name, live = "camera0", True

    with pytest.raises(InputError, match="camera0: a camera or stream has no end"):
        next(frames_of_sources([Camera()]))


@pytest.fixture
def index(tmp_path):
    scenes = [Scene("a", 5), Scene(None, 1), Scene(None, 1), Scene(None, 1), Scene("b", 4)]
    return FrameIndex.from_reader(Painted(scenes), tmp_path)


def test_an_index_comes_in_its_order(index):
    frames = list(frames_of_index(index))
    assert len(frames) == len(index) == 12
    for position, frame in enumerate(frames):
        assert frame.image_path == str(index.path(position))
        assert frame.image.shape == (96, 128, 3)
        assert frame.annotations.boxes.tolist() == index.frame(position).boxes.tolist()


def test_every_nth_frame_of_each_sequence(index):
    names = [(index.frame(i).sequence, index.frame(i).frame) for i in every_nth(index, 3).tolist()]
    assert [name for name in names if name[0] == "a"] == [("a", 1), ("a", 4)]
    assert [name for name in names if name[0] == "b"] == [("b", 1), ("b", 4)]
    assert sum(name[0] is None for name in names) == 1
    assert every_nth(index, 1).tolist() == list(range(12))
    assert [f.annotations.frame for f in frames_of_index(index, 3)] == [frame for _, frame in names]


def test_an_unreadable_image_is_left_out_and_another_size_refused(index, caplog):
    index.path(1).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        assert len(list(frames_of_index(index))) == 11
    assert "left out" in caplog.text
    cv2.imwrite(str(index.path(2)), np.zeros((10, 12, 3), np.uint8))
    with pytest.raises(InputError, match="12x10 pixels where the annotations say 128x96"):
        list(frames_of_index(index))
