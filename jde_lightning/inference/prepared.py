"""Images of any sizes as batches of one size each, and detections back in the images' own pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.structures import Detections, Letterbox

ImageArray = npt.NDArray[np.uint8]


class PreparedImages(NamedTuple):
    """Images as the network takes them.

    Attributes:
        batches: per shape ``(B, 3, H, W)`` float32 RGB in 0..1: a tensor on the device, or an array.
        indices: per shape which of the images they are.
        letterboxes: per image how it was fitted into the input.
    """

    batches: list[Any]
    indices: list[list[int]]
    letterboxes: list[Letterbox]


def prepare_images(
    images: Sequence[ImageArray],
    fit: Callable[[ImageArray], tuple[ImageArray, Letterbox]],
    to_input: Callable[[list[ImageArray]], Any],
) -> PreparedImages:
    """Fit images into the network's input, one batch per shape.

    Args:
        images: ``(H, W, 3)`` uint8 BGR each, of any sizes.
        fit: letterboxes one image.
        to_input: turns fitted images of one shape into the network's input.

    Returns:
        The batches, and how the images were fitted.
    """
    fitted = [fit(image) for image in images]
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, (image, _) in enumerate(fitted):
        by_shape.setdefault(image.shape, []).append(index)
    groups = list(by_shape.values())
    batches = [to_input([fitted[i][0] for i in indices]) for indices in groups]
    return PreparedImages(batches, groups, [box for _, box in fitted])


def restore_order(found: Sequence[Sequence[Detections]], prepared: PreparedImages) -> list[Detections]:
    """Put the detections of all batches into the order and the pixels of the images.

    Args:
        found: per batch and image, in pixels of the network's input.
        prepared: what :func:`prepare_images` returned.

    Returns:
        Per image its detections in original pixels.
    """
    by_image: dict[int, Detections] = {}
    for batch, indices in zip(found, prepared.indices, strict=True):
        by_image.update(zip(indices, batch, strict=True))
    return [
        Detections(box.to_image(each.boxes), each.scores, each.labels, each.embeddings)
        for each, box in ((by_image[i], box) for i, box in enumerate(prepared.letterboxes))
    ]
