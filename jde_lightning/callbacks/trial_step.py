"""One training step for trying out what it takes: forward, loss and backward that leave nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from jde_lightning.losses.checks import NonFiniteEmbeddingsError
from jde_lightning.losses.gather import without_exchange
from jde_lightning.structures import Batch

_PLAIN = (bool, int, float, str, type(None))


class Trial(NamedTuple):
    """What came of a step.

    Attributes:
        fits: whether the memory sufficed.
        spilled: whether it sufficed only because Ultralytics' assigner, which ran out of it, went on image by image.
        boxes: boxes of the batch.
        anchors: embeddings that were compared with each other; 0 if none were.
        peak_bytes: most memory in use on the GPU, with everything that was there before; 0 on other devices.
        seconds: how long it took.
    """

    fits: bool
    spilled: bool
    boxes: int
    anchors: int
    peak_bytes: int
    seconds: float


def try_step(trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, reserved_bytes: int = 0) -> Trial:
    """Run a batch through forward, loss and backward, on this process alone, and undo what it did.

    Weights, gradients, buffers, modes, random states and the trainer's counters and logs are afterwards what they were.
    No other process is asked for anything, so that one that runs out of memory leaves nobody waiting; where embeddings
    are gathered, this process takes its own in place of the others'.

    Args:
        trainer: knows the device and the precision.
        pl_module: has ``joint_loss``.
        batch: on any device.
        reserved_bytes: memory to keep free for what is not there yet, such as the state of the optimiser.
    """
    device = trainer.strategy.root_device
    anchors: list[int] = []
    begun = time.perf_counter()
    failures = _failures(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    fits = True
    with ExitStack() as stack:
        stack.enter_context(isolate_rng(include_cuda=device.type == "cuda"))
        stack.enter_context(_untouched(pl_module))
        stack.enter_context(_alone(pl_module))
        reid_loss = getattr(getattr(pl_module, "loss", None), "reid_loss", None)
        if isinstance(reid_loss, nn.Module):
            hook = reid_loss.register_forward_pre_hook(lambda _, args: anchors.append(len(args[0])))
            stack.callback(hook.remove)
        try:
            _step(trainer, pl_module, batch, reserved_bytes)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        except NonFiniteEmbeddingsError:
            pass  # training will tell, with a batch that can be looked at
    peak = 0
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
    garbage_collection_cuda()
    spilled = fits and _failures(device) > failures
    return Trial(fits, spilled, len(batch["boxes"]), sum(anchors), peak, time.perf_counter() - begun)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the memory of the GPU or of the machine does not suffice."""
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or is_oom_error(error)
        or (isinstance(error, RuntimeError) and "not enough memory" in str(error))  # as Windows puts it
    )


def parameter_bytes(pl_module: pl.LightningModule) -> int:
    """Bytes of the parameters that are trained."""
    return sum(p.numel() * p.element_size() for p in pl_module.parameters() if p.requires_grad)


def _step(trainer: pl.Trainer, pl_module: Any, batch: Batch, reserved_bytes: int) -> None:
    """The step; in a function of its own, so that nothing refers to its tensors afterwards."""
    device = trainer.strategy.root_device
    reserved = torch.empty(reserved_bytes if device.type == "cuda" else 0, dtype=torch.uint8, device=device)
    batch = move_data_to_device(trainer.precision_plugin.convert_input(batch), device)
    # Not `backward`: that writes gradients, and under DDP starts the exchange of them.
    parameters = [p for p in pl_module.parameters() if p.requires_grad]
    with torch.enable_grad():
        with trainer.precision_plugin.train_step_context():
            total, _ = pl_module.joint_loss(batch)
        torch.autograd.grad(total, parameters, allow_unused=True)
    del reserved


def _failures(device: torch.device) -> int:
    """How often the GPU has refused memory so far, also to those who went on without."""
    return torch.cuda.memory_stats(device).get("num_ooms", 0) if device.type == "cuda" else 0


@contextmanager
def _untouched(pl_module: pl.LightningModule) -> Iterator[None]:
    """Put back buffers, and the tensors and numbers that modules keep as attributes (batch norms, queues, modes)."""
    kept: list[tuple[dict[str, Any], str, Any, Any]] = []
    for module in pl_module.modules():
        for values in (module.__dict__, module._buffers):
            # of the LightningModule itself only what is its own: the rest is the trainer's
            if module is pl_module and values is module.__dict__:
                values = {"training": module.training}
            kept += [
                (module._buffers if values is module._buffers else module.__dict__, name, value, _copy(value))
                for name, value in values.items()
                if isinstance(value, (torch.Tensor, *_PLAIN))
            ]
    try:
        yield
    finally:
        with torch.no_grad():
            for values, name, value, copy in kept:
                if isinstance(value, torch.Tensor):
                    value.copy_(copy)
                values[name] = value


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


@contextmanager
def _alone(pl_module: pl.LightningModule) -> Iterator[None]:
    """Keep from asking other processes: neither for embeddings nor for the statistics of synchronised batch norms."""
    norms = [module for module in pl_module.modules() if isinstance(module, nn.SyncBatchNorm)]
    for norm in norms:
        norm.forward = MethodType(nn.BatchNorm2d.forward, norm)  # type: ignore[method-assign]
    try:
        with without_exchange():
            yield
    finally:
        for norm in norms:
            del norm.forward
