"""The data that flows through the package: annotations, batches, detections, tracks.

Everything here is numpy only, so that a deployed tracker or a notebook can use it without torch.
Boxes are always ``xyxy`` pixels, 0-based; see :mod:`jde_lightning.boxes` for conversions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NO_IDENTITY = -1
"""Identity of a box that nobody has labelled; 0 is a valid identity."""


class Role(IntEnum):
    """What an annotated box is for.

    Attributes:
        POSITIVE: an object to be found, learned and evaluated.
        IGNORE: neither object nor background: crowds, masks, reflections, MOTChallenge distractors. A detection
            on it is not counted.
        OTHER: annotated, but of no class that we look for (cars, occluders). It only takes part in the matching
            that MOTChallenge's evaluation does before it removes distractors.
    """

    POSITIVE = 0
    IGNORE = 1
    OTHER = 2


def _array(name: str, value: Any, dtype: Any, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Return ``value`` as an array of ``dtype``, or say which field has which shape instead of the expected one."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "f" and np.issubdtype(dtype, np.integer) and (array != np.rint(array)).any():
            first = array[array != np.rint(array)][0]
            msg = f"{name} must be whole numbers, got {first}: these are indices, not scores"
            raise InputError(msg)
        array = array.astype(dtype, copy=False)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        msg = f"{name} must be an array of numbers, got {type(value).__name__}: {' '.join(str(error).split())[:120]}"
        raise InputError(msg) from error
    if array.size == 0 and len(shape) == 2 and array.ndim == 1:
        array = array.reshape(0, shape[1] or 0)
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        expected = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        msg = f"{name} must have shape {expected}, got {array.shape}"
        raise InputError(msg)
    return array


@dataclass(slots=True)
class FrameAnnotations:
    """One image and everything that is annotated in it, in the pixels of the original image.

    Attributes:
        image_path: the image file.
        width: image width in pixels.
        height: image height in pixels.
        boxes: ``(N, 4)`` float32, xyxy pixels, 0-based, unclipped (full-body boxes leave the image).
        labels: ``(N,)`` int64 class index; of no meaning where the role is not ``POSITIVE``.
        identities: ``(N,)`` int64 as annotated in the sequence (or dataset), ``NO_IDENTITY`` where unknown.
        roles: ``(N,)`` int8, see :class:`Role`.
        visibility: ``(N,)`` float32 in 0..1, 1 where the dataset does not say.
        dataset: name of the dataset that the frame belongs to.
        sequence: name of the sequence, ``None`` for single images.
        frame: number of the frame as the dataset counts it (MOTChallenge: from 1).
        frame_rate: frames per second of the sequence; trackers scale their memory with it.
    """

    image_path: Path
    width: int
    height: int
    boxes: FloatArray
    labels: IntArray
    identities: IntArray
    roles: npt.NDArray[np.int8]
    visibility: FloatArray
    dataset: str = ""
    sequence: str | None = None
    frame: int = 0
    frame_rate: float = 30.0

    def __post_init__(self) -> None:
        """Validate dtypes and shapes.

        Raises:
            InputError: if an array has another shape than documented, or fractions where integers are needed.
        """
        self.boxes = _array("boxes", self.boxes, np.float32, (None, 4))
        n = len(self.boxes)
        self.labels = _array("labels", self.labels, np.int64, (n,))
        self.identities = _array("identities", self.identities, np.int64, (n,))
        self.roles = _array("roles", self.roles, np.int8, (n,))
        self.visibility = _array("visibility", self.visibility, np.float32, (n,))

    def __len__(self) -> int:
        """Number of annotated boxes, whatever their role."""
        return len(self.boxes)

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Dataset, sequence, number and file: what images are sorted by where their order must not depend on chance."""
        return self.dataset, self.sequence or "", self.frame, str(self.image_path)

    @property
    def positive(self) -> BoolArray:
        """``(N,)`` bool: the boxes to be found."""
        return self.roles == Role.POSITIVE

    @property
    def ignore(self) -> BoolArray:
        """``(N,)`` bool: the boxes that are neither object nor background."""
        return self.roles == Role.IGNORE


class Letterbox(NamedTuple):
    """How an image was fitted into the network's input: ``network = image * gain + (left, top)``, in pixels.

    Attributes:
        gain: resize factor, equal for both axes.
        left: columns of padding at the left.
        top: rows of padding at the top.
    """

    gain: float
    left: int
    top: int

    def to_image(self, boxes: FloatArray) -> FloatArray:
        """Move boxes from the network's input to the original image.

        Args:
            boxes: ``(N, 4)`` xyxy pixels of the network's input.

        Returns:
            ``(N, 4)`` float32 xyxy pixels of the original image, unclipped.
        """
        shift = np.array([self.left, self.top, self.left, self.top], dtype=np.float32)
        return ((boxes - shift) / np.float32(self.gain)).astype(np.float32)

    def to_network(self, boxes: FloatArray) -> FloatArray:
        """Move boxes from the original image to the network's input; the inverse of :meth:`to_image`."""
        shift = np.array([self.left, self.top, self.left, self.top], dtype=np.float32)
        return (boxes * np.float32(self.gain) + shift).astype(np.float32)


