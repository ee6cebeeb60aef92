"""Decoding and suppression answer as ultralytics' do, without its time limit."""

import numpy as np
import pytest
import torch

from jde_lightning._ultralytics import Detect
from jde_lightning.boxes import iou
from jde_lightning.models import RawMaps, decode, decode_boxes
from jde_lightning.models.decode import anchor_points

STRIDES = (8, 16, 32)
SHAPES = ((12, 16), (6, 8), (3, 4))
ANCHORS = sum(h * w for h, w in SHAPES)


def random_maps(num_classes: int = 1, images: int = 3, embed_dim: int = 5, seed: int = 0) -> RawMaps:
    g = torch.Generator().manual_seed(seed)
    return RawMaps(
        3 * torch.randn(images, 64, ANCHORS, generator=g),
        2 * torch.randn(images, num_classes, ANCHORS, generator=g),
        torch.randn(images, embed_dim, ANCHORS, generator=g),
        SHAPES,
    )


def ultralytics_output(raw: RawMaps) -> torch.Tensor:
    """``(B, 4 + num_classes, A)``: centre, size in pixels, and class probabilities."""
    head = Detect(raw.scores.shape[1], 16, False, (16, 16, 16))
    head.stride = torch.tensor(STRIDES, dtype=torch.float32)
    features = [torch.zeros(len(raw.boxes), 1, *shape) for shape in raw.shapes]
    return head._inference({"boxes": raw.boxes, "scores": raw.scores, "feats": features}).detach()


def test_anchor_points_are_cell_centres():
    points, sizes = anchor_points(((1, 2), (1, 1)), (8, 16))
    assert points.tolist() == [[4, 4], [12, 4], [8, 8]]
    assert sizes.tolist() == [8, 8, 16]


def test_all_boxes_equal_ultralytics():
    raw = random_maps()
    centre, size = ultralytics_output(raw).transpose(1, 2)[..., :4].split(2, dim=-1)
    expected = torch.cat((centre - size / 2, centre + size / 2), dim=-1)
    torch.testing.assert_close(decode_boxes(raw, STRIDES), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize(("conf", "iou", "max_det"), [(0.1, 0.7, 300), (0.5, 0.3, 300), (0.01, 0.5, 11)])
@pytest.mark.parametrize("agnostic", [False, True])
def test_detections_equal_ultralytics(num_classes, conf, iou, max_det, agnostic):
    from ultralytics.utils.nms import non_max_suppression

    raw = random_maps(num_classes)
    prediction = torch.cat((ultralytics_output(raw), raw.embeddings), dim=1)
    expected = non_max_suppression(prediction, conf, iou, agnostic=agnostic, max_det=max_det, nc=num_classes)
    found = decode(raw, STRIDES, conf, iou, max_det, class_agnostic=agnostic)
    assert sum(map(len, found)) > 10
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.boxes, theirs[:, :4], rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(ours.scores, theirs[:, 4], rtol=1e-6)
        np.testing.assert_array_equal(ours.labels, theirs[:, 5].long())
        embeddings = theirs[:, 6:] / theirs[:, 6:].norm(dim=1, keepdim=True)
        np.testing.assert_allclose(ours.embeddings, embeddings, rtol=1e-5, atol=1e-6)


def test_no_detection_in_some_or_all_images():
    raw = random_maps()
    raw.scores[1] = -20.0
    counts = [len(d) for d in decode(raw, STRIDES)]
    assert counts[1] == 0
    assert counts[0] > 0
    assert counts[2] > 0
    raw.scores[:] = -20.0
    for detections in decode(raw, STRIDES):
        assert detections.boxes.shape == (0, 4)
        assert detections.embeddings.shape == (0, 5)


def test_most_confident_candidates_enter_the_suppression():
    raw = random_maps(images=2)
    few = decode(raw, STRIDES, conf=0.0, iou=1.0, max_candidates=4)
    every = decode(raw, STRIDES, conf=0.0, iou=1.0)
    for a, b in zip(few, every, strict=True):
        np.testing.assert_array_equal(a.scores, b.scores[:4])


def test_an_image_does_not_depend_on_the_others():
    raw = random_maps(num_classes=2)
    alone = RawMaps(*(t[1:2] for t in raw[:3]), raw.shapes)
    a, b = decode(raw, STRIDES)[1], decode(alone, STRIDES)[0]
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.embeddings, b.embeddings)


