"""Ends a training in time when the cluster asks for its machine back, so that the next start goes on from there."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl

from jde_lightning.callbacks.checkpoint import Checkpoint, can_go_on_from_here
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: try again later."""

_SIGNALS = ("SIGUSR1", "SIGTERM")


class Preempted(SystemExit):
    """Ends a training that was asked to stop; a process that does not catch it exits with its code."""


class Preemption(pl.Callback):
    """Saves ``last.ckpt``, ends training and exits with code 75 after a signal.

    Clusters send a signal some time before they end a job (SLURM with ``--signal=USR1@120``, Kubernetes SIGTERM 30
    seconds before). One process that gets it is enough: all processes agree on a step, save it and end there. The same
    command with ``--ckpt_path last_or_new`` then goes on from that step. A signal during validation is answered at its
    next batch, with several processes after it. A second signal changes nothing.

    Lightning's own handlers (on SLURM: save ``hpc_ckpt_N.ckpt`` from within the signal handler, whatever is being
    computed, and call ``scontrol requeue``; on SIGTERM: a broadcast from within the handler) are set aside while it is
    on, and everybody's handlers are put back when training ends. Requeueing is the job script's part.

    Processes that Lightning started itself (``trainer.devices`` without ``torchrun`` or ``srun``) exit with 0, and the
    first one with 75: Lightning kills all at once where one of those it started fails.

    Args:
        every_n_steps: with several processes, ask them all at every n-th optimiser step, which takes one number's
            exchange; one process looks at every step. 0 switches the callback off.
        signals: names of the signals.
    """

    def __init__(self, every_n_steps: int = 5, signals: list[str] | None = None) -> None:
        if every_n_steps < 0:
            msg = f"preemption.every_n_steps is {every_n_steps}, expected a number of steps, or 0 (off)"
            raise InputError(msg)
        self.every_n_steps = every_n_steps
        self.signals = [name for name in _SIGNALS if hasattr(signal, name)] if signals is None else signals
        unknown = [name for name in self.signals if name not in signal.Signals.__members__]
        if unknown:
            msg = f"preemption.signals: unknown {', '.join(unknown)}; expected names such as {', '.join(_SIGNALS)}"
            raise InputError(msg)
        self._received: str | None = None
        self._ending = False
        self._replaced: dict[str, Callable[..., Any] | int | None] = {}

    # --- the signals --------------------------------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen from here on; what is not trained yet is asked to stop at the first step."""
        if stage == "fit":
            self._ending = False
            self._listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen again: Lightning has put its own handlers on top by now."""
        self._listen()
        for name in self._replaced:  # what it found was our handler: it must not put that back in the end
            trainer._signal_connector._original_handlers.pop(signal.Signals[name], None)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the handlers back that were there."""
        self._stop_listening()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the handlers back that were there."""
        self._stop_listening()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Put the handlers back that were there, if training did not even begin."""
        self._stop_listening()

    def _listen(self) -> None:
        """Take the signals over; only a process's main thread can."""
        if not self.every_n_steps or threading.current_thread() is not threading.main_thread():
            return
        for name in self.signals:
            before = signal.signal(signal.Signals[name], self._on_signal)
            self._replaced.setdefault(name, before)

    def _stop_listening(self) -> None:
        """Give the signals back."""
        for name, handler in self._replaced.items():
            signal.signal(signal.Signals[name], handler if handler is not None else signal.SIG_DFL)
        self._replaced = {}

    def _on_signal(self, number: int, frame: Any) -> None:
        """Remember the signal: nothing else is safe while anything may be under way."""
        self._received = signal.Signals(number).name

    # --- the answer ---------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End here if the epoch before was saved; else the first batch is trained."""
        checkpoint = _checkpoint_of(trainer)
        if self._agreed(trainer) and checkpoint is not None and checkpoint.step_of_last == trainer.global_step > 0:
            self._end(trainer, saved=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """End before the batch: by now the step that was saved is also logged."""
        if self._ending:
            self._end(trainer, saved=_is_saved(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save this step if all agree."""
        if not can_go_on_from_here(trainer, batch_idx):
            return
        if trainer.world_size > 1 and trainer.global_step % max(self.every_n_steps, 1):
            return
        if self._agreed(trainer):
            checkpoint = _checkpoint_of(trainer)
            if checkpoint is not None:
                checkpoint.write_last(trainer)
            self._ending = True

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save and end in the middle of a validation, which begins anew when training goes on.

        Processes have different numbers of validation batches, so that several cannot agree here.
        """
        if self._received is None or trainer.state.fn != "fit" or trainer.sanity_checking or trainer.world_size > 1:
            return
        checkpoint = _checkpoint_of(trainer)
        self._end(trainer, saved=checkpoint is not None and checkpoint.write_last(trainer))

    def _agreed(self, trainer: pl.Trainer) -> bool:
        """Whether any process got a signal; all must ask."""
        if not self.every_n_steps:
            return False
        return trainer.strategy.reduce_boolean_decision(self._received is not None, all=False)

    def _end(self, trainer: pl.Trainer, saved: bool) -> None:
        """Leave training."""
        if trainer.is_global_zero:
            by = self._received or "a signal to another process"
            what = "saved; the same command with --ckpt_path last goes on from it" if saved else "NOT saved"
            _LOG.warning("%s: training ends at step %d, which is %s", by, trainer.global_step, what)
        raise Preempted(0 if _is_watched(trainer) else EXIT_CODE)


def _checkpoint_of(trainer: pl.Trainer) -> Checkpoint | None:
    """The callback that writes ``last.ckpt``, if there is one."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((c for c in callbacks if isinstance(c, Checkpoint) and c.save_last), None)


def _is_saved(trainer: pl.Trainer) -> bool:
    """Whether ``last.ckpt`` holds the newest step."""
    checkpoint = _checkpoint_of(trainer)
    return checkpoint is not None and checkpoint.step_of_last == trainer.global_step


def _is_watched(trainer: pl.Trainer) -> bool:
    """Whether Lightning started this process and takes any other exit code than 0 as a reason to kill all others."""
    launcher = trainer.strategy.launcher
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if launcher is None or environment is None or environment.creates_processes_externally:
        return False
    return trainer.local_rank > 0
