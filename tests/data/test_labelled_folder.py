"""The synthetic crowd with YOLO labels, read back by the reader of such folders."""

import cv2
import numpy as np
import pytest

from jde_lightning.data.readers import YOLOText
from jde_lightning.data.synthetic import render_still, write_labelled_folder
from jde_lightning.data.synthetic.street import PERSON, STATIC_PERSON
from jde_lightning.structures import NO_IDENTITY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("labelled") / "street"
    write_labelled_folder(path, train=3, val=2, video_frames=4)
    return path


def test_the_reader_finds_the_rendered_people_and_no_identities(folder):
    frames = sorted(YOLOText(path="data.yaml", split="train").frames(folder), key=lambda frame: frame.image_path)
    assert len(frames) == 3
    for number, frame in enumerate(frames):
        truth = render_still(number)
        people = np.isin(truth.categories, (PERSON, STATIC_PERSON)) & (truth.visibility >= 0.1)
        assert frame.boxes == pytest.approx(truth.boxes[people], abs=1e-3)
        assert (frame.identities == NO_IDENTITY).all()
        assert cv2.imread(str(frame.image_path)).shape[:2] == (frame.height, frame.width)
    assert len(list(YOLOText(path="data.yaml", split="val").frames(folder))) == 2


def test_training_and_validation_share_no_picture_and_the_video_is_there(folder):
    pictures = {split: {p.read_bytes() for p in (folder / "images" / split).iterdir()} for split in ("train", "val")}
    assert not pictures["train"] & pictures["val"]
    assert [path.name for path in sorted((folder / "camera").iterdir())] == [f"00000{n}.jpg" for n in (1, 2, 3, 4)]
