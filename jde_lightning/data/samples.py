"""What travels between samplers, datasets and collate functions."""

from __future__ import annotations

from typing import NamedTuple

from jde_lightning.data.images import ImageArray
from jde_lightning.structures import FloatArray, FrameAnnotations, IntArray, Letterbox


class MosaicRequest(NamedTuple):
    """Everything that decides one training sample.

    Attributes:
        frames: positions of the four tiles in the index: top left, top right, bottom left, bottom right. A sample
            without mosaic shows the first.
        seed: entropy of the generator of all draws of the sample.
        mixup: the four tiles of a second mosaic to blend in, where MixUp is drawn; ``None``: never.
    """

    frames: tuple[int, int, int, int]
    seed: tuple[int, ...]
    mixup: tuple[int, int, int, int] | None = None


class TrainingSample(NamedTuple):
    """One training image.

    Attributes:
        image: ``(3, H, W)`` uint8 RGB.
        boxes: ``(N, 4)`` float32 xyxy pixels, clipped to the image unless amodal boxes are taught.
        labels: ``(N,)`` int64.
        identities: ``(N,)`` int64.
        ignore_boxes: ``(M, 4)`` float32 xyxy pixels, clipped to the image.
        source_frames: ``(N,)`` int64 frame of the index that each box is annotated in.
        scopes: ``(N,)`` int64, see :func:`~jde_lightning.data.identities.ambiguity_scopes`.
    """

    image: ImageArray
    boxes: FloatArray
    labels: IntArray
    identities: IntArray
    ignore_boxes: FloatArray
    source_frames: IntArray
    scopes: IntArray


class FrameSample(NamedTuple):
    """One validation image.

    Attributes:
        image: ``(3, H, W)`` uint8 RGB, letterboxed.
        boxes: ``(N, 4)`` float32 xyxy pixels of ``image``, the positives, clipped to the frame.
        labels: ``(N,)`` int64.
        identities: ``(N,)`` int64 as annotated, not the training's dense numbers.
        ignore_boxes: ``(M, 4)`` float32 xyxy pixels of ``image``.
        frame: the annotations in original pixels, all roles, unclipped.
        letterbox: how the frame was fitted into ``image``.
    """

    image: ImageArray
    boxes: FloatArray
    labels: IntArray
    identities: IntArray
    ignore_boxes: FloatArray
    frame: FrameAnnotations
    letterbox: Letterbox
