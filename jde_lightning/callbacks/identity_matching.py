"""Which detection shows which annotated identity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jde_lightning.metrics.box_matching import match_one_to_one
from jde_lightning.structures import NO_IDENTITY, FloatArray, IntArray, ValidationOutput


class MatchedImage(NamedTuple):
    """The detections of one image whose identity is known.

    Attributes:
        key: the image, see :attr:`~jde_lightning.structures.FrameAnnotations.key`.
        embeddings: ``(N, D)``.
        identities: ``(N,)`` as annotated in the sequence (or dataset).
    """

    key: tuple[str, str, int, str]
    embeddings: FloatArray
    identities: IntArray


class MatchedEmbeddings:
    """Collects the embeddings of detections that match an annotated identity, over a whole validation.

    Args:
        conf: lowest confidence of a detection.
        iou: lowest overlap of a detection and its annotation.
    """

    def __init__(self, conf: float, iou: float) -> None:
        self.conf = conf
        self.iou = iou
        self._images: list[MatchedImage] = []

    def collect(self, output: ValidationOutput) -> None:
        """Match one batch: one to one, the largest sum of overlaps, in each image."""
        for frame, found in zip(output.frames, output.detections, strict=True):
            known = frame.positive & (frame.identities != NO_IDENTITY)
            sure = found.scores >= self.conf
            if found.embeddings is None or not known.any() or not sure.any():
                continue
            rows, columns = match_one_to_one(found.boxes[sure], frame.boxes[known], self.iou)
            embeddings, identities = found.embeddings[sure][rows], frame.identities[known][columns]
            self._images.append(MatchedImage(frame.key, embeddings, identities))

    def images(self) -> list[MatchedImage]:
        """What was collected, to be gathered from all ranks."""
        return self._images


def join(parts: list[list[MatchedImage]]) -> tuple[FloatArray, IntArray]:
    """Join the collections of all ranks, in an order that does not depend on who had which image.

    Args:
        parts: what :meth:`MatchedEmbeddings.images` returned on each rank.

    Returns:
        Embeddings ``(N, D)`` and identities ``(N,)`` that are unique over all sequences.
    """
    images = sorted((image for part in parts for image in part), key=lambda image: image.key)
    if not images:
        return np.zeros((0, 1), np.float32), np.zeros(0, np.int64)
    scopes = [image.key[:2] for image in images]
    number = {scope: position for position, scope in enumerate(dict.fromkeys(scopes))}
    counts = [len(image.identities) for image in images]
    pairs = np.stack(
        [
            np.repeat([number[scope] for scope in scopes], counts),
            np.concatenate([image.identities for image in images]),
        ],
        axis=1,
    )
    _, identities = np.unique(pairs, axis=0, return_inverse=True)
    return np.concatenate([image.embeddings for image in images]), identities.reshape(-1).astype(np.int64)
