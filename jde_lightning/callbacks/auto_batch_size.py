"""``data.batch_size: auto``: the largest batch size of which the densest batch fits into every GPU.

Lightning's ``BatchSizeFinder`` refuses several processes, restarts the fit loop for each size, and tries batches as
they come, not the densest one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch

from jde_lightning.callbacks.trial_step import parameter_bytes, try_step
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)
_WITHOUT_LIMIT = 8
_NOT_YET_THERE = 4  # times the parameters: optimiser (two), average of the weights, buckets of DDP


class AutoBatchSize(pl.Callback):
    """Finds the batch size where ``data.batch_size`` is ``auto``, before optimiser and loaders are built.

    On a GPU it doubles the size until the densest batch does not fit, and bisects. With several processes each tries
    the same sizes and one fits if it fits everywhere. Without a GPU it is 8: there is no limit to run into, and larger
    batches are not faster. The number found is logged, stands in the run's ``config.yaml`` in place of ``auto`` and in
    every checkpoint, and a resumed run goes on with it.

    Args:
        max_size: largest size that is tried. Learning rates are chosen for 64 images in a step of all processes.
        margin: share of the GPU's memory that is kept free.
    """

    def __init__(self, max_size: int = 256, margin: float = 0.05) -> None:
        if max_size < 1 or not 0 <= margin < 1:
            msg = f"auto_batch_size: max_size must be at least 1 and margin in [0, 1), got {max_size} and {margin}"
            raise InputError(msg)
        self.max_size = max_size
        self.margin = margin

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the size, on all processes together.

        Raises:
            InputError: if not even the smallest fits.
        """
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if stage != "fit" or getattr(data, "batch_size", None) != "auto":
            return
        smallest, largest = data.batch_size_limits
        largest = max(min(largest, self.max_size), smallest)
        if not self.has_limit(trainer):
            found = max(min(_WITHOUT_LIMIT, largest), smallest)
        else:
            found = largest_that_fits(
                lambda size: trainer.strategy.reduce_boolean_decision(self.fits(trainer, pl_module, size)),
                smallest,
                largest,
            )
        if not found:
            msg = (
                f"data.batch_size auto: not even {smallest} images of data.image_size {data.image_size} fit into the "
                f"memory of {trainer.strategy.root_device}; lower data.image_size, choose a smaller model.scale, or "
                "--trainer.precision bf16-mixed"
            )
            raise InputError(msg)
        data.set_batch_size(found)
        if trainer.is_global_zero:
            why = "" if self.has_limit(trainer) else " (without a GPU nothing is tried)"
            _LOG.info("data.batch_size auto is %d%s; --data.batch_size %d repeats this run", found, why, found)

    def has_limit(self, trainer: pl.Trainer) -> bool:
        """Whether the device says when its memory does not suffice."""
        return trainer.strategy.root_device.type == "cuda"

    def fits(self, trainer: pl.Trainer, pl_module: pl.LightningModule, size: int) -> bool:
        """Try the densest batch of a size on this process."""
        device = trainer.strategy.root_device
        pl_module.to(device)  # where Lightning moves it a moment later
        pl_module.train()
        reserved = _NOT_YET_THERE * parameter_bytes(pl_module)
        reserved += int(self.margin * torch.cuda.get_device_properties(device).total_memory)
        batch = trainer.datamodule.densest_batch(size)  # type: ignore[attr-defined]
        trial = try_step(trainer, pl_module, batch, reserved)
        return trial.fits and not trial.spilled


def largest_that_fits(fits: Callable[[int], bool], smallest: int, largest: int) -> int:
    """Find the largest size that fits: double until one does not, then bisect.

    Args:
        fits: whether a size fits; if one does, all smaller ones are taken to.
        smallest: first size to try.
        largest: last size to try.

    Returns:
        The size, 0 if ``smallest`` does not fit.
    """
    good, size = 0, smallest
    while fits(size):
        good = size
        if size == largest:
            return good
        size = min(2 * size, largest)
    bad = size
    while good and bad - good > 1:
        size = (good + bad) // 2
        good, bad = (size, bad) if fits(size) else (good, size)
    return good
