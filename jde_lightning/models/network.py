"""YOLO11-JDE: one network that finds people and describes how they look, in one pass."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from jde_lightning._ultralytics import Conv, Detect, DetectionModel, initialize_weights
from jde_lightning.errors import InputError, UsageError
from jde_lightning.models.architecture import Scale, yolo11
from jde_lightning.models.decode import EMBEDDING_POOLINGS, EmbeddingPooling, decode
from jde_lightning.models.head import JDEHead, LateMaps, RawMaps
from jde_lightning.models.late_embeddings import DENSE_SHARE, embeddings_at
from jde_lightning.models.reid_branch import ReIDKind
from jde_lightning.models.weights import WeightsReport, load_weights
from jde_lightning.structures import Detections

EmbeddingMode = Literal["dense", "late", "auto", "none"]
EMBEDDING_MODES: tuple[str, ...] = get_args(EmbeddingMode)


class YOLO11JDE(nn.Module):
    """YOLO11 with an appearance branch (YOLO11-JDE, section 3.1).

    The layers are those of ultralytics, the forward pass is ours. Weights are named as the authors' and ultralytics'
    are (``model.0.conv.weight`` ... ``model.23.cv4.2.2.bias``).

    Args:
        scale: model size; ``s`` is the paper's.
        num_classes: number of classes; 1 means persons.
        embed_dim: length of an embedding; 128 is the paper's.
        reid_branch: ``plain`` is the paper's appearance branch; ``light`` has depth-wise convolutions, at about a
            sixth of the cost.
        reid_fusion: whether the embedding of each level also sees the features of the other levels.
        embedding_pooling: which anchors describe a detected box: ``best``, the paper's, the one that predicted it;
            ``mean`` all that found it, see :func:`~jde_lightning.models.decode.decode`. Training is not touched.

    Attributes:
        model: the layers, in order; the last is the head.
        strides: pixels per cell of each level.
        reg_max: bins of the distribution of a box side's distance.
        class_names: a name per class, which weights of other class sets are matched by.
        loaded_from: the file of :meth:`load_weights`; ``None`` while the weights are random or came otherwise.

    Raises:
        InputError: if the scale, the kind of the branch or the pooling is unknown, or a number is below 1.
    """

    def __init__(
        self,
        scale: Scale = "s",
        num_classes: int = 1,
        embed_dim: int = 128,
        reid_branch: ReIDKind = "plain",
        reid_fusion: bool = False,
        embedding_pooling: EmbeddingPooling = "best",
    ) -> None:
        super().__init__()
        for name, value in (("num_classes", num_classes), ("embed_dim", embed_dim)):
            if value < 1:
                msg = f"{name} must be at least 1, got {value}"
                raise UsageError(msg)
        if embedding_pooling not in EMBEDDING_POOLINGS:
            known = ", ".join(EMBEDDING_POOLINGS)
            msg = f"unknown embedding_pooling {embedding_pooling!r}; choose one of {known}"
            raise InputError(msg)
        detector = DetectionModel(yolo11(scale, num_classes), ch=3, verbose=False)
        self.model: Any = detector.model  # nn.Sequential, whose layers have attributes that torch's types do not know
        self.model[-1] = _replace_head(self.model[-1], embed_dim, reid_branch, reid_fusion)
        self.scale = scale
        self.num_classes = num_classes
        self.embed_dim = embed_dim
        self.reid_branch = reid_branch
        self.reid_fusion = reid_fusion
        self.embedding_pooling: EmbeddingPooling = embedding_pooling
        self.reg_max: int = self.model[-1].reg_max
        self.strides: tuple[int, ...] = tuple(int(s) for s in self.model[-1].stride)
        self.class_names: list[str] = ["person"] if num_classes == 1 else [str(i) for i in range(num_classes)]
        self.loaded_from: Path | None = None
        self._kept: frozenset[int] = frozenset(detector.save)

    def forward(self, images: torch.Tensor) -> RawMaps:
        """Run the network.

        Args:
            images: ``(B, 3, H, W)`` float RGB in 0..1; height and width multiples of the largest stride.

        Returns:
            The raw maps, the same in training and evaluation.

        Raises:
            ValueError: if the images are not float, or their size does not fit the strides.
        """
        return self.model[-1](self._features(images))

    def forward_late(self, images: torch.Tensor) -> LateMaps:
        """Run the network without the Re-ID branch, which :meth:`decode` then runs where it is needed.

        Args:
            images: as in :meth:`forward`.

        Raises:
            ValueError: as :meth:`forward`.
        """
        return self.model[-1].forward_late(self._features(images))

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Run all layers but the head, and return its input of each level, ``(B, C, H, W)``."""
        self._check(images)
        outputs: list[torch.Tensor | None] = []
        x = images
        for layer in list(self.model)[:-1]:
            inputs: Any
            if isinstance(layer.f, int):
                inputs = x if layer.f == -1 else outputs[layer.f]
            else:
                inputs = [x if i == -1 else outputs[i] for i in layer.f]
            x = layer(inputs)
            outputs.append(x if layer.i in self._kept else None)
        return [outputs[i] for i in self.model[-1].f]

    def detect(
        self,
        images: torch.Tensor,
        conf: float = 0.1,
        iou: float = 0.7,
        max_det: int = 300,
        embeddings: EmbeddingMode = "auto",
    ) -> list[Detections]:
        """Find objects and describe them, without gradients; training mode is left as it was.

        Args:
            images: as in :meth:`forward`.
            conf: smallest confidence, in 0..1.
            iou: overlap above which the less confident of two boxes of a class goes.
            max_det: most detections per image.
            embeddings: where the Re-ID branch runs: ``dense`` everywhere, ``late`` on what is left after suppression,
                ``auto`` whichever takes less time (:meth:`computes_late`). The result is the same, but for rounding.
                ``none``: nowhere.

        Returns:
            Per image its detections, most confident first; boxes in pixels of ``images``, unclipped; embeddings of
            unit norm, or ``None``.

        Raises:
            InputError: if ``embeddings`` is unknown.
            ValueError: as :meth:`forward`.
        """
        late = self.computes_late(embeddings)
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                raw = self.forward_late(images) if late else self(images)
                return self.decode(raw, conf, iou, max_det, embeddings)
        finally:
            self.train(was_training)

    def computes_late(self, embeddings: EmbeddingMode) -> bool:
        """Whether the Re-ID branch is no part of the forward pass: it waits for what is left after suppression.

        ``auto`` does on CPUs, where it was measured to pay (docs/inference.md). A GPU has the dense branch done before
        it could be told what to gather; that is an estimate.

        Args:
            embeddings: as for :meth:`detect`.

        Raises:
            InputError: if it is unknown.
        """
        if embeddings not in EMBEDDING_MODES:
            msg = f"unknown embeddings {embeddings!r}; choose one of {', '.join(EMBEDDING_MODES)}"
            raise InputError(msg)
        if embeddings == "auto":
            return next(self.parameters()).device.type == "cpu"
        return embeddings != "dense"

    def decode(
        self,
        raw: RawMaps | LateMaps,
        conf: float = 0.1,
        iou: float = 0.7,
        max_det: int = 300,
        embeddings: EmbeddingMode = "auto",
    ) -> list[Detections]:
        """Find the objects in maps of this network, and describe them; the second half of :meth:`detect`.

        Args:
            raw: of :meth:`forward` or :meth:`forward_late`, in evaluation mode.
            conf: as for :meth:`detect`.
            iou: as for :meth:`detect`.
            max_det: as for :meth:`detect`.
            embeddings: as for :meth:`detect`; of the maps of :meth:`forward_late`, ``late`` describes all detections
                late, and the others run the branch densely on levels with very many of them.

        Returns:
            As :meth:`detect`.
        """
        if embeddings == "none":
            found = decode(raw, self.strides, conf, iou, max_det, embeddings_at=_no_embeddings)
            return [Detections(each.boxes, each.scores, each.labels) for each in found]
        describe = None
        if isinstance(raw, LateMaps):
            share = None if embeddings == "late" else DENSE_SHARE
            describe = partial(embeddings_at, self.model[-1].cv4, raw.features, dense_share=share)
        pooling = self.embedding_pooling
        return decode(raw, self.strides, conf, iou, max_det, pooling=pooling, embeddings_at=describe)

    def fused(self) -> YOLO11JDE:
        """Copy the network for inference, with each batch norm folded into the convolution before it.

        Returns:
            The copy, in evaluation mode, which answers as this network does in evaluation mode but for rounding. It
            cannot be trained, and its weights are those of now.
        """
        made = copy.deepcopy(self).eval().requires_grad_(False)
        for module in made.modules():
            if isinstance(module, Conv) and isinstance(module.bn, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.bn).requires_grad_(False)
                module.bn = nn.Identity()
        return made

    def load_weights(self, path: str | Path) -> WeightsReport:
        """Start from weights of ultralytics, of the authors, or of this package.

        Args:
            path: the checkpoint.

        Returns:
            What was copied, sliced, missing and unused; also logged.

        Raises:
            InputError: if the file is missing, is not a checkpoint, or does not fit this network.
        """
        report = load_weights(self, path, self.class_names)
        self.loaded_from = Path(path)
        return report

    def _check(self, images: torch.Tensor) -> None:
        """Refuse images that would fail deep inside the network, or silently give nonsense."""
        if not images.is_floating_point():
            msg = f"images must be float in 0..1, got {images.dtype}: divide by 255 first"
            raise ValueError(msg)
        height, width = images.shape[-2:]
        largest = self.strides[-1]
        if height % largest or width % largest:
            msg = f"image height and width must be multiples of {largest}, got {height}x{width}: pad the images first"
            raise ValueError(msg)


def _no_embeddings(images: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """Embeddings of width 0."""
    return torch.zeros((len(anchors), 0), device=images.device)


def _replace_head(old: Detect, embed_dim: int, reid_branch: ReIDKind, reid_fusion: bool) -> JDEHead:
    """Build the head with the Re-ID branch that takes the place of ``old`` in the network."""
    channels = [branch[0].conv.in_channels for branch in old.cv2]
    new = JDEHead(old.nc, old.reg_max, embed_dim, channels, reid_branch, reid_fusion)
    for name in ("i", "f", "type", "inplace", "stride"):
        setattr(new, name, getattr(old, name))
    new.np = sum(p.numel() for p in new.parameters())
    new.bias_init()
    initialize_weights(new)  # gives the new batch norms the constants of the rest of the network
    return new
