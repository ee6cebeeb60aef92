"""Boxes of images described by a predictor, in plain frames and in mosaics."""

import numpy as np
import pytest
import torch
from painted_people import Painted, Scene

from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.inference import describe_annotated, describe_detected, embed_boxes, embed_mosaic_views
from jde_lightning.inference.annotated_frames import frames_of_index
from jde_lightning.inference.predictor import Predictor
from jde_lightning.models.network import YOLO11JDE


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=8)
    network.train()
    with torch.no_grad():
        network(torch.rand(4, 3, 128, 128))
        for branch in network.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.5)
            branch[2].bias.zero_()
    return Predictor(network, image_size=128, device="cpu", max_det=20)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("painted")
    return FrameIndex.from_reader(Painted([Scene("a", 6, people=3), Scene("b", 4, people=3)]), folder)


def test_a_detected_box_described_again_has_its_embedding(predictor, index):
    """The detector's own box is described by an anchor that predicts it: with the detection's embedding, mostly."""
    frames = list(frames_of_index(index))[:4]
    detections = describe_detected(predictor)(frames)
    again = embed_boxes(predictor, [f.image for f in frames], [d.boxes for d in detections])
    equal = []
    for found, (described, rows) in zip(detections, again, strict=True):
        assert described.boxes.tolist() == found.boxes[rows].tolist()
        equal += np.isclose(1, (described.embeddings * found.embeddings[rows]).sum(axis=1), atol=1e-4).tolist()
    assert len(equal) > 20
    assert np.mean(equal) > 0.5


def test_annotated_boxes_are_described_as_they_are(predictor, index):
    frames = list(frames_of_index(index))
    for frame, found in zip(frames, describe_annotated(predictor)(frames), strict=True):
        assert found.boxes.tolist() == frame.annotations.boxes.tolist()
        assert np.linalg.norm(found.embeddings, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_weights_without_appearance_are_refused(predictor):
    silent = Predictor(predictor.network, image_size=128, device="cpu", appearance=False)
    for describe in (describe_detected, describe_annotated):
        with pytest.raises(InputError, match="no trained embedding"):
            describe(silent)


def test_mosaic_views_show_the_box(predictor, index):
    box = int(index.offsets[2]) + 1
    views = embed_mosaic_views(predictor, index, box, count=4, seed=3)
    assert len(views.pictures) == len(views.boxes) == len(views.distances) == 4
    assert views.image.shape == (96, 128, 3)
    assert views.box.tolist() == index.boxes[box].tolist()
    plain = embed_boxes(predictor, [views.image], [index.boxes[box][None]])[0][0].embeddings[0]
    assert views.embeddings[0] == pytest.approx(plain, abs=1e-5)
    color = views.image[views.box.astype(int)[1] + 8, views.box.astype(int)[0] + 4].astype(float)
    for picture, (x1, y1, x2, y2), look, distance in zip(
        views.pictures, views.boxes, views.embeddings[1:], views.distances, strict=True
    ):
        assert picture.shape == (128, 128, 3)
        # the person's own colour, whose brightness and saturation a mosaic changes: the channels keep their order
        shown = picture[int((y1 + y2) / 2), int((x1 + x2) / 2)].astype(float)
        assert shown.argmax() == color.argmax() or np.ptp(shown) < 25
        assert distance == pytest.approx(1 - look @ plain, abs=1e-5)
    again = embed_mosaic_views(predictor, index, box, count=4, seed=3)
    assert again.distances.tolist() == views.distances.tolist()
    other = embed_mosaic_views(predictor, index, box, count=4, seed=4)
    assert other.distances.tolist() != views.distances.tolist()
    assert views.note == ""


def test_without_change_a_view_is_a_shifted_copy(predictor, index):
    """The nearest stranger is measured among the other boxes of the plain image."""
    box = int(index.offsets[0])
    config = AugmentationConfig(scale=0.0, translate=0.0, fliplr=0.0, hsv_h=0.0, hsv_s=0.0, hsv_v=0.0)
    views = embed_mosaic_views(predictor, index, box, count=2, augmentation=config)
    described, rows = embed_boxes(predictor, [views.image], [index.frame(0).boxes])[0]
    looks = described.embeddings
    assert rows.tolist() == [0, 1, 2]
    assert views.stranger == pytest.approx(1 - max(looks[0] @ looks[1], looks[0] @ looks[2]), abs=1e-5)


def test_a_box_that_is_not_there_is_refused(predictor, index):
    with pytest.raises(InputError, match="there is no such box, or it is none to learn"):
        embed_mosaic_views(predictor, index, 10_000)
