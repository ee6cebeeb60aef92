"""The last lines on the screen: what came out, where it is, what to try next."""

from __future__ import annotations

import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from jde_lightning.callbacks.checkpoint_files import read_header
from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)
_SHOWN: tuple[str, ...] = (
    "hota",
    "hota_motion",
    "mota",
    "idf1",
    "idsw",
    "map50_95",
    "map50",
    "retrieval_map",
    "rank1",
    "silhouette",
)
_SHOWN += ("view_map", "view_rank1", "view_boxes")
_COUNTS = ("idsw", "view_boxes")
_FEW_STEPS = 200  # a network hardly changes in so few
_LOSSES = ("box_loss", "cls_loss", "dfl_loss", "reid_loss")


class RunSummary(pl.Callback):
    """Prints the metrics of the last validation, the run's folder and commands that go on from it.

    A training that is shorter than ``trainer.log_every_n_steps`` would log no losses at all; its last step is logged.

    Args:
        enabled: print at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._epoch_began = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn of a training that ends before its first validation, or has ended already."""
        if trainer.ckpt_path and trainer.max_epochs and trainer.current_epoch >= trainer.max_epochs > 0:
            text = "this run has finished its %d epochs; a larger trainer.max_epochs would train on"
            if trainer.is_global_zero:
                _LOG.warning(text, trainer.max_epochs)
        every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs or 0
        if every and 0 < epochs < every and trainer.is_global_zero:
            text = "nothing will be validated: trainer.check_val_every_n_epoch is %d, trainer.max_epochs %d"
            _LOG.warning(text, every, epochs)
        self._warn_of_few_steps(trainer)

    @staticmethod
    def _warn_of_few_steps(trainer: pl.Trainer) -> None:
        """Warn of a training whose epochs are too few for its few images, where nobody limited its steps."""
        epochs = trainer.max_epochs or 0
        limited = trainer.max_steps > 0 or trainer.fast_dev_run  # type: ignore[attr-defined]
        if limited or epochs <= 0 or not trainer.is_global_zero:
            return
        steps = trainer.estimated_stepping_batches
        if steps < _FEW_STEPS:
            text = (
                "%d optimiser steps in all, %.0f per epoch: an embedding needs a few thousand, fine-tuning a detector "
                "some hundred; raise trainer.max_epochs or data.epoch_repeats, or lower data.batch_size"
            )
            _LOG.warning(text, steps, steps / epochs)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say where training is, in one line, where nobody sees a progress bar: in the log of a cluster."""
        if not self.enabled or not trainer.is_global_zero or sys.stderr.isatty():
            return
        losses = {name: trainer.callback_metrics.get(f"train/{name}") for name in _LOSSES}
        shown = [f"{name} {float(value):.3g}" for name, value in losses.items() if value is not None]
        every = trainer.check_val_every_n_epoch
        validated = bool(every) and (trainer.current_epoch + 1) % (every or 1) == 0
        _LOG.info(
            "epoch %d of %s, step %d, %.0f s: %s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            trainer.global_step,
            time.monotonic() - self._epoch_began,
            ", ".join([*shown, *(self._metrics(trainer, "val") if validated else [])]),
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last step, where no step was."""
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it from outside
        if 0 < trainer.global_step < every:
            values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
            for logger in trainer.loggers if values else ():
                logger.log_metrics({name: float(value) for name, value in values.items()}, trainer.global_step - 1)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print after training."""
        folder = run_folder(trainer)
        if not self.enabled or folder is None:
            return
        kept = trainer.checkpoint_callback
        best, last = (getattr(kept, f"{which}_model_path", "") for which in ("best", "last"))
        weights = best or last or "(none was kept)"
        lines = [
            "",
            *self._metrics(trainer, "val"),
            f"run folder      {folder}",
            f"{'best' if best else 'last'} weights    {weights}",
            *self._best_epoch(trainer),
            f"pictures        {folder / 'pictures'}",
            f"curves          tensorboard --logdir {folder.parent}",
            f"track a video   jde-lightning track VIDEO --weights {weights} --video --output tracks",
            f"measure again   jde-lightning validate --config {folder / 'config.yaml'} --ckpt_path {weights}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    @staticmethod
    def _best_epoch(trainer: pl.Trainer) -> list[str]:
        """When the best weights were measured, and what: they need not be the last ones, or hardly trained."""
        kept: Any = trainer.checkpoint_callback
        path, score = getattr(kept, "best_model_path", ""), getattr(kept, "best_model_score", None)
        if score is None or not Path(path).is_file():
            return []
        try:
            epoch = read_header(Path(path))["epoch"]
        except InputError:  # of another callback, or removed meanwhile: no reason to end a training with an error
            return []
        return [f"best epoch      {epoch + 1} of {trainer.current_epoch}: {kept.monitor} {float(score):.3f}"]

    @staticmethod
    def _metrics(trainer: pl.Trainer, prefix: str) -> list[str]:
        """One line per group of metrics that were measured."""
        values = {name: trainer.callback_metrics.get(f"{prefix}/{name}") for name in _SHOWN}
        shown = [
            f"{name} {float(value):.0f}" if name in _COUNTS else f"{name} {float(value):.3f}"
            for name, value in values.items()
            if value is not None and not math.isnan(float(value))
        ]
        return [f"last validation {', '.join(shown)}"] if shown else []
