import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from jde_lightning.callbacks import Checkpoint, TrackingHOTA

SCORES = [0.1, 0.5, 0.3, 0.4]


class Scored(pl.LightningModule):
    """Logs a made-up score at every validation; its weight counts the steps."""

    def __init__(self, name="val/hota"):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.name = name

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        if self.name:
            self.log(self.name, SCORES[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(tmp_path, callbacks, name="val/hota", epochs=4, ckpt_path=None, **kwargs):
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        **kwargs,
    )
    loader = DataLoader(torch.zeros(2, 1))
    trainer.fit(Scored(name), loader, loader, ckpt_path=ckpt_path)
    return trainer


def steps(path):
    return torch.load(path, weights_only=True)["state_dict"]["weight"].item()


def test_keeps_the_best_and_the_newest_weights(tmp_path):
    fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))])
    assert steps(tmp_path / "best.ckpt") == 4  # after the second epoch of two steps
    assert steps(tmp_path / "last.ckpt") == 8
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"best.ckpt", "last.ckpt", "last.previous.ckpt"}


def test_a_resumed_run_begins_with_the_next_epoch(tmp_path):
    fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))], epochs=2)
    trainer = fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))], epochs=4, ckpt_path=str(tmp_path / "last.ckpt"))
    assert trainer.global_step == 8
    assert steps(tmp_path / "best.ckpt") == 4


def test_another_metric_decides_where_the_monitored_one_is_not_measured(tmp_path, caplog):
    fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))], name="val/map50_95")
    assert steps(tmp_path / "best.ckpt") == 4
    assert "val/hota was not measured; best weights are chosen by val/map50_95" in caplog.text


@pytest.mark.parametrize("name", [None, "val/other"])
def test_without_any_metric_the_newest_weights_are_kept(tmp_path, name):
    fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))], name=name)
    assert steps(tmp_path / "last.ckpt") == 8
    assert not (tmp_path / "best.ckpt").exists()


def test_waits_for_a_metric_that_is_measured_in_later_epochs(tmp_path):
    class Rare(TrackingHOTA):
        def on_validation_batch_end(self, *args, **kwargs):
            pass

        def on_validation_epoch_end(self, trainer, pl_module):
            pass

    callback = Checkpoint(dirpath=str(tmp_path))
    fit(tmp_path, [Rare(every_n_epochs=2), callback], name="val/map50_95")
    assert callback.monitor == "val/hota"
    assert steps(tmp_path / "last.ckpt") == 8


def test_epochs_without_validation_keep_the_newest_weights_too(tmp_path):
    fit(tmp_path, [Checkpoint(dirpath=str(tmp_path))], epochs=3, check_val_every_n_epoch=2)
    assert steps(tmp_path / "last.ckpt") == 6
    assert steps(tmp_path / "best.ckpt") == 4
