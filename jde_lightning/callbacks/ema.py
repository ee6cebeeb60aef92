"""Exponential moving average of the weights with Ultralytics' ramp (paper's training; design 5.8)."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging


class EMA(WeightAveraging):
    """Average the weights and float buffers; validation and checkpoints use the average.

    The decay after ``n`` updates is ``decay * (1 - exp(-n / ramp))``, so that the average follows a network that still
    changes quickly.

    A checkpoint holds the average as ``state_dict``, and the raw weights and the number of updates beside it. So does
    one that is written in the middle of a validation, when the network holds the average.

    Args:
        decay: decay that the ramp approaches; 0 switches the callback off.
        ramp: number of updates after which the decay has reached 63 % of its value.
    """

    def __init__(self, decay: float = 0.9999, ramp: float = 2000.0) -> None:
        if not 0 <= decay < 1 or ramp <= 0:
            msg = f"ema.decay must lie in [0, 1) and ema.ramp above 0, got {decay} and {ramp}"
            raise ValueError(msg)
        super().__init__(multi_avg_fn=self._average)
        self.decay = decay
        self.ramp = ramp
        self._swapped = False

    def _average(self, averages: list[torch.Tensor], current: list[torch.Tensor], updates: torch.Tensor) -> None:
        """Update the averages of one dtype in place; integer buffers, such as counters, are copied."""
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, current)
            return
        decay = self.decay * (1 - math.exp(-(int(updates) + 1) / self.ramp))
        torch._foreach_lerp_(averages, current, 1 - decay)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the average when training begins."""
        if self.decay:
            super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Update after every optimiser step."""
        return bool(self.decay) and step_idx is not None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to where the network was moved to."""
        if self._average_model is not None:
            self._average_model.to(pl_module.device)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the averaged weights in the network."""
        if self._average_model is not None:
            super().on_train_end(trainer, pl_module)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        """Exchange the average and the network's weights, and remember which is where."""
        super()._swap_models(pl_module)
        self._swapped = not self._swapped

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the average as ``state_dict`` and the raw weights beside it."""
        if self._average_model is None:
            return
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._swapped:
            in_network, in_average = checkpoint["current_model_state"], checkpoint["state_dict"]
            checkpoint["state_dict"], checkpoint["current_model_state"] = in_network, in_average

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore both; outside of training the average is already what was loaded."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
