"""The densest batch goes through the network before training begins: what does not fit fails in the first minute."""

from __future__ import annotations

import logging
from typing import Any

import lightning.pytorch as pl
import torch

from jde_lightning.callbacks.trial_step import Trial, parameter_bytes, try_step
from jde_lightning.errors import InputError
from jde_lightning.structures import Batch

_LOG = logging.getLogger(__name__)
_USABLE = 0.95  # of a GPU's memory; the rest is the context's and fragments


class Rehearsal(pl.Callback):
    """Runs the densest batch that training can meet once through forward, loss and backward.

    It changes nothing: training is bitwise the same with and without. On the CPU of Linux, where the system ends a
    process that uses too much memory instead of refusing it, only what is refused can be told.

    Args:
        enabled: rehearse at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rehearse, on every process at the same time.

        Raises:
            InputError: if a process runs out of memory.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not self.enabled or not hasattr(data, "densest_batch") or not hasattr(pl_module, "joint_loss"):
            return
        batch = data.densest_batch()
        # What comes with the first step: the state of the optimiser. A second one would only be kept free in vain.
        reserved = 0 if any(o.state for o in trainer.optimizers) else 2 * parameter_bytes(pl_module)
        trial = self.step(trainer, pl_module, batch, reserved)
        if not trainer.strategy.reduce_boolean_decision(trial.fits):
            raise InputError(self._advice(trainer, pl_module, batch, trial, reserved))
        peak = f", at most {trial.peak_bytes / 2**30:.1f} GiB in use" if trial.peak_bytes else ""
        if trainer.is_global_zero:
            _LOG.info(
                "rehearsal: the densest batch fits: %d images, %d boxes, at most %d in one, %d anchors%s; %.1f s",
                *(len(batch["images"]), trial.boxes, _most(batch), trial.anchors, peak, trial.seconds),
            )
        if trial.spilled:
            _LOG.warning(
                "rehearsal: with up to %d boxes in an image the assigner ran out of memory and went on image by image, "
                "which is slow; lower data.batch_size",
                _most(batch),
            )

    def step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, reserved_bytes: int) -> Trial:
        """Try one batch; see :func:`~jde_lightning.callbacks.trial_step.try_step`."""
        return try_step(trainer, pl_module, batch, reserved_bytes)

    def _advice(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, trial: Trial, reserved: int
    ) -> str:
        """Say what did not fit, and what would."""
        size, side, device = len(batch["images"]), batch["images"].shape[-1], trainer.strategy.root_device
        if trial.fits:
            return "another process ran out of memory in the rehearsal of the densest batch; see its message"
        where = str(device)
        if device.type == "cuda":
            where += f", {torch.cuda.get_device_properties(device).total_memory / 2**30:.0f} GiB"
        found = f"data.batch_size {size}, image_size {side}, {trial.boxes} boxes (up to {_most(batch)} in an image)"
        found = f"the densest batch does not fit into the memory of {where}: {found}"
        fitting = self._fitting(trainer, pl_module, size, reserved) if size > 1 else 0
        if not fitting:
            return f"{found}; lower data.image_size, choose a smaller model.scale, or --trainer.precision bf16-mixed"
        return (
            f"{found}; set data.batch_size to about {fitting} with trainer.accumulate_grad_batches to make up for it, "
            "or to auto, lower data.image_size, or choose --trainer.precision bf16-mixed"
        )

    def _fitting(self, trainer: pl.Trainer, pl_module: pl.LightningModule, size: int, reserved: int) -> int:
        """Estimate how many images fit: by what two sizes take on a GPU, else half; 0 if not even the smallest."""
        device = trainer.strategy.root_device
        if device.type != "cuda":
            return size // 2
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        smallest = data.batch_size_limits[0]
        peaks: list[int] = []
        for number in (smallest, 2 * smallest):
            trial = self.step(trainer, pl_module, data.densest_batch(number), reserved)
            if not trial.fits:
                return len(peaks) * smallest
            peaks.append(trial.peak_bytes)
        total = torch.cuda.get_device_properties(device).total_memory
        return _fitting_by_line(peaks, smallest, int(_USABLE * total), size)


def _fitting_by_line(peaks: list[int], smallest: int, available: int, failed: int) -> int:
    """Extrapolate the memory of ``smallest`` and of twice as many images to the number that ``available`` holds."""
    per_image = max((peaks[1] - peaks[0]) / smallest, 1.0)
    return max(min(smallest + int((available - peaks[0]) / per_image), failed - 1), smallest)


def _most(batch: Batch) -> int:
    """Boxes of the fullest image."""
    return int(torch.bincount(batch["batch_idx"]).max()) if len(batch["batch_idx"]) else 0
