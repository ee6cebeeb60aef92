"""Weights of others are taken by name, slice and report; wrong files are refused in one line."""

import logging
from pathlib import Path

import pytest
import torch

from jde_lightning._ultralytics import DetectionModel
from jde_lightning.errors import InputError
from jde_lightning.models import YOLO11JDE
from jde_lightning.models.architecture import yolo11

COCO_LIKE = {0: "bicycle", 1: "car", 2: "person", **{i: f"thing {i}" for i in range(3, 80)}}


@pytest.fixture(scope="module")
def detector() -> DetectionModel:
    """A detector of 80 classes, scale s: its class branches are as wide as those of one class."""
    torch.manual_seed(1)
    return DetectionModel(yolo11("s", 80), verbose=False)


@pytest.fixture(scope="module")
def small() -> YOLO11JDE:
    torch.manual_seed(2)
    return YOLO11JDE("n", embed_dim=16)


@pytest.fixture
def fresh() -> YOLO11JDE:
    torch.manual_seed(3)
    return YOLO11JDE("n", embed_dim=16)


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


def test_plain_state_dict_takes_row_0_as_the_person(tmp_path, detector, caplog):
    path = tmp_path / "coco.pt"
    torch.save(detector.state_dict(), path)
    network = YOLO11JDE("s", embed_dim=16)
    before = network.state_dict()["model.23.cv4.0.2.weight"].clone()
    with caplog.at_level(logging.INFO):
        report = network.load_weights(path)
    state, source = network.state_dict(), detector.state_dict()
    assert torch.equal(state["model.23.cv3.1.2.weight"], source["model.23.cv3.1.2.weight"][:1])
    assert torch.equal(state["model.23.cv3.1.2.bias"], source["model.23.cv3.1.2.bias"][:1])
    assert torch.equal(state["model.10.m.0.attn.qkv.conv.weight"], source["model.10.m.0.attn.qkv.conv.weight"])
    assert torch.equal(state["model.23.cv4.0.2.weight"], before)
    assert (len(report.copied), len(report.sliced), len(report.missing), len(report.unused)) == (493, 6, 42, 0)
    assert "493 of 541 tensors copied, 6 sliced, 42 missing, 0 unused" in str(report)
    assert "missing (not changed): model.23.cv4 (42)" in str(report)
    assert str(report) in caplog.text


def test_folded_batch_norms_are_named(tmp_path, detector, fresh, caplog):
    path, names = tmp_path / "exported.pt", ("model.0.bn", "model.5.bn")
    state = {name: tensor.clone() for name, tensor in YOLO11JDE("n", embed_dim=16).state_dict().items()}
    for name in names:
        state[f"{name}.running_var"][:] = 1 - 1e-3
        state[f"{name}.bias"][:] = 0.3
    torch.save(state, path)
    with caplog.at_level(logging.INFO):
        report = fresh.load_weights(path)
    assert report.folded == list(names)
    assert "2 batch norms are folded into their convolutions" in caplog.text
    torch.save(detector.state_dict(), path)
    assert YOLO11JDE("s", embed_dim=16).load_weights(path).folded == []


def test_official_pickle_takes_rows_by_class_name(tmp_path, detector):
    path = tmp_path / "official.pt"
    detector.names = COCO_LIKE
    torch.save({"epoch": -1, "model": None, "ema": detector, "train_args": {"epochs": 1}, "date": "today"}, path)
    network = YOLO11JDE("s", num_classes=2, embed_dim=16)
    network.class_names = ["person", "unicorn"]
    unicorn = network.state_dict()["model.23.cv3.0.2.weight"][1].clone()
    report = network.load_weights(path)
    weight = network.state_dict()["model.23.cv3.0.2.weight"]
    assert torch.equal(weight[0], detector.state_dict()["model.23.cv3.0.2.weight"][2])
    assert torch.equal(weight[1], unicorn)
    assert len(report.copied) == 493


def test_pickle_of_classes_that_are_not_installed(tmp_path, small, fresh):
    """The authors' checkpoints name classes of their fork, which nobody else has."""
    import ultralytics.nn.tasks as tasks

    class JDEModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = small.model
            self.register_buffer("temporary", torch.zeros(1), persistent=False)

    JDEModel.__module__, JDEModel.__qualname__ = "ultralytics.nn.tasks", "JDEModel"
    path = tmp_path / "fork.pt"
    tasks.JDEModel = JDEModel
    try:
        torch.save({"model": JDEModel(), "best_fitness": 0.5}, path)
    finally:
        del tasks.JDEModel
    report = fresh.load_weights(path)
    assert_same(fresh, small)
    assert report.missing == report.unused == report.sliced == []


@pytest.mark.parametrize("prefix", ["", "network.", "network._orig_mod.", "model."])
def test_lightning_checkpoint(tmp_path, small, fresh, prefix):
    path = tmp_path / "last.ckpt"
    state = {prefix + name: tensor for name, tensor in small.state_dict().items()}
    torch.save({"state_dict": state | {"loss.reid_loss.scale": torch.ones(1)}, "hyper_parameters": {"a": Path()}}, path)
    report = fresh.load_weights(path)
    assert_same(fresh, small)
    assert report.missing == []


