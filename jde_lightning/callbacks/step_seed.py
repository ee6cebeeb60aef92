"""Random numbers of a training step that do not depend on what was drawn before it."""

from __future__ import annotations

import os
import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


class StepSeed(pl.Callback):
    """Seeds Python, NumPy and PyTorch before every batch from the run's seed, the batch's number and the process.

    Our own network, losses and augmentation draw nothing from these generators. A miner, loss or optimiser that a user
    chooses may: with this, a run that goes on from a checkpoint draws what the uninterrupted run would have drawn, on
    every process, without a state to save.

    Args:
        enabled: seed at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the generators of the step."""
        if not self.enabled:
            return
        run = int(os.environ.get("PL_GLOBAL_SEED") or 0)
        sequence = np.random.SeedSequence([run, trainer.current_epoch, batch_idx, trainer.global_rank])
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
