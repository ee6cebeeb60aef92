"""The training loss of YOLO11-JDE: boxes, classes, distances and identities together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from jde_lightning.losses.detection import DetectionLoss, RawMapsLike
from jde_lightning.losses.reid import ReIDLoss
from jde_lightning.losses.weighting import FixedWeights, UncertaintyWeights
from jde_lightning.structures import NO_IDENTITY, Batch


class JDELoss(nn.Module):
    """Detection losses of ultralytics plus the Re-ID loss on the foreground anchors (YOLO11-JDE, section 3).

    Args:
        num_classes: number of classes.
        strides: per level the pixels per cell.
        reg_max: bins of a distance's distribution.
        box: gain of the box loss.
        cls: gain of the class loss.
        dfl: gain of the distance loss.
        reid: gain of the Re-ID loss; at 0 it is not computed.
        reid_loss: the Re-ID loss; the paper's if not given.
        small_target_stride: see :class:`~jde_lightning.losses.detection.DetectionLoss`; 0 is the paper's assigner.
        joint_normalizer: see :class:`~jde_lightning.losses.detection.DetectionLoss`.
        ignore_regions: whether anchors in the batch's ignore regions are neither object nor background; ``False`` is
            the paper, where they are background.
        weighting: how the detection and the Re-ID loss are added up; as they are, if not given.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        reg_max: int = 16,
        box: float = 7.5,
        cls: float = 0.5,
        dfl: float = 1.5,
        reid: float = 1.0,
        reid_loss: ReIDLoss | None = None,
        small_target_stride: int | None = None,
        joint_normalizer: bool = True,
        ignore_regions: bool = True,
        weighting: FixedWeights | UncertaintyWeights | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = tuple(strides)
        self.reg_max = reg_max
        self.box, self.cls, self.dfl, self.reid = box, cls, dfl, reid
        self.reid_loss = ReIDLoss() if reid_loss is None else reid_loss
        self.small_target_stride = small_target_stride
        self.joint_normalizer = joint_normalizer
        self.ignore_regions = ignore_regions
        self.weighting = FixedWeights() if weighting is None else weighting
        self._detection: DetectionLoss | None = None

    def forward(self, raw: RawMapsLike, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch, in float32 also under autocast.

        Args:
            raw: the network's maps of ``B`` images.
            batch: boxes in pixels of the network's input, labels, identities, batch_idx; on the device of the maps.
                ``batch_idx`` never decreases.

        Returns:
            The scalar to minimise, which is the weighted sum of the terms times ``B`` (as ultralytics scales it), and
            the detached terms with their gains: ``box_loss, cls_loss, dfl_loss, reid_loss`` (neither weighted nor
            times ``B``), ``positive_fraction``, the share of the batch's identities that have at least two boxes in
            it, and the weights of the weighting if they are learned. Every map receives a gradient, also from a batch
            without boxes.

        Raises:
            NonFiniteEmbeddingsError: if an embedding at a foreground anchor is NaN or infinite.
        """
        with torch.autocast(raw.scores.device.type, enabled=False):
            kept: Any = {key: value for key, value in batch.items() if not key.startswith("ignore_")}
            seen = batch if self.ignore_regions else kept
            found = self._criterion(raw.scores.device).terms(raw, seen)
            embeddings = raw.embeddings.float()
            # Without any foreground, or a gain, what belongs to the embedding must still take part, or DDP waits for
            # its gradients.
            reid = embeddings[..., :0].sum() + sum(p.reshape(-1)[:0].sum() for p in self.reid_loss.parameters())
            if self.reid:
                rows = embeddings[found.images, :, found.anchors]
                known = [key for key in ("source_frames", "scopes", "labels") if key in batch]
                reid = reid + self.reid * self.reid_loss(
                    rows,
                    found.identities,
                    found.confidences,
                    objects=found.rows,
                    images=found.images,
                    **{key: batch[key][found.rows] for key in known},
                )
            total = self.weighting(found.losses.sum(), reid) * len(raw.scores)
        box, cls, dfl = found.losses.detach()
        return total, {
            "box_loss": box,
            "cls_loss": cls,
            "dfl_loss": dfl,
            "reid_loss": reid.detach(),
            "positive_fraction": positive_fraction(batch["identities"]),
            **self.weighting.weights(),
        }

    def _criterion(self, device: torch.device) -> DetectionLoss:
        """Return the detection loss of a device; it holds tensors but is no module that could be moved."""
        if self._detection is None or self._detection.device != device:
            self._detection = DetectionLoss(
                self.num_classes,
                self.strides,
                self.reg_max,
                self.box,
                self.cls,
                self.dfl,
                self.small_target_stride,
                self.joint_normalizer,
                device,
            )
        return self._detection


def positive_fraction(identities: torch.Tensor) -> torch.Tensor:
    """Return the share of identities with at least two boxes, a scalar float32 in 0..1; 0 if there are none.

    Args:
        identities: ``(N,)`` int64, one per box (not per anchor).
    """
    counts = torch.unique(identities[identities != NO_IDENTITY], return_counts=True)[1]
    return (counts > 1).float().mean() if len(counts) else counts.new_zeros((), dtype=torch.float32)
