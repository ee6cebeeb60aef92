"""The last lines on the screen: what came out, where it is, what to try next."""

from __future__ import annotations

import logging
import math
import sys

import lightning.pytorch as pl

from jde_lightning.callbacks.run_folder import run_folder

_LOG = logging.getLogger(__name__)
_SHOWN = ("hota", "hota_motion", "mota", "idf1", "idsw", "map50_95", "map50", "retrieval_map", "rank1", "silhouette")
_SHOWN += ("view_map", "view_rank1")


class RunSummary(pl.Callback):
    """Prints the metrics of the last validation, the run's folder and commands that go on from it.

    Args:
        enabled: print at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn of a training that ends before its first validation."""
        every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs or 0
        if every and 0 < epochs < every and trainer.is_global_zero:
            text = "nothing will be validated: trainer.check_val_every_n_epoch is %d, trainer.max_epochs %d"
            _LOG.warning(text, every, epochs)

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
            f"pictures        {folder / 'pictures'}",
            f"curves          tensorboard --logdir {folder.parent}",
            f"track a video   jde-lightning track VIDEO --weights {weights} --video --output tracks",
            f"measure again   jde-lightning validate --config {folder / 'config.yaml'} --ckpt_path {weights}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    @staticmethod
    def _metrics(trainer: pl.Trainer, prefix: str) -> list[str]:
        """One line per group of metrics that were measured."""
        values = {name: trainer.callback_metrics.get(f"{prefix}/{name}") for name in _SHOWN}
        shown = [
            f"{name} {float(value):.0f}" if name == "idsw" else f"{name} {float(value):.3f}"
            for name, value in values.items()
            if value is not None and not math.isnan(float(value))
        ]
        return [f"last validation {', '.join(shown)}"] if shown else []
