"""Every configuration is parsed against the real signatures, and begins with what it is for and how to run it."""

from pathlib import Path

import pytest
import yaml
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor

from jde_lightning.callbacks import AutoBatchSize, NaNGuard, Rehearsal, StepTiming, Throughput
from jde_lightning.cli.lightning_verbs import JDELightningCLI
from jde_lightning.inference.tracker_config import load_tracker_factory

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "cluster")  # see test_cluster_files.py
EXPERIMENTS = [path for path in FILES if path.parent.name not in ("trackers", "overlays", "data")]
EXPERIMENTS = [path for path in EXPERIMENTS if "ablations" not in path.parts]  # see test_ablation_configs.py
STUDIES = sorted(CONFIGS.glob("studies/*/*.yaml"))
BASE_OF_STUDY = {"supervision": "quickstart.yaml", "video_identities": "experiments/mot17_half.yaml"}
EXPERIMENTS = [path for path in EXPERIMENTS if path not in STUDIES]
OVERLAYS = sorted([*CONFIGS.glob("overlays/*.yaml"), *CONFIGS.glob("data/*.yaml")])
TRACKERS = sorted(CONFIGS.glob("trackers/*.yaml"))


class Parsed(JDELightningCLI):
    """Parses and builds everything but the trainer's run."""

    def _run_subcommand(self, subcommand):
        pass


def build(tmp_path, *configs):
    words = [word for path in configs for word in ("--config", str(path))]
    extra = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.strategy", "auto"]
    return Parsed(["fit", *words, *extra, "--trainer.default_root_dir", str(tmp_path)])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_begins_with_purpose_and_command(path):
    first, second = path.read_text().splitlines()[:2]
    assert first.startswith("# ")
    assert second.startswith("# jde-lightning ")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_experiment_builds_module_data_and_callbacks(path, tmp_path):
    cli = build(tmp_path, path)
    written = yaml.safe_load(path.read_text())
    assert cli.model.network.embed_dim == written["model"]["embed_dim"]
    assert cli.datamodule.image_size == written["data"]["image_size"]
    assert cli.model.image_size == cli.datamodule.val_image_size
    assert list(written) == [key for key in ("trainer", "model", "data") if key in written] + list(written)[3:]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_experiment_watches_itself(path, tmp_path):
    watching = {type(callback) for callback in build(tmp_path, path).trainer.callbacks}
    assert {AutoBatchSize, Rehearsal, NaNGuard, StepTiming, Throughput, LearningRateMonitor} <= watching
    assert (DeviceStatsMonitor in watching) == (path.parent.name == "experiments")


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda p: p.name)
def test_overlay_goes_over_the_quickstart(path, tmp_path):
    assert build(tmp_path, CONFIGS / "quickstart.yaml", path).trainer is not None


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_row_of_a_study_goes_over_its_base_and_changes_it(path, tmp_path):
    base = CONFIGS / BASE_OF_STUDY[path.parent.name]
    cli = build(tmp_path, base, path)
    row = yaml.safe_load(path.read_text())
    assert row["trainer"]["default_root_dir"] == f"runs/{path.parent.name}/{path.stem}"
    loss, reader = cli.model.loss.reid_loss, cli.datamodule.readers["train"][0]
    found = {
        "supervision": (cli.model.loss.reid, type(loss.loss).__name__, reader.supervision),
        "video_identities": (loss.negatives, cli.datamodule.identities, cli.datamodule.ambiguity),
    }
    expected = {
        "untrained": (0.0, "SupConLoss", "self"),
        "self_supervised": (0.2, "SupConLoss", "self"),
        "triplets": (1.0, "PairTripletMarginLoss", "self"),
        "easy_negatives": (1.0, "PairTripletMarginLoss", "self"),
        "full": (0.2, "SupConLoss", "full"),
        "per_box": ("any", "per_box", "sequence"),
        "certain_sequence": ("certain", "per_box", "sequence"),
        "certain_chain": ("certain", "per_box", "chain"),
        "linked": ("any", "linked", "sequence"),
    }
    assert found[path.parent.name] == expected[path.stem]


@pytest.mark.parametrize("path", TRACKERS, ids=lambda p: p.name)
def test_tracker_builds(path):
    assert load_tracker_factory(str(path))(25.0) is not None
