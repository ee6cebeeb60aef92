"""Where the time of a training step goes, and what to do if it goes into waiting for data."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.hooks import RemovableHandle

from jde_lightning.callbacks.stamps import CudaStamps, HostStamps, Stamps
from jde_lightning.structures import Batch

_LOG = logging.getLogger(__name__)
_PARTS = (  # name, and between which two marks of a step it lies
    ("forward", "forward", "forward_end"),
    ("loss", "loss", "loss_end"),
    ("backward", "backward", "backward_end"),
    ("optimizer", "backward_end", "end"),
)


class StepTiming(pl.Callback):
    """Logs the parts of a training step in milliseconds, as means over the steps since they were last logged.

    ``time/data_ms`` is the wait for the loader, ``time/forward_ms``, ``time/loss_ms``, ``time/backward_ms`` and
    ``time/optimizer_ms`` (clipping, step, schedule) are of the device, ``time/step_ms`` is everything from one batch to
    the next without validation, and ``time/images_per_second`` counts those of all processes. On a GPU the device keeps
    the time (CUDA events), and nobody waits for it but when the values are logged, every ``trainer.log_every_n_steps``.

    Warns once where the wait for data is more than a share of the step.

    Args:
        enabled: take the time at all.
        warn_share: share of the step above which waiting for data is worth a warning; 0: never.
        window: number of steps that the warning judges.
        warmup: number of first steps that the warning leaves out: workers start, caches fill.
    """

    def __init__(self, enabled: bool = True, warn_share: float = 0.2, window: int = 50, warmup: int = 10) -> None:
        self.enabled = enabled
        self.warn_share = warn_share
        self.window = window
        self.warmup = warmup
        self._stamps: Stamps = HostStamps()
        self._hooks: list[RemovableHandle] = []
        self._in_step = False
        self._steps: list[dict[str, Any]] = []
        self._marks: dict[str, Any] = {}
        self._images = 0
        self._seconds, self._waited, self._count = 0.0, 0.0, 0  # since logged
        self._judged = [0.0, 0.0, 0.0]  # steps, seconds and seconds waited that the warning judges
        self._last_end: float | None = None
        self._last_waited = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to network and loss."""
        if not self.enabled:
            return
        self._stamps = CudaStamps() if trainer.strategy.root_device.type == "cuda" else HostStamps()
        for name, attribute in (("forward", "network"), ("loss", "loss")):
            part = getattr(pl_module, attribute, None)
            if isinstance(part, torch.nn.Module):
                self._hooks.append(part.register_forward_pre_hook(lambda *_, name=name: self._mark(name)))
                self._hooks.append(part.register_forward_hook(lambda *_, name=name: self._mark(f"{name}_end")))
        self._last_waited = _seconds_waited(trainer)
        self._last_end = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """A step begins."""
        self._in_step, self._marks = self.enabled, {}

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        """The backward pass begins."""
        self._mark("backward")

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The backward pass has ended."""
        self._mark("backward_end")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add up the step; log, and judge the loader, when it is time."""
        if not self._in_step:
            return
        self._mark("end")
        self._in_step = False
        self._steps.append(self._marks)
        now, waited = time.perf_counter(), _seconds_waited(trainer)
        seconds, data = now - (self._last_end or now), waited - self._last_waited
        self._last_end, self._last_waited = now, waited
        self._seconds, self._waited, self._count = self._seconds + seconds, self._waited + data, self._count + 1
        self._images += len(batch["images"]) * trainer.world_size
        self._judge(trainer, seconds, data)
        if trainer._logger_connector.should_update_logs:
            values = {f"time/{name}": value for name, value in self._means().items()}
            self.log_dict(values, batch_size=1)  # type: ignore[attr-defined]  # Lightning lends it to callbacks

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training goes on; nothing counts since its last step."""
        self._last_end = time.perf_counter()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop listening."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._steps, self._in_step = [], [], False

    def _mark(self, name: str) -> None:
        if self._in_step:
            self._marks[name] = self._stamps.now()

    def _means(self) -> dict[str, float]:
        """Means over the steps since the last call."""
        means = {"data_ms": 1000 * self._waited / self._count}
        for name, first, last in _PARTS:
            spans = [self._stamps.ms(m[first], m[last]) for m in self._steps if first in m and last in m]
            if spans:
                means[f"{name}_ms"] = sum(spans) / len(spans)
        means["step_ms"] = 1000 * self._seconds / self._count
        means["images_per_second"] = self._images / max(self._seconds, 1e-9)
        self._steps, self._images = [], 0
        self._seconds, self._waited, self._count = 0.0, 0.0, 0
        return means

    def _judge(self, trainer: pl.Trainer, seconds: float, waited: float) -> None:
        """Warn once if a window of steps was spent waiting."""
        self.warmup -= 1
        if self.warmup >= 0 or not self.warn_share:
            return
        self._judged = [a + b for a, b in zip(self._judged, (1, seconds, waited), strict=True)]
        steps, total, data = self._judged
        if steps < self.window:
            return
        self._judged = [0.0, 0.0, 0.0]
        if data > self.warn_share * total:
            self.warn_share = 0.0
            _LOG.warning(
                "training waited for data in %.0f %% of the last %d steps (%.0f of %.0f ms a step)%s; %s",
                *(100 * data / total, steps, 1000 * data / steps, 1000 * total / steps),
                f" in process {trainer.global_rank}" if trainer.world_size > 1 else "",
                remedy(getattr(trainer, "datamodule", None), trainer.world_size),
            )


def remedy(data: Any, processes: int = 1) -> str:
    """Say what makes a loader faster, with the settings it has.

    Args:
        data: the data module.
        processes: number of processes that train, which may share the machine's cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers, cache = getattr(data, "num_workers", None), getattr(data, "cache", None)
    if workers is None:
        return "give the loader more workers"
    shared = f" (for {processes} processes on all machines)" if processes > 1 else ""
    advice = []
    if workers * processes < cores:
        advice.append(f"raise data.num_workers, which is {workers} of {cores} cores{shared}")
    else:
        advice.append(f"data.num_workers is {workers} of {cores} cores{shared}, more will not help")
    if cache != "shared":
        advice.append("set data.cache shared, so that workers decode an image once for all of them")
    if not getattr(data, "fused", True):
        advice.append("set data.fused true")
    advice.append(f"lower data.image_size, which is {data.image_size}, or copy the data to a local disk")
    return "; ".join(advice)


def _seconds_waited(trainer: pl.Trainer) -> float:
    """How long training has waited for its loader so far; 0 for a loader that does not know."""
    return float(getattr(trainer.train_dataloader, "seconds_waited", 0.0))
