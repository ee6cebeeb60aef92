"""Boxes, labels and grids on BGR pictures, in sizes that follow the picture's own size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.plots.colors import CORRECT, GRAY, Color, identity_color, text_color
from jde_lightning.structures import Detections, FrameAnnotations, Role

Picture = npt.NDArray[np.uint8]

_FAR = 30_000
"""OpenCV draws with fixed-point numbers; a corner farther out than this wraps around."""


def line_width(picture: Picture) -> int:
    """Width of an outline in pixels: 3 at 1920 x 1080, never below 1."""
    return max(1, round(sum(picture.shape[:2]) / 1000))


def font_scale(picture: Picture) -> float:
    """Scale of OpenCV's Hershey font: about 0.6 at 1920 x 1080, never below what can be read."""
    return max(0.32, sum(picture.shape[:2]) / 5000)


def corners(box: npt.NDArray[Any]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Round an xyxy box to the two corner pixels that OpenCV takes."""
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.round(box), -_FAR, _FAR))
    return (x1, y1), (x2, y2)


def draw_box(picture: Picture, box: npt.NDArray[Any], color: Color, width: int) -> None:
    """Outline a box in place.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        box: ``(4,)`` xyxy pixels; may leave the picture.
        color: blue, green, red.
        width: of the line, in pixels.
    """
    first, second = corners(box)
    # Lines along the axes have no steps to smooth; anti-aliasing would only blur them.
    cv2.rectangle(picture, first, second, color, width, cv2.LINE_8)


def draw_dashed_box(picture: Picture, box: npt.NDArray[Any], color: Color, width: int) -> None:
    """Outline a box in place with a broken line; arguments as for :func:`draw_box`."""
    height, columns = picture.shape[:2]
    (x1, y1), (x2, y2) = corners(np.clip(box, [-1, -1, -1, -1], [columns, height, columns, height]))
    dash = 5 * width + 3
    for start in range(x1, x2, 2 * dash):
        end = min(start + dash, x2)
        cv2.line(picture, (start, y1), (end, y1), color, width, cv2.LINE_8)
        cv2.line(picture, (start, y2), (end, y2), color, width, cv2.LINE_8)
    for start in range(y1, y2, 2 * dash):
        end = min(start + dash, y2)
        cv2.line(picture, (x1, start), (x1, end), color, width, cv2.LINE_8)
        cv2.line(picture, (x2, start), (x2, end), color, width, cv2.LINE_8)


def draw_label(picture: Picture, text: str, anchor: tuple[int, int], color: Color, scale: float | None = None) -> None:
    """Write ``text`` in place on a filled ground that sits on ``anchor`` and never leaves the picture.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        text: one line, ASCII (the Hershey fonts know no more).
        anchor: left end and lower edge of the ground, pixels.
        color: of the ground; the text is black or white.
        scale: of the font; :func:`font_scale` of the picture if omitted.
    """
    scale = font_scale(picture) if scale is None else scale
    thickness, pad = _pen(scale)
    (x, top), (right, bottom) = label_corners(picture, text, anchor, scale)
    cv2.rectangle(picture, (x, top), (right, bottom), color, cv2.FILLED)
    _, baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    origin = (x + pad, bottom - baseline)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, text_color(color), thickness, cv2.LINE_AA)


def label_corners(
    picture: Picture, text: str, anchor: tuple[int, int], scale: float
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where :func:`draw_label` puts the ground of a label: its left upper and right lower corner, in pixels."""
    thickness, pad = _pen(scale)
    (width, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    x = min(max(anchor[0], 0), max(picture.shape[1] - width - 2 * pad, 0))
    bottom = min(max(anchor[1], height + baseline + pad), picture.shape[0])
    return (x, bottom - height - baseline - pad), (x + width + 2 * pad, bottom)


def _pen(scale: float) -> tuple[int, int]:
    """Thickness of the strokes of a label and the space around its text, in pixels."""
    return max(1, round(scale * 1.6)), max(1, round(scale * 4))


def class_name(label: int, class_names: Sequence[str]) -> str:
    """Name of a class, or its number where no name is known."""
    return class_names[label] if 0 <= label < len(class_names) else f"class {label}"


def draw_detections(
    picture: Picture, detections: Detections, class_names: Sequence[str] = (), color: Color = CORRECT
) -> Picture:
    """Draw the boxes of a detector with their scores, and with class names if there is more than one class.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR; stays as it is.
        detections: in the pixels of ``picture``.
        class_names: name of each class index.
        color: of all boxes.

    Returns:
        A new picture.
    """
    drawn = picture.copy()
    width = line_width(drawn)
    for box, score, label in zip(detections.boxes, detections.scores, detections.labels, strict=True):
        draw_box(drawn, box, color, width)
        name = f"{class_name(int(label), class_names)} " if len(class_names) > 1 else ""
        draw_label(drawn, f"{name}{score:.2f}", corners(box)[0], color)
    return drawn


def draw_annotations(picture: Picture, annotations: FrameAnnotations) -> Picture:
    """Draw what is annotated: objects in the colour of their identity, everything else broken and gray.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR; stays as it is.
        annotations: of the same image, in its original pixels.

    Returns:
        A new picture.
    """
    drawn = picture.copy()
    width = line_width(drawn)
    for box, identity, role in zip(annotations.boxes, annotations.identities, annotations.roles, strict=True):
        if role != Role.POSITIVE:
            draw_dashed_box(drawn, box, GRAY, width)
            continue
        color = identity_color(int(identity))
        draw_box(drawn, box, color, width)
        if identity >= 0:
            draw_label(drawn, str(int(identity)), corners(box)[0], color)
    return drawn


def grid(pictures: Sequence[Picture], tile: int) -> Picture:
    """Arrange pictures in rows, each scaled to fit a square of ``tile`` pixels, in a grid about as wide as it is high.

    Args:
        pictures: ``(H, W, 3)`` uint8 BGR each, of any sizes; none gives one empty tile.
        tile: longest side of a picture in the grid, in pixels.

    Returns:
        ``(rows * h, columns * w, 3)`` uint8 BGR, where ``h`` and ``w`` are those of the largest scaled picture.
    """
    scaled = []
    for picture in pictures:
        gain = tile / max(picture.shape[:2])
        size = (max(1, round(picture.shape[1] * gain)), max(1, round(picture.shape[0] * gain)))
        scaled.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR))
    if not scaled:
        return np.full((tile, tile, 3), 114, np.uint8)
    height = max(p.shape[0] for p in scaled)
    width = max(p.shape[1] for p in scaled)
    columns = math.ceil(math.sqrt(len(scaled) * height / width))
    columns = min(columns, len(scaled))
    rows = math.ceil(len(scaled) / columns)
    out = np.full((rows * height, columns * width, 3), 114, np.uint8)
    for index, picture in enumerate(scaled):
        top, left = index // columns * height, index % columns * width
        out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return out


def as_jpeg(picture: Picture, quality: int = 90) -> bytes:
    """Encode a picture, as notebooks show it: ``IPython.display.Image(as_jpeg(picture))``.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        quality: 0 to 100.
    """
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
