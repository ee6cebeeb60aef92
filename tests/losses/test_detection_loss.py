"""Box, class and distance losses are ultralytics' own; every foreground anchor knows its object."""

import math
from types import SimpleNamespace

import pytest
import torch

from jde_lightning._ultralytics import v8DetectionLoss
from jde_lightning.losses import DetectionLoss
from jde_lightning.models import RawMaps, decode_boxes

STRIDES = (8, 16, 32)
SHAPES = ((20, 24), (10, 12), (5, 6))
ANCHORS = sum(h * w for h, w in SHAPES)
HEIGHT, WIDTH = 160, 192


def maps(images: int = 4, num_classes: int = 1, seed: int = 0) -> RawMaps:
    g = torch.Generator().manual_seed(seed)
    return RawMaps(
        torch.randn(images, 64, ANCHORS, generator=g).requires_grad_(),
        torch.randn(images, num_classes, ANCHORS, generator=g).requires_grad_(),
        torch.randn(images, 8, ANCHORS, generator=g).requires_grad_(),
        SHAPES,
    )


def batch_of(counts: list[int], low: float = 20, high: float = 90, num_classes: int = 1, seed: int = 0) -> dict:
    """Boxes of ``low`` to ``high`` pixels; identities beyond what float32 or float64 can tell apart."""
    g = torch.Generator().manual_seed(seed)
    n = sum(counts)
    size = low + (high - low) * torch.rand(n, 2, generator=g)
    corner = torch.rand(n, 2, generator=g) * (torch.tensor([WIDTH, HEIGHT]) - size)
    return {
        "boxes": torch.cat((corner, corner + size), dim=1),
        "labels": torch.randint(num_classes, (n,), generator=g),
        "identities": 2**60 + torch.randperm(n, generator=g),
        "batch_idx": torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
    }


def reference(raw: RawMaps, batch: dict, stride_val: int | None = None) -> torch.Tensor:
    """The (box, cls, dfl) losses of ultralytics' criterion, called as its trainer does."""
    head = SimpleNamespace(stride=torch.tensor(STRIDES, dtype=torch.float32), nc=raw.scores.shape[1], reg_max=16)
    model = SimpleNamespace(
        parameters=lambda: iter([torch.zeros(1)]), args=SimpleNamespace(box=7.5, cls=0.5, dfl=1.5), model=[head]
    )
    criterion = v8DetectionLoss(model)
    if stride_val is not None:
        criterion.assigner.stride_val = stride_val
    size = torch.tensor([WIDTH, HEIGHT], dtype=torch.float32)
    low, high = batch["boxes"][:, :2] / size, batch["boxes"][:, 2:] / size
    targets = {
        "batch_idx": batch["batch_idx"].float(),
        "cls": batch["labels"].float()[:, None],
        "bboxes": torch.cat(((low + high) / 2, high - low), dim=1),
    }
    features = [torch.zeros(len(raw.boxes), 1, *shape) for shape in SHAPES]
    losses, _ = criterion({"boxes": raw.boxes, "scores": raw.scores, "feats": features}, targets)
    return losses / len(raw.boxes)


def ours(num_classes: int = 1, **kwargs) -> DetectionLoss:
    return DetectionLoss(num_classes, STRIDES, **kwargs)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("counts", [[3, 5, 1, 4], [0, 6, 0, 2], [0, 0, 0, 0], [9, 0, 0, 0]])
@pytest.mark.parametrize("sizes", [(20, 90), (4, 14)])
def test_losses_and_gradients_are_bit_equal_to_ultralytics(num_classes, counts, sizes):
    raw, batch = maps(num_classes=num_classes), batch_of(counts, *sizes, num_classes)
    losses, expected = ours(num_classes).terms(raw, batch).losses, reference(raw, batch)
    assert torch.equal(losses, expected)
    grads = torch.autograd.grad(losses.sum(), raw[:2])
    for a, b in zip(grads, torch.autograd.grad(expected.sum(), raw[:2]), strict=True):
        torch.testing.assert_close(a, b)


