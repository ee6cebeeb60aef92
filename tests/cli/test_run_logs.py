"""metrics.csv has what was logged, however short the run and however it ended."""

import csv

import lightning.pytorch as pl
import pytest
import torch

from jde_lightning.callbacks.run_summary import RunSummary
from jde_lightning.cli.run_logs import RunCSVLogger


class Line(pl.LightningModule):
    """A network of one number, which logs its loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def steps(folder):
    path = folder / "version_0" / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("taken", "every", "expected"), [(3, 50, [2]), (1, 50, [0]), (4, 2, [1, 3]), (5, 2, [1, 3]), (2, 1, [0, 1])]
)
def test_a_run_of_a_few_steps_has_a_table(taken, every, expected, tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=taken,
        log_every_n_steps=every,
        logger=RunCSVLogger(tmp_path, name="", version="version_0"),
        callbacks=[RunSummary(enabled=False)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(8, 1)))
    assert steps(tmp_path) == expected


def test_rows_are_on_the_disk_with_the_checkpoint_of_their_step(tmp_path):
    logger = RunCSVLogger(tmp_path, name="", version="version_0")
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step)
    assert steps(tmp_path) == []
    logger.after_save_checkpoint(None)  # of step 3, whose row comes now
    assert steps(tmp_path) == [0, 1, 2]
    logger.log_metrics({"train/loss": 1.0}, 3)
    assert steps(tmp_path) == [0, 1, 2, 3]
    for step in range(4, 7):
        logger.log_metrics({"train/loss": 1.0}, step)
    assert len(steps(tmp_path)) < 7  # otherwise, rows are collected
    logger.finalize("failed")
    assert steps(tmp_path) == [0, 1, 2, 3, 4, 5, 6]
