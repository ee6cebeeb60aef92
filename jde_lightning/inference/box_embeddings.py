"""What describes the boxes of a table of embeddings: the detector with its own boxes, or with the annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import clip
from jde_lightning.data.images import letterbox, to_rgb_planes
from jde_lightning.errors import InputError
from jde_lightning.inference.annotated_frames import AnnotatedFrame
from jde_lightning.inference.embedding_collection import Describe
from jde_lightning.structures import Detections, FloatArray

if TYPE_CHECKING:
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.predictor import Predictor


def describe_detected(predictor: Predictor | OnnxPredictor) -> Describe:
    """Describe the boxes that the detector finds, as a tracker would get them.

    Args:
        predictor: detects and embeds.

    Raises:
        InputError: if its weights have no trained embedding.
    """
    _refuse_without_appearance(predictor)

    def describe(frames: Sequence[AnnotatedFrame]) -> list[Detections]:
        return predictor.detect([frame.image for frame in frames])

    return describe


def describe_annotated(predictor: Predictor) -> Describe:
    """Describe the annotated objects, found or not, each by its own best anchor; see :func:`embed_boxes`.

    Args:
        predictor: with the network.

    Raises:
        InputError: if its weights have no trained embedding.
    """
    _refuse_without_appearance(predictor)

    def describe(frames: Sequence[AnnotatedFrame]) -> list[Detections]:
        boxes = [frame.annotations.boxes[frame.annotations.positive] for frame in frames]
        return [found for found, _ in embed_boxes(predictor, [frame.image for frame in frames], boxes)]

    return describe


def embed_boxes(
    predictor: Predictor, images: Sequence[npt.NDArray[np.uint8]], boxes: Sequence[FloatArray]
) -> list[tuple[Detections, npt.NDArray[np.int64]]]:
    """Describe given boxes in images.

    One image after the other, in float32, with embeddings everywhere: what makes detection fast does not matter here.

    Args:
        predictor: with the network; its thresholds do not matter here.
        images: ``(H, W, 3)`` uint8 BGR each, of any sizes.
        boxes: per image ``(N, 4)`` float32 xyxy pixels.

    Returns:
        Per image the boxes that could be described, as they were given, and which rows of ``boxes`` they are; see
        :func:`~jde_lightning.models.box_embeddings.describe_boxes`.
    """
    import torch  # an exported network describes what it finds without it

    from jde_lightning.models.box_embeddings import describe_boxes

    network, described = predictor.network, []
    for image, wanted in zip(images, boxes, strict=True):
        fitted, fit = letterbox(image, predictor.image_size)
        batch = torch.from_numpy(to_rgb_planes(fitted))[None].to(predictor.device)
        batch = batch.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)
        inside = fit.to_network(clip(wanted, image.shape[1], image.shape[0]))
        with torch.inference_mode():
            found, rows = describe_boxes(network(batch), network.strides, [inside])[0]
        found.boxes = np.asarray(wanted, np.float32)[rows]
        described.append((found, rows))
    return described


def _refuse_without_appearance(predictor: Predictor | OnnxPredictor) -> None:
    if not predictor.appearance:
        msg = "these weights have no trained embedding, so there is nothing to describe boxes with; train with `fit`"
        raise InputError(msg)
