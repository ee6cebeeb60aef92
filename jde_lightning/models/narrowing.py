"""Fit class branches into fewer hidden channels, so that a detector of many classes starts a detector of few.

YOLO11n trained on COCO has 80 hidden channels per class branch, a network for persons only 64 (the width follows the
number of classes). Left random, these layers would forget what a person is. Here the channels that matter least to the
wanted classes go, and what they contributed is regressed onto those that stay.

For a linear read-out ``T a`` of channels ``a`` with covariance ``C``, removing channel ``i`` and refitting the others
by least squares costs ``|T_i|^2 / (C^-1)_ii`` (the saliency of Optimal Brain Surgeon, Hassibi and Stork 1993).
Channels are removed one by one by that cost. The covariances come from noise with the ``1/f`` spectrum of natural
images, so no data is needed; a share of the typical variance is added to the diagonal, because a channel may be silent
on noise but speak on people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jde_lightning.models.architecture import HEAD_LAYER

_BRANCH = f"model.{HEAD_LAYER}.cv3"
_EPS = 1e-3  # of the batch norms of YOLO11
_SILENT_SHARE = 0.1
_RIDGE = 0.01


def is_wider(source: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]) -> bool:
    """Whether the class branches of ``source`` have more hidden channels than those of ``target``."""
    name = f"{_BRANCH}.0.0.1.conv.weight"
    return name in source and len(source[name]) > len(target[name])


def narrow_class_branches(
    network: nn.Module, source: Mapping[str, torch.Tensor], rows: Mapping[int, int]
) -> dict[str, torch.Tensor]:
    """Compute class branches of the network's width that answer like those of a wider checkpoint.

    Args:
        network: holds the checkpoint's weights below the class branches already.
        source: the checkpoint's tensors by name.
        rows: for each class of the network the row of the same class in the checkpoint.

    Returns:
        New values by name for the layers of all class branches that depend on the hidden width.
    """
    target = network.state_dict()
    width = len(target[f"{_BRANCH}.0.0.1.conv.weight"])
    source = {name: tensor.double().cpu() for name, tensor in source.items() if name.startswith(_BRANCH)}
    result: dict[str, torch.Tensor] = {}
    for level, features in enumerate(_head_inputs(network)):
        branch = f"{_BRANCH}.{level}"
        old = {name: target[f"{branch}.2.{name}"].double().cpu() for name in ("weight", "bias")}
        result |= _narrow(branch, source, features.double().cpu(), width, rows, old)
    return {name: tensor.to(target[name]) for name, tensor in result.items()}


def _narrow(
    branch: str,
    source: Mapping[str, torch.Tensor],
    features: torch.Tensor,
    width: int,
    rows: Mapping[int, int],
    output: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Narrow one branch: depthwise and pointwise convolution twice, then the class output."""
    first = _block(source, f"{branch}.0.1", _block(source, f"{branch}.0.0", features))
    inner = _block(source, f"{branch}.1.0", first)
    outer = _block(source, f"{branch}.1.1", inner)

    wanted, found = list(rows), list(rows.values())
    read = source[f"{branch}.2.weight"][found].flatten(1)
    keep_outer, moved, shift = _select(outer, read, width)
    output["weight"][wanted] = moved[..., None, None]
    output["bias"][wanted] = source[f"{branch}.2.bias"][found] + shift

    scale, _ = _norm(source, f"{branch}.1.1")
    weight = source[f"{branch}.1.1.conv.weight"].flatten(1)[keep_outer]
    # How much an output channel weighs for the classes, and how strongly it hears each inner channel.
    importance = moved.square().sum(dim=0).sqrt() * scale[keep_outer]
    keep_inner = _select(inner, importance[:, None] * weight, width)[0]
    weight, shift = _refit(inner, weight, keep_inner)

    new = {f"{branch}.2.{name}": value for name, value in output.items()}
    for layer, keep in (("0.1", keep_inner), ("1.0", keep_inner), ("1.1", keep_outer)):
        for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"):
            new[f"{branch}.{layer}.{name}"] = source[f"{branch}.{layer}.{name}"][keep]
        counter = f"{branch}.{layer}.bn.num_batches_tracked"
        new[counter] = source[counter].reshape(())
    new[f"{branch}.1.1.conv.weight"] = weight[..., None, None]
    new[f"{branch}.1.1.bn.running_mean"] = new[f"{branch}.1.1.bn.running_mean"] - shift
    return new