def test_golden_values():
    """Numbers, not a comparison: another release of ultralytics that assigns otherwise must be noticed."""
    a = torch.arange(ANCHORS, dtype=torch.float64)
    c = torch.arange(64, dtype=torch.float64)[:, None]
    raw = RawMaps(
        torch.sin(0.37 * a + 1.3 * c).float()[None].repeat(2, 1, 1),
        torch.cos(0.11 * a).float()[None, None].repeat(2, 1, 1),
        torch.zeros(2, 4, ANCHORS),
        SHAPES,
    )
    batch = {
        "boxes": torch.tensor([[10.0, 12, 70, 130], [80, 20, 150, 120], [30, 40, 38, 55], [100, 8, 190, 152]]),
        "labels": torch.zeros(4, dtype=torch.int64),
        "identities": torch.arange(4),
        "batch_idx": torch.tensor([0, 0, 0, 1]),
    }
    default, paper = (ours(small_target_stride=s).terms(raw, batch) for s in (None, 0))
    assert default.losses.tolist() == pytest.approx([3.398162, 33.183372, 4.456977], rel=1e-5)
    assert paper.losses.tolist() == pytest.approx([3.398162, 33.183372, 4.456977], rel=1e-5)
    assert (len(default.images), len(paper.images)) == (34, 32)


@pytest.mark.parametrize("counts", [[3, 5, 1, 4], [0, 6, 0, 2], [12, 0, 0, 1]])
def test_identity_is_that_of_the_assigned_box(counts):
    raw, batch = maps(), batch_of(counts)
    criterion = ours()
    assigned = {}

    def spy(*args, **kwargs):
        assigned["boxes"], assigned["foreground"] = (out := assign(*args, **kwargs))[1], out[3]
        return out

    assign, criterion.assigner.forward = criterion.assigner.forward, spy
    found = criterion.terms(raw, batch)
    assert len(found.images) > 0
    assert torch.equal(assigned["foreground"].nonzero(), torch.stack((found.images, found.anchors), dim=1))
    for image, anchor, identity in zip(found.images, found.anchors, found.identities, strict=True):
        of_image = (batch["batch_idx"] == image).nonzero().flatten()
        distance = (batch["boxes"][of_image] - assigned["boxes"][image, anchor]).abs().amax(dim=1)
        assert distance.min() < 1e-3
        assert identity == batch["identities"][of_image[distance.argmin()]]
    assert found.identities.dtype == torch.int64


def test_confidence_is_the_highest_class_probability():
    raw = maps(num_classes=3)
    found = ours(3).terms(raw, batch_of([2, 2, 2, 2], num_classes=3))
    for image, anchor, confidence in zip(found.images, found.anchors, found.confidences, strict=True):
        logit = max(raw.scores[image, :, anchor].tolist())
        assert confidence.item() == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)
    assert not found.confidences.requires_grad


def test_small_target_stride_is_the_assigners():
    raw, batch = maps(), batch_of([6, 6, 6, 6], 4, 12)
    paper, default = ours(small_target_stride=0).terms(raw, batch), ours().terms(raw, batch)
    assert torch.equal(paper.losses, reference(raw, batch, stride_val=0))
    assert torch.equal(ours(small_target_stride=24).terms(raw, batch).losses, reference(raw, batch, stride_val=24))
    assert len(paper.images) < len(default.images)


def test_no_boxes_at_all():
    found = ours().terms(maps(), batch_of([0, 0, 0, 0]))
    assert found.losses[0] == found.losses[2] == 0
    assert found.losses[1] > 0
    assert found.identities.shape == found.confidences.shape == (0,)
    assert found.identities.dtype == torch.int64


def test_gains():
    raw, batch = maps(), batch_of([3, 3, 3, 3])
    plain = ours(box=1.0, cls=1.0, dfl=1.0).terms(raw, batch).losses
    scaled = ours(box=2.0, cls=3.0, dfl=5.0).terms(raw, batch).losses
    torch.testing.assert_close(scaled, plain * torch.tensor([2.0, 3.0, 5.0]))


def test_boxes_are_decoded_as_in_inference():
    raw = maps()
    points = torch.cat(
        [
            torch.stack(torch.meshgrid(torch.arange(w) + 0.5, torch.arange(h) + 0.5, indexing="xy"), -1).view(-1, 2)
            for h, w in SHAPES
        ]
    )
    strides = torch.cat([torch.full((h * w, 1), float(s)) for (h, w), s in zip(SHAPES, STRIDES, strict=True)])
    boxes = ours().bbox_decode(points, raw.boxes.transpose(1, 2).contiguous()) * strides
    torch.testing.assert_close(decode_boxes(raw, STRIDES), boxes, rtol=1e-5, atol=1e-3)
