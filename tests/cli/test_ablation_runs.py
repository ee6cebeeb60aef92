"""Which run folder counts as the finished run of a row."""

import os
from pathlib import Path

import pytest

from jde_lightning.cli.ablation_rows import AblationRow
from jde_lightning.cli.ablation_runs import find_run

CONFIG = "trainer: {max_epochs: 3}\nmodel: {reid_gain: 1.0}\n"
HEAD = "epoch,step,train/box_loss,val/hota,val/mota,val/idf1,val/map50\n"


def row(root, **trainer):
    settings = {"trainer": {"max_epochs": 3, **trainer}, "model": {"reid_gain": 1}}
    return AblationRow(Path("row.yaml"), "1", "row", {}, settings, root, ())


def write_run(root, version, epochs, config=CONFIG, validated=None, hota=0.5):
    folder = root / f"version_{version}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    text = HEAD
    for epoch in range(epochs):
        text += f"{epoch},{epoch},1.0,,,,\n"
        if validated is None or epoch in validated:
            text += f"{epoch},{epoch},,{hota + epoch / 100},0.25,0.125,0.5\n"
    (folder / "metrics.csv").write_text(text)
    return folder


def test_newest_finished_run_wins_over_newer_unfinished_ones(tmp_path):
    write_run(tmp_path, 2, 3)
    tenth = write_run(tmp_path, 10, 3, hota=0.6)
    write_run(tmp_path, 11, 2)
    found, why = find_run(row(tmp_path))
    assert (found.folder, found.finished, found.epochs, why) == (tenth, True, 3, "")
    assert found.measured == pytest.approx({"hota": 62.0, "mota": 25.0, "idf1": 12.5})


def test_unfinished_run_is_told_with_its_checkpoint(tmp_path):
    folder = write_run(tmp_path, 0, 2)
    assert find_run(row(tmp_path))[0].checkpoint is None
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    found, _ = find_run(row(tmp_path))
    assert (found.finished, found.epochs, found.checkpoint) == (False, 2, folder / "checkpoints" / "last.ckpt")


def test_last_validation_may_come_before_the_last_epoch(tmp_path):
    write_run(tmp_path, 0, 3, CONFIG.replace("}", ", check_val_every_n_epoch: 2}", 1), validated={1})
    assert find_run(row(tmp_path, check_val_every_n_epoch=2))[0].finished
    (tmp_path / "version_0" / "metrics.csv").write_text(HEAD + "1,1,1.0,,,,\n2,2,1.0,,,,\n")
    assert not find_run(row(tmp_path, check_val_every_n_epoch=2))[0].finished


def test_folders_of_validate_of_others_and_of_nothing_do_not_count(tmp_path):
    write_run(tmp_path, 0, 3, CONFIG + "verbose: true\n")
    (tmp_path / "version_1").mkdir()
    (tmp_path / "version_x").mkdir()
    folder = write_run(tmp_path, 2, 3)
    (folder / "metrics.csv").unlink()
    write_run(tmp_path, 3, 0)
    assert find_run(row(tmp_path)) == (None, "not run")
    assert find_run(row(tmp_path / "nowhere")) == (None, "not run")


def test_metrics_that_were_not_measured_are_left_out(tmp_path):
    folder = write_run(tmp_path, 0, 3)
    (folder / "metrics.csv").write_text("epoch,step,val/map50\n2,3,0.5\n")
    found, _ = find_run(row(tmp_path))
    assert (found.finished, found.measured) == (True, {})


def test_duration_is_from_the_configuration_to_the_last_metrics(tmp_path):
    folder = write_run(tmp_path, 0, 3)
    os.utime(folder / "config.yaml", (1000, 1000))
    os.utime(folder / "metrics.csv", (1750, 1750))
    assert find_run(row(tmp_path))[0].seconds == 750
