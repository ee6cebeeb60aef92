"""The network goes once over the validation data; the next report takes what the first has kept, if it fits."""

import numpy as np
import pytest
import torch
from report_runs import write_frames, write_run
from small_checkpoint import write_checkpoint

from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.report import validation_pass
from jde_lightning.inference.report.run import open_run
from jde_lightning.inference.report.validation_pass import frame_groups, frame_numbers, network_settings, observe
from jde_lightning.models.network import YOLO11JDE


def write_weights(path, seed=0):
    """A network that finds something in noise."""
    torch.manual_seed(seed)
    network = YOLO11JDE("n", 1, embed_dim=8)
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[2].bias.fill_(1.0)
    write_checkpoint(network, path, image_size=64, epoch=0)


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run", config="model: {conf: 0.25, max_det: 7}\n")
    write_weights(folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_frames(tmp_path_factory.mktemp("data"), {"walk": 2})


@pytest.fixture
def passes(monkeypatch):
    """How often a network was loaded."""
    loaded = []

    def counted(*args, **options):
        loaded.append(options)
        return original(*args, **options)

    original = Predictor.from_checkpoint
    monkeypatch.setattr(validation_pass.Predictor, "from_checkpoint", counted)
    return loaded


def test_network_runs_once_with_the_settings_of_validation(run, index, passes):
    first = observe(open_run(run), index, device="cpu")
    as_validation = {"embeddings": "dense", "fold": False}
    assert passes == [{"device": "cpu", "conf": 0.25, "max_det": 7, "precision": "fp32", **as_validation}]
    assert [len(found) for found in first.found[0].detections] == [7] * 24
    assert (run / "report" / "detections.npz").is_file()
    second = observe(open_run(run), index, device="cpu")
    assert len(passes) == 1
    for one, other in zip(first.found[0].detections, second.found[0].detections, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.embeddings, other.embeddings)


def test_detections_of_other_weights_settings_or_frames_are_not_taken(run, index, passes):
    observe(open_run(run), index)
    write_weights(run / "checkpoints" / "best.ckpt", seed=1)
    observe(open_run(run), index)
    assert len(passes) == 2
    (run / "config.yaml").write_text("model: {conf: 0.5, max_det: 7}\n")
    observe(open_run(run), index)
    assert len(passes) == 3
    half = index.take(np.arange(12))
    assert len(observe(open_run(run), half).found[0]) == 12
    assert len(passes) == 4
    (run / "report" / "detections.npz").write_bytes(b"half a file")
    observe(open_run(run), half)
    assert len(passes) == 5


def test_without_the_network_only_what_was_kept_is_taken(run, index, passes):
    opened = open_run(run)
    assert observe(opened, index, network=False) is None
    assert any("--no-network" in note for note in opened.notes)
    observe(open_run(run), index)
    assert observe(open_run(run), index, network=False) is not None
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert observe(open_run(run), index) is not None, "weights that are gone leave what they found"
    assert len(passes) == 1


def test_images_that_cannot_be_read_are_told_and_nothing_is_kept(run, tmp_path):
    index = write_frames(tmp_path / "data", {"walk": 2})
    index.path(3).write_bytes(b"no image")
    index.path(5).unlink()
    opened = open_run(run)
    assert len(observe(opened, index).found[0]) == 24
    assert "2 of 24 images cannot be read, and were grey to the network." in opened.notes
    assert not (run / "report" / "detections.npz").exists()


def test_what_the_network_refuses_is_told(run, index):
    opened = open_run(run)
    assert observe(opened, index, device="nonsense") is None
    assert any("device 'nonsense' cannot be used here" in note for note in opened.notes)


def test_single_images_are_a_group_of_their_own(tmp_path):
    frames = write_frames(tmp_path / "data", {"walk": 2})
    every = [frames.frame(k) for k in range(6)]
    for frame in every[3:]:
        frame.sequence, frame.frame = None, 0
    mixed = type(frames).from_frames(every)
    groups = frame_groups(mixed)
    assert {name: len(positions) for name, positions in groups.items()} == {"walk": 3, "images of walkers": 3}
    assert frame_numbers(mixed, groups["images of walkers"]).tolist() == [1, 2, 3]
    assert frame_numbers(mixed, groups["walk"]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("precision", "expected"), [("bf16-mixed", "bf16"), ("null", "fp32"), ("32-true", "fp32")])
def test_precision_is_that_of_the_run(precision, expected, tmp_path):
    run = write_run(tmp_path / "run", config=f"trainer: {{precision: {precision}}}\n")
    assert network_settings(open_run(run)) == {"conf": 0.001, "precision": expected}
