"""The training loss: its terms, its scale, and a gradient for every parameter."""

import copy
import pickle

import pytest
import torch
from test_detection_loss import STRIDES, batch_of, maps

from jde_lightning.losses import DetectionLoss, JDELoss, ReIDLoss
from jde_lightning.losses.joint import positive_fraction
from jde_lightning.models import YOLO11JDE, RawMaps


def batch_with_pairs() -> dict:
    batch = batch_of([4, 4, 4, 4])
    batch["identities"] = torch.tensor([0, 1, 2, -1, 0, 1, 3, 4, 5, 6, 7, -1, 8, 9, 2, 10])
    return batch


def test_terms_are_those_of_the_parts():
    raw, batch = maps(), batch_with_pairs()
    total, items = JDELoss(1, STRIDES)(raw, batch)
    found = DetectionLoss(1, STRIDES).terms(raw, batch)
    rows = torch.stack([raw.embeddings[b, :, a] for b, a in zip(found.images, found.anchors, strict=True)])
    reid = ReIDLoss()(rows, found.identities, found.confidences)
    assert reid > 0
    assert [items[name] for name in ("box_loss", "cls_loss", "dfl_loss")] == found.losses.tolist()
    torch.testing.assert_close(items["reid_loss"], reid.detach())
    torch.testing.assert_close(total, 4 * (found.losses.sum() + reid))
    assert all(not item.requires_grad and item.shape == () for item in items.values())


def test_gain_and_replacement_of_the_reid_loss():
    raw, batch = maps(), batch_with_pairs()
    reid_loss = ReIDLoss(top_confidence=0.5)
    once = JDELoss(1, STRIDES, reid_loss=reid_loss)(raw, batch)[1]["reid_loss"]
    twice = JDELoss(1, STRIDES, reid=2.0, reid_loss=reid_loss)(raw, batch)[1]["reid_loss"]
    torch.testing.assert_close(twice, 2 * once)
    assert once != JDELoss(1, STRIDES)(raw, batch)[1]["reid_loss"]


def test_without_reid_the_embeddings_get_a_gradient_of_0():
    raw, batch = maps(), batch_with_pairs()
    total, items = JDELoss(1, STRIDES, reid=0.0)(raw, batch)
    total.backward()
    assert items["reid_loss"] == 0
    assert (raw.embeddings.grad == 0).all()
    assert raw.boxes.grad.abs().max() > 0


def test_small_target_stride_reaches_the_assigner():
    raw, batch = maps(), batch_of([6, 6, 6, 6], 4, 12)
    expected = DetectionLoss(1, STRIDES, small_target_stride=0).terms(raw, batch).losses
    items = JDELoss(1, STRIDES, small_target_stride=0)(raw, batch)[1]
    assert items["box_loss"] == expected[0]
    assert items["box_loss"] != JDELoss(1, STRIDES)(raw, batch)[1]["box_loss"]


@pytest.mark.parametrize("counts", [[3, 0], [0, 0], [2, 5]])
def test_every_parameter_gets_a_gradient(counts):
    torch.manual_seed(0)
    network = YOLO11JDE("n", embed_dim=8)
    total, items = JDELoss(1, network.strides)(network(torch.rand(2, 3, 160, 192)), batch_of(counts))
    total.backward()
    without = [name for name, p in network.named_parameters() if p.grad is None and p.requires_grad]
    assert without == []
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)
    assert all(item.isfinite() for item in items.values())


def test_autocast_changes_nothing():
    raw, batch = maps(), batch_with_pairs()
    loss = JDELoss(1, STRIDES)
    expected = loss(raw, batch)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(raw, batch)[0], expected)


def test_half_precision_maps_are_computed_in_float32():
    raw, batch = maps(), batch_with_pairs()
    half = RawMaps(*(t.detach().bfloat16().requires_grad_() for t in raw[:3]), raw.shapes)
    rounded = RawMaps(*(t.detach().float() for t in half[:3]), raw.shapes)
    loss = JDELoss(1, STRIDES)
    total = loss(half, batch)[0]
    assert total.dtype == torch.float32
    assert torch.equal(total, loss(rounded, batch)[0])
    total.backward()
    assert half.embeddings.grad.dtype == torch.bfloat16


def test_copies_and_pickles_after_use():
    raw, batch = maps(), batch_with_pairs()
    loss = JDELoss(1, STRIDES)
    expected = loss(raw, batch)[0]
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(other(raw, batch)[0], expected)
    assert loss.state_dict() == {}


@pytest.mark.parametrize(
    ("identities", "expected"), [([], 0), ([-1, -1], 0), ([3], 0), ([1, 1, 2], 0.5), ([0, 0, -1, -1, 5, 5, 6, 7], 0.5)]
)
def test_positive_fraction(identities, expected):
    value = positive_fraction(torch.tensor(identities, dtype=torch.int64))
    assert value.dtype == torch.float32
    assert value.item() == expected


def test_background_in_ignore_regions_is_neither_right_nor_wrong():
    """The class loss equals the plain one less the cross-entropy of the background anchors in the region."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", embed_dim=16).train()
    raw = network(torch.rand(2, 3, 64, 64))
    batch = {
        "boxes": torch.tensor([[8.0, 8, 40, 56]]),
        "labels": torch.zeros(1, dtype=torch.int64),
        "identities": torch.zeros(1, dtype=torch.int64),
        "batch_idx": torch.zeros(1, dtype=torch.int64),
        "ignore_boxes": torch.tensor([[0.0, 0, 32, 64], [32.0, 0, 64, 64], [40.0, 0, 64, 64]]),
        "ignore_batch_idx": torch.tensor([0, 1, 1]),
    }
    plain = {key: value for key, value in batch.items() if not key.startswith("ignore_")}
    found = DetectionLoss(1, network.strides).terms(raw, plain)
    foreground = torch.zeros(2, raw.scores.shape[2], dtype=torch.bool)
    foreground[found.images, found.anchors] = True
    left_out, points = 0.0, []
    for (height, width), stride in zip(raw.shapes, network.strides, strict=True):
        points += [((x + 0.5) * stride, (y + 0.5) * stride) for y in range(height) for x in range(width)]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for image in range(2):
        for anchor, (x, _) in enumerate(points):
            inside = x < 32 if image == 0 else x > 32
            if inside and not foreground[image, anchor]:
                logit = raw.scores[image, :, anchor]
                left_out += bce(logit, torch.zeros_like(logit)).item()
    with_regions, without = JDELoss(1, network.strides), JDELoss(1, network.strides, ignore_regions=False)
    kept = with_regions(raw, batch)[1]["cls_loss"].item()
    every = without(raw, batch)[1]["cls_loss"].item()
    assert every == found.losses[1].item()
    # both are divided by the same sum of target scores
    total = bce(raw.scores, torch.zeros_like(raw.scores), reduction="sum").item()
    assert 0 < kept < every
    empty = {**batch, "boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "batch_idx": torch.zeros(0).long()}
    empty["identities"] = torch.zeros(0, dtype=torch.int64)
    kept, every = (loss(raw, empty)[1]["cls_loss"].item() for loss in (with_regions, without))
    all_inside = sum(
        bce(raw.scores[i, :, a], torch.zeros(1)).item()
        for i in range(2)
        for a, (x, _) in enumerate(points)
        if (x < 32 if i == 0 else x > 32)
    )
    # without targets ultralytics divides by 1, the gain of the class loss is 0.5
    assert every - kept == pytest.approx(0.5 * all_inside, rel=1e-3)
    assert every == pytest.approx(0.5 * total, rel=1e-3)
