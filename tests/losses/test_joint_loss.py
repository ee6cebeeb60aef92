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


def test_the_reid_loss_hears_of_classes_boxes_and_images():
    raw, batch = maps(), batch_with_pairs()
    batch["labels"] = torch.zeros_like(batch["identities"])
    found = DetectionLoss(1, STRIDES).terms(raw, batch)
    rows = raw.embeddings[found.images, :, found.anchors]
    for options in ({"max_per_object": 1}, {"max_per_image": 5}, {"negative_classes": "same"}):
        reid_loss = ReIDLoss(**options)
        expected = reid_loss(
            rows,
            found.identities,
            found.confidences,
            labels=batch["labels"][found.rows],
            objects=found.rows,
            images=batch["batch_idx"][found.rows],
        )
        torch.testing.assert_close(
            JDELoss(1, STRIDES, reid_loss=reid_loss)(raw, batch)[1]["reid_loss"], expected.detach()
        )


def test_background_that_is_no_number_does_not_matter():
    """Only anchors with an object are compared, so only they can spoil the loss."""
    raw, batch = maps(), batch_with_pairs()
    expected = JDELoss(1, STRIDES)(raw, batch)[0]
    found = DetectionLoss(1, STRIDES).terms(raw, batch)
    background = torch.ones(raw.embeddings.shape[0], raw.embeddings.shape[2], dtype=torch.bool)
    background[found.images, found.anchors] = False
    embeddings = raw.embeddings.detach().masked_fill(background[:, None], torch.inf)
    assert torch.equal(JDELoss(1, STRIDES)(raw._replace(embeddings=embeddings), batch)[0], expected)


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
    """Without boxes the class loss is the mean gain times the cross-entropy of all anchors but those in a region."""
    raw = YOLO11JDE("n", embed_dim=16).train()(torch.rand(2, 3, 64, 64))
    batch = {
        **batch_of([0, 0]),
        "ignore_boxes": torch.tensor([[0.0, 0, 32, 64], [32.0, 0, 64, 64], [40.0, 0, 64, 64]]),
        "ignore_batch_idx": torch.tensor([0, 1, 1]),
    }
    kept, every = [], []
    for image in range(2):
        centers = [
            (x + 0.5) * stride
            for (height, width), stride in zip(raw.shapes, STRIDES, strict=True)
            for _ in range(height)
            for x in range(width)
        ]
        for anchor, x in enumerate(centers):
            every.append(torch.nn.functional.softplus(raw.scores[image, 0, anchor]).item())
            kept.append(every[-1] if (x > 32) == (image == 0) else 0.0)
    # without targets ultralytics divides by 1; the gain of the class loss is 0.5
    assert JDELoss(1, STRIDES)(raw, batch)[1]["cls_loss"].item() == pytest.approx(0.5 * sum(kept), rel=1e-4)
    paper = JDELoss(1, STRIDES, ignore_regions=False)
    assert paper(raw, batch)[1]["cls_loss"].item() == pytest.approx(0.5 * sum(every), rel=1e-4)


def test_an_object_in_an_ignore_region_is_learned_all_the_same():
    raw, batch = maps(), batch_with_pairs()
    plain = DetectionLoss(1, STRIDES).terms(raw, batch)
    regions = {"ignore_boxes": batch["boxes"].clone(), "ignore_batch_idx": batch["batch_idx"].clone()}
    covered = DetectionLoss(1, STRIDES).terms(raw, {**batch, **regions})
    assert torch.equal(covered.anchors, plain.anchors)
    assert torch.equal(covered.losses[[0, 2]], plain.losses[[0, 2]])
    assert covered.losses[1] < plain.losses[1]  # background anchors in the region
    covered.losses[1].backward()
    assert (raw.scores.grad[covered.images, :, covered.anchors] != 0).all()  # the object's own anchors are learned
