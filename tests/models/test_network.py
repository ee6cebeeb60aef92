"""The network has the published size, and runs in every mode."""

import copy
import pickle

import numpy as np
import pytest
import torch

from jde_lightning._ultralytics import Detect, DetectionModel
from jde_lightning.errors import InputError
from jde_lightning.models import YOLO11JDE, JDEHead
from jde_lightning.models.architecture import SCALES, yolo11

COUNTS = {
    "n": {64: 2_971_923, 128: 3_599_571, 256: 5_592_147},
    "s": {64: 10_068_115, 128: 10_953_811, 256: 13_462_483},
    "m": {64: 20_914_899, 128: 22_021_779, 256: 24_972_819},
    "l": {64: 26_172_371, 128: 27_279_251, 256: 30_230_291},
    "x": {64: 58_802_419, 128: 59_580_211, 256: 63_268_531},
}


@pytest.fixture(scope="module")
def network() -> YOLO11JDE:
    torch.manual_seed(0)
    return YOLO11JDE("n", embed_dim=32).eval()


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("embed_dim", [64, 128, 256])
@pytest.mark.parametrize("scale", ["n", "s"])
def test_parameter_counts(scale, embed_dim):
    assert count(YOLO11JDE(scale, embed_dim=embed_dim)) == COUNTS[scale][embed_dim]


@pytest.mark.slow
@pytest.mark.parametrize("embed_dim", [64, 128, 256])
@pytest.mark.parametrize("scale", ["m", "l", "x"])
def test_parameter_counts_of_large_models(scale, embed_dim):
    assert count(YOLO11JDE(scale, embed_dim=embed_dim)) == COUNTS[scale][embed_dim]


def test_architecture_is_the_one_ultralytics_ships():
    from ultralytics.utils import ROOT, YAML

    shipped = YAML.load(ROOT / "cfg/models/11/yolo11.yaml")
    ours = yolo11("s", 80)
    for key in ("backbone", "head", "scales"):
        # ultralytics writes None as a string there, and evaluates it
        assert str(ours[key]).replace("'None'", "None") == str(shipped[key]).replace("'None'", "None")


def test_unknown_scale_lists_the_scales():
    with pytest.raises(InputError, match="unknown YOLO11 scale 'h'; choose one of n, s, m, l, x"):
        YOLO11JDE("h")
    assert SCALES == ("n", "s", "m", "l", "x")


@pytest.mark.parametrize("numbers", [{"num_classes": 0}, {"embed_dim": 0}, {"embed_dim": -3}])
def test_numbers_below_one_are_refused(numbers):
    (name,) = numbers
    with pytest.raises(InputError, match=rf"{name} must be at least 1, got {numbers[name]}"):
        YOLO11JDE("n", **numbers)


def test_forward_is_that_of_ultralytics_plus_embeddings(network):
    reference = DetectionModel(yolo11("n", 1), verbose=False).eval()
    missing, unexpected = reference.load_state_dict(network.state_dict(), strict=False)
    assert missing == []
    assert all(name.startswith("model.23.cv4.") for name in unexpected)
    images = torch.rand(2, 3, 96, 160)
    with torch.no_grad():
        raw = network(images)
        expected = reference(images)[1]
    assert torch.equal(raw.boxes, expected["boxes"])
    assert torch.equal(raw.scores, expected["scores"])
    assert raw.shapes == ((12, 20), (6, 10), (3, 5))
    assert raw.embeddings.shape == (2, 32, 12 * 20 + 6 * 10 + 3 * 5)


def test_every_anchor_has_the_embedding_of_its_own_cell(network):
    head = network.model[-1]
    channels = [branch[0].conv.in_channels for branch in head.cv4.levels]
    features = [torch.rand(1, c, h, h) for c, h in zip(channels, (4, 2, 1), strict=True)]
    with torch.no_grad():
        raw = head(features)
        level_1 = head.cv4.levels[1](features[1])
    assert torch.equal(raw.embeddings[0, :, 16 + 2], level_1[0, :, 1, 0])


def test_training_and_evaluation_return_the_same_kind(network):
    trained = copy.deepcopy(network).train()
    raw = trained(torch.rand(2, 3, 64, 64))
    assert raw.embeddings.shape == (2, 32, 84)
    sum(t.sum() for t in raw[:3]).backward()
    without = [name for name, p in trained.named_parameters() if p.grad is None and p.requires_grad]
    assert without == []


def test_gradients_after_an_evaluation_in_inference_mode(network):
    trained = copy.deepcopy(network).eval()
    trained.detect(torch.rand(1, 3, 64, 64))
    trained(torch.rand(1, 3, 64, 64)).embeddings.sum().backward()


def test_batch_norms_have_the_constants_of_yolo11(network):
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.03)}


def test_head_survives_an_older_model_built_before_it(monkeypatch):
    expected = JDEHead(1, 16, 8, [64, 128, 256])
    monkeypatch.setattr(Detect, "legacy", True)
    assert JDEHead(1, 16, 8, [64, 128, 256]).state_dict().keys() == expected.state_dict().keys()


def test_attributes(network):
    assert network.strides == (8, 16, 32)
    assert network.reg_max == 16
    assert network.class_names == ["person"]
    assert YOLO11JDE("n", num_classes=3, embed_dim=8).class_names == ["0", "1", "2"]


@pytest.mark.parametrize("size", [(100, 64), (64, 48)])
def test_size_that_does_not_fit_the_strides(network, size):
    with pytest.raises(ValueError, match=f"must be multiples of 32, got {size[0]}x{size[1]}"):
        network(torch.rand(1, 3, *size))


def test_images_must_be_float(network):
    with pytest.raises(ValueError, match=r"must be float in 0..1, got torch.uint8: divide by 255"):
        network(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


def test_detect_gives_unit_embeddings_and_keeps_the_mode(network):
    for mode in (True, False):
        network.train(mode)
        first, second = network.detect(torch.rand(2, 3, 96, 64), conf=0.0, max_det=7)
        assert network.training is mode
    assert len(first) == len(second) == 7
    assert first.embeddings.dtype == first.boxes.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(first.embeddings, axis=1), 1, atol=1e-6)
    assert (np.diff(first.scores) <= 0).all()


def test_detect_without_any_detection(network):
    for detections in network.detect(torch.rand(2, 3, 64, 64), conf=1.0):
        assert len(detections) == 0
        assert detections.embeddings.shape == (0, 32)


def test_copies_and_pickles(network):
    images = torch.rand(1, 3, 64, 64)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        with torch.no_grad():
            assert torch.equal(other.eval()(images).embeddings, network.eval()(images).embeddings)


def test_channels_last_changes_nothing(network):
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = network(images)
        raw = copy.deepcopy(network).to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    for a, b in zip(raw[:3], expected[:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_exports(network):
    program = torch.export.export(network, (torch.rand(1, 3, 64, 64),))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images).embeddings, network(images).embeddings)
