"""Box, class and distance losses of ultralytics, and which object each foreground anchor was assigned to."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple, Protocol

import torch
from torch.nn import functional as F

from jde_lightning._ultralytics import v8DetectionLoss
from jde_lightning.losses.gather import sum_over_ranks
from jde_lightning.structures import Batch


class RawMapsLike(Protocol):
    """What the losses read of a network's output; see ``jde_lightning.models.head.RawMaps``.

    Attributes:
        boxes: ``(B, 4 * reg_max, A)`` logits of the distances' distributions.
        scores: ``(B, num_classes, A)`` class logits.
        embeddings: ``(B, D, A)`` appearance, not normalised.
        shapes: per level the ``(height, width)`` of its map.
    """

    @property
    def boxes(self) -> torch.Tensor: ...  # noqa: D102
    @property
    def scores(self) -> torch.Tensor: ...  # noqa: D102
    @property
    def embeddings(self) -> torch.Tensor: ...  # noqa: D102
    @property
    def shapes(self) -> tuple[tuple[int, int], ...]: ...  # noqa: D102


class DetectionTerms(NamedTuple):
    """The detection losses and the ``F`` foreground anchors.

    Attributes:
        losses: ``(3,)`` box, class and distance loss with their gains, not multiplied by the batch size.
        images: ``(F,)`` int64 image of each foreground anchor.
        anchors: ``(F,)`` int64 position of each foreground anchor.
        rows: ``(F,)`` int64 row of the batch's boxes that the anchor was assigned to.
        identities: ``(F,)`` int64 identity of that box.
        confidences: ``(F,)`` float32 highest class probability at the anchor, without gradient.
    """

    losses: torch.Tensor
    images: torch.Tensor
    anchors: torch.Tensor
    rows: torch.Tensor
    identities: torch.Tensor
    confidences: torch.Tensor


class _ClassLoss:
    """Binary cross-entropy that lets chosen background anchors be neither right nor wrong.

    Attributes:
        ignored: ``(B, A)`` bool anchors in ignore regions, or ``None``. Those with a target count all the same.
        targets_sum: scalar sum of the targets of the last call.
    """

    def __init__(self) -> None:
        self.ignored: torch.Tensor | None = None
        self.targets_sum = torch.zeros(())

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the ``(B, A, C)`` losses."""
        self.targets_sum = targets.sum()
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        if self.ignored is None:
            return losses
        background = targets.sum(dim=-1, keepdim=True) == 0
        return losses.masked_fill(self.ignored[..., None] & background, 0.0)


class DetectionLoss(v8DetectionLoss):  # type: ignore[misc]  # taken as untyped, see pyproject.toml
    """Ultralytics' criterion, built from numbers instead of a model, that also tells the identities.

    It holds tensors of one device and is no module: make a new one for another device.

    Args:
        num_classes: number of classes.
        strides: per level the pixels per cell.
        reg_max: bins of a distance's distribution.
        box: gain of the box loss.
        cls: gain of the class loss.
        dfl: gain of the distance loss.
        small_target_stride: sides of boxes shorter than this many pixels are enlarged to it while anchors are
            assigned; ``None`` is ultralytics' default (the second stride), 0 is the paper's assigner.
        joint_normalizer: whether the losses are divided by the sum of the targets of all ranks (times their number)
            instead of this rank's, so that the mean over ranks is the loss of one process with the whole batch.
        device: where the maps will be.
    """

    def __init__(
        self,
        num_classes: int,
        strides: Sequence[int],
        reg_max: int = 16,
        box: float = 7.5,
        cls: float = 0.5,
        dfl: float = 1.5,
        small_target_stride: int | None = None,
        joint_normalizer: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        stride = torch.tensor(strides, dtype=torch.float32, device=device)
        head = SimpleNamespace(stride=stride, nc=num_classes, reg_max=reg_max)
        stub = SimpleNamespace(
            parameters=lambda: iter([stride]), args=SimpleNamespace(box=box, cls=cls, dfl=dfl), model=[head]
        )
        super().__init__(stub)
        self.bce = _ClassLoss()
        self.joint_normalizer = joint_normalizer
        if small_target_stride is not None:
            self.assigner.stride_val = small_target_stride

    def terms(self, raw: RawMapsLike, batch: Batch) -> DetectionTerms:
        """Compute the losses in float32; the caller leaves autocast.

        Args:
            raw: the network's maps.
            batch: boxes, labels, identities and batch_idx, on the device of the maps; and, if background in them is
                not to be learned, ignore_boxes and ignore_batch_idx.

        Returns:
            The losses and the foreground anchors. Without any box there are none, and the box loss is 0.
        """
        boxes, scores = raw.boxes.float(), raw.scores.float()
        features = [boxes.new_empty(1).expand(1, 1, *shape) for shape in raw.shapes]
        targets = self._targets(raw, batch)
        self.bce.ignored = self._ignored(raw, batch)
        (foreground, chosen, *_), losses, _ = self.get_assigned_targets_and_loss(
            {"boxes": boxes, "scores": scores, "feats": features}, targets
        )
        images, anchors = foreground.nonzero(as_tuple=True)
        if self.joint_normalizer:
            losses = losses * self._share()
        # The assigner counts boxes within an image; without any box its indices come as floats.
        counts = torch.bincount(batch["batch_idx"], minlength=len(boxes))
        rows = (counts.cumsum(0) - counts)[images] + chosen[images, anchors].long()
        confidences = scores.detach()[images, :, anchors].sigmoid().amax(dim=1)
        return DetectionTerms(losses, images, anchors, rows, batch["identities"][rows], confidences)

    def _share(self) -> torch.Tensor:
        """Return the scalar that makes the mean over all ranks the losses of one process with all their images."""
        mine = self.bce.targets_sum
        total, ranks = sum_over_ranks(mine)
        return ranks * mine.clamp(min=1) / total.clamp(min=1)  # ultralytics divides by at least 1

    def _ignored(self, raw: RawMapsLike, batch: Batch) -> torch.Tensor | None:
        """Return the ``(B, A)`` anchors whose centre lies in an ignore region; ``None`` if the batch has no region."""
        regions = batch.get("ignore_boxes")
        if regions is None or not len(regions):
            return None
        points = []
        for (height, width), stride in zip(raw.shapes, self.stride, strict=True):
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            points.append((torch.stack([x, y], dim=-1).reshape(-1, 2).to(stride) + 0.5) * stride)
        centers = torch.cat(points)
        inside = (centers > regions[:, None, :2]) & (centers < regions[:, None, 2:])
        counts = torch.zeros(raw.scores.shape[0], len(centers), device=centers.device)
        return counts.index_add_(0, batch["ignore_batch_idx"], inside.all(dim=-1).float()) > 0

    def _targets(self, raw: RawMapsLike, batch: Batch) -> dict[str, torch.Tensor]:
        """Write the batch as ultralytics reads it: centre, width and height as shares of the padded image."""
        (height, width), stride = raw.shapes[0], self.stride[0]
        corners = batch["boxes"].float()
        size = torch.stack([width * stride, height * stride])
        low, high = corners[:, :2] / size, corners[:, 2:] / size
        return {
            "batch_idx": batch["batch_idx"].float(),
            "cls": batch["labels"].float().view(-1, 1),
            "bboxes": torch.cat(((low + high) / 2, high - low), dim=1),
        }