def _select(
    activations: torch.Tensor, read: torch.Tensor, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Choose the channels that a linear read-out needs most, and refit it on them.

    Args:
        activations: ``(B, C, H, W)`` channels.
        read: ``(R, C)`` weights of the read-out.
        width: how many channels to keep.

    Returns:
        The ``(width,)`` channels in ascending order, the ``(R, width)`` weights and the ``(R,)`` shift.
    """
    _, covariance = _moments(activations)
    covariance += _SILENT_SHARE * covariance.diagonal().median() * torch.eye(len(covariance), dtype=torch.float64)
    keep = torch.arange(len(covariance))
    while len(keep) > width:
        dropped = _others(keep, len(covariance))
        carried = read[:, keep] + read[:, dropped] @ _regression(covariance, keep, dropped)
        cost = carried.square().sum(dim=0) / _inner(covariance, keep).inverse().diagonal()
        least = int(cost.argmin())
        keep = torch.cat((keep[:least], keep[least + 1 :]))
    return keep, *_refit(activations, read, keep)


def _refit(activations: torch.Tensor, read: torch.Tensor, keep: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Express a read-out of all channels through the kept ones: its weights there and a constant shift."""
    mean, covariance = _moments(activations)
    dropped = _others(keep, len(mean))
    regression = _regression(covariance, keep, dropped)
    constant = mean[dropped] - regression @ mean[keep]
    return read[:, keep] + read[:, dropped] @ regression, read[:, dropped] @ constant


def _regression(covariance: torch.Tensor, keep: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """Return the ``(dropped, kept)`` ridge regression of the dropped channels on the kept."""
    return torch.linalg.solve(_inner(covariance, keep), covariance[keep][:, dropped]).T


def _inner(covariance: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Return the kept channels' covariance with the ridge on its diagonal."""
    inner = covariance[keep][:, keep]
    return inner + _RIDGE * torch.diag(inner.diagonal().clamp(min=1e-6))


def _others(keep: torch.Tensor, count: int) -> torch.Tensor:
    """Return the channels that are not kept."""
    mask = torch.ones(count, dtype=torch.bool)
    mask[keep] = False
    return mask.nonzero().flatten()


def _moments(activations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean ``(C,)`` and covariance ``(C, C)`` of the channels over images and places."""
    values = activations.transpose(0, 1).flatten(1)
    mean = values.mean(dim=1)
    centred = values - mean[:, None]
    return mean, centred @ centred.T / values.shape[1]


def _norm(source: Mapping[str, torch.Tensor], layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and offset of a batch norm in evaluation."""
    bn = {name: source[f"{layer}.bn.{name}"] for name in ("weight", "bias", "running_mean", "running_var")}
    scale = bn["weight"] / (bn["running_var"] + _EPS).sqrt()
    return scale, bn["bias"] - bn["running_mean"] * scale


def _block(source: Mapping[str, torch.Tensor], layer: str, x: torch.Tensor) -> torch.Tensor:
    """Run a convolution, batch norm and SiLU of the checkpoint; depthwise where it has one input channel."""
    weight = source[f"{layer}.conv.weight"]
    scale, offset = _norm(source, layer)
    groups = x.shape[1] // weight.shape[1]
    y = F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)
    return F.silu(y * scale[:, None, None] + offset[:, None, None])


def _head_inputs(network: nn.Module) -> list[torch.Tensor]:
    """Return what the head receives, level by level, from images of noise."""
    received: list[list[torch.Tensor]] = []
    layers: Any = network.model
    hook = layers[-1].register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(_natural_noise(next(network.parameters())))
    finally:
        hook.remove()
        network.train(was_training)
    return received[0]


def _natural_noise(like: torch.Tensor, count: int = 4, size: int = 320) -> torch.Tensor:
    """Return ``(count, 3, size, size)`` images of noise with amplitudes falling as one over the frequency."""
    generator = torch.Generator().manual_seed(0)
    frequency = (torch.fft.fftfreq(size)[:, None].square() + torch.fft.rfftfreq(size)[None].square()).sqrt()
    amplitude = 1 / frequency.clamp(min=1 / size)
    amplitude[0, 0] = 0

    def noise(channels: int) -> torch.Tensor:
        white = torch.randn(count, channels, size, size, generator=generator)
        coloured = torch.fft.irfft2(torch.fft.rfft2(white) * amplitude, s=(size, size))
        return coloured / coloured.std(dim=(2, 3), keepdim=True)

    brightness, colour = noise(1), noise(3)
    return (0.45 + 0.22 * brightness + 0.08 * colour).clamp(0, 1).to(like)
