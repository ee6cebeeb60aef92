"""What is said of a run that is not what was published for its row."""

from pathlib import Path

import pytest

from jde_lightning.cli.ablation_notes import deviations
from jde_lightning.cli.ablation_rows import load_rows

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PAPER = ["--data.root", "D", "--model.weights", "/here/yolo11s.pt", "--data.val_image_size", "1088"]


def notes(*arguments, row="ablations/table2/margin_0.05.yaml", base="experiments/paper_ablation.yaml"):
    (read,) = load_rows([CONFIGS / row], [CONFIGS / base], Path(), arguments)
    return deviations(read)


def test_as_published_there_is_nothing_to_say():
    assert notes(*PAPER, "--trainer.devices", "8", "--data.num_workers", "2") == ()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--trainer.max_epochs", "1"], ["trainer.max_epochs 1 (row: 30)"]),
        (["--trainer.limit_train_batches", "4"], ["trainer.limit_train_batches 4 (row: not set)"]),
        (["--data.image_size", "320"], ["data.image_size 320 (row: 640)"]),
        (["--data.train", "[{class_path: CrowdHuman}]"], ["data.train is another"]),
        (["--data.val_image_size", "640"], ["validated at 640 px (paper: 1088)"]),
        (["--model.weights", "null"], ["random initial weights (paper: COCO's)"]),
    ],
)
def test_what_the_arguments_change_is_named(more, expected):
    assert notes(*PAPER, *more) == (*expected, "data below `D`")


def test_size_of_validation_follows_that_of_training():
    arguments = ["--data.root", "D", "--model.weights", "s.pt"]
    assert notes(*arguments)[0] == "validated at 640 px (paper: 1088)"
    assert notes(*arguments, "--data.image_size", "1088")[0] == "data.image_size 1088 (row: 640)"


def test_synthetic_data_are_called_so(tmp_path):
    (tmp_path / "synthetic.json").write_text("{}")
    assert notes(*PAPER, "--data.root", str(tmp_path)) == (f"synthetic data, `{tmp_path}`",)


def test_rows_of_our_own_have_nothing_to_differ_from():
    row = "studies/supervision/full.yaml"
    assert notes("--trainer.max_epochs", "1", row=row, base="quickstart.yaml") == ()
