"""The last lines of a training say what there is."""

from types import SimpleNamespace

import pytest
import torch

from jde_lightning.callbacks.run_summary import RunSummary


def trainer(tmp_path, best="", last="", every=1, epochs=10):
    return SimpleNamespace(
        ckpt_path=None,
        is_global_zero=True,
        log_dir=str(tmp_path / "version_0"),
        callback_metrics={},
        checkpoint_callback=SimpleNamespace(best_model_path=best, last_model_path=last),
        check_val_every_n_epoch=every,
        max_epochs=epochs,
        max_steps=-1,
        fast_dev_run=False,
        estimated_stepping_batches=1000,
    )


@pytest.mark.parametrize(
    ("best", "last", "line"),
    [
        ("b.ckpt", "l.ckpt", "best weights    b.ckpt"),
        ("", "l.ckpt", "last weights    l.ckpt"),
        ("", "", "last weights    (none was kept)"),
    ],
)
def test_weights_are_called_best_only_if_they_are(best, last, line, tmp_path, capsys):
    RunSummary().on_fit_end(trainer(tmp_path, best, last), None)
    assert line in capsys.readouterr().out.splitlines()


def test_the_number_of_boxes_stands_beside_what_was_measured_on_them(tmp_path, capsys):
    fake = trainer(tmp_path)
    fake.callback_metrics = {"val/view_rank1": 1.0, "val/view_boxes": 2.0, "val/view_map": 1.0, "val/idsw": 3.0}
    RunSummary().on_fit_end(fake, None)
    line = "last validation idsw 3, view_map 1.000, view_rank1 1.000, view_boxes 2"
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("every", "epochs", "warned"), [(5, 3, True), (5, 5, False), (None, 3, False), (5, -1, False)])
def test_a_training_without_validation_is_warned_of(every, epochs, warned, tmp_path, caplog):
    RunSummary().on_train_start(trainer(tmp_path, every=every, epochs=epochs), None)
    assert ("nothing will be validated: trainer.check_val_every_n_epoch is 5" in caplog.text) == warned


@pytest.mark.parametrize(
    ("steps", "limit", "dev_run", "warned"),
    [(50, -1, False, True), (199, -1, False, True), (200, -1, False, False), (50, 50, False, False), (1, -1, 1, False)],
)
def test_a_training_of_few_steps_is_warned_of_unless_it_is_meant(steps, limit, dev_run, warned, tmp_path, caplog):
    fake = trainer(tmp_path)
    fake.estimated_stepping_batches, fake.max_steps, fake.fast_dev_run = steps, limit, dev_run
    RunSummary().on_train_start(fake, None)
    assert (f"{steps} optimiser steps in all, {steps / 10:.0f} per epoch" in caplog.text) == warned


def test_the_epoch_of_the_best_weights_is_told(tmp_path, capsys):
    best = tmp_path / "best.ckpt"
    torch.save({"epoch": 6, "state_dict": {}, "loops": {}}, best)
    fake = trainer(tmp_path, str(best))
    fake.current_epoch = 10
    fake.checkpoint_callback.best_model_score = torch.tensor(0.4414)
    fake.checkpoint_callback.monitor = "val/hota"
    RunSummary().on_fit_end(fake, None)
    assert "best epoch      7 of 10: val/hota 0.441" in capsys.readouterr().out.splitlines()


def test_best_weights_that_cannot_be_read_end_no_training(tmp_path, capsys):
    best = tmp_path / "best.ckpt"
    best.write_bytes(b"half")
    fake = trainer(tmp_path, str(best))
    fake.checkpoint_callback.best_model_score = torch.tensor(0.4)
    RunSummary().on_fit_end(fake, None)
    printed = capsys.readouterr().out
    assert f"best weights    {best}" in printed
    assert "best epoch" not in printed
