"""What the optimiser gets: parameters in groups, and the optimiser that the paper's rule gives."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_AUTO_SGD_ITERATIONS = 10_000


def parameter_groups(
    network: nn.Module, loss: nn.Module, weight_decay: float, reid_lr_factor: float
) -> list[dict[str, Any]]:
    """Put trainable parameters into groups of their own decay and learning rate.

    Args:
        network: whose Re-ID branch is named ``cv4``.
        loss: the losses, which may have parameters of their own.
        weight_decay: of weights; norms and biases do not decay.
        reid_lr_factor: learning rate of the Re-ID branch, as a multiple of the others'.

    Returns:
        Groups with ``params``, ``weight_decay``, ``is_bias`` and ``lr_factor``. The Re-ID branch has groups of its own
        where ``reid_lr_factor`` is not 1.
    """
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for module_name, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
            kind = "bias" if name == "bias" else "norm" if norm else "weight"
            in_branch = ".cv4." in f".{module_name}." and reid_lr_factor != 1.0
            groups.setdefault((kind, in_branch), []).append(parameter)
    # The Re-ID loss may have parameters of its own, such as the class centres of ArcFace. The log variances of a
    # learned weighting do not decay: nothing makes 0 a better value than another.
    for name, parameter in loss.named_parameters():
        if parameter.requires_grad:
            kind = "norm" if name.startswith("weighting.") else "weight"
            groups.setdefault((kind, False), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if kind == "weight" else 0.0,
            "is_bias": kind == "bias",
            "lr_factor": reid_lr_factor if in_branch else 1.0,
        }
        for (kind, in_branch), parameters in groups.items()
    ]


def default_optimizer(groups: list[dict[str, Any]], iterations: int, num_classes: int) -> torch.optim.Optimizer:
    """Build the optimiser that Ultralytics' rule gives, which the paper trains with.

    Args:
        groups: of :func:`parameter_groups`.
        iterations: optimiser steps of the whole training; above 10,000 it is SGD, else AdamW.
        num_classes: which the learning rate of AdamW depends on.

    Returns:
        The optimiser; its learning rates do not know of ``lr_factor`` yet.
    """
    if iterations > _AUTO_SGD_ITERATIONS:
        return torch.optim.SGD(groups, lr=0.01, momentum=0.937, nesterov=True)
    lr = round(0.002 * 5 / (4 + num_classes), 6)
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999))