@pytest.mark.parametrize("agnostic", [False, True])
def test_mean_embedding_of_all_anchors_that_found_the_box(agnostic):
    """Against loops over boxes and anchors."""
    raw = random_maps(num_classes=2, seed=3)
    raw.boxes[:] = raw.boxes[:, :, :1] * 0.1 + 0.2 * raw.boxes  # neighbours predict much the same box
    boxes = decode_boxes(raw, STRIDES).numpy()
    scores, labels = (t.numpy() for t in raw.scores.sigmoid().max(dim=1))
    looks = torch.nn.functional.normalize(raw.embeddings, dim=1).transpose(1, 2).numpy()
    found = decode(raw, STRIDES, conf=0.3, iou=0.4, class_agnostic=agnostic, pooling="mean")
    best = decode(raw, STRIDES, conf=0.3, iou=0.4, class_agnostic=agnostic)
    pooled = 0
    for image, detections in enumerate(found):
        np.testing.assert_array_equal(detections.boxes, best[image].boxes)
        for box, score, label, embedding in zip(
            detections.boxes, detections.scores, detections.labels, detections.embeddings, strict=True
        ):
            close = iou(box[None], boxes[image])[0] > 0.4
            close &= (scores[image] >= 0.5 * score) & (scores[image] <= score)
            close &= agnostic | (labels[image] == label)
            pooled += close.sum() > 1
            total = (looks[image][close] * scores[image][close, None]).sum(axis=0)
            np.testing.assert_allclose(embedding, total / np.linalg.norm(total), atol=1e-5)
    assert pooled > 10


def test_mean_embeddings_do_not_depend_on_the_lowest_confidence():
    raw = random_maps(seed=3)
    raw.boxes[:] = raw.boxes[:, :, :1] * 0.1 + 0.2 * raw.boxes
    for strict, lax in zip(
        decode(raw, STRIDES, conf=0.95, iou=0.7, pooling="mean"),
        decode(raw, STRIDES, conf=0.01, iou=0.7, pooling="mean"),
        strict=True,
    ):
        assert 0 < len(strict) < len(lax)
        np.testing.assert_allclose(strict.embeddings, lax.embeddings[: len(strict)], atol=1e-6)


def test_pooling_finds_nothing_where_there_is_nothing():
    raw = random_maps(images=2)
    raw.scores[:] = -20.0
    assert [d.embeddings.shape for d in decode(raw, STRIDES, pooling="mean")] == [(0, 5), (0, 5)]


def test_decodes_in_float32_under_autocast():
    raw = random_maps()
    expected = decode(raw, STRIDES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = decode(raw, STRIDES)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)


def test_half_precision_maps():
    raw = random_maps()
    half = RawMaps(*(t.bfloat16() for t in raw[:3]), raw.shapes)
    rounded = RawMaps(*(t.bfloat16().float() for t in raw[:3]), raw.shapes)
    for a, b in zip(decode(half, STRIDES), decode(rounded, STRIDES), strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.scores, b.scores)


def test_no_image_is_given_up_when_there_are_many_candidates():
    shapes = ((80, 80), (40, 40), (20, 20))
    g = torch.Generator().manual_seed(0)
    raw = RawMaps(
        torch.randn(3, 64, 8400, generator=g),
        torch.randn(3, 1, 8400, generator=g),
        torch.randn(3, 2, 8400, generator=g),
        shapes,
    )
    assert [len(d) for d in decode(raw, STRIDES, conf=0.001)] == [300, 300, 300]
