"""Learning-rate and momentum schedule of the paper: warm-up, then linear decay by epoch (Ultralytics' trainer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

_STATE = ("last_epoch", "_step_count")


@dataclass
class WarmupLinear:
    """Settings of :class:`WarmupLinearScheduler`; the defaults are the paper's.

    Attributes:
        warmup_epochs: length of the warm-up in epochs.
        warmup_min_steps: the warm-up takes at least so many optimiser steps, however short the epochs are.
        warmup_bias_lr: learning rate that biases start from; all else starts from 0.
        warmup_momentum: momentum (or Adam's first beta) that the warm-up starts from.
        final_fraction: fraction of the learning rate that is left at the end of the last epoch.
    """

    warmup_epochs: float = 3.0
    warmup_min_steps: int = 100
    warmup_bias_lr: float = 0.0
    warmup_momentum: float = 0.8
    final_fraction: float = 0.01


class WarmupLinearScheduler(LRScheduler):
    """Warm up over the first optimiser steps, then decay linearly from epoch to epoch; to be stepped every step.

    Parameter groups with ``is_bias: True`` start from ``warmup_bias_lr``. Momentum (``momentum``, or the first of
    ``betas``) rises with the warm-up from ``warmup_momentum`` to the optimiser's own value.

    Args:
        optimizer: the optimiser; its ``lr`` and momentum are the values after the warm-up.
        settings: lengths and end points.
        steps_per_epoch: optimiser steps in an epoch.
        epochs: number of epochs.
        last_epoch: number of steps taken, -1 to start; the name is PyTorch's.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: WarmupLinear,
        steps_per_epoch: int,
        epochs: int,
        last_epoch: int = -1,
    ) -> None:
        self.steps_per_epoch = max(steps_per_epoch, 1)
        self.epochs = max(epochs, 1)
        self.warmup_steps = max(round(settings.warmup_epochs * self.steps_per_epoch), settings.warmup_min_steps, 0)
        # A warm-up longer than the whole training would never reach the learning rate that was asked for.
        self.warmup_steps = min(self.warmup_steps, self.steps_per_epoch * self.epochs // 2)
        self.final_fraction = settings.final_fraction
        self.warmup_bias_lr = settings.warmup_bias_lr
        self.warmup_momentum = settings.warmup_momentum
        self.full_momentum = [self._momentum(group) for group in optimizer.param_groups]
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """How far it is. Lengths, end points and learning rates are the configuration's, also of one that changed."""
        return {name: value for name, value in super().state_dict().items() if name in _STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where another was, and set the learning rates of the next step.

        Args:
            state_dict: from :meth:`state_dict`.
        """
        super().load_state_dict({name: state_dict[name] for name in _STATE})
        self._last_lr = [float(rate) for rate in self.get_lr()]
        for group, base, rate in zip(self.optimizer.param_groups, self.base_lrs, self._last_lr, strict=True):
            group["initial_lr"], group["lr"] = base, rate

    @staticmethod
    def _momentum(group: dict[str, Any]) -> float:
        """Momentum of a group, or the first beta of an Adam; 0 for an optimiser that has neither."""
        return float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0))

    def _decay(self) -> float:
        """Factor of the current epoch: 1 in the first, ``final_fraction`` after the last."""
        epoch = min(self.last_epoch // self.steps_per_epoch, self.epochs)
        return (1 - epoch / self.epochs) * (1 - self.final_fraction) + self.final_fraction

    def get_lr(self) -> list[float | torch.Tensor]:
        """Learning rates of the next step; sets the momentum of each group along with them."""
        decay = self._decay()
        progress = min(self.last_epoch / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        rates: list[float | torch.Tensor] = []
        for group, base, momentum in zip(self.optimizer.param_groups, self.base_lrs, self.full_momentum, strict=True):
            start = self.warmup_bias_lr if group.get("is_bias") else 0.0
            rates.append(start + (base * decay - start) * progress)
            warmed = self.warmup_momentum + (momentum - self.warmup_momentum) * progress
            if "betas" in group:
                group["betas"] = (warmed, group["betas"][1])
            elif momentum:
                group["momentum"] = warmed
        return rates
