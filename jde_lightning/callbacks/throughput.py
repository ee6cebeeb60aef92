"""Lightning's throughput monitor for our batches, without its wait for the GPU after every batch."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ThroughputMonitor
from lightning.pytorch.trainer.states import RunningStage

from jde_lightning.structures import Batch


def images_in(batch: Batch) -> int:
    """Return the number of images of a batch."""
    return len(batch["images"])


class Throughput(ThroughputMonitor):
    """Logs batches and images of training per second, of this process and of all; validation does not count.

    The names are Lightning's: ``train/device/samples_per_sec``, ``train/samples_per_sec`` (of all processes, if there
    are several) and so on, over a moving window of logging intervals, from the moment that it is full. Lightning waits
    for the GPU after each batch; here only when values are logged.

    Args:
        enabled: log at all.
        window_size: number of logged values that the window spans, at least 2.
    """

    def __init__(self, enabled: bool = True, window_size: int = 5) -> None:
        super().__init__(images_in, window_size=window_size)
        self.enabled = enabled
        self._module_has_flops = False  # Lightning would warn that it does not know them
        self._rests_since = 0.0

    def on_validation_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Training rests."""
        self._rests_since = time.perf_counter()

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Validation is not counted."""

    def on_validation_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Training goes on, as if no time had passed."""
        if RunningStage.TRAINING in self._t0s:
            self._t0s[RunningStage.TRAINING] += time.perf_counter() - self._rests_since

    def _update(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, iter_num: int) -> None:
        """Count a batch, and take the time if it is one after which values are logged."""
        if not self._counts(trainer):
            return
        if trainer._logger_connector.should_update_logs:
            super()._update(trainer, pl_module, batch, iter_num)
        else:
            self._samples[RunningStage.TRAINING] += images_in(batch)
            self._batches[RunningStage.TRAINING] += 1

    def _compute(self, trainer: pl.Trainer, iter_num: int | None = None) -> None:
        """Log."""
        if self._counts(trainer):
            super()._compute(trainer, iter_num)

    def _counts(self, trainer: pl.Trainer) -> bool:
        return self.enabled and trainer.training and bool(trainer.loggers)
