"""Embeddings of single anchor points equal those of the dense branch, everywhere, in every variant."""

import copy

import numpy as np
import pytest
import torch

from jde_lightning.errors import InputError
from jde_lightning.models import YOLO11JDE, decode
from jde_lightning.models.late_embeddings import embeddings_at
from jde_lightning.models.reid_branch import ReIDBranch

VARIANTS = [(kind, fusion) for kind in ("plain", "light") for fusion in (False, True)]
CHANNELS = (16, 24, 32)
SIZE = 96, 160  # the coarsest map has 3 x 5 cells: no cell is without a border


def lively(module, seed=0):
    """Give every batch norm statistics, a scale and an offset as after training: what it makes of zeros is not zero."""
    g = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values, low, high in ((layer.weight, 0.5, 1.5), (layer.bias, -1, 1)):
                values.data.uniform_(low, high, generator=g)
            layer.running_mean.normal_(generator=g)
            layer.running_var.uniform_(0.5, 1.5, generator=g)
    return module.eval()


def level_inputs(shapes, images=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(images, c, *shape, generator=g) for c, shape in zip(CHANNELS, shapes, strict=True)]


def every_anchor(features):
    total, images = sum(x.shape[2] * x.shape[3] for x in features), len(features[0])
    return torch.arange(images).repeat_interleave(total), torch.arange(total).repeat(images)


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def network(request):
    """A network whose detections are spread over its maps, with scores far enough apart to keep their order."""
    torch.manual_seed(0)
    kind, fusion = request.param
    made = YOLO11JDE("n", 2, 24, kind, fusion).train()
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # statistics of what is seen, else signals vanish on the way through the network
            layer.reset_running_stats()
    with torch.no_grad():
        made(torch.rand(4, 3, *SIZE))
        for branch in made.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.5)
            branch[2].bias.zero_()
    lively(made.model[-1].cv4)
    return made.eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["plain", "light"])
@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param(((12, 20), (6, 10), (3, 5)), id="borders and middle"),
        pytest.param(((1, 1), (1, 7), (2, 2)), id="smaller than the neighbourhood"),
    ],
)
@pytest.mark.parametrize("channels_last", [True, False])
def test_every_anchor_point_equals_the_dense_branch(kind, shapes, channels_last):
    branch = lively(ReIDBranch(CHANNELS, 12, kind))
    features = level_inputs(shapes)
    if channels_last:
        features = [x.contiguous(memory_format=torch.channels_last) for x in features]
    with torch.inference_mode():
        dense = branch(features).transpose(1, 2).flatten(0, 1)
        late = embeddings_at(branch, features, *every_anchor(features))
    torch.testing.assert_close(late, dense, rtol=0, atol=1e-5)


def test_rows_come_in_the_order_they_were_asked_for_however_often():
    branch = lively(ReIDBranch(CHANNELS, 12))
    features = level_inputs(((8, 8), (4, 4), (2, 2)))
    rows = torch.tensor([83, 3, 64, 3, 79, 0, 83])
    images = torch.tensor([1, 0, 1, 0, 0, 1, 0])
    with torch.inference_mode():
        dense = branch(features)
        for share in (None, 0.0, 0.03, 1.0):  # late, dense, some levels dense
            late = embeddings_at(branch, features, images, rows, share)
            torch.testing.assert_close(late, dense[images, :, rows], rtol=0, atol=1e-5)


def test_more_anchor_points_than_are_gathered_at_once(monkeypatch):
    monkeypatch.setattr("jde_lightning.models.late_embeddings._CHUNK", 7)
    branch = lively(ReIDBranch(CHANNELS, 12))
    features = level_inputs(((8, 8), (4, 4), (2, 2)))
    with torch.inference_mode():
        late = embeddings_at(branch, features, *every_anchor(features))
        torch.testing.assert_close(late, branch(features).transpose(1, 2).flatten(0, 1), rtol=0, atol=1e-5)


def test_no_anchor_point_at_all():
    branch = lively(ReIDBranch(CHANNELS, 12))
    none = torch.zeros(0, dtype=torch.long)
    for share in (None, 0.1):
        found = embeddings_at(branch, level_inputs(((8, 8), (4, 4), (2, 2))), none, none, share)
        assert found.shape == (0, 12)


