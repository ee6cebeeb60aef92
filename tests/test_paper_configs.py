"""The configurations of the paper's experiments say what was published, and set what the paper sets."""

from pathlib import Path

import pytest
import yaml

from jde_lightning.cli.lightning_verbs import JDELightningCLI
from jde_lightning.data.images import letterbox_shape
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.tuning.table7 import _PUBLISHED as TABLE_7
from jde_lightning.inference.tuning.table7 import table7_trackers

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

# as printed in the paper: table, row, percentages, identity switches, frames per second
ABLATION = {"table": 2, "row": "0.075", "hota": 56.37, "mota": 56.38, "idf1": 66.45}
FINAL = {"table": 7, "row": "YOLO11-JDE", "hota": 60.06, "mota": 58.25, "idf1": 71.84}
MOT17 = {"table": 8, "row": "YOLO11s-JDE, MOT17 test", "hota": 56.6, "mota": 65.8, "idf1": 70.3}
MOT20 = {"table": 8, "row": "YOLO11s-JDE, MOT20 test", "hota": 53.1, "mota": 70.9, "idf1": 66.4}
PAPER = {
    "experiments/paper_ablation.yaml": [ABLATION],
    "experiments/paper_final.yaml": [FINAL, MOT17 | {"idsw": 3177, "fps": 35.9}, MOT20 | {"idsw": 3091, "fps": 18.9}],
    "overlays/evaluate_1088.yaml": [ABLATION],
    "overlays/evaluate_1280.yaml": [FINAL],
    "trackers/yolo11_jde.yaml": [FINAL],
    "trackers/fairmot.yaml": [{"table": 7, "row": "FairMOT (fine-tuned)", "hota": 57.25, "mota": 57.10, "idf1": 67.16}],
    "trackers/fairmot_original.yaml": [{"table": 7, "row": "FairMOT", "hota": 56.89, "mota": 57.84, "idf1": 66.89}],
}


def published(path):
    """What a configuration says that the paper reached, one mapping per comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [yaml.safe_load(line.removeprefix("# published:")) for line in lines if line.startswith("# published:")]


def test_every_configuration_of_the_paper_says_what_was_published():
    rows = {path.relative_to(CONFIGS).as_posix(): published(path) for path in CONFIGS.rglob("*.yaml")}
    found = {path: said for path, said in rows.items() if said and not path.startswith("ablations/")}
    assert found == PAPER


@pytest.mark.parametrize("path", [path for path in PAPER if path.startswith("trackers/")])
def test_table_7_is_the_same_wherever_it_is_written(path):
    (said,) = published(CONFIGS / path)
    assert (said["hota"], said["mota"], said["idf1"]) == TABLE_7[said["row"]]


def test_trackers_of_table_7():
    original = yaml.safe_load((CONFIGS / "trackers" / "fairmot_original.yaml").read_text())["init_args"]
    assert original.items() <= table7_trackers()["FairMOT"].arguments.items()
    ours = load_tracker_factory("yolo11_jde")(30.0)
    final = yaml.safe_load((CONFIGS / "experiments" / "paper_final.yaml").read_text())["tracking_hota"]["tracker"]
    assert all(getattr(ours, name) == value for name, value in final["init_args"].items())


class Parsed(JDELightningCLI):
    """Parses and builds everything but the trainer's run."""

    def _run_subcommand(self, subcommand):
        pass


def build(tmp_path, *configs):
    words = [word for path in configs for word in ("--config", str(CONFIGS / path))]
    return Parsed(["fit", *words, "--trainer.accelerator", "cpu", "--trainer.default_root_dir", str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "size", "tracker"),
    [("paper_ablation", 30, 32, 640, "FairMOTTracker"), ("paper_final", 100, 64, 1280, "YOLO11JDETracker")],
)
def test_experiment_sets_what_the_paper_sets(name, epochs, batch, size, tracker, tmp_path):
    cli = build(tmp_path, f"experiments/{name}.yaml")
    data, trainer = cli.datamodule, cli.trainer
    gpus = 8
    assert (trainer.max_epochs, data.batch_size * gpus, data.image_size) == (epochs, batch, size)
    # the nominal batch of 64 of Ultralytics, and the buffer of eight batches of a process
    assert data.batch_size * gpus * trainer.accumulate_grad_batches == 64
    assert data.buffer_size == 8 * data.batch_size
    assert data.augmentation.mosaic == 1.0
    hota = next(callback for callback in trainer.callbacks if type(callback).__name__ == "TrackingHOTA")
    assert type(hota.tracker(30.0)).__name__ == tracker


def test_the_two_experiments_differ_in_nothing_else():
    def flat(value, name=""):
        if not isinstance(value, dict):
            return {name: value}
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{name}.{key}").items()}

    first, second = (
        flat(yaml.safe_load((CONFIGS / "experiments" / f"{name}.yaml").read_text()))
        for name in ("paper_ablation", "paper_final")
    )
    changed = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    assert {key for key in changed if not key.startswith(".tracking_hota.tracker")} == {
        ".trainer.max_epochs",
        ".trainer.accumulate_grad_batches",
        ".trainer.default_root_dir",
        ".data.image_size",
        ".data.batch_size",
        ".data.buffer_size",
    }


@pytest.mark.parametrize(
    ("overlay", "base", "shape"),
    [("evaluate_1088", "paper_ablation", (640, 1088)), ("evaluate_1280", "paper_final", (736, 1280))],
)
def test_size_of_the_evaluation(overlay, base, shape, tmp_path):
    cli = build(tmp_path, f"experiments/{base}.yaml", f"overlays/{overlay}.yaml")
    assert cli.model.image_size == cli.datamodule.val_image_size == shape[1]
    assert letterbox_shape(1920, 1080, cli.datamodule.val_image_size) == shape
    assert cli.datamodule.image_size == {"paper_ablation": 640, "paper_final": 1280}[base]
