"""The variants of the Re-ID branch: what they cost, what they see, and which weights fit them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jde_lightning.errors import InputError
from jde_lightning.models import YOLO11JDE, JDEHead
from jde_lightning.models.architecture import SCALES
from jde_lightning.models.reid_branch import LevelFusion, ReIDBranch, branch_layout

VARIANTS = [(kind, fusion) for kind in ("plain", "light") for fusion in (False, True)]
CHANNELS = {"n": (64, 128, 256), "s": (128, 256, 512), "m": (256, 512, 512)}
CHANNELS |= {"l": CHANNELS["m"], "x": (384, 768, 768)}
SMALL = [16, 24, 32]
DOCS = Path(__file__).parents[2] / "docs" / "reid_branches.md"


def features(channels=SMALL, size=8, images=2):
    return [torch.randn(images, c, size >> level, size >> level) for level, c in enumerate(channels)]


def lively(branch):
    """Give every batch norm, also those that start at 0, a scale and an offset as after training."""
    torch.manual_seed(1)
    for module in branch.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    return branch


def count(module):
    return sum(p.numel() for p in module.parameters())


def expected_count(channels, dim, kind, fusion):
    """Parameters by hand: kernels without bias, two numbers per channel of a batch norm, an output with bias."""
    hidden = max(channels[0] // 4, dim)
    total = 0
    for c in channels:
        total += hidden * dim + dim
        if kind == "plain":
            total += 9 * c * hidden + 9 * hidden * hidden + 2 * hidden * 2
        else:
            total += (9 * c + 2 * c) + (c * hidden + 2 * hidden) + (9 * hidden + 2 * hidden)
            total += hidden * hidden + 2 * hidden
        if fusion:
            total += c * (hidden // 2) + 2 * (hidden // 2) + (hidden // 2) * c + 2 * c
    return total


@pytest.mark.parametrize(("kind", "fusion"), VARIANTS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dim", [64, 128])
def test_parameters_are_those_counted_by_hand(scale, kind, fusion, dim):
    with torch.device("meta"):
        branch = ReIDBranch(CHANNELS[scale], dim, kind, fusion)
    assert count(branch) == expected_count(CHANNELS[scale], dim, kind, fusion)


def documented():
    """Rows of the table in the docs: scale and branch to the five numbers."""
    rows = re.findall(r"^\| ([nsmlx]) \| ([a-z, ]+) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    return {(s, b): [float(re.sub("[,% ]", "", cell)) for cell in cells.split("|")] for s, b, cells in rows}


def test_every_scale_and_branch_is_documented():
    branches = ["none", "plain", "plain, fused", "light", "light, fused"]
    assert list(documented()) == [(scale, branch) for scale in SCALES for branch in branches]


@pytest.mark.parametrize(
    "scale", ["n", "s", *(pytest.param(scale, marks=pytest.mark.slow) for scale in ("m", "l", "x"))]
)
def test_documented_counts_are_true(scale):
    """The network is built once; the variants are counted by their branches alone."""
    network = YOLO11JDE(scale).to("meta").eval()
    images = torch.empty(1, 3, 640, 640, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    sides = (80, 40, 20)
    maps = [torch.empty(1, c, side, side, device="meta") for c, side in zip(CHANNELS[scale], sides, strict=True)]
    own, own_flops = {}, {}
    for kind, fusion in VARIANTS:
        branch = ReIDBranch(CHANNELS[scale], 128, kind, fusion).to("meta")
        with FlopCounterMode(display=False) as branch_counter, torch.no_grad():
            branch(maps)
        name = f"{kind}, fused" if fusion else kind
        own[name], own_flops[name] = count(branch), branch_counter.get_total_flops()
    detector = count(network) - own["plain"]
    detector_flops = counter.get_total_flops() - own_flops["plain"]
    table = documented()
    assert table[scale, "none"] == [detector, 0, round(detector_flops / 1e9, 2), 0, 0]
    for name in own:
        assert table[scale, name] == [
            detector + own[name],
            own[name],
            round((detector_flops + own_flops[name]) / 1e9, 2),
            round(own_flops[name] / 1e9, 2),
            round(100 * own_flops[name] / detector_flops, 1),
        ], name


@pytest.mark.parametrize(("kind", "fusion"), VARIANTS)
def test_same_interface(kind, fusion):
    head = JDEHead(2, 16, 12, SMALL, kind, fusion)
    raw = head(features())
    assert raw.embeddings.shape == (2, 12, 64 + 16 + 4)
    assert raw.scores.shape == (2, 2, 84)
    assert raw.shapes == ((8, 8), (4, 4), (2, 2))


@pytest.mark.parametrize(("kind", "fusion"), VARIANTS)
def test_gradients_reach_every_layer(kind, fusion):
    branch = lively(ReIDBranch(SMALL, 12, kind, fusion))
    (branch(features()) * torch.randn(2, 12, 84)).sum().backward()
    assert [name for name, p in branch.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_fusion_learns_although_it_starts_at_0():
    branch = ReIDBranch(SMALL, 12, fusion=True)
    (branch(features()) * torch.randn(2, 12, 84)).sum().backward()
    assert all(p.grad is not None for p in branch.parameters())
    assert all(layer.bn.weight.grad.any() for layer in branch.fusion.expand)


@pytest.mark.parametrize("kind", ["plain", "light"])
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_only_fused_levels_see_each_other(kind, changed):
    maps = features()
    others = [x + 1 if level == changed else x for level, x in enumerate(maps)]
    sizes = [64, 16, 4]
    for fusion in (False, True):
        branch = lively(ReIDBranch(SMALL, 12, kind, fusion)).eval()
        with torch.no_grad():
            moved = (branch(others) - branch(maps)).abs().amax(dim=1).split(sizes, dim=1)
        for level, difference in enumerate(moved):
            assert bool((difference > 0).all()) == (fusion or level == changed), (fusion, level)
            assert bool((difference == 0).all()) == (not fusion and level != changed), (fusion, level)


def test_fusion_adds_the_other_levels_at_the_same_place():
    """Against the formula in numpy: repeat upwards, block means downwards."""
    fusion = lively(LevelFusion(SMALL, 6)).eval()
    maps = features()
    with torch.no_grad():
        found = fusion(maps)

    def conv(layer, x):
        norm = layer.bn
        y = np.einsum("oi,bihw->bohw", layer.conv.weight[..., 0, 0].detach().numpy(), x)
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().numpy()
        return y * scale[:, None, None] + norm.bias.detach().numpy()[:, None, None]

    def silu(x):
        return x / (1 + np.exp(-x))

    reduced = [silu(conv(layer, x.numpy())) for layer, x in zip(fusion.reduce, maps, strict=True)]
    for level in range(3):
        total = 0
        for other in set(range(3)) - {level}:
            y, k = reduced[other], 2 ** abs(other - level)
            if other > level:
                total = total + np.kron(y, np.ones((k, k)))
            else:
                b, c, h, w = y.shape
                total = total + y.reshape(b, c, h // k, k, w // k, k).mean(axis=(3, 5))
        expected = maps[level].numpy() + conv(fusion.expand[level], total)
        np.testing.assert_allclose(found[level].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["plain", "light"])
def test_fusion_starts_as_the_identity(kind):
    alone, fused = lively(ReIDBranch(SMALL, 12, kind)), ReIDBranch(SMALL, 12, kind, fusion=True)
    fused.load_state_dict(alone.state_dict(), strict=False)
    maps = features()
    with torch.no_grad():
        assert torch.equal(fused.eval()(maps), alone.eval()(maps))


@pytest.mark.parametrize(("kind", "fusion"), VARIANTS)
def test_variant_exports_and_names_itself(kind, fusion):
    branch = lively(ReIDBranch(SMALL, 12, kind, fusion)).eval()
    maps = features(images=1)
    program = torch.export.export(branch, (maps,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(maps), branch(maps))
    names = [f"model.23.cv4.{name}" for name in branch.state_dict()]
    assert branch_layout(names) == (kind, fusion)
    assert branch_layout(["model.23.cv3.0.0.0.conv.weight"]) == (None, False)


def test_plain_branch_has_the_authors_names_in_their_order():
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    block = ["conv.weight", *(f"bn.{name}" for name in norm)]
    level = [f"{i}.{name}" for i in (0, 1) for name in block] + ["2.weight", "2.bias"]
    assert list(ReIDBranch(SMALL, 12).state_dict()) == [f"{i}.{name}" for i in range(3) for name in level]


def test_unknown_kind_lists_the_kinds():
    with pytest.raises(InputError, match="unknown Re-ID branch 'heavy'; choose one of plain, light for reid_branch"):
        ReIDBranch(SMALL, 12, "heavy")


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return {(kind, fusion): YOLO11JDE("n", 1, 16, kind, fusion).eval() for kind, fusion in VARIANTS}


@pytest.mark.parametrize("found", VARIANTS)
@pytest.mark.parametrize("wanted", VARIANTS)
def test_weights_of_every_variant_into_every_other(networks, tmp_path, found, wanted):
    torch.save(networks[found].state_dict(), tmp_path / "found.pt")
    target = networks[wanted]
    for p in target.model[-1].cv4.parameters():
        p.data.add_(0.01)  # differs from the file
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    report = target.load_weights(tmp_path / "found.pt")
    branch = {name for name in before if name.startswith("model.23.cv4.")}
    fusion = {name for name in branch if ".fusion." in name}
    if found[0] != wanted[0]:
        assert set(report.missing) == branch
        assert f"Re-ID branch is {found[0]}, the network's {wanted[0]}: reid_branch: {found[0]} takes it" in str(report)
        assert all(torch.equal(before[name], target.state_dict()[name]) for name in branch)
    else:
        assert set(report.missing) == (fusion if wanted[1] and not found[1] else set())
        assert report.other_branch is None
        source = networks[found].state_dict()
        assert all(torch.equal(source[name], target.state_dict()[name]) for name in before if name in source)
    unused = found[0] != wanted[0] or (found[1] and not wanted[1])
    assert all(name.startswith("model.23.cv4.") for name in report.unused)
    assert bool(report.unused) == unused
