"""The last lines on the screen: what came out, where it is, what to try next."""

from __future__ import annotations

import math
import sys

import lightning.pytorch as pl

from jde_lightning.callbacks.run_folder import run_folder

_SHOWN = ("hota", "hota_motion", "mota", "idf1", "idsw", "map50_95", "map50", "retrieval_map", "rank1", "silhouette")
_SHOWN += ("view_map", "view_rank1")


class RunSummary(pl.Callback):
    """Prints the metrics of the last validation, the run's folder and commands that go on from it.

    Args:
        enabled: print at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print after training."""
        folder = run_folder(trainer)
        if not self.enabled or folder is None:
            return
        kept = trainer.checkpoint_callback
        best = getattr(kept, "best_model_path", "") or getattr(kept, "last_model_path", "") or "(none was kept)"
        lines = [
            "",
            *self._metrics(trainer, "val"),
            f"run folder      {folder}",
            f"best weights    {best}",
            f"pictures        {folder / 'pictures'}",
            f"curves          tensorboard --logdir {folder.parent}",
            f"track a video   jde-lightning track VIDEO --weights {best} --video --output tracks",
            f"measure again   jde-lightning validate --config {folder / 'config.yaml'} --ckpt_path {best}",
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
