"""The last lines of a training say what there is."""

from types import SimpleNamespace

import pytest

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
