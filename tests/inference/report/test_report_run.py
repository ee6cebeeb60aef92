"""What a run's folder tells, whatever of it is there."""

import logging
import math

import numpy as np
import pytest
import torch
from report_runs import METRICS, write_run

from jde_lightning.errors import InputError
from jde_lightning.inference.report.metrics_table import read_metrics
from jde_lightning.inference.report.run import open_run


def write_checkpoint(path, epoch=1, **more):
    path.parent.mkdir(exist_ok=True)
    torch.save({"epoch": epoch, "global_step": 4, "state_dict": {}, "jde_lightning": {"scale": "n"}, **more}, path)


def test_values_come_with_their_epoch_and_step(tmp_path):
    table = read_metrics(write_run(tmp_path / "run") / "metrics.csv")
    assert table["train/box_loss"].values.tolist() == [2.5, 2.25, 1.5]
    assert table["train/box_loss"].steps.tolist() == [1, 2, 3]
    assert table["val/hota"].epochs.tolist() == [0, 1]
    assert math.isnan(table["lr-SGD"].epochs[0])
    assert table.last_epoch == 1
    assert table.at_epoch(0) == {"hota": 0.25, "hota_motion": 0.2, "map50_95": 0.125, "retrieval_map": 0.5}
    assert table.at_epoch(None)["hota"] == 0.375
    assert len(table["nothing"]) == 0
    assert "nothing" not in table


@pytest.mark.parametrize(
    ("text", "hota"),
    [
        (METRICS + "1,,5,", [0.25, 0.375]),  # killed within a row
        (METRICS + "2,,5,,,nan,0.1,,\n", [0.25, 0.375, math.nan]),
        (METRICS + "2,,5,,,inf,0.1,,\n", [0.25, 0.375, math.inf]),
        (METRICS.replace("0.25,0.20", "none,0.20"), [0.375]),
        (METRICS + "\0\0\0\0\n", [0.25, 0.375]),  # blocks that never reached the disk
        ("", []),
        ("epoch,step,val/hota\n", []),
    ],
)
def test_damaged_tables_give_what_is_whole(text, hota, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    np.testing.assert_array_equal(read_metrics(path)["val/hota"].values, hota)


def test_newest_version_is_taken(tmp_path, caplog):
    for number in (2, 9, 10):
        write_run(tmp_path / "runs" / f"version_{number}")
    (tmp_path / "runs" / "version_11").mkdir()
    with caplog.at_level(logging.INFO):
        assert open_run(tmp_path / "runs").folder.name == "version_10"
    assert "holds 3 runs" in caplog.text
    assert open_run(tmp_path / "runs" / "version_2").name == "runs/version_2"


def test_what_validate_made_is_skipped(tmp_path, caplog):
    runs = tmp_path / "runs"
    for number in (0, 1):
        write_run(runs / f"version_{number}")
    for number in (2, 3):
        write_run(runs / f"version_{number}", metrics="epoch,step,val/hota\n0,0,0.5\n")
    (runs / "version_2" / "checkpoints").mkdir()
    opened = open_run(runs)
    assert opened.folder.name == "version_1"
    assert f"{runs / 'version_3'} holds neither checkpoints nor metrics of a training" in caplog.text
    assert "the report is about version_1" in caplog.text
    assert open_run(runs / "version_3").folder.name == "version_3"  # who names it gets it
    write_checkpoint(runs / "version_2" / "checkpoints" / "last.ckpt")
    assert open_run(runs).folder.name == "version_2"


def test_where_nothing_has_trained_the_newest_is_taken(tmp_path):
    for number in (0, 1):
        write_run(tmp_path / f"version_{number}", metrics="")
    assert open_run(tmp_path).folder.name == "version_1"


def test_folders_of_no_run_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder; expected that of a run"):
        open_run(tmp_path / "gone")
    with pytest.raises(InputError, match=r"not the folder of a run; it holds neither config\.yaml"):
        open_run(tmp_path)


def test_best_weights_are_taken_then_the_last(tmp_path):
    run = write_run(tmp_path / "run")
    write_checkpoint(run / "checkpoints" / "last.ckpt", 3)
    opened = open_run(run)
    assert opened.checkpoint.name == "last.ckpt"
    assert opened.epoch == 3
    assert "no whole best.ckpt" in " ".join(opened.notes)
    write_checkpoint(run / "checkpoints" / "best.ckpt", 1)
    assert open_run(run).epoch == 1
    assert open_run(run).notes == []
    assert open_run(run, "last").epoch == 3
    assert open_run(run, str(run / "checkpoints" / "last.ckpt")).epoch == 3


def test_weights_follow_the_configuration(tmp_path):
    config = f"checkpoint: {{dirpath: {tmp_path / 'elsewhere'}, filename: top}}\n"
    run = write_run(tmp_path / "run", config=config)
    write_checkpoint(tmp_path / "elsewhere" / "top.ckpt")
    assert open_run(run).checkpoint == tmp_path / "elsewhere" / "top.ckpt"


def test_damaged_weights_are_told_and_the_next_taken(tmp_path):
    run = write_run(tmp_path / "run")
    write_checkpoint(run / "checkpoints" / "last.ckpt", 3)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"PK half a file")
    opened = open_run(run)
    assert opened.epoch == 3
    assert any("cannot be read as a checkpoint" in note for note in opened.notes)


def test_named_weights_must_be_there(tmp_path):
    run = write_run(tmp_path / "run")
    with pytest.raises(InputError, match="no such file; expected best, last, or a checkpoint"):
        open_run(run, "gone.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match="no checkpoint of this package's fit"):
        open_run(run, str(tmp_path / "other.ckpt"))


def test_unfinished_runs_are_told(tmp_path):
    run = write_run(tmp_path / "run", config="trainer: {max_epochs: 10}\n")
    assert "The run has not finished: epoch 2 of 10 is the last that was logged." in open_run(run).notes
    whole = write_run(tmp_path / "whole", config="trainer: {max_epochs: 2}\n")
    assert not any("finished" in note for note in open_run(whole).notes)


def test_damaged_configuration_is_told(tmp_path):
    opened = open_run(write_run(tmp_path / "run", config="trainer: {max_epochs: \n"))
    assert any("config.yaml is damaged" in note for note in opened.notes)
    assert opened.config_text.startswith("trainer")
    assert opened.setting("trainer", "max_epochs") is None
