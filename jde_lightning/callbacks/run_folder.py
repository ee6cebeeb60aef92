"""Where a run keeps its files."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl


def run_folder(trainer: pl.Trainer) -> Path | None:
    """Return the folder of a run's files; ``None`` on the processes that write nothing.

    Every process must ask, at the same time: the first one tells the others (Lightning broadcasts ``log_dir``), so
    asking on the first one alone would wait for the others for ever.

    Args:
        trainer: the trainer of the run.
    """
    folder = trainer.log_dir
    return Path(folder) if folder and trainer.is_global_zero else None
