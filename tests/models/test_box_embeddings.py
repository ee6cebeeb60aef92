"""Given boxes are described by the anchor that training's own assigner ranks first."""

import numpy as np
import pytest
import torch

from jde_lightning.losses.detection import DetectionLoss
from jde_lightning.models.box_embeddings import describe_boxes
from jde_lightning.models.decode import anchor_points, decode_boxes
from jde_lightning.models.network import YOLO11JDE


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = YOLO11JDE("n", 2, embed_dim=8)
    made.train()
    with torch.no_grad():
        made(torch.rand(4, 3, 96, 96))
    return made.eval()


BOXES = [
    np.array([[5, 5, 40, 60], [30, 20, 70, 90], [6, 6, 42, 58], [1, 1, 3, 3]], np.float32),
    np.zeros((0, 4), np.float32),
    np.array([[-20, -30, 50, 200], [0, 0, 96, 96]], np.float32),
]


def test_the_anchor_is_the_first_of_training(network):
    with torch.inference_mode():
        raw = network(torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(1)))
        points, _ = anchor_points(raw.shapes, network.strides)
        predicted = decode_boxes(raw, network.strides)
        described = describe_boxes(raw, network.strides, BOXES)
    assigner = DetectionLoss(2, network.strides).assigner
    assigner.topk = 1
    for image, (found, rows) in enumerate(described):
        # the assigner goes by the score of the class that is annotated, we by that of the likeliest
        scores, classes = raw.scores[image].sigmoid().max(dim=0)
        likeliest = scores[None, :, None].expand(1, -1, 2)
        for box, row, score, label, look in zip(
            found.boxes, rows, found.scores, found.labels, found.embeddings, strict=True
        ):
            assert box.tolist() == BOXES[image][row].tolist()
            given = torch.tensor(box)[None, None], torch.ones(1, 1, 1)
            chosen = assigner(likeliest, predicted[image, None], points, torch.zeros(1, 1, 1), *given)[3]
            (anchor,) = chosen[0].nonzero()[:, 0].tolist()
            assert score == pytest.approx(scores[anchor].item(), rel=1e-4)
            assert label == classes[anchor].item()
            expected = raw.embeddings[image, :, anchor]
            assert look == pytest.approx((expected / expected.norm()).numpy(), abs=1e-5)
    # also a box that is smaller than a cell; the second image has none
    assert [rows.tolist() for _, rows in described] == [[0, 1, 2, 3], [], [0, 1]]


def test_a_box_that_nothing_overlaps_is_left_out(network):
    with torch.inference_mode():
        raw = network(torch.rand(1, 3, 96, 96))
        found, rows = describe_boxes(raw, network.strides, [np.float32([[500, 500, 540, 590], [5, 5, 40, 60]])])[0]
    assert rows.tolist() == [1]
    assert found.embeddings.shape == (1, 8)
