"""Narrowed class branches answer like the wide ones."""

import copy

import pytest
import torch

from jde_lightning.models import YOLO11JDE, decode
from jde_lightning.models.narrowing import _natural_noise, is_wider

DROPPED = slice(10, 26)


@pytest.fixture(scope="module")
def wide() -> YOLO11JDE:
    """A detector of 80 classes with lively batch norms: 80 hidden channels instead of 64."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", num_classes=80, embed_dim=16).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.1, 0.3)
    for branch in network.model[-1].cv3:
        branch[2].weight.data.normal_(std=0.3)
    return network


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Other images of the kind that the covariances come from: a random network sees no sense in anything else."""
    return _natural_noise(torch.zeros(1), count=6)[4:]


def load(wide: YOLO11JDE, folder, **kwargs) -> YOLO11JDE:
    torch.save(wide.state_dict(), folder / "wide.pt")
    network = YOLO11JDE("n", embed_dim=16, **kwargs).eval()
    report = network.load_weights(folder / "wide.pt")
    assert report.missing == []
    assert len(report.sliced) == 3 * 20
    return network


def person_logits(network: YOLO11JDE, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(images).scores[:, 0]


def test_channels_that_are_not_needed_go_without_a_trace(wide, images, tmp_path):
    source = copy.deepcopy(wide)
    for branch in source.model[-1].cv3:
        branch[2].weight.data[0, DROPPED] = 0
        branch[1][1].conv.weight.data[:, DROPPED] = 0
    torch.testing.assert_close(
        person_logits(load(source, tmp_path), images), person_logits(source, images), rtol=1e-4, atol=1e-4
    )


def test_constant_channels_move_into_the_bias(wide, images, tmp_path):
    source = copy.deepcopy(wide)
    for branch in source.model[-1].cv3:
        branch[2].weight.data[0, DROPPED] *= 0.05
        branch[1][1].conv.weight.data[:, DROPPED] *= 0.05
        for norm in (branch[1][0].bn, branch[1][1].bn):
            norm.weight.data[DROPPED], norm.bias.data[DROPPED] = 0, 20
    expected = person_logits(source, images)
    torch.testing.assert_close(person_logits(load(source, tmp_path), images), expected, rtol=0, atol=0.1)


def test_copies_of_a_channel_are_merged(wide, images, tmp_path):
    source = copy.deepcopy(wide)
    for branch in source.model[-1].cv3:
        for module in (branch[0][1], branch[1][0], branch[1][1]):
            for tensor in (module.conv.weight, *module.bn.state_dict().values()):
                if tensor.ndim:
                    tensor.data[64:] = tensor.data[:16]
    expected, found = person_logits(source, images), person_logits(load(source, tmp_path), images)
    assert (found - expected).std() < 0.02 * expected.std()


def test_better_than_keeping_the_first_channels(wide, images, tmp_path):
    expected, found = person_logits(wide, images), person_logits(load(wide, tmp_path), images)
    naive = load(wide, tmp_path)
    for narrow, branch in zip(naive.model[-1].cv3, wide.model[-1].cv3, strict=True):
        narrow[2].weight.data[:] = branch[2].weight.data[:1, :64]
        narrow[2].bias.data[:] = branch[2].bias.data[:1]
        narrow[1][1].conv.weight.data[:] = branch[1][1].conv.weight.data[:64, :64]
        for a, b in ((narrow[0][1], branch[0][1]), (narrow[1][0], branch[1][0])):
            a.conv.weight.data[:] = b.conv.weight.data[:64]
        for a, b in ((narrow[0][1], branch[0][1]), (narrow[1][0], branch[1][0]), (narrow[1][1], branch[1][1])):
            for name, tensor in a.bn.state_dict().items():
                tensor[...] = b.bn.state_dict()[name][:64] if tensor.ndim else 0
    error, naive_error = (found - expected).std(), (person_logits(naive, images) - expected).std()
    assert error < 0.1 * naive_error


def test_several_classes_keep_their_order_and_unknown_ones_their_weights(wide, images, tmp_path):
    network = YOLO11JDE("n", num_classes=2, embed_dim=16)
    network.class_names = ["unicorn", "7"]  # the wide network's classes are named by their numbers
    unicorn = network.state_dict()["model.23.cv3.0.2.bias"][0].clone()
    named = copy.deepcopy(wide)
    named.names = dict(enumerate(wide.class_names))
    torch.save({"ema": None, "model": named}, tmp_path / "named.pt")
    network.load_weights(tmp_path / "named.pt")
    with torch.no_grad():
        expected, found = wide(images).scores[:, 7], network.eval()(images).scores[:, 1]
    assert torch.equal(network.state_dict()["model.23.cv3.0.2.bias"][0], unicorn)
    assert (found - expected).std() < 0.1 * expected.std()


def test_equal_widths_are_not_touched(wide):
    assert not is_wider(wide.state_dict(), wide.state_dict())
    assert not is_wider({}, wide.state_dict())


def test_loading_is_reproducible_and_keeps_the_mode(wide, tmp_path):
    torch.manual_seed(5)
    first = load(wide, tmp_path)
    torch.manual_seed(6)
    second = load(wide, tmp_path).train()
    second.load_weights(tmp_path / "wide.pt")
    assert second.training
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        if ".cv3." in name:
            assert torch.equal(a, b), name


def test_people_are_still_found_with_real_weights(real_data):
    import cv2
    from torchvision.ops import box_iou

    weights = real_data / "weights" / "yolo11n_coco_state_dict.pt"
    frames = []
    for number in (1, 220, 450):
        image = cv2.imread(str(real_data / f"mot17/train/MOT17-09-FRCNN/img1/{number:06d}.jpg"))
        image = cv2.copyMakeBorder(cv2.resize(image, (640, 360)), 12, 12, 0, 0, cv2.BORDER_CONSTANT, value=(114,) * 3)
        frames.append(torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1) / 255)
    images = torch.stack(frames)
    full, narrow = YOLO11JDE("n", num_classes=80, embed_dim=16), YOLO11JDE("n", embed_dim=16)
    full.load_weights(weights)
    narrow.load_weights(weights)
    with torch.no_grad():
        raw = full.eval()(images)
    reference = decode(raw._replace(scores=raw.scores[:, :1]), full.strides, conf=0.25)
    found = narrow.detect(images, conf=0.25)
    total = sum(map(len, reference))
    again = sum(
        int((box_iou(torch.tensor(r.boxes), torch.tensor(f.boxes)).amax(1) > 0.7).sum())
        for r, f in zip(reference, found, strict=True)
    )
    assert total > 20
    assert again >= 0.85 * total
    assert sum(map(len, found)) <= 1.15 * total
