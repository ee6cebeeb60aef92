"""What the measuring callbacks share: when they run, what they collect, how they log."""

from __future__ import annotations

import logging
from typing import Any

import lightning.pytorch as pl
import torch.distributed

from jde_lightning.structures import ValidationOutput

_LOG = logging.getLogger(__name__)


class ValidationCallback(pl.Callback):
    """Collects the outputs of validation (and test) and logs what a subclass computes from them at the end.

    Subclasses implement :meth:`reset`, :meth:`collect` and :meth:`compute`.

    Args:
        every_n_epochs: measure at the validation of every n-th epoch; 0 switches the callback off.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        if every_n_epochs < 0:
            msg = f"every_n_epochs must be 0 (off) or positive, got {every_n_epochs}"
            raise ValueError(msg)
        self.every_n_epochs = every_n_epochs
        self._active = False
        self._warned: set[str] = set()

    def reset(self) -> None:
        """Forget what was collected."""
        raise NotImplementedError

    def collect(self, output: ValidationOutput) -> None:
        """Take what is needed from one batch.

        Args:
            output: the batch's annotations and detections in original pixels.
        """
        raise NotImplementedError

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Compute the metrics of the epoch.

        Args:
            trainer: the trainer, for the run's folder and the epoch.

        Returns:
            Value by name without prefix; what is undefined is left out.
        """
        raise NotImplementedError

    def warn_once(self, text: str, key: str | None = None) -> None:
        """Warn of something that every epoch would repeat, such as data without identities.

        Args:
            text: the warning.
            key: what it is about, where the text holds numbers that change; the text itself if omitted.
        """
        if (key or text) not in self._warned:
            self._warned.add(key or text)
            _LOG.warning("%s", text)

    def is_due(self, trainer: pl.Trainer) -> bool:
        """Whether the validation of this epoch of a training is measured: that of every n-th epoch.

        Args:
            trainer: the trainer, for its epoch.
        """
        return (trainer.current_epoch + 1) % max(self.every_n_epochs, 1) == 0

    def _start(self, trainer: pl.Trainer) -> None:
        """Begin an epoch: every validation outside of training, those that are due within it, not the sanity check."""
        due = trainer.state.fn != "fit" or self.is_due(trainer)
        self._active = bool(self.every_n_epochs) and due and not trainer.sanity_checking
        self.reset()

    def _end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, prefix: str) -> None:
        """Compute and log."""
        if not self._active:
            return
        for name, value in self.compute(trainer).items():
            pl_module.log(f"{prefix}/{name}", float(value), rank_zero_only=False, sync_dist=False)
        self.reset()

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin an epoch."""
        self._start(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Collect a batch."""
        if self._active:
            self.collect(outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log under ``val/``."""
        self._end(trainer, pl_module, "val")

    # a test begins and collects as a validation does
    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_end = on_validation_batch_end

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log under ``test/``."""
        self._end(trainer, pl_module, "test")


def gather_from_ranks(value: Any) -> list[Any]:
    """Return the values of all ranks, in the order of the ranks; of this process alone if there is one only.

    Every rank must call it, whether or not it has seen data.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, value)
    return gathered
