"""The Re-ID branch of the head: an embedding for every anchor point, in variants behind one interface.

Which variant suits what, with parameters and FLOPs: ``docs/reid_branches.md``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from jde_lightning._ultralytics import Conv
from jde_lightning.errors import InputError
from jde_lightning.models.architecture import HEAD_LAYER

ReIDKind = Literal["plain", "light"]
REID_KINDS: tuple[str, ...] = get_args(ReIDKind)

REID_PREFIX = f"model.{HEAD_LAYER}.cv4."
"""What the names of the branch's weights begin with in a network's state dict."""


class ReIDBranch(nn.Module):
    """Describe the appearance at every anchor point.

    The layers of level ``i`` are the child ``str(i)``, so that those of the plain branch are named as in the authors'
    published code and their weights load by name. The hidden width is ``max(channels[0] // 4, embed_dim)``, as there.

    Args:
        channels: channels of the input of each level; each level has half the resolution of the one before.
        embed_dim: length of an embedding.
        kind: ``plain`` is the paper's: two 3x3 convolutions and a 1x1 convolution. ``light`` replaces each 3x3
            convolution by a depth-wise 3x3 and a 1x1 convolution, as in YOLO11's own class branch.
        fusion: whether each level also sees the features of the others, see :class:`LevelFusion`.

    Attributes:
        fusion: the layers that mix the levels, or ``None``.

    Raises:
        InputError: if the kind is unknown.
    """

    def __init__(self, channels: Sequence[int], embed_dim: int, kind: ReIDKind = "plain", fusion: bool = False) -> None:
        super().__init__()
        if kind not in REID_KINDS:
            msg = f"unknown Re-ID branch {kind!r}; choose one of {', '.join(REID_KINDS)} for reid_branch"
            raise InputError(msg)
        hidden = max(channels[0] // 4, embed_dim)
        layers = _plain_layers if kind == "plain" else _light_layers
        for level, width in enumerate(channels):
            self.add_module(str(level), layers(width, hidden, embed_dim))
        self.num_levels = len(channels)
        self.fusion = LevelFusion(channels, hidden // 2) if fusion else None

    @property
    def levels(self) -> list[nn.Module]:
        """The layers of each level, without the fusion before them."""
        return [getattr(self, str(level)) for level in range(self.num_levels)]

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Return the embeddings of all levels.

        Args:
            features: per level ``(B, C, H, W)``.

        Returns:
            ``(B, embed_dim, A)``, not normalised; the levels one after the other, each row by row.
        """
        if self.fusion is not None:
            features = self.fusion(features)
        return join_levels([layers(x) for layers, x in zip(self.levels, features, strict=True)])


class LevelFusion(nn.Module):
    """Add to the features of each level what the other levels see at the same place.

    Every level is reduced to a common width by a 1x1 convolution and resized to the others: repeated upwards, averaged
    downwards. Each level takes the sum of the others, brings it back to its own width by a 1x1 convolution and adds it
    to its features.

    The scale of the last batch norm starts at 0 (Goyal et al. 2017, section 5.1): the fusion begins as the identity.
    So a fused branch that is started from weights without fusion gives their embeddings, and learns to mix from there.

    Args:
        channels: channels of each level.
        width: channels that the levels exchange.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(Conv(c, width, 1) for c in channels)
        self.expand = nn.ModuleList(Conv(width, c, 1, act=False) for c in channels)
        layers: Any = self.expand  # of ultralytics' Conv
        for layer in layers:
            nn.init.zeros_(layer.bn.weight)

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Mix the levels.

        Args:
            features: per level ``(B, C, H, W)``, each with half the height and width of the one before.

        Returns:
            New features of the same shapes.
        """
        reduced = [layer(x) for layer, x in zip(self.reduce, features, strict=True)]
        mixed = []
        for level, (x, expand) in enumerate(zip(features, self.expand, strict=True)):
            others = [_resize(y, other - level) for other, y in enumerate(reduced) if other != level]
            mixed.append(x + expand(torch.stack(others).sum(dim=0)))
        return mixed


def join_levels(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join the maps of all levels.

    Args:
        maps: per level ``(B, C, H, W)``.

    Returns:
        ``(B, C, A)``, the levels one after the other, each row by row. In memory the channels of an anchor point lie
        together, as in channels-last maps: nothing is moved around, and taking few of many anchor points is cheap.
    """
    return torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1).transpose(1, 2)


def branch_layout(names: Collection[str]) -> tuple[ReIDKind | None, bool]:
    """Tell the variant of a Re-ID branch from the names of a network's weights.

    Args:
        names: names as in :meth:`YOLO11JDE.state_dict`.

    Returns:
        The kind, ``None`` where there is no branch, and whether the levels are fused.
    """
    fused = any(name.startswith(f"{REID_PREFIX}fusion.") for name in names)
    if f"{REID_PREFIX}0.0.conv.weight" in names:
        return "plain", fused
    return ("light" if f"{REID_PREFIX}0.0.0.conv.weight" in names else None), fused


def _plain_layers(channels: int, hidden: int, embed_dim: int) -> nn.Sequential:
    """Two 3x3 convolutions and a linear output."""
    return nn.Sequential(Conv(channels, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, embed_dim, 1))


def _light_layers(channels: int, hidden: int, embed_dim: int) -> nn.Sequential:
    """Two pairs of a depth-wise 3x3 and a 1x1 convolution, and a linear output."""
    return nn.Sequential(
        nn.Sequential(Conv(channels, channels, 3, g=channels), Conv(channels, hidden, 1)),
        nn.Sequential(Conv(hidden, hidden, 3, g=hidden), Conv(hidden, hidden, 1)),
        nn.Conv2d(hidden, embed_dim, 1),
    )


def _resize(x: torch.Tensor, levels: int) -> torch.Tensor:
    """Bring a map to the resolution of the level that is ``levels`` finer, or coarser if negative.

    Fixed factors instead of the size of the target: adaptive pooling has no deterministic gradient on GPUs and does
    not export with free image sizes.
    """
    if levels > 0:
        return F.interpolate(x, scale_factor=float(2**levels), mode="nearest")
    return F.avg_pool2d(x, 2**-levels)
