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
            save_on_train_epoch_end=True,
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the validation of the epoch, when the loops are where a resumed run should begin.

        Lightning's own rule saves the last weights only if they are also the best.
        """
        if self._should_skip_saving_checkpoint(trainer) or (trainer.current_epoch + 1) % self._every_n_epochs:
            return
        candidates = self._monitor_candidates(trainer)
        if self._can_compare(trainer):
            self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)

    def _can_compare(self, trainer: pl.Trainer) -> bool:
        """Whether there is a metric to compare weights by; one that the data does not allow is replaced."""
        measured = trainer.callback_metrics
        if self.monitor is None or self.monitor in measured:
            return True
        if not any(name.startswith("val/") for name in measured):
            return False  # no validation yet
        if any(c.every_n_epochs > 1 for c in trainer.callbacks if isinstance(c, ValidationCallback)):
            return False  # it may still come, in an epoch that is measured
        chosen = next((name for name in _FALLBACKS if name in measured), None)
        if chosen is None:
            return False
        _LOG.warning("checkpoint.monitor %s was not measured; best weights are chosen by %s", self.monitor, chosen)
        self.monitor, self.mode = chosen, "max"
        return True
