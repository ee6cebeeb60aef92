"""`report` on a run of seconds: the values of its validation, and wrong words answered in a line."""

import csv
import shutil

import cv2
import numpy as np
import pytest
import torch

from jde_lightning.cli import main
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.models.network import YOLO11JDE

CONFIG = """
trainer: {accelerator: cpu, max_epochs: 1, enable_progress_bar: false, enable_model_summary: false,
          log_every_n_steps: 1, num_sanity_val_steps: 0, default_root_dir: ROOT/runs}
model:
  scale: n
  embed_dim: 16
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-6}}
  weights: ROOT/start.ckpt
data:
  root: ROOT/data
  train: [{class_path: MOTChallenge, init_args: {path: MOT17/train}}]
  val: [{class_path: MOTChallenge, init_args: {path: MOT17/val}}]
  image_size: 96
  batch_size: 4
  num_workers: 0
ema: {decay: 0.5}
checkpoint: {monitor: val/map50}
embedding_quality: {conf: 0.2, iou: 0.2}
retrieval: {conf: 0.2, iou: 0.2}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of an epoch, which begins with a network that finds small people everywhere."""
    root = tmp_path_factory.mktemp("report_verb")
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=8, stills=0, width=160, height=96, people=4).write(
        root / "data"
    )
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=16)
    pictures = [cv2.resize(cv2.imread(str(path)), (96, 64)) for path in sorted(root.rglob("MOT17/val/*/img1/*"))]
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    network.train()
    with torch.no_grad():
        for _ in range(30):  # so that what the layers normalise with fits, and not all people look alike
            network(images)
        head = network.model[-1]
        for branch in head.cv4.levels:
            branch[2].weight.normal_()
            branch[2].bias.zero_()
        for branch in head.cv3:
            branch[2].bias.fill_(2.0)
        for branch in head.cv2:  # boxes as small and as slim as people
            bins = branch[2].bias.view(4, 16)
            bins.fill_(-4.0)
            bins[[0, 2], :2], bins[[1, 3], 1] = 2.0, 4.0
    facts = {"scale": "n", "embed_dim": 16, "class_names": ["person"], "image_size": 96}
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {}, "jde_lightning": facts}, root / "start.ckpt")
    (root / "config.yaml").write_text(CONFIG.replace("ROOT", str(root)))
    assert main(["fit", "--config", str(root / "config.yaml")]) == 0
    return root / "runs"


def test_report_has_the_values_of_the_validation(run, capsys):
    from jde_lightning.cli.report import _indices
    from jde_lightning.inference.report.run import open_run
    from jde_lightning.inference.report.training_sections import shown_values
    from jde_lightning.inference.report.validation_pass import observe

    assert main(["report", str(run), "--device", "cpu", "--projections", "pca"]) == 0
    page = run / "version_0" / "report.html"
    assert str(page) in capsys.readouterr().out
    opened = open_run(run)
    with (opened.folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/map50"] and int(row["epoch"]) == opened.epoch]
    logged = {name.removeprefix("val/"): float(text) for name, text in rows[-1].items() if text and "val/" in name}
    (indices, _) = _indices(opened, [])
    measured = measured_values(opened, observe(opened, indices["val"], network=False))
    assert {"hota", "hota_motion", "idsw", "map50", "silhouette", "retrieval_map", "rank1"} <= measured.keys()
    for name, value in measured.items():
        if name in logged:
            assert value == pytest.approx(logged[name], abs=2e-6), name
    assert logged["map50"] > 0
    assert shown_values(opened, measured)["hota"] == measured["hota"]
    text = page.read_text()
    assert f"<b>{logged['idsw']:.0f}</b>" in text
    assert f"<b>{100 * logged['retrieval_map']:.1f}</b>" in text


def measured_values(opened, observed):
    """What the sections would show."""
    from jde_lightning.inference.report.writing import ReportOptions, _measure
    from jde_lightning.plots.chart_sheet import ChartSheet

    return _measure(opened, observed, ChartSheet(), ReportOptions(projections=("pca",))).values


def test_moved_data_is_found_by_its_flag_and_missing_data_is_told(run, tmp_path, capsys):
    moved = shutil.copytree(run / "version_0", tmp_path / "run")
    config = (moved / "config.yaml").read_text().replace(str(run.parent / "data"), str(tmp_path / "gone"))
    (moved / "config.yaml").write_text(config)
    # where the crowd is configured, a report must not begin to render it
    assert main(["report", str(moved), "--output", str(tmp_path / "a.html"), "--max-switches", "0"]) == 0
    assert "validation data cannot be read" in (tmp_path / "a.html").read_text()
    assert not (tmp_path / "gone").exists()
    root = str(run.parent / "data")
    words = ["report", "--data.root", root, str(moved), "--output", str(tmp_path / "b.html"), "--no-network"]
    assert main([*words, "--projections", "pca", "--max-switches", "0"]) == 0
    text = (tmp_path / "b.html").read_text()
    assert "validation data cannot be read" not in text
    assert "MOT17-61" in text or "MOT17" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["RUN/gone"], 1, "no such folder; expected that of a run"),
        (["RUN", "--checkpoint", "gone.ckpt"], 1, "--checkpoint gone.ckpt: no such file"),
        (["RUN", "--max-switches", "-1"], 2, "--max-switches must be at least 0, got -1"),
        (["RUN", "--batch-size", "0"], 2, "--batch-size must be at least 1, got 0"),
        (["RUN", "--projections", "mds"], 2, "invalid choice"),
        (["RUN", "--data.rot", "x"], 2, "data.rot"),
        ([], 2, "RUN_DIR"),
    ],
)
def test_wrong_words_are_answered_in_a_line(words, code, message, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("data: {val: [{class_path: MOTChallenge}]}\n")
    assert main(["report", *(word.replace("RUN", str(tmp_path)) for word in words)]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_help_has_an_example(capsys):
    assert main(["report", "--help"]) == 0
    assert "jde-lightning report runs/quickstart" in capsys.readouterr().out
