"""The detection head with one more branch: an appearance embedding for every anchor point."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from jde_lightning._ultralytics import Detect
from jde_lightning.models.reid_branch import ReIDBranch, ReIDKind, join_levels


class RawMaps(NamedTuple):
    """What the network returns, in training and in evaluation: plain tensors, nothing decoded.

    The ``A`` anchor points are those of all levels, one level after the other, each row by row. The losses read any
    object with these attributes.

    Attributes:
        boxes: ``(B, 4 * reg_max, A)`` logits of the distributions of the distances left, top, right, bottom.
        scores: ``(B, num_classes, A)`` class logits.
        embeddings: ``(B, embed_dim, A)`` appearance, not normalised.
        shapes: per level the ``(height, width)`` of its map; their products sum up to ``A``.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    embeddings: torch.Tensor
    shapes: tuple[tuple[int, int], ...]


class LateMaps(NamedTuple):
    """What the network returns where embeddings are computed later, for the anchor points that are kept.

    Attributes:
        boxes: as in :class:`RawMaps`.
        scores: as in :class:`RawMaps`.
        features: per level ``(B, C, H, W)``, from which
            :func:`~jde_lightning.models.late_embeddings.embeddings_at` computes embeddings.
        shapes: as in :class:`RawMaps`.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    features: tuple[torch.Tensor, ...]
    shapes: tuple[tuple[int, int], ...]


class JDEHead(Detect):  # type: ignore[misc]  # taken as untyped, see pyproject.toml
    """YOLO11's head plus the Re-ID branch ``cv4``.

    Args:
        num_classes: number of classes.
        reg_max: bins of each distance's distribution.
        embed_dim: length of an embedding.
        channels: channels of the input of each level.
        reid_branch: kind of the Re-ID branch, see :class:`~jde_lightning.models.reid_branch.ReIDBranch`.
        reid_fusion: whether the Re-ID branch mixes the levels.

    Raises:
        InputError: if the kind is unknown.
    """

    # ultralytics' builder writes this flag on its class, process-wide, once it has built any older model.
    legacy = False

    def __init__(
        self,
        num_classes: int,
        reg_max: int,
        embed_dim: int,
        channels: list[int],
        reid_branch: ReIDKind = "plain",
        reid_fusion: bool = False,
    ) -> None:
        super().__init__(num_classes, reg_max, False, channels)
        self.embed_dim = embed_dim
        self.cv4 = ReIDBranch(channels, embed_dim, reid_branch, reid_fusion)

    def forward(self, features: list[torch.Tensor]) -> RawMaps:
        """Return the raw maps of all levels.

        Args:
            features: per level ``(B, C, H, W)``.

        Returns:
            The maps; the same in training and evaluation, so that no anchor cache survives from one to the other.
        """
        boxes, scores, shapes = self._detector_maps(features)
        return RawMaps(boxes, scores, self.cv4(features), shapes)

    def forward_late(self, features: list[torch.Tensor]) -> LateMaps:
        """Return the maps of the detector, and what embeddings are computed from where they are wanted.

        Args:
            features: per level ``(B, C, H, W)``.
        """
        boxes, scores, shapes = self._detector_maps(features)
        # The levels are mixed everywhere: 1x1 convolutions, a small part of the branch.
        inputs = features if self.cv4.fusion is None else self.cv4.fusion(features)
        return LateMaps(boxes, scores, tuple(inputs), shapes)

    def _detector_maps(
        self, features: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[tuple[int, int], ...]]:
        """Boxes, scores and shapes of :class:`RawMaps`."""

        def run(branch: nn.ModuleList) -> torch.Tensor:
            return join_levels([layers(x) for layers, x in zip(branch, features, strict=True)])

        return run(self.cv2), run(self.cv3), tuple((x.shape[2], x.shape[3]) for x in features)