def test_half_precision_becomes_the_networks(tmp_path, small, fresh):
    path = tmp_path / "half.pt"
    torch.save({k: v.half() if v.is_floating_point() else v[None] for k, v in small.state_dict().items()}, path)
    fresh.load_weights(path)
    loaded, original = (net.state_dict()["model.0.conv.weight"] for net in (fresh, small))
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded, original, atol=1e-3, rtol=0)


def test_other_embedding_width_leaves_the_branch_as_it_is(tmp_path, small):
    path = tmp_path / "small.pt"
    torch.save(small.state_dict(), path)
    report = YOLO11JDE("n", embed_dim=32).load_weights(path)
    assert report.missing
    assert all(name.startswith("model.23.cv4.") for name in report.missing)
    assert all(name.startswith("model.23.cv4.") for name in report.unused)
    assert "unused: model.23.cv4" in str(report)


def test_legacy_serialisation(tmp_path, small, fresh):
    path = tmp_path / "legacy.pth"
    torch.save(small.state_dict(), path, _use_new_zipfile_serialization=False)
    fresh.load_weights(path)
    assert_same(fresh, small)


class Evil:
    """Runs a command when it is unpickled carelessly."""

    def __init__(self, function, argument: str) -> None:
        self.call = (function, (argument,))

    def __reduce__(self):
        return self.call


def test_code_in_a_checkpoint_does_not_run(tmp_path, small, fresh):
    path, trace = tmp_path / "evil.pt", tmp_path / "was_here"
    torch.save({"state_dict": small.state_dict(), "x": Evil(eval, f"open({str(trace)!r}, 'w')")}, path)
    fresh.load_weights(path)
    assert not trace.exists()
    assert_same(fresh, small)


def test_system_calls_in_a_checkpoint_are_refused(tmp_path, small, fresh):
    import os

    path, trace = tmp_path / "evil.pt", tmp_path / "was_here"
    torch.save({"state_dict": small.state_dict(), "x": Evil(os.system, f"touch {trace}")}, path)
    with pytest.raises(InputError, match=r"evil.pt: not a readable PyTorch checkpoint"):
        fresh.load_weights(path)
    assert not trace.exists()


def test_missing_file_is_neither_downloaded_nor_created(tmp_path, fresh, monkeypatch):
    import socket

    def no_network(*_):
        pytest.fail("tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    with pytest.raises(InputError, match=r"yolo11n.pt: no such weights file"):
        fresh.load_weights(tmp_path / "folder" / "yolo11n.pt")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"is a folder; give the path of the checkpoint in it"):
        fresh.load_weights(tmp_path)


def test_file_that_was_cut_off(tmp_path, small, fresh):
    path = tmp_path / "cut.pt"
    torch.save(small.state_dict(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut.pt: not a readable .* 5,000 bytes\); is it whole\? Copy or"):
        fresh.load_weights(path)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x02}q\x00.", b"PK\x03\x04 broken"])
def test_file_that_is_no_checkpoint(tmp_path, fresh, content):
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad.pt: (not a readable PyTorch checkpoint|holds no YOLO11 weights)"):
        fresh.load_weights(path)


@pytest.mark.parametrize("content", [{"a": torch.zeros(2)}, [1, 2], {"state_dict": {}}, torch.zeros(3)])
def test_checkpoint_of_something_else(tmp_path, fresh, content):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"other.pt: holds no YOLO11 weights \(no tensor named model.0.conv.weight"):
        fresh.load_weights(path)


def test_other_scale_is_refused_and_named(tmp_path, small, detector):
    path = tmp_path / "s.pt"
    torch.save(detector.state_dict(), path)
    before = small.state_dict()["model.0.conv.weight"].clone()
    with pytest.raises(InputError, match=r"only \d+ of \d+ tensors .* scale 'n'; the file seems to be scale 's'"):
        small.load_weights(path)
    assert torch.equal(small.state_dict()["model.0.conv.weight"], before)


def test_fused_weights_are_refused(tmp_path, small, detector):
    path = tmp_path / "fused.pt"
    fused = {k: v for k, v in small.state_dict().items() if ".bn." not in k} | {"model.0.conv.bias": torch.zeros(16)}
    torch.save(fused, path)
    with pytest.raises(InputError, match="seems to be scale 'n' with its batch norms fused away"):
        small.load_weights(path)


def test_another_network_is_refused(tmp_path, small):
    path = tmp_path / "other.pt"
    torch.save({"model.0.conv.weight": torch.zeros(7, 3, 3, 3)}, path)
    with pytest.raises(InputError, match=r"only 0 of .* the file seems to be no YOLO11; set the model's scale"):
        small.load_weights(path)


@pytest.mark.parametrize("name", ["yolo11n_coco_state_dict.pt", "yolo11n_official_layout.pt"])
def test_real_coco_weights(real_data, name):
    report = YOLO11JDE("n").load_weights(real_data / "weights" / name)
    assert (len(report.copied), len(report.sliced), len(report.missing), len(report.unused)) == (439, 60, 42, 0)
    assert all(name.startswith("model.23.cv4.") for name in report.missing)
