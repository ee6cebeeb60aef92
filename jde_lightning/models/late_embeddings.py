"""Embeddings of single anchor points: the Re-ID branch runs where a detection survived, and nowhere else.

An embedding depends on the 5x5 cells around its anchor point, through two 3x3 convolutions. A hundred people in an
image of 1280x736 pixels need 100 of 19,320 embeddings. If those cells are gathered and only they go through the branch,
the result is that of the dense branch, at the borders too, at a few per cent of the cost.

The dense branch pads each convolution with zeros. So cells outside the map are 0 before the first convolution, and its
output there, which is not 0, has to become 0 before the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jde_lightning._ultralytics import Conv
from jde_lightning.models.reid_branch import ReIDBranch

DENSE_SHARE = 0.08
"""Share of the anchor points of a level from which on the dense branch takes less time (docs/inference.md)."""

_REACH = 2  # cells to each side that an embedding depends on
_CHUNK = 1024  # anchor points at once: 5 x 5 x 512 channels of them take 52 MB


def embeddings_at(
    branch: ReIDBranch,
    features: Sequence[torch.Tensor],
    images: torch.Tensor,
    anchors: torch.Tensor,
    dense_share: float | None = None,
) -> torch.Tensor:
    """Compute the embeddings of some anchor points, equal to those of the dense branch.

    Args:
        branch: in evaluation mode, batch norms folded or not: in training these need all anchor points.
        features: per level ``(B, C, H, W)`` input of the branch, after its fusion of levels if it has one.
        images: ``(R,)`` int64 number of the image of each wanted embedding.
        anchors: ``(R,)`` int64 anchor point of each; those of all levels in one numbering, as in ``RawMaps``.
        dense_share: share of a level's anchor points from which on the branch runs densely over that level. ``None``:
            never.

    Returns:
        ``(R, embed_dim)``, not normalised.

    Raises:
        ValueError: if the branch is in training mode.
    """
    if branch.training:
        msg = "late embeddings need a network in evaluation mode; call network.eval() first"
        raise ValueError(msg)
    sizes = [x.shape[2] * x.shape[3] for x in features]
    total = sum(sizes)
    # An anchor point that describes two boxes is computed once.
    wanted, row_of = torch.unique(images * total + anchors, return_inverse=True)
    images, anchors = wanted // total, wanted % total
    result: torch.Tensor | None = None
    start = 0
    for layers, x, size in zip(branch.levels, features, sizes, strict=True):
        rows = ((anchors >= start) & (anchors < start + size)).nonzero().squeeze(1)
        cells = anchors[rows] - start
        if dense_share is not None and len(rows) >= dense_share * size * len(x):
            found = layers(x).flatten(2)[images[rows], :, cells]
        else:
            parts = zip(images[rows].split(_CHUNK), cells.split(_CHUNK), strict=True)  # type: ignore[no-untyped-call]
            found = torch.cat([_late(layers, x, *part) for part in parts])
        if result is None:
            result = found.new_empty((len(wanted), found.shape[1]))
        result[rows] = found
        start += size
    if result is None:
        msg = "no levels of features"
        raise ValueError(msg)
    return result[row_of]


def _late(layers: nn.Module, x: torch.Tensor, images: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Run the layers of one level on the neighbourhoods of some cells.

    Args:
        layers: two blocks, each with one 3x3 convolution, and a 1x1 convolution.
        x: ``(B, C, H, W)``.
        images: ``(R,)`` int64.
        cells: ``(R,)`` int64, row by row.

    Returns:
        ``(R, embed_dim)``.
    """
    first, second, last = layers.children()
    patches, inside = _neighbourhoods(x, images, cells)
    hidden = _unpadded(first, patches)
    hidden = hidden.masked_fill(~inside[:, None, 1:-1, 1:-1], 0)
    return last(_unpadded(second, hidden)).flatten(1)


def _neighbourhoods(x: torch.Tensor, images: torch.Tensor, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gather the 5x5 cells around some cells, 0 outside the map.

    Returns:
        ``(R, C, 5, 5)`` in channels-last memory, and ``(R, 5, 5)`` bool: whether a cell is inside the map.
    """
    height, width = x.shape[2:]
    offsets = torch.arange(-_REACH, _REACH + 1, device=x.device)
    rows = (cells // width)[:, None, None] + offsets[:, None]
    columns = (cells % width)[:, None, None] + offsets
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    # No copy where the map is channels-last, as it is in inference.
    lines = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    places = (images[:, None, None] * height + rows) * width + columns
    patches = lines.index_select(0, places.flatten()).view(*places.shape, x.shape[1])
    return patches.masked_fill(~inside[..., None], 0).permute(0, 3, 1, 2), inside


def _unpadded(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a block without the padding of its convolutions, so that a 3x3 convolution takes a cell from each side."""
    layers: Iterable[Any] = [block] if isinstance(block, Conv) else block.children()
    for layer in layers:
        conv = layer.conv
        x = F.conv2d(x, conv.weight, conv.bias, groups=conv.groups)
        x = layer.act(layer.bn(x))
    return x
