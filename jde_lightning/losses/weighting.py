"""How the detection and the Re-ID loss are added up: with fixed weights, or with weights that are learned."""

from __future__ import annotations

import torch
from torch import nn


class FixedWeights(nn.Module):
    """Add the two losses as they are; their gains are the weights (YOLO11-JDE, section 3)."""

    def forward(self, detection: torch.Tensor, reid: torch.Tensor) -> torch.Tensor:
        """Return the sum.

        Args:
            detection: scalar float32, with its gains.
            reid: scalar float32, with its gain.
        """
        return detection + reid

    def weights(self) -> dict[str, torch.Tensor]:
        """What is worth logging: nothing, the weights never change."""
        return {}


class UncertaintyWeights(nn.Module):
    """Weigh the two losses by how uncertain each task is, and learn that (Kendall et al. 2018; JDE, FairMOT).

    With log variances ``s`` the total is ``0.5 * (exp(-s_det) * det + exp(-s_reid) * reid + s_det + s_reid)``. It is
    smallest where ``exp(s)`` equals the loss, so both tasks come to pull with the same weighted loss, whatever their
    gains. The total may be negative.

    Where the Re-ID loss is exactly 0, its term and its log variance are left out: ``s_reid`` gets a gradient of 0
    (not none, or DDP would wait for it). A batch in which nobody could be compared, or in which no mined triplet
    violates the margin, says nothing of the uncertainty; taken as a perfect result it would pull ``s_reid`` down
    in every such batch, and the next pair would meet a weight that has grown without bound.

    Args:
        detection: initial log variance of the detection loss; the default is FairMOT's, a weight of 3.18.
        reid: initial log variance of the Re-ID loss; the default is FairMOT's, a weight of 1.43. With
            ``-log(2) = -0.693`` for both, training starts with the fixed weights of 1.

    Attributes:
        detection: log variance ``s_det``, a learned scalar.
        reid: log variance ``s_reid``, a learned scalar.
    """

    def __init__(self, detection: float = -1.85, reid: float = -1.05) -> None:
        super().__init__()
        self.detection = nn.Parameter(torch.tensor(float(detection)))
        self.reid = nn.Parameter(torch.tensor(float(reid)))

    def forward(self, detection: torch.Tensor, reid: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum and the price of the weights.

        Args:
            detection: scalar float32, with its gains.
            reid: scalar float32, with its gain; exactly 0 where there was nothing to learn.

        Returns:
            Scalar float32, differentiable by both losses and both log variances.
        """
        # As a factor instead of a branch: reading the value would make the host wait for the GPU.
        counts = (reid.detach() != 0).to(reid.dtype)
        detection_term = (-self.detection).exp() * detection + self.detection
        reid_term = (-self.reid).exp() * reid + self.reid * counts
        return 0.5 * (detection_term + reid_term)

    def weights(self) -> dict[str, torch.Tensor]:
        """What each loss is multiplied with: detached scalars ``detection_weight`` and ``reid_weight``."""
        return {
            "detection_weight": 0.5 * (-self.detection.detach()).exp(),
            "reid_weight": 0.5 * (-self.reid.detach()).exp(),
        }
