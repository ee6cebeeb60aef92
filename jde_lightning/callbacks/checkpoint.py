"""Which weights are kept."""

from __future__ import annotations

import logging
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from jde_lightning.callbacks.validation import ValidationCallback

_LOG = logging.getLogger(__name__)
_FALLBACKS = ("val/hota", "val/retrieval_map", "val/map50_95")


class Checkpoint(ModelCheckpoint):
    """Keeps the best and the last weights as ``best.ckpt`` and ``last.ckpt`` in the run's folder.

    Args:
        monitor: metric that decides which weights are best. Where the data does not allow it (no sequences, no
            identities), the first of HOTA, retrieval mAP and detection AP that was measured takes its place.
        mode: whether more or less of it is better.
        save_top_k: number of best checkpoints that are kept.
        save_last: keep the newest weights too, to resume from with ``--ckpt_path last``.
        dirpath: folder; ``checkpoints`` in the run's folder if omitted.
        filename: name of the best checkpoint, without suffix.
        every_n_epochs: save at every n-th epoch.
    """

    def __init__(
        self,
        monitor: str | None = "val/hota",
        mode: Literal["max", "min"] = "max",
        save_top_k: int = 1,
        save_last: bool = True,
        dirpath: str | None = None,
        filename: str = "best",
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_last=save_last,
            every_n_epochs=every_n_epochs,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, by a metric that was measured."""
        if self._choose_monitor(trainer):
            super().on_validation_end(trainer, pl_module)
        elif self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def _choose_monitor(self, trainer: pl.Trainer) -> bool:
        """Replace a monitored metric that the data does not allow by the best one that it does.

        Returns:
            Whether there is something to compare weights by.
        """
        measured = trainer.callback_metrics
        if self.monitor is None or self.monitor in measured:
            return True
        if any(c.every_n_epochs > 1 for c in trainer.callbacks if isinstance(c, ValidationCallback)):
            return False  # it may still come, in an epoch that is measured
        chosen = next((name for name in _FALLBACKS if name in measured), None)
        _LOG.warning("checkpoint.monitor %s was not measured; best weights are chosen by %s", self.monitor, chosen)
        self.monitor, self.mode = chosen, "max"
        return True
