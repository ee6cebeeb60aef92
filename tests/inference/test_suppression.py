"""Suppression in numpy answers as torchvision's and as decode, decision by decision."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms as torchvision_nms

from jde_lightning.inference.suppression import batched_nms, select_detections, unit_norm
from jde_lightning.models import RawMaps, decode, decode_boxes

SHAPES, STRIDES = ((12, 16), (6, 8), (3, 4)), (8, 16, 32)
ANCHORS = sum(h * w for h, w in SHAPES)


def crowd(people, per_person, classes, seed):
    """Boxes that lie around people. Many scores are equal, but not where torchvision sorts them as it likes."""
    rng = np.random.default_rng(seed)
    centre = np.repeat(rng.uniform(0, 1200, (people, 2)), per_person, 0) + rng.normal(0, 4, (people * per_person, 2))
    size = rng.uniform(20, 90, (people * per_person, 2)) * [1, 2.4]
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1).astype(np.float32)
    values = 400 if classes == 1 or len(boxes) <= 1000 else 10 * len(boxes)
    scores = rng.choice(values, len(boxes), replace=values == 400).astype(np.float32) / values
    return boxes, scores, rng.integers(0, classes, len(boxes))


@pytest.mark.parametrize("iou", [0.3, 0.6, 0.7, 0.0, 1.0])
@pytest.mark.parametrize(
    ("people", "per_person", "classes"), [(5, 8, 1), (40, 20, 1), (40, 20, 4), (60, 25, 4), (1, 1, 1)]
)
def test_the_same_rows_as_torchvision_in_the_same_order(people, per_person, classes, iou):
    for seed in range(4):
        boxes, scores, labels = crowd(people, per_person, classes, seed)
        expected = torchvision_nms(*map(torch.from_numpy, (boxes, scores, labels)), iou).numpy()
        np.testing.assert_array_equal(batched_nms(boxes, scores, labels, iou), expected)
        np.testing.assert_array_equal(batched_nms(boxes, scores, labels, iou, 7), expected[:7])


def test_boxes_without_area_and_overlaps_exactly_at_the_limit():
    boxes = np.float32([[0, 0, 10, 10], [0, 0, 10, 5], [3, 3, 3, 3], [3, 3, 3, 3], [0, 0, 10, 6], [5, 5, 4, 4]])
    scores, labels = np.float32([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.zeros(6, np.int64)
    for iou in (0.5, 0.6, float(np.float32(0.6)), 0.55):
        expected = torchvision_nms(*map(torch.from_numpy, (boxes, scores, labels)), iou)
        assert batched_nms(boxes, scores, labels, iou).tolist() == expected.tolist()


@pytest.mark.parametrize("tenths", range(1, 10))
def test_an_overlap_of_exactly_the_limit_as_torchvision_rounds_it(tenths):
    """0.6 is more in float32 than in double precision, in which torchvision compares; 0.7 is less."""
    boxes, scores, labels = np.float32([[0, 0, 10, 10], [0, 0, 10, tenths]]), np.float32([0.9, 0.8]), np.zeros(2, int)
    expected = torchvision_nms(*map(torch.from_numpy, (boxes, scores, labels)), tenths / 10)
    assert batched_nms(boxes, scores, labels, tenths / 10).tolist() == expected.tolist()


def test_nothing_in_nothing_out():
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    assert batched_nms(*empty, 0.5).tolist() == []
    found = select_detections(*empty, np.zeros((0, 7), np.float32), 0.1, 0.7, 300, "mean")
    assert found.embeddings.shape == (0, 7)


@pytest.mark.parametrize("pooling", ["best", "mean"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(
    ("conf", "iou", "max_det"), [(0.1, 0.7, 300), (0.5, 0.3, 300), (0.01, 0.5, 11), (1.0, 0.7, 300)]
)
def test_the_same_detections_as_decode(classes, conf, iou, max_det, pooling):
    g = torch.Generator().manual_seed(classes)
    raw = RawMaps(
        torch.randn(3, 64, ANCHORS, generator=g),  # flat: boxes of neighbours overlap
        2 * torch.randn(3, classes, ANCHORS, generator=g),
        torch.randn(3, 5, ANCHORS, generator=g),
        SHAPES,
    )
    boxes, (scores, labels) = decode_boxes(raw, STRIDES).numpy(), raw.scores.sigmoid().max(dim=1)
    embeddings = F.normalize(raw.embeddings.transpose(1, 2), dim=2).numpy()
    expected = decode(raw, STRIDES, conf, iou, max_det, pooling=pooling)
    for i, wanted in enumerate(expected):
        found = select_detections(
            boxes[i], scores[i].numpy(), labels[i].numpy(), embeddings[i], conf, iou, max_det, pooling
        )
        assert (len(found) > 5) == (conf < 1)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-4)
        np.testing.assert_array_equal(found.scores, wanted.scores)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.embeddings, wanted.embeddings, atol=1e-5)


def test_unit_norm_leaves_zeros():
    np.testing.assert_allclose(unit_norm(np.float32([[3, 4], [0, 0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)
