"""The network and the decoding of its maps as one graph of dense tensors, which other runtimes can run."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from jde_lightning.models.decode import decode_boxes
from jde_lightning.models.head import RawMaps
from jde_lightning.models.network import YOLO11JDE


class DetectionGraph(nn.Module):
    """Images in, boxes, scores, labels and embeddings of all anchor points out; nothing depends on the content.

    Args:
        network: with trained weights; put into evaluation.
        appearance: whether embeddings are wanted; without them the Re-ID branch is not part of the graph.
        unit_norm: whether embeddings are scaled to unit norm; not needed for all where only few are used.
    """

    def __init__(self, network: YOLO11JDE, appearance: bool = True, unit_norm: bool = True) -> None:
        super().__init__()
        self.network = network
        self.appearance = appearance
        self.unit_norm = unit_norm
        self.eval()

    @property
    def output_names(self) -> list[str]:
        """Names of what :meth:`forward` returns, in that order."""
        return ["boxes", "scores", "labels", *(["embeddings"] if self.appearance else [])]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the network and decode its maps.

        Args:
            images: ``(B, 3, H, W)`` float32 RGB in 0..1; height and width multiples of the largest stride.

        Returns:
            ``(B, A, 4)`` float32 boxes, xyxy pixels of the images; ``(B, A)`` float32 confidence of the likeliest class
            and ``(B, A)`` int64, that class; and ``(B, A, D)`` float32 embeddings if they are wanted.
        """
        return self.decode(self.network(images))

    def decode(self, raw: RawMaps) -> tuple[torch.Tensor, ...]:
        """Turn the network's maps into what :meth:`forward` returns."""
        scores, labels = raw.scores.sigmoid().max(dim=1)
        found = decode_boxes(raw, self.network.strides), scores, labels
        if not self.appearance:
            return found
        embeddings = raw.embeddings.transpose(1, 2)
        return *found, F.normalize(embeddings, dim=2) if self.unit_norm else embeddings
