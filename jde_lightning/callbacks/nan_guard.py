"""Training stops at the first loss or gradient that is NaN or infinite, and says which, where and with what batch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from torch.utils.hooks import RemovableHandle

from jde_lightning.errors import NonFiniteError
from jde_lightning.structures import Batch


class _Check(NamedTuple):
    """What was seen of a batch.

    Attributes:
        bad: ``(world_size,)`` int32 on the CPU: which processes met what is not finite; on its way there, if
            ``arrived`` is an event.
        of_gradient: whether the gradients were looked at, else the loss.
        values: the loss and its terms by name, on the device.
        batch: the batch.
        batch_idx: its number in the epoch.
        arrived: the event after which ``bad`` is there.
    """

    bad: torch.Tensor
    of_gradient: bool
    values: dict[str, torch.Tensor]
    batch: Batch
    batch_idx: int
    arrived: torch.cuda.Event | None


class NaNGuard(pl.Callback):
    """Stops all processes at a NaN or infinite loss or gradient.

    The error names step, epoch, batch, the terms of the loss and the learning rate, and the batch is saved for
    ``torch.load``. It comes before the weights are touched, but for a gradient on a GPU: so that nobody waits for the
    device, that is judged where the next batch would wait for it anyway, or before a checkpoint is written or a
    validation begins. With a gradient scaler (``16-mixed``) only the loss is looked at: the scaler itself finds its
    scale by gradients that overflow.

    Args:
        enabled: look at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._hooks: list[RemovableHandle] = []
        self._values: dict[str, torch.Tensor] = {}
        self._batch: tuple[Batch, int] | None = None
        self._loss_check: _Check | None = None
        self._pending: _Check | None = None
        self._error: NonFiniteError | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to the loss for its terms."""
        loss = getattr(pl_module, "loss", None)
        if not self.enabled or not isinstance(loss, torch.nn.Module):
            return

        def begins(*_: Any) -> None:
            # The network's work is in the queue, and the loss is about to wait for it: what came before is there.
            if self._batch is not None:
                self._judge(trainer, pl_module, self._pending)

        self._hooks = [loss.register_forward_pre_hook(begins), loss.register_forward_hook(self._hear)]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the batch until it is known to be good."""
        self._values = {}
        self._batch = (batch, batch_idx) if self.enabled else None

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Look at the loss."""
        if self._batch is not None:
            self._values.setdefault("loss", loss.detach())  # in case nobody was heard
            self._loss_check = self._sent(trainer, self._values["loss"], of_gradient=False)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the loss, and look at the gradients."""
        if self._batch is None:
            return
        self._judge(trainer, pl_module, self._loss_check)
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if not gradients or getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        self._pending = self._sent(trainer, torch.nn.utils.get_total_norm(gradients), of_gradient=True)
        if self._pending.arrived is None:
            self._judge(trainer, pl_module, self._pending)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for what is on its way."""
        self._judge(trainer, pl_module, self._pending)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not measure weights that are no numbers."""
        self._judge(trainer, pl_module, self._pending)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Do not save what may be no numbers, be it only the statistics of batch norms.

        Raises:
            NonFiniteError: if the last batch was not good.
        """
        self._judge(trainer, pl_module, self._pending)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop listening, and let go of the batch."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._batch = self._loss_check = self._pending = None

    def _hear(self, loss: torch.nn.Module, inputs: Any, outputs: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> None:
        if self._batch is not None:
            total, terms = outputs
            self._values = {"loss": total.detach(), **{k: v.detach() for k, v in terms.items() if k.endswith("_loss")}}

    def _sent(self, trainer: pl.Trainer, value: torch.Tensor, of_gradient: bool) -> _Check:
        """Tell all processes whether this one's value is finite, and send what all found to the CPU."""
        assert self._batch is not None
        bad = torch.zeros(trainer.world_size, dtype=torch.int32, device=value.device)
        bad[trainer.global_rank] = value.isfinite().logical_not().any()
        if trainer.world_size > 1:
            dist.all_reduce(bad)
        arrived = None
        if bad.device.type == "cuda":
            there = torch.empty(bad.shape, dtype=bad.dtype, pin_memory=True)
            there.copy_(bad, non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
            bad = there
        return _Check(bad, of_gradient, self._values, *self._batch, arrived)

    def _judge(self, trainer: pl.Trainer, pl_module: Any, check: _Check | None) -> None:
        """Stop if a batch was not good.

        Raises:
            NonFiniteError: on every process, with what the first process that met it has to say.
        """
        if self._error is not None:
            raise self._error
        if check is None:
            return
        if check.arrived is not None:
            check.arrived.synchronize()
        who = check.bad.nonzero().flatten().tolist()
        if not who:
            return
        text = ""
        if trainer.global_rank in who:
            text = str(pl_module.non_finite_error(check.batch, check.batch_idx, _describe(check)))
        if trainer.world_size > 1:
            trainer.strategy.barrier("nan_guard")  # whoever ends first ends the others, which have a batch to save
            text = f"process {who[0]}: {trainer.strategy.broadcast(text, src=who[0])}"
        self._error = NonFiniteError(text)
        raise self._error


def _describe(check: _Check) -> str:
    """Say what was not finite."""
    if check.of_gradient:
        return "NaN or infinite gradient of a finite loss"
    terms = {name: float(value) for name, value in check.values.items()}
    wrong = [name for name, value in terms.items() if not math.isfinite(value)]
    return f"NaN or infinite {', '.join(wrong)} of {', '.join(f'{name} {value:.4g}' for name, value in terms.items())}"
