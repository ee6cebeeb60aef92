"""Start a network from somebody else's weights, and say exactly what was taken."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from jde_lightning.errors import InputError
from jde_lightning.models.architecture import HEAD_LAYER, SCALINGS
from jde_lightning.models.checkpoints import FIRST_TENSOR, read_checkpoint
from jde_lightning.models.narrowing import is_wider, narrow_class_branches
from jde_lightning.models.reid_branch import REID_PREFIX, branch_layout

log = logging.getLogger(__name__)

_HEAD = f"model.{HEAD_LAYER}."
_NEEDED = 0.9
"""Share of the backbone's and neck's tensors that must fit; less is another network."""


@dataclass
class WeightsReport:
    """What became of every tensor, by name.

    Attributes:
        path: the checkpoint.
        copied: taken as they are.
        sliced: taken in part: the rows of the wanted classes, or a selection of channels.
        missing: of this network, not in the checkpoint or of another shape; they stay as they were.
        unused: of the checkpoint, without a place in this network.
        folded: batch norms whose statistics were folded into the convolution before them, as exporters do. Such a norm
            passes its input on as it is; with the statistics of a batch it would change the network completely.
        other_branch: the two kinds of Re-ID branch, where the checkpoint's and the network's differ; nothing of the
            branch was taken then.
    """

    path: Path
    copied: list[str] = field(default_factory=list)
    sliced: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)
    other_branch: tuple[str, str] | None = None

    def __str__(self) -> str:
        """One line of counts, and a line each for what is missing and unused, by branch."""
        total = len(self.copied) + len(self.sliced) + len(self.missing)
        lines = [
            f"{self.path}: {len(self.copied)} of {total} tensors copied, {len(self.sliced)} sliced, "
            f"{len(self.missing)} missing, {len(self.unused)} unused"
        ]
        for title, names in (("missing (not changed)", self.missing), ("unused", self.unused)):
            if names:
                lines.append(f"  {title}: {_by_branch(names)}")
        if self.other_branch:
            found, wanted = self.other_branch
            lines.append(f"  the file's Re-ID branch is {found}, the network's {wanted}: reid_branch: {found} takes it")
        if self.folded:
            lines.append(f"  {len(self.folded)} batch norms are folded into their convolutions")
        return "\n".join(lines)


def load_weights(network: nn.Module, path: str | Path, class_names: Sequence[str]) -> WeightsReport:
    """Copy into ``network`` what fits of a checkpoint.

    Args:
        network: a network with ultralytics' names of layers.
        path: the checkpoint, see :func:`jde_lightning.models.checkpoints.read_checkpoint`.
        class_names: name per class of ``network``.

    Returns:
        What was done; also logged.

    Raises:
        InputError: if the file is missing, is not a checkpoint, or does not fit this network.
    """
    source, source_names = read_checkpoint(path)
    target = network.state_dict()
    report = WeightsReport(Path(path))
    _check_fit(source, target, report.path)
    rows = _class_rows(source, source_names, class_names)
    wider = is_wider(source, target)
    fitting = _without_another_branch(source, target, report)
    network.load_state_dict(_transfer(fitting, target, {} if wider else rows, report), strict=False)
    if wider and rows:
        narrowed = narrow_class_branches(network, source, rows)
        network.load_state_dict(narrowed, strict=False)
        report.copied = [name for name in report.copied if name not in narrowed]
        report.missing = [name for name in report.missing if name not in narrowed]
        report.sliced += narrowed
    taken = {*report.copied, *report.sliced}
    report.unused = [name for name in source if name not in taken]
    report.folded = [name for name, norm in network.named_modules() if _is_folded(name, norm, taken)]
    log.log(logging.WARNING if report.other_branch else logging.INFO, "%s", report)
    return report


def _without_another_branch(
    source: dict[str, torch.Tensor], target: dict[str, torch.Tensor], report: WeightsReport
) -> dict[str, torch.Tensor]:
    """Leave out a Re-ID branch of another kind, and note it in the report.

    Its output layers have the same names and shapes in every kind, but would read channels that mean something else.
    """
    found, wanted = branch_layout(source)[0], branch_layout(target)[0]
    if found is None or wanted is None or found == wanted:
        return source
    report.other_branch = found, wanted
    return {name: tensor for name, tensor in source.items() if not name.startswith(REID_PREFIX)}


def _transfer(
    source: dict[str, torch.Tensor],
    target: dict[str, torch.Tensor],
    rows: dict[int, int] | None,
    report: WeightsReport,
) -> dict[str, torch.Tensor]:
    """Collect the new values of all tensors that fit, and note in the report what became of each."""
    update: dict[str, torch.Tensor] = {}
    for name, old in target.items():
        new, listed = source.get(name), report.copied
        if new is not None and rows is not None and _is_class_output(name):
            new, listed = _pick_rows(new, old, rows), report.sliced
        # Some writers give the counter of a batch norm one axis more.
        if new is not None and new.numel() == old.numel() == 1:
            new = new.reshape(old.shape)
        if new is None or new.shape != old.shape:
            report.missing.append(name)
        else:
            update[name] = new.to(old.dtype)
            listed.append(name)
    return update


def _is_folded(name: str, norm: nn.Module, taken: set[str]) -> bool:
    """Whether a loaded batch norm does nothing but add: mean 0 and gain 1 in every channel.

    No training leaves statistics like that. A batch norm that was never trained has a gain just below 1: its variance
    is 1 and its epsilon comes on top.
    """
    if not isinstance(norm, nn.BatchNorm2d) or f"{name}.running_var" not in taken:
        return False
    if norm.running_mean is None or norm.running_var is None:
        return False
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return bool((norm.running_mean == 0).all() and torch.allclose(gain, torch.ones_like(gain), atol=1e-5))


def _is_class_output(name: str) -> bool:
    """Whether a tensor is the last layer of a class branch: ``model.23.cv3.LEVEL.2.*``."""
    parts = name.removeprefix(_HEAD).split(".")
    return name.startswith(_HEAD) and parts[0] == "cv3" and parts[2] == "2"


def _class_rows(
    source: dict[str, torch.Tensor], source_names: dict[int, str] | None, class_names: Sequence[str]
) -> dict[int, int] | None:
    """Say which class of the checkpoint each class of the network is; ``None`` if the classes are the same.

    A checkpoint without names but with several classes is taken for COCO, whose class 0 is the person.
    """
    bias = source.get(f"{_HEAD}cv3.0.2.bias")
    if bias is None or (source_names is None and len(bias) == len(class_names)):
        return None
    names = source_names or {0: "person"}
    if [names.get(i) for i in range(len(bias))] == list(class_names):
        return None
    if len(bias) == len(class_names) == 1:
        return None
    by_name = {name: index for index, name in names.items()}
    return {row: by_name[name] for row, name in enumerate(class_names) if name in by_name}


def _pick_rows(new: torch.Tensor, old: torch.Tensor, rows: dict[int, int]) -> torch.Tensor | None:
    """Build the tensor whose rows are the checkpoint's where the class is known, else the network's."""
    if not rows or new.shape[1:] != old.shape[1:]:
        return None
    picked = old.clone()
    for row, source_row in rows.items():
        picked[row] = new[source_row].to(old)
    return picked


def _check_fit(source: dict[str, torch.Tensor], target: dict[str, torch.Tensor], path: Path) -> None:
    """Refuse a checkpoint of which too little fits.

    Raises:
        InputError: with how much fits and what the file seems to be.
    """
    body = [name for name, tensor in target.items() if not name.startswith(_HEAD) and tensor.is_floating_point()]
    fitting = [name for name in body if name in source and source[name].shape == target[name].shape]
    if len(fitting) < _NEEDED * len(body):
        wanted, found = _scale_of(target), _scale_of(source)
        hint = f"the file seems to be scale {found!r}" if found else "the file seems to be no YOLO11"
        if FIRST_TENSOR.replace("weight", "bias") in source:
            hint += " with its batch norms fused away, which cannot be trained"
        msg = (
            f"{path}: only {len(fitting)} of {len(body)} tensors of the backbone and neck fit a network of scale "
            f"{wanted!r}; {hint}; set the model's scale to match, or give other weights"
        )
        raise InputError(msg)


def _scale_of(tensors: dict[str, torch.Tensor]) -> str | None:
    """Guess the model size from the width of the first layer and the depth of the first block."""
    width = len(tensors[FIRST_TENSOR])
    deep = any(name.startswith("model.2.m.1.") for name in tensors)
    for scale, scaling in SCALINGS.items():
        if width == int(min(64, scaling.max_channels) * scaling.width) and deep == (scaling.depth > 0.5):
            return scale
    return None


def _by_branch(names: Sequence[str]) -> str:
    """Count names by layer, and in the head by branch: ``model.23.cv4 (42)``."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        key = ".".join(parts[: 3 if name.startswith(_HEAD) else 2])
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(f"{key} ({count})" for key, count in counts.items())
