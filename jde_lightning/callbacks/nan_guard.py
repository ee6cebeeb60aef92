"""Training stops at the first loss or gradient that is NaN or infinite, and says which, where and with what batch."""

from __future__ import annotations

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
        bad: ``(world_size, 2)`` int32 on the CPU: whether the loss and the gradients of each process are not finite;
            on its way there, if ``arrived`` is an event.
        values: the loss and its terms by name, on the device.
        batch: the batch.
        batch_idx: its number in the epoch.
        arrived: the event after which ``bad`` is there.
    """

    bad: torch.Tensor
    values: dict[str, torch.Tensor]
    batch: Batch
    batch_idx: int
    arrived: torch.cuda.Event | None


class NaNGuard(pl.Callback):
    """Stops all processes at a NaN or infinite loss or gradient.

    The error names step, epoch, batch, the terms of the loss and the learning rate, and the batch is saved for
    ``torch.load``. On the CPU it comes before the weights are touched; on a GPU one batch later, so that nobody waits
    for the device, but before a checkpoint is written or a validation begins. With a gradient scaler (``16-mixed``)
    only the loss is looked at: the scaler itself finds its scale by gradients that overflow.

    Args:
        enabled: look at all.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._hook: RemovableHandle | None = None
        self._values: dict[str, torch.Tensor] = {}
        self._batch: tuple[Batch, int] | None = None
        self._pending: _Check | None = None
        self._error: NonFiniteError | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to the loss for the terms."""
        if self.enabled and isinstance(getattr(pl_module, "loss", None), torch.nn.Module):
            self._hook = pl_module.loss.register_forward_hook(self._hear)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the batch until it is known to be good."""
        self._values = {}
        self._batch = (batch, batch_idx)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: torch.Tensor) -> None:
        """Note the loss, in case nobody was heard."""
        self._values.setdefault("loss", loss.detach())

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at loss and gradients; on a GPU, at those of the batch before."""
        if not self.enabled or self._batch is None:
            return
        flags = [self._values["loss"].isfinite().logical_not().any()]
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients and getattr(trainer.precision_plugin, "scaler", None) is None:
            flags.append(torch.nn.utils.get_total_norm(gradients).isfinite().logical_not())
        check = self._sent(trainer, torch.stack(flags))
        if check.arrived is None:
            self._judge(trainer, pl_module, check)
        else:
            before, self._pending = self._pending, check
            self._judge(trainer, pl_module, before)

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
        if self._hook is not None:
            self._hook.remove()
        self._hook = self._batch = self._pending = None

    def _hear(self, loss: torch.nn.Module, inputs: Any, outputs: tuple[torch.Tensor, dict[str, torch.Tensor]]) -> None:
        if self._batch is not None:
            total, terms = outputs
            self._values = {"loss": total.detach(), **{k: v.detach() for k, v in terms.items() if k.endswith("_loss")}}

    def _sent(self, trainer: pl.Trainer, flags: torch.Tensor) -> _Check:
        """Tell all processes what this one found, and send what all found to the CPU."""
        assert self._batch is not None
        bad = torch.zeros(trainer.world_size, 2, dtype=torch.int32, device=flags.device)
        bad[trainer.global_rank, : len(flags)] = flags
        if trainer.world_size > 1:
            dist.all_reduce(bad)
        arrived = None
        if bad.device.type == "cuda":
            there = torch.empty(bad.shape, dtype=bad.dtype, pin_memory=True)
            there.copy_(bad, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
            bad = there
        return _Check(bad, self._values, *self._batch, arrived)

    def _judge(self, trainer: pl.Trainer, pl_module: Any, check: _Check | None) -> None:
        """Stop if a batch was not good.

        Raises:
            NonFiniteError: on every process.
        """
        if self._error is not None:
            raise self._error
        if check is None:
            return
        if check.arrived is not None:
            check.arrived.synchronize()
        if not check.bad.any():
            return
        self._error = self._explain(trainer, pl_module, check)
        raise self._error

    def _explain(self, trainer: pl.Trainer, pl_module: Any, check: _Check) -> NonFiniteError:
        """Say what was not finite, and save the batch of the process that met it."""
        bad_loss, bad_gradient = check.bad[trainer.global_rank].tolist()
        others = check.bad.any(dim=1).nonzero().flatten().tolist()
        if bad_loss:
            terms = {name: float(value) for name, value in check.values.items()}
            wrong = [name for name, value in terms.items() if not torch.isfinite(torch.tensor(value))]
            found = f"NaN or infinite {', '.join(wrong)} of {', '.join(f'{k} {v:.4g}' for k, v in terms.items())}"
        elif bad_gradient and not check.bad[:, 0].any():
            found = "NaN or infinite gradient of a finite loss"
        else:
            ranks = ", ".join(map(str, others))
            msg = f"stopped with process {ranks}, which met NaN or infinity; see its message"
            return NonFiniteError(msg)
        return pl_module.non_finite_error(check.batch, check.batch_idx, found)
