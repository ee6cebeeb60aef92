"""Pictures of what training sees and of what validation finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import area, intersection, iou
from jde_lightning.plots.canvas import (
    Picture,
    corners,
    draw_box,
    draw_dashed_box,
    draw_label,
    font_scale,
    grid,
    line_width,
)
from jde_lightning.plots.colors import CORRECT, FALSE_POSITIVE, GRAY, MISSED, WHITE, identity_color
from jde_lightning.structures import Detections, FrameAnnotations


def draw_training_batch(
    images: npt.NDArray[np.uint8],
    boxes: npt.NDArray[Any],
    identities: npt.NDArray[np.int64],
    batch_idx: npt.NDArray[np.int64],
    max_images: int = 16,
    tile: int = 640,
) -> Picture:
    """Draw a batch as the network gets it, with the identities that can form positive pairs made prominent.

    A box whose identity occurs more than once in the whole batch (also in images that are not shown) is drawn thick,
    with its number; all others are thin. A batch without a thick box teaches the embedding nothing.

    Args:
        images: ``(B, 3, H, W)`` uint8 RGB.
        boxes: ``(N, 4)`` xyxy pixels of ``images``.
        identities: ``(N,)`` training identity of each box, -1 where there is none.
        batch_idx: ``(N,)`` image of each box.
        max_images: how many images to show, the first ones.
        tile: side of one image in the mosaic, in pixels.

    Returns:
        ``(h, w, 3)`` uint8 BGR.
    """
    images, boxes, identities, batch_idx = (np.asarray(a) for a in (images, boxes, identities, batch_idx))
    values, inverse, counts = np.unique(identities, return_inverse=True, return_counts=True)
    recurring = (counts > 1)[inverse.reshape(-1)] & (identities >= 0) if len(values) else np.zeros(0, bool)
    pictures = []
    for index, image in enumerate(images[:max_images]):
        gain = tile / max(image.shape[1:])
        bgr = np.ascontiguousarray(image.transpose(1, 2, 0)[..., ::-1])
        picture = cv2.resize(bgr, (round(image.shape[2] * gain), round(image.shape[1] * gain)))
        rows = np.flatnonzero(batch_idx == index)
        for row in sorted(rows, key=lambda r: bool(recurring[r])):
            _draw_training_box(picture, boxes[row] * gain, int(identities[row]), bool(recurring[row]))
        pictures.append(picture)
    return grid(pictures, tile)


def _draw_training_box(picture: Picture, box: npt.NDArray[Any], identity: int, recurring: bool) -> None:
    """Draw one box of a training image in place: thick with its number if the identity recurs, thin otherwise."""
    color = identity_color(identity)
    if not recurring:
        draw_box(picture, box, color, 1)
        return
    draw_box(picture, box, color, line_width(picture) + 2)
    draw_label(picture, str(identity), corners(box)[0], color)


def draw_validation(
    images: Sequence[Picture],
    detections: Sequence[Detections],
    annotations: Sequence[FrameAnnotations],
    iou_threshold: float = 0.5,
    min_score: float = 0.25,
    tile: int = 960,
) -> Picture:
    """Draw detections beside the truth: what was found, what was found wrongly, what was missed.

    Args:
        images: ``(H, W, 3)`` uint8 BGR, original size.
        detections: of the same images, in original pixels.
        annotations: of the same images, in original pixels.
        iou_threshold: overlap from which on a detection counts as the annotated object.
        min_score: detections below are left out.
        tile: longest side of one image in the grid, in pixels.

    Returns:
        ``(h, w, 3)`` uint8 BGR: a grid of the images over one line of legend.
    """
    pictures = []
    for image, found, truth in zip(images, detections, annotations, strict=True):
        gain = tile / max(image.shape[:2])
        picture = cv2.resize(image, (round(image.shape[1] * gain), round(image.shape[0] * gain)))
        _draw_validation_frame(picture, found[found.scores >= min_score], truth, gain, iou_threshold)
        pictures.append(picture)
    return _with_legend(grid(pictures, tile))


def _draw_validation_frame(
    picture: Picture, detections: Detections, truth: FrameAnnotations, gain: float, iou_threshold: float
) -> None:
    """Draw one frame of :func:`draw_validation` in place; boxes are scaled by ``gain``."""
    objects = truth.boxes[truth.positive]
    matched = match_boxes(detections, objects, iou_threshold)
    # A detection that lies for the most part on an ignore region is neither right nor wrong.
    covered = (
        intersection(detections.boxes, truth.boxes[truth.ignore]) / np.maximum(area(detections.boxes), 1e-6)[:, None]
    )
    ignored = (matched < 0) & (covered > 0.5).any(axis=1)
    width = line_width(picture)
    for box in truth.boxes[truth.ignore]:
        draw_dashed_box(picture, box * gain, GRAY, 1)
    for row in np.setdiff1d(np.arange(len(objects)), matched):
        draw_dashed_box(picture, objects[row] * gain, MISSED, width)
    for row in np.argsort(detections.scores, kind="stable"):
        color = CORRECT if matched[row] >= 0 else GRAY if ignored[row] else FALSE_POSITIVE
        box = detections.boxes[row] * gain
        draw_box(picture, box, color, width)
        draw_label(picture, f"{detections.scores[row]:.2f}", corners(box)[0], color, scale=font_scale(picture) * 0.8)


def match_boxes(
    detections: Detections, objects: npt.NDArray[np.float32], iou_threshold: float
) -> npt.NDArray[np.int64]:
    """Match detections to objects one to one, the most confident detection first, each to the best that is left.

    Args:
        detections: ``N`` detections.
        objects: ``(M, 4)`` xyxy pixels.
        iou_threshold: least overlap of a match.

    Returns:
        ``(N,)`` row of the matched object, -1 where there is none.
    """
    matched = np.full(len(detections), -1, np.int64)
    if not len(objects):
        return matched
    overlap = iou(detections.boxes, objects)
    for row in np.argsort(-detections.scores, kind="stable"):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= iou_threshold:
            matched[row] = best
            overlap[:, best] = -1
    return matched


def _with_legend(picture: Picture) -> Picture:
    """Add a line under a picture that says what the colours mean."""
    scale = min(0.6, max(0.3, picture.shape[1] / 1600))
    strip = np.full((round(50 * scale), picture.shape[1], 3), WHITE, np.uint8)
    left = 4
    for text, color in (
        ("found", CORRECT),
        ("wrong", FALSE_POSITIVE),
        ("missed (dashed)", MISSED),
        ("ignored", GRAY),
    ):
        draw_label(strip, text, (left, strip.shape[0] - 2), color, scale)
        left += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] + round(40 * scale)
    return np.concatenate([picture, strip])
