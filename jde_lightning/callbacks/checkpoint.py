"""Which weights are kept, and when the state that a run goes on from is written."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from jde_lightning.callbacks.checkpoint_files import WholeCheckpointIO, remove_unfinished
from jde_lightning.callbacks.model_card import model_card_facts
from jde_lightning.callbacks.validation import ValidationCallback, gather_from_ranks
from jde_lightning.errors import InputError, NonFiniteError

_LOG = logging.getLogger(__name__)
_Kind = TypeVar("_Kind", bound=pl.Callback)
_FALLBACKS = ("val/hota", "val/retrieval_map", "val/map50_95")
_STEPS_BETWEEN_LOOKS = 10
"""Optimiser steps after which several processes ask the first one's clock."""


class Checkpoint(ModelCheckpoint):
    """Keeps the best and the last weights as ``best.ckpt`` and ``last.ckpt`` in the run's folder.

    ``last.ckpt`` holds all that ``fit --ckpt_path last`` needs to go on as if nothing had happened. It is written after
    every n-th epoch, every few minutes within an epoch, and when training ends by an exception or Ctrl-C between two
    updates of the weights; never if a weight is not finite. The one before is kept as ``last.previous.ckpt``.

    Args:
        monitor: metric that decides which weights are best. Where the data does not allow it (no sequences, no
            identities), the first of HOTA, retrieval mAP and detection AP that was measured takes its place.
        mode: whether more or less of it is better.
        save_top_k: number of best checkpoints that are kept.
        save_last: keep the newest weights too, to resume from with ``--ckpt_path last``.
        dirpath: folder; ``checkpoints`` in the run's folder if omitted.
        filename: name of the best checkpoint, without suffix.
        every_n_epochs: save at every n-th epoch.
        every_minutes: write ``last.ckpt`` so often within an epoch, in minutes; 0 writes it after epochs only.
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
        every_minutes: float = 15.0,
    ) -> None:
        if every_minutes < 0:
            msg = f"checkpoint.every_minutes is {every_minutes}, expected a number of minutes, or 0 (off)"
            raise InputError(msg)
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
        self.every_minutes = every_minutes
        self.step_of_last = 0
        """Optimiser steps that ``last.ckpt`` holds; those that the run began with, if it has written none."""
        self._asked_for = (monitor, mode)
        self._last_written = 0.0
        self._in_epoch = False
        self._updating = False
        self._source: Path | None = None

    # --- when ---------------------------------------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Have checkpoints written whole, unless somebody chose how they are written."""
        super().setup(trainer, pl_module, stage)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()
        if stage == "fit" and trainer.is_global_zero and self.dirpath and "://" not in str(self.dirpath):
            remove_unfinished(Path(self.dirpath))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make sure that all processes go on from the same checkpoint: each has looked for it alone.

        Raises:
            InputError: if they do not.
        """
        sources = sorted(set(gather_from_ranks(str(trainer.ckpt_path or "no checkpoint"))))
        if len(sources) > 1:
            msg = f"processes found different checkpoints to go on from: {', '.join(sources)}; give the file's path"
            raise InputError(msg)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._last_written = time.monotonic()
        self.step_of_last = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember that an epoch has begun, which can be gone on with in its middle."""
        self._in_epoch = True

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Remember that weights, average and schedule do not fit together until the step ends."""
        self._updating = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write ``last.ckpt`` if it is time."""
        self._updating = False
        if self.every_minutes and can_go_on_from_here(trainer, batch_idx) and self._is_time(trainer):
            self.write_last(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the validation of the epoch, when the loops are where a resumed run should begin.

        Lightning's own rule saves the last weights only if they are also the best.
        """
        self._in_epoch = False
        if self._should_skip_saving_checkpoint(trainer) or (trainer.current_epoch + 1) % self._every_n_epochs:
            return
        if not self._worth_saving(trainer):
            return
        candidates = self._monitor_candidates(trainer)
        if self._can_compare(trainer):
            self._save_topk_checkpoint(trainer, candidates)
        self._save_last_checkpoint(trainer, candidates)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write ``last.ckpt`` before training ends, if the state is one that can be gone on from.

        The other processes may not have the exception and are not waited for.
        """
        wanted = self.save_last and trainer.state.fn == "fit" and not _is_trial(trainer)
        if not wanted or trainer.sanity_checking or self.step_of_last == trainer.global_step or not self._in_epoch:
            return
        if isinstance(exception, NonFiniteError):
            _LOG.warning("last.ckpt is left as it was: from step %d on the same would happen", trainer.global_step)
            return
        if self._updating:
            _LOG.warning("last.ckpt is left as it was: training ended in the middle of an update of the weights")
            return
        # Other strategies spread the state over processes, and collecting it needs them all.
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) or not trainer.is_global_zero:
            return
        if not _is_finite(pl_module):
            _LOG.warning("last.ckpt is left as it was: a weight is not finite")
            return
        path = self.format_checkpoint_name(self._monitor_candidates(trainer), self.CHECKPOINT_NAME_LAST)
        self.last_model_path = path
        trainer.strategy.save_checkpoint(trainer._checkpoint_connector.dump_checkpoint(weights_only=False), path)
        _LOG.warning("step %d is saved in %s; --ckpt_path last goes on from it", trainer.global_step, path)

    def write_last(self, trainer: pl.Trainer) -> bool:
        """Write ``last.ckpt`` now; all processes must call it, at the same step.

        Returns:
            Whether ``last.ckpt`` holds this step now.
        """
        if not self.save_last or _is_trial(trainer):
            return False
        if self.step_of_last != trainer.global_step:
            if not self._worth_saving(trainer):
                self._last_written = time.monotonic()  # do not look again at every step
                return False
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        return True

    def _save_last_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        """Write ``last.ckpt`` and remember when."""
        if not self.save_last:
            return
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._last_written = time.monotonic()
        self.step_of_last = trainer.global_step

    def _is_time(self, trainer: pl.Trainer) -> bool:
        """Whether the first process's clock says so."""
        due = time.monotonic() - self._last_written >= 60 * self.every_minutes
        if trainer.world_size == 1:
            return due
        if trainer.global_step % _STEPS_BETWEEN_LOOKS:
            return False
        return trainer.strategy.reduce_boolean_decision(due and trainer.is_global_zero, all=False)

    @staticmethod
    def _worth_saving(trainer: pl.Trainer) -> bool:
        """Whether all weights are finite, on all processes."""
        finite = trainer.strategy.reduce_boolean_decision(_is_finite(trainer.lightning_module), all=True)
        if not finite:
            _LOG.warning("step %d: a weight is not finite; the last checkpoint is left as it was", trainer.global_step)
        return finite

    # --- what ---------------------------------------------------------------------------------------------------------

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what a model card needs; and where a validation is under way, have a resumed run begin it again.

        Lightning would go on with the batch that was next, but what was measured before is not in a checkpoint.
        """
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        checkpoint["model_card"] = model_card_facts(trainer)
        loops = checkpoint["loops"]["fit_loop"]
        if not trainer.validating:
            _count_steps_on(trainer, loops)
            return
        progress = loops["epoch_loop.val_loop.batch_progress"]
        done = progress["total"]["completed"]
        # this is how Lightning knows a validation that was interrupted; none of its batches is done
        progress["total"] = {"ready": done + 1, "started": done + 1, "processed": done, "completed": done}
        progress["current"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        progress["is_last_batch"] = False

    @property
    def state_key(self) -> str:
        """Name of this callback's state; Lightning's own depends on the monitor, which may be replaced on the way."""
        return "Checkpoint"

    def state_dict(self) -> dict[str, Any]:
        """As Lightning's, and how weights were compared."""
        return {**super().state_dict(), "mode": self.mode, "asked_for": list(self._asked_for)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember where the checkpoint lies, which tells whether the run goes on in its folder."""
        self._source = Path(trainer.ckpt_path).absolute().parent if trainer.ckpt_path else None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know the best weights so far, where the run goes on in its own folder by the same metric.

        The folder may have been moved since, or be called otherwise from here.
        """
        if tuple(state_dict.get("asked_for", ())) != self._asked_for:
            return
        here = Path(self.dirpath or "").absolute()
        if self._source != here:
            return
        before = Path(state_dict["dirpath"])
        state = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = _moved(state[key], before, self.dirpath)
        state["best_k_models"] = {
            _moved(path, before, self.dirpath): score for path, score in state["best_k_models"].items()
        }
        self.monitor, self.mode = state["monitor"], state["mode"]
        self.current_score = state["current_score"]
        super().load_state_dict(state)

    def _can_compare(self, trainer: pl.Trainer) -> bool:
        """Whether there is a metric to compare weights by; one that the data does not allow is replaced."""
        measured = trainer.callback_metrics
        if self.monitor is None or self.monitor in measured:
            return True
        if not any(name.startswith("val/") for name in measured):
            return False  # no validation yet
        if any(c.every_n_epochs > 1 for c in _callbacks_of(trainer, ValidationCallback)):
            return False  # it may still come, in an epoch that is measured
        chosen = next((name for name in _FALLBACKS if name in measured), None)
        if chosen is None:
            return False
        _LOG.warning("checkpoint.monitor %s was not measured; best weights are chosen by %s", self.monitor, chosen)
        self.monitor, self.mode = chosen, "max"
        return True


def can_go_on_from_here(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint written at the end of this batch loses nothing.

    It would lose the gradients of an accumulation that is under way, and a validation that comes next.

    Args:
        trainer: the trainer, in ``on_train_batch_end``.
        batch_idx: number of the batch in its epoch.
    """
    if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
        return False
    loop = trainer.fit_loop
    fetcher: Any = loop._data_fetcher
    return not loop.epoch_loop._should_check_val_fx(fetcher)


def _is_trial(trainer: pl.Trainer) -> bool:
    """Whether this is a ``fast_dev_run``, which leaves nothing behind."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # Lightning sets it from outside


def _callbacks_of(trainer: pl.Trainer, kind: type[_Kind]) -> Iterator[_Kind]:
    """The trainer's callbacks of one class."""
    yield from (c for c in trainer.callbacks if isinstance(c, kind))  # type: ignore[attr-defined]


def _count_steps_on(trainer: pl.Trainer, loops: dict[str, Any]) -> None:
    """In the middle of a step, have the loggers' count go on with that step.

    Lightning counts it when it restores the loops, as if it had been taken; it will be taken, and counted, again.
    """
    current = loops["epoch_loop.batch_progress"]["current"]
    if current["ready"] > current["processed"] and not trainer.fit_loop._should_accumulate():
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


def _is_finite(module: pl.LightningModule) -> bool:
    """Whether all weights and float buffers are finite."""
    tensors = [value for value in module.state_dict().values() if value.is_floating_point()]
    # a norm is not finite where one of its elements is not; the device is waited for once
    norms = torch._foreach_norm(tensors, float("inf"))
    return bool(torch.stack([norm.float() for norm in norms if norm.numel()]).isfinite().all()) if norms else True


def _moved(path: str, before: Path, now: Any) -> str:
    """The path of a file in a folder that has another name now; other paths stay as they are."""
    if not path or Path(path).parent != before:
        return path
    return str(Path(now) / Path(path).name)
