"""Errors of the real parser, in one line that says what to change."""

from pathlib import Path

import pytest

from jde_lightning.cli import main
from jde_lightning.cli.parser_errors import in_plain_words

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml"
LOSS = "--model.reid_loss.init_args"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([f"{LOSS}.top_confidence", "1.5"], "top_confidence must be above 0 and at most 1, got 1.5"),
        (
            [f"{LOSS}.loss", "NTXenttLoss"],
            "model.reid_loss.loss: there is no class NTXenttLoss; "
            "did you mean pytorch_metric_learning.losses.NTXentLoss?",
        ),
        (
            [f"{LOSS}.miner", "BlockwiseEasyHardMiner", f"{LOSS}.miner.init_args.pos_strategy", "semihard"],
            "pos_strategy 'semihard' goes with neg_strategy easy or hard, got 'semihard'",
        ),
        (
            ["--tracking_hota.tracker.init_args.track_hig", "3"],
            "tracking_hota.tracker: YOLO11JDETracker has no option track_hig; did you mean track_high_thresh?",
        ),
        (
            ["--data.train.class_path", "MOTChalenge"],
            "data.train: there is no class MOTChalenge; did you mean jde_lightning.data.MOTChallenge?",
        ),
        (["--model.scale", "q"], "model.scale: Expected one of ['n', 's', 'm', 'l', 'x']. Got value: q"),
        (["--data.num_workers", "x"], "data.num_workers: Expected a whole number. Got value: x"),
        (
            ["--model.lr", "3"],
            "--model.lr 3: there is no key model.lr; did you mean model.optimizer.init_args.lr?",
        ),
    ],
)
def test_the_reason_stands_alone(words, expected, tmp_path, capsys):
    quickstart = ["--config", str(QUICKSTART), "--trainer.default_root_dir", str(tmp_path)]
    assert main(["fit", *quickstart, *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"jde-lightning fit: error: {expected}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--tracking_hota.tracker.init_args.first_match_thresh", "0.7"],
            "tracking_hota.tracker: first_match_thresh is a setting of a class that is not named; "
            "name the class first, as in --tracking_hota.tracker CLASS",
        ),
        (["--model.optimizer", "torch.optim.Nope"], "model.optimizer: module 'torch.optim' has no attribute 'Nope'"),
    ],
)
def test_what_is_built_later_is_named_without_its_type(words, expected, capsys):
    assert main(["fit", "--config", str(QUICKSTART.parent / "own_images.yaml"), *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"jde-lightning fit: error: {expected}"


def test_unknown_forms_are_kept_whole():
    assert in_plain_words("Does not validate against any of\n  Subtypes: [1]") == (
        "Does not validate against any of Subtypes: [1]"
    )
