from pathlib import Path

import pytest

from jde_lightning.data.readers.sequence_folders import size_of_video, video_frames
from jde_lightning.errors import InputError


@pytest.mark.parametrize(
    ("folder", "names", "sequence", "numbers"),
    [
        ("MOT17/images/train/MOT17-02-SDP/img1", ["000002.jpg", "000010.jpg"], "MOT17-02-SDP", [2, 10]),
        ("my/images/cam1", ["f10.jpg", "f9.jpg"], "cam1", [9, 10]),
        ("ETHZ/eth01/images", ["image_00000007_0.png", "image_00000008_0.png"], "eth01", [7, 8]),
        ("x/cam2/frames", ["cam2_0000.jpg", "cam2_0001.jpg"], "cam2", [0, 1]),
        ("x/v", ["0001_jpg.rf.9c2.jpg", "0002_jpg.rf.1b7.jpg"], "v", [1, 2]),
        ("x/v", ["t_20240131_120000.jpg", "t_20240131_120001.jpg"], "v", [120000, 120001]),
        ("images/1", ["5.jpg"], "1", [5]),
    ],
    ids=["MOT17", "numeric order", "constant number behind", "frames from 0", "Roboflow's hash", "clock", "one frame"],
)
def test_sequence_and_frame_numbers(folder, names, sequence, numbers):
    frames = video_frames([Path(folder) / name for name in names])
    assert {frame.sequence for frame in frames} == {sequence}
    assert [frame.number for frame in frames] == numbers
    assert {frame.image.name for frame in frames} == set(names)


def test_sequences_keep_their_order():
    images = [Path(name) for name in ("b/2.jpg", "a/1.jpg", "b/1.jpg")]
    assert [(f.sequence, f.number) for f in video_frames(images)] == [("b", 1), ("b", 2), ("a", 1)]
    assert video_frames([]) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["v/a.jpg", "v/2.jpg"], "v: taken as a sequence .2 files, a.jpg first.*a.jpg has no number"),
        (["v/cam1_1.jpg", "v/cam2_1.jpg", "v/cam1_2.jpg"], "no number in the names tells all its files apart"),
        (["v/99999999999999999999.jpg"], "no number in the names"),
        (["train/cam/1.jpg", "val/cam/2.jpg"], "val/cam: train/cam would be a sequence 'cam' too.*rename one"),
    ],
)
def test_folders_that_are_no_videos(names, message):
    with pytest.raises(InputError, match=message):
        video_frames([Path(name) for name in names])


def test_the_first_image_that_opens_tells_the_size_of_a_video():
    images = {number: Path(f"{number}.jpg") for number in (3, 1, 2)}
    assert size_of_video(images, {Path("2.jpg"): (4, 6), Path("3.jpg"): (9, 9)}.get) == (4, 6)
    assert set(images) == {2, 3}
    assert size_of_video(images, lambda image: None) is None
    assert images == {}