def test_what_is_not_finite_stays_where_the_dense_branch_has_it():
    branch = lively(ReIDBranch(CHANNELS, 12))
    features = level_inputs(((12, 12), (4, 4), (2, 2)), images=1)
    features[0][0, :, 0, 0] = torch.inf
    with torch.inference_mode():
        dense = branch(features)[0].T
        late = embeddings_at(branch, features, *every_anchor(features))
    assert torch.equal(late.isfinite(), dense.isfinite())
    assert not late.isfinite().all()


def test_batch_norms_in_training_are_refused():
    branch = ReIDBranch(CHANNELS, 12).train()
    features = level_inputs(((8, 8), (4, 4), (2, 2)))
    with pytest.raises(ValueError, match=r"evaluation mode; call network\.eval\(\)"):
        embeddings_at(branch, features, torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("pooling", ["best", "mean"])
@pytest.mark.parametrize("embeddings", ["late", "auto"])
def test_detections_equal_those_of_dense_embeddings(network, images, fused, pooling, embeddings):
    network.embedding_pooling = pooling
    made = network.fused() if fused else network
    expected = made.detect(images, conf=0.3, iou=0.6, max_det=40, embeddings="dense")
    found = made.detect(images, conf=0.3, iou=0.6, max_det=40, embeddings=embeddings)
    assert min(map(len, expected)) > 10
    looks = expected[0].embeddings @ expected[0].embeddings.T
    assert looks.min() < 0.9  # different people look different, so that a mix-up would show
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-5)
    network.embedding_pooling = "best"


def test_embeddings_do_not_depend_on_the_batch(network, images):
    together = network.detect(images, conf=0.3, embeddings="late")
    for image, expected in zip(images, together, strict=True):
        alone = network.detect(image[None], conf=0.3, embeddings="late")[0]
        assert len(alone) == len(expected)
        np.testing.assert_allclose(alone.embeddings, expected.embeddings, atol=1e-4)


def test_nothing_found(network, images):
    for found in network.detect(images, conf=1.0, embeddings="late"):
        assert found.embeddings.shape == (0, 24)


def test_the_branch_does_not_run_densely(network, images, monkeypatch):
    def refuse(*_):
        msg = "the dense branch ran"
        raise AssertionError(msg)

    monkeypatch.setattr(ReIDBranch, "forward", refuse)
    assert all(map(len, network.detect(images, conf=0.3, max_det=9, embeddings="late")))
    assert all(map(len, network.detect(images, conf=0.3, max_det=9, embeddings="auto")))
    with pytest.raises(AssertionError, match="the dense branch ran"):
        network.detect(images, conf=0.3, embeddings="dense")


def test_reduced_precision_agrees(network, images):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = network.detect(images, conf=0.3, embeddings="dense")
        found = network.detect(images, conf=0.3, embeddings="late")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert (one.embeddings * other.embeddings).sum(axis=1).min() > 0.999


def test_detecting_leaves_training_mode_as_it_was(network, images):
    network.train()
    network.detect(images, embeddings="late")
    assert network.training
    network.eval()


def test_unknown_mode(network, images):
    with pytest.raises(InputError, match="unknown embeddings 'lazy'; choose one of dense, late, auto"):
        network.detect(images, embeddings="lazy")


def test_late_maps_need_somebody_who_describes(network, images):
    with torch.inference_mode(), pytest.raises(ValueError, match=r"these maps have no embeddings: pass embeddings_at"):
        decode(network.forward_late(images), network.strides)


def test_folded_batch_norms_answer_the_same(network, images):
    network, images = copy.deepcopy(network).double(), images.double()  # so that rounding cannot hide an error
    fused = network.fused()
    assert not [m for m in fused.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not any(p.requires_grad for p in fused.parameters())
    with torch.inference_mode():
        for one, other in zip(fused(images)[:3], network(images)[:3], strict=True):
            assert other.std() > 0.1
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_folding_leaves_the_network_as_it_was(network, images):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fused = network.fused()
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter.zero_()
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
