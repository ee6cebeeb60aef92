"""The four verbs of Lightning: one small training through the front door, and how wrong input is answered."""

import csv
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from jde_lightning import JDEModule
from jde_lightning.cli import main
from jde_lightning.cli.lightning_verbs import JDELightningCLI, _model_words
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.errors import UsageError

OVERLAYS = Path(__file__).resolve().parents[2] / "configs" / "overlays"
CONFIG = """
trainer: {accelerator: cpu, max_epochs: 2, enable_progress_bar: false, enable_model_summary: false,
          log_every_n_steps: 1, num_sanity_val_steps: 0, default_root_dir: ROOT/runs}
model:
  scale: n
  embed_dim: 32
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.002}}
data:
  root: ROOT/data
  train:
    - {class_path: MOTChallenge, init_args: {path: MOT17/train}}
    - {class_path: CrowdHuman, init_args: {path: CrowdHuman}}
  val: [{class_path: MOTChallenge, init_args: {path: MOT17/val}}]
  image_size: 96
  batch_size: 4
  num_workers: 0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=6, stills=4, width=160, height=96, people=4).write(
        root / "data"
    )
    (root / "config.yaml").write_text(CONFIG.replace("ROOT", str(root)))
    return root


@pytest.fixture(scope="module")
def run(folder):
    assert main(["fit", "--config", str(folder / "config.yaml")]) == 0
    return folder / "runs" / "version_0"


def metrics(folder):
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows if row.get(name)] for name in rows[0]}


@pytest.mark.slow
def test_fit_leaves_metrics_checkpoints_configuration_and_pictures(run):
    values = metrics(run)
    for name in ("box_loss", "cls_loss", "dfl_loss", "reid_loss", "positive_fraction"):
        assert values[f"train/{name}"], name
    for name in ("map50_95", "map50", "hota", "hota_motion", "mota", "idf1", "idsw", "deta", "assa"):
        assert len(values[f"val/{name}"]) == 2, name
    assert (run / "config.yaml").is_file()
    assert list(run.glob("events.out.tfevents*"))
    for name in ("best.ckpt", "last.ckpt"):
        assert (run / "checkpoints" / name).is_file()
    for name in ("training_batch.jpg", "validation_detections.jpg", "tracks_over_time.png", "hota_over_epochs.png"):
        assert (run / "pictures" / name).stat().st_size > 1000, name


@pytest.mark.slow
def test_checkpoint_can_be_used_alone(run, folder):
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["jde_lightning"]["class_names"] == ["person"]
    assert saved["jde_lightning"]["image_size"] == 96
    assert saved["JDEDataModule"]["identities"]["num_synthetic"] > 0
    assert yaml.safe_load(saved["config_yaml"])["model"]["embed_dim"] == 32
    module = JDEModule.load_from_checkpoint(run / "checkpoints" / "last.ckpt", map_location="cpu")
    assert module.network.embed_dim == 32


@pytest.mark.slow
def test_a_second_run_gets_its_own_folder_and_resume_goes_on(run, folder):
    before = (run / "config.yaml").read_text()
    last = run / "checkpoints" / "last.ckpt"
    config = str(folder / "config.yaml")
    assert main(["fit", "--config", config, "--ckpt_path", str(last), "--trainer.max_epochs", "3"]) == 0
    second = run.parent / "version_1"
    assert len(metrics(second)["val/map50"]) == 1
    assert torch.load(second / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2
    assert (run / "config.yaml").read_text() == before


@pytest.mark.slow
def test_validate_repeats_the_numbers_of_training(run, folder, capsys):
    last = run / "checkpoints" / "last.ckpt"
    assert main(["validate", "--config", str(run / "config.yaml"), "--ckpt_path", str(last)]) == 0
    newest = max(run.parent.glob("version_*"), key=lambda p: int(p.name.split("_")[1]))
    again, before = metrics(newest), metrics(run)
    for name in ("val/map50_95", "val/hota", "val/mota"):
        assert float(again[name][-1]) == pytest.approx(float(before[name][-1]), abs=1e-6)


@pytest.mark.slow
def test_two_processes_train_and_measure_what_one_does(folder, capsys):
    """Also predict, on three processes for two sequences; Lightning may deal out the data as it likes (its default)."""
    words = ["--config", str(folder / "config.yaml"), "--trainer.default_root_dir", str(folder / "ddp")]
    # after two epochs there is nothing else to measure
    words += ["--model.conf=0", *(f"--{key}.conf=0" for key in ("embedding_quality", "retrieval"))]
    words += [f"--{key}.iou=0.0001" for key in ("embedding_quality", "retrieval")]
    several = ["--trainer.accelerator", "cpu", "--trainer.strategy", "ddp", "--trainer.devices"]

    def start(verb, count, *more):
        return subprocess.run(
            [sys.executable, "-m", "jde_lightning", verb, *words, *more, *several, str(count)],
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = start("fit", 2)
    assert done.returncode == 0, done.stderr
    assert "sync_dist" not in done.stderr
    assert done.stdout.count("run folder") == 1  # one process speaks
    run = folder / "ddp" / "version_0"
    trained = metrics(run)
    assert (run / "pictures" / "tracks_over_time.png").is_file()
    last = str(run / "checkpoints" / "last.ckpt")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(["validate", *words, "--ckpt_path", last]) == 0
    torch.set_num_threads(threads)
    alone = metrics(folder / "ddp" / "version_1")
    for name in ("map50", "hota", "mota", "idsw", "silhouette", "mean_negative_cosine", "retrieval_map", "roc_auc"):
        assert float(trained[f"val/{name}"][-1]) == pytest.approx(float(alone[f"val/{name}"][-1]), abs=1e-6), name
    assert len(trained["val/hota"]) == 2
    assert 0 < float(trained["val/retrieval_map"][-1]) < 1

    overlay = str(OVERLAYS / "ddp.yaml")
    done = start("predict", 3, "--config", overlay, "--ckpt_path", last)
    assert done.returncode == 0, done.stderr
    assert main(["predict", *words, "--ckpt_path", last]) == 0
    files = sorted(folder.glob("ddp/version_*/predictions/*.npz"))
    assert len(files) == 4
    for one, other in zip(files[:2], files[2:], strict=True):
        assert one.name == other.name
        several_found, found = np.load(one), np.load(other)
        assert several_found["frame"].tolist() == found["frame"].tolist()
        assert np.allclose(several_found["boxes"], found["boxes"], atol=1e-3)


@pytest.mark.slow
def test_predict_writes_a_file_per_sequence(run, folder):
    last = run / "checkpoints" / "last.ckpt"
    assert main(["predict", "--config", str(run / "config.yaml"), "--ckpt_path", str(last)]) == 0
    written = list(run.parent.glob("version_*/predictions/*.npz"))
    assert len(written) == 2


def test_predict_compiled_and_with_late_embeddings_says_the_same(run, monkeypatch):
    shapes = []

    def fake(function, **_):
        def compiled(images):
            shapes.append(tuple(images.shape))
            return function(images)

        return compiled

    monkeypatch.setattr(torch, "compile", fake)
    found = []
    for more in (["--model.embeddings", "dense"], ["--model.embeddings", "late", "--model.compile", "default"]):
        assert not shapes
        words = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt"), *more]
        assert main(["predict", "--config", str(run / "config.yaml"), *words]) == 0
        newest = max(run.parent.glob("version_*"), key=lambda path: int(path.name.rpartition("_")[2]))
        found.append([dict(np.load(path)) for path in sorted(newest.glob("predictions/*.npz"))])
    assert {shape[2:] for shape in shapes} == {(64, 96)}
    for dense, late in zip(*found, strict=True):
        assert len(dense["boxes"]) == len(late["boxes"]) > 0
        np.testing.assert_allclose(late["scores"], dense["scores"], atol=1e-5)
        order = np.lexsort((late["boxes"][:, 0], late["frame"])), np.lexsort((dense["boxes"][:, 0], dense["frame"]))
        np.testing.assert_allclose(late["boxes"][order[0]], dense["boxes"][order[1]], atol=0.01)
        np.testing.assert_allclose(late["embeddings"][order[0]], dense["embeddings"][order[1]], atol=1e-3)


def parsed(folder, *words):
    """The configuration that the command line makes, without running it."""

    class Parsed(JDELightningCLI):
        def instantiate_classes(self):
            pass

        def _run_subcommand(self, subcommand):
            pass

    return Parsed(["fit", "--config", str(folder / "config.yaml"), *words]).config["fit"]


@pytest.mark.slow
def test_explicit_model_flags_win_over_a_checkpoint_given_by_path(run, folder):
    last = str(run / "checkpoints" / "last.ckpt")
    config = parsed(folder, "--ckpt_path", last)
    assert (config.model.conf, config.model.embed_dim) == (0.001, 32)
    config = parsed(folder, "--model.conf", "0.7", "--ckpt_path", last, "--model.iou=0.5")
    assert (config.model.conf, config.model.iou, config.model.embed_dim) == (0.7, 0.5, 32)


def test_model_words_takes_flags_with_their_values():
    words = ["fit", "--model.a", "1", "--data.b=2", "--model.c=3", "--model.d+=4", "--x", "5"]
    assert _model_words(words) == ["--model.a", "1", "--model.c=3", "--model.d+=4"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model.scale", "q"], "scale"),
        (["--data.imagesize", "96"], "imagesize"),
        (["--tracking_hota.tracker", "NoTracker"], "NoTracker"),
        (["--data.train", "[{class_path: MOTChallenge, init_args: {splitt: all}}]"], "splitt"),
    ],
)
def test_unknown_values_and_keys_are_one_line_that_names_them(folder, capsys, words, expected):
    assert main(["fit", "--config", str(folder / "config.yaml"), *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("jde-lightning fit: error:")
    assert expected in error


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--data.root", "/nowhere"], 1, "/nowhere"),
        (["--ckpt_path", "/nowhere/a.ckpt"], 1, "/nowhere/a.ckpt: no such file"),
        (["--model.weights", "/nowhere/yolo11n.pt"], 1, "/nowhere/yolo11n.pt"),
        (["--data.image_size", "100"], 2, "data.image_size must be a positive multiple of 32, got 100"),
        (["--data.batch_size", "0"], 2, "data.batch_size must be at least 1, got 0"),
        (["--model.embed_dim", "0"], 2, "embed_dim must be at least 1, got 0"),
        (["--model.frozen_layers", "99"], 2, "frozen_layers is 99"),
        pytest.param(
            ["--trainer.accelerator", "gpu"],
            2,
            "error: No supported gpu backend found; --trainer.accelerator cpu does without",
            marks=pytest.mark.skipif(
                torch.cuda.is_available() or torch.backends.mps.is_available(), reason="has a GPU"
            ),
        ),
    ],
)
def test_missing_files_and_bad_values_fail_with_one_line(folder, capsys, words, code, expected):
    assert main(["fit", "--config", str(folder / "config.yaml"), *words]) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("jde-lightning fit: error:")
    assert expected in error


@pytest.mark.parametrize(
    ("verb", "weights", "told"), [("validate", None, True), ("validate", "a.ckpt", False), ("fit", None, False)]
)
def test_what_random_weights_measure_is_said_to_be_that(caplog, verb, weights, told):
    cli = SimpleNamespace(config={"subcommand": verb, verb: {"ckpt_path": None, "model": {"weights": weights}}})
    JDELightningCLI.before_instantiate_classes(cli)
    assert ("validate: the network is untrained; give --ckpt_path" in caplog.text) == told


@pytest.mark.parametrize(("world_size", "torchrun", "refused"), [(1, True, True), (2, True, False), (1, False, False)])
def test_processes_that_would_train_alone_are_refused(monkeypatch, world_size, torchrun, refused):
    monkeypatch.setenv("WORLD_SIZE", "2")
    if torchrun:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "jde")
    cli = SimpleNamespace(trainer=SimpleNamespace(world_size=world_size), datamodule=SimpleNamespace(num_workers=0))
    with pytest.raises(UsageError, match="started 2 processes and the trainer counts 1") if refused else nullcontext():
        JDELightningCLI.before_fit(cli)