class Batch(TypedDict, total=False):
    """What the data loaders deliver and the module reads. Boxes are in the pixels of ``images``.

    Keys:
        images: ``(B, 3, H, W)`` uint8 RGB; the module divides by 255 on the device.
        boxes: ``(N, 4)`` float32 xyxy pixels, all images one after the other; clipped to the image, unless amodal boxes
            are taught.
        labels: ``(N,)`` int64 class index.
        identities: ``(N,)`` int64 dense training identity, ``NO_IDENTITY`` where there is none.
        batch_idx: ``(N,)`` int64 image of each box, never decreasing.
        source_frames: training only, ``(N,)`` int64 training frame that each box is annotated in.
        scopes: training only, ``(N,)`` int64. Two boxes of one scope but different source frames may show one person
            although their identities differ; -1 is a box whose identity is certain to be its own.
        ignore_boxes: ``(M, 4)`` float32 xyxy pixels of ignore regions.
        ignore_batch_idx: ``(M,)`` int64 image of each ignore region.
        frames: validation and prediction only, the ``B`` annotations in original pixels.
        letterboxes: validation and prediction only, how each image was fitted.
    """

    images: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    identities: torch.Tensor
    batch_idx: torch.Tensor
    source_frames: torch.Tensor
    scopes: torch.Tensor
    ignore_boxes: torch.Tensor
    ignore_batch_idx: torch.Tensor
    frames: list[FrameAnnotations]
    letterboxes: list[Letterbox]


@dataclass(slots=True)
class Detections:
    """What the detector found in one image.

    Attributes:
        boxes: ``(N, 4)`` float32 xyxy pixels, 0-based.
        scores: ``(N,)`` float32 confidence in 0..1.
        labels: ``(N,)`` int64 class index; zeros if omitted.
        embeddings: ``(N, D)`` float32 of unit norm, or ``None`` for a detector without appearance.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: IntArray = None  # type: ignore[assignment]  # an array after __post_init__
    embeddings: FloatArray | None = None

    def __post_init__(self) -> None:
        """Validate dtypes and shapes.

        Raises:
            InputError: if an array has another shape than documented, a label is a fraction, or a box or score is not
                finite.
        """
        self.boxes = _array("boxes", self.boxes, np.float32, (None, 4))
        n = len(self.boxes)
        self.scores = _array("scores", self.scores, np.float32, (n,))
        self.labels = _array("labels", np.zeros(n) if self.labels is None else self.labels, np.int64, (n,))
        if self.embeddings is not None:
            self.embeddings = _array("embeddings", self.embeddings, np.float32, (n, None))
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            msg = "boxes and scores must be finite, got NaN or infinity"
            raise InputError(msg)

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Detections:
        """Return the detections that a mask, slice or index array selects."""
        embeddings = None if self.embeddings is None else self.embeddings[index]
        return Detections(self.boxes[index], self.scores[index], self.labels[index], embeddings)

    @classmethod
    def empty(cls, embed_dim: int | None = None) -> Detections:
        """No detections, with embeddings of width ``embed_dim`` (or none)."""
        embeddings = None if embed_dim is None else np.zeros((0, embed_dim), np.float32)
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), embeddings)


@dataclass(slots=True)
class Tracks:
    """The confirmed tracks of one frame.

    Attributes:
        boxes: ``(M, 4)`` float32 xyxy pixels, 0-based, from the motion filter after its update.
        ids: ``(M,)`` int64, positive, unique within the frame.
        scores: ``(M,)`` float32 confidence of the detection that was matched.
        labels: ``(M,)`` int64 class index.
        detection_indices: ``(M,)`` int64 row of the matched detection, -1 where none was matched in this frame.
    """

    boxes: FloatArray
    ids: IntArray
    scores: FloatArray
    labels: IntArray
    detection_indices: IntArray

    def __post_init__(self) -> None:
        """Validate dtypes and shapes.

        Raises:
            InputError: if an array has another shape than documented, or fractions where integers are needed.
        """
        self.boxes = _array("boxes", self.boxes, np.float32, (None, 4))
        m = len(self.boxes)
        self.ids = _array("ids", self.ids, np.int64, (m,))
        self.scores = _array("scores", self.scores, np.float32, (m,))
        self.labels = _array("labels", self.labels, np.int64, (m,))
        self.detection_indices = _array("detection_indices", self.detection_indices, np.int64, (m,))

    def __len__(self) -> int:
        """Number of tracks in the frame."""
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Tracks:
        """A frame without tracks."""
        integers = np.zeros(0, np.int64)
        return cls(np.zeros((0, 4), np.float32), integers, np.zeros(0, np.float32), integers.copy(), integers.copy())


@dataclass(slots=True)
class ValidationOutput:
    """What one validation step hands to the callbacks: the one forward pass that feeds every metric.

    Attributes:
        frames: the annotations of the ``B`` images, in original pixels.
        detections: the ``B`` detections after NMS, in original pixels, with unit-norm embeddings.
        losses: the loss terms of the batch by name, if the step computed them.
    """

    frames: list[FrameAnnotations]
    detections: list[Detections]
    losses: dict[str, float] = field(default_factory=dict)
