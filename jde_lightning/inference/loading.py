"""A network from a checkpoint alone: of this package, of ultralytics, or of the paper's authors."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from jde_lightning.errors import InputError
from jde_lightning.models.architecture import HEAD_LAYER, Scale
from jde_lightning.models.checkpoints import read_checkpoint
from jde_lightning.models.network import YOLO11JDE
from jde_lightning.models.reid_branch import REID_PREFIX, branch_layout

_LOG = logging.getLogger(__name__)

_PREFIX = "network."
_CLASS_BIAS = f"model.{HEAD_LAYER}.cv3.0.2.bias"
_PERSON = "person"


class LoadedNetwork(NamedTuple):
    """A network and what its checkpoint says about it.

    Attributes:
        network: with the weights of the checkpoint.
        class_names: name of each class.
        image_size: longest side of the input in validation, in pixels; ``None`` where the file does not say.
        appearance: whether the embeddings are trained.
    """

    network: YOLO11JDE
    class_names: list[str]
    image_size: int | None
    appearance: bool


def load_network(path: Path, scale: Scale | None = None) -> LoadedNetwork:
    """Build the network that a checkpoint holds.

    Args:
        path: a checkpoint of this package; or, with ``scale``, YOLO11 weights of ultralytics or of the authors, from
            which persons are kept of all classes.
        scale: size of the network, which only weights of others leave open.

    Raises:
        InputError: if the file is missing or holds something else.
    """
    if path.is_dir():
        msg = f"{path}: is a folder; expected a checkpoint such as {path / 'last.ckpt'}"
        raise InputError(msg)
    if not path.is_file():
        msg = f"{path}: no such weights file; expected a checkpoint such as runs/version_0/checkpoints/last.ckpt"
        raise InputError(msg)
    own = _own_checkpoint(path)
    return _foreign_network(path, scale) if own is None else _own_network(own, path, scale)


def _own_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint of this package; ``None`` if the file is of somebody else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, pickle.UnpicklingError):
        return None  # pickled modules of ultralytics, or no checkpoint at all: read_checkpoint tells them apart
    ours = isinstance(content, dict) and isinstance(content.get("state_dict"), dict) and "jde_lightning" in content
    return content if ours else None


def _own_network(checkpoint: dict[str, Any], path: Path, scale: str | None) -> LoadedNetwork:
    """Build the network that a checkpoint of this package describes, with the weights that validation measured."""
    facts = {**checkpoint.get("hyper_parameters", {}), **checkpoint["jde_lightning"]}
    missing = [key for key in ("scale", "embed_dim", "class_names") if not facts.get(key)]
    if missing:
        msg = f"{path}: the checkpoint does not say its {', '.join(missing)}; it was not written by this package's fit"
        raise InputError(msg)
    if scale not in (None, facts["scale"]):
        msg = f"{path}: the checkpoint is of scale {facts['scale']!r}, but scale {scale!r} was asked for; leave it out"
        raise InputError(msg)
    # Checkpoints from before there was a choice have the plain branch, and the anchor of each box describes it.
    choices = facts.get("reid_branch", "plain"), facts.get("reid_fusion", False), facts.get("embedding_pooling", "best")
    try:
        network = YOLO11JDE(facts["scale"], len(facts["class_names"]), facts["embed_dim"], *choices)
    except InputError as error:
        msg = f"{path}: {error}; was it written by a newer version of this package?"
        raise InputError(msg) from error
    # With the EMA callback these are the averaged weights; Lightning keeps the others under another key.
    state = {k.removeprefix(_PREFIX): v for k, v in checkpoint["state_dict"].items() if k.startswith(_PREFIX)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()[:200]
        msg = f"{path}: the weights do not fit the network that the checkpoint describes: {reason}"
        raise InputError(msg) from error
    return LoadedNetwork(network, list(facts["class_names"]), facts.get("image_size"), appearance=True)


def _foreign_network(path: Path, scale: Scale | None) -> LoadedNetwork:
    """Build a person detector from weights of ultralytics or of the authors; say whether they embed."""
    tensors, names = read_checkpoint(path)
    if scale is None:
        msg = f"{path}: not a checkpoint of this package; for YOLO11 weights of others give their scale (--scale n)"
        raise InputError(msg)
    bias, embedding = tensors.get(_CLASS_BIAS), tensors.get(f"{REID_PREFIX}0.2.weight")
    num_classes = 1 if bias is None else len(bias)
    # All classes first: the class branch of a network for one class is narrower, and trained layers would not fit.
    branch, fusion = branch_layout(tensors)
    network = YOLO11JDE(scale, num_classes, 128 if embedding is None else len(embedding), branch or "plain", fusion)
    # Weights without names are COCO's, or of persons only; class 0 is the person in both.
    network.class_names = [(names or {0: _PERSON}).get(i, str(i)) for i in range(num_classes)]
    report = network.load_weights(path)
    untrained = [name for name in report.missing if not name.startswith(REID_PREFIX)]
    if untrained:
        msg = f"{path}: lacks {len(untrained)} tensors that detection needs, such as {untrained[0]}"
        raise InputError(msg)
    if report.missing:
        _LOG.warning("%s: has no trained embedding; detections come without appearance, tracks by motion only", path)
    if num_classes > 1 and _PERSON in network.class_names:
        _keep_class(network, network.class_names.index(_PERSON))
    return LoadedNetwork(network, network.class_names, None, appearance=not report.missing)


def _keep_class(network: YOLO11JDE, index: int) -> None:
    """Cut the class scores down to one class, in place; all other layers stay as they are trained."""
    head = network.model[-1]
    for branch in head.cv3:
        old = branch[2]
        new = nn.Conv2d(old.in_channels, 1, 1)
        with torch.no_grad():
            new.weight.copy_(old.weight[index : index + 1])
            new.bias.copy_(old.bias[index : index + 1])  # type: ignore[union-attr]  # it has one
        branch[2] = new
    head.nc, head.no = 1, 1 + 4 * head.reg_max
    network.num_classes, network.class_names = 1, [network.class_names[index]]
