"""Pictures of an identity switch: the person with both tracks, close up and in the whole frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.plots.canvas import Picture, corners, draw_box, draw_dashed_box, draw_label
from jde_lightning.plots.colors import GRAY, Color

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
PERSON: Color = (115, 158, 0)
OLD_TRACK: Color = (0, 159, 230)
NEW_TRACK: Color = (178, 114, 0)

_PAPER = 238
"""Grey of the ground where there is no image."""
_PADDING = 114
"""Grey of a crop's part outside of the image."""

Box = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SwitchFrame:
    """What there is to draw in one frame.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR; ``None`` draws on paper.
        size: width and height of the frame in pixels.
        person: ``(4,)`` xyxy ground truth of the person, ``None`` where it is not annotated.
        old: ``(4,)`` xyxy box of the old track, ``None`` where it has none.
        new: ``(4,)`` xyxy box of the new track, ``None`` where it has none.
        others: ``(N, 4)`` xyxy boxes of all other tracks.
        other_ids: ``(N,)`` their ids.
        names: what to call the person, the old and the new track; ASCII.
    """

    image: Picture | None
    size: tuple[int, int]
    person: Box | None
    old: Box | None
    new: Box | None
    others: Box
    other_ids: npt.NDArray[np.int64]
    names: tuple[str, str, str]


def draw_whole_frame(frame: SwitchFrame, width: int = 480) -> Picture:
    """Draw a frame as a thumbnail.

    Args:
        frame: what to draw.
        width: of the picture, in pixels.

    Returns:
        ``(h, width, 3)`` uint8 BGR in the frame's aspect ratio.
    """
    gain = width / frame.size[0]
    size = (width, max(1, round(frame.size[1] * gain)))
    if frame.image is None:
        drawn = np.full((size[1], size[0], 3), _PAPER, np.uint8)
    else:
        drawn = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    return _draw(drawn, frame, np.zeros(2), gain, named=False)


def draw_close_up(
    frame: SwitchFrame, center: npt.NDArray[Any], side: float, size: int = 480, *, named: bool = True
) -> Picture:
    """Draw the square around a point.

    Args:
        frame: what to draw.
        center: ``(2,)`` x and y of the middle, in pixels of the frame.
        side: of the square, in pixels of the frame; at least 1.
        size: of the picture, in pixels.
        named: whether boxes have labels.

    Returns:
        ``(size, size, 3)`` uint8 BGR.
    """
    gain = size / side
    corner = np.asarray(center, float) - side / 2
    if frame.image is None:
        drawn = np.full((size, size, 3), _PADDING, np.uint8)
        (left, top), (right, bottom) = corners(np.concatenate([-corner, frame.size - corner]) * gain)
        drawn[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = _PAPER
    else:
        transform = np.array([[gain, 0, -corner[0] * gain], [0, gain, -corner[1] * gain]])
        # Area averaging is not offered by the warp; a blur first keeps a strong reduction from flickering.
        sigma = 0.4 / gain
        image = cv2.GaussianBlur(frame.image, (0, 0), sigma) if gain < 0.5 else frame.image
        border = (_PADDING,) * 3
        drawn = cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR, borderValue=border)
    return _draw(drawn, frame, corner, gain, named=named)


def _draw(drawn: Picture, frame: SwitchFrame, corner: npt.NDArray[Any], gain: float, *, named: bool) -> Picture:
    """Draw the boxes in place, in pixels of the picture; the person's box is broken, so that tracks show through."""
    width = max(1, round(max(drawn.shape[:2]) / 200))
    scale = max(0.35, max(drawn.shape[:2]) / 900)

    def moved(box: Box) -> Box:
        return (box - np.concatenate([corner, corner])) * gain

    for box, identity in zip(frame.others, frame.other_ids, strict=True):
        draw_box(drawn, moved(box), GRAY, max(1, width // 2))
        if named:
            draw_label(drawn, str(int(identity)), corners(moved(box))[0], GRAY, 0.8 * scale)
    boxes = (frame.person, frame.old, frame.new)
    for box, color, draw in zip(boxes, (PERSON, OLD_TRACK, NEW_TRACK), (_dashed, draw_box, draw_box), strict=True):
        if box is not None:
            draw(drawn, moved(box), color, width)
    if named:
        _draw_labels(drawn, [None if box is None else moved(box) for box in boxes], frame.names, scale)
    return drawn


def _draw_labels(drawn: Picture, boxes: list[Box | None], names: tuple[str, str, str], scale: float) -> None:
    """Name person, old and new track in three places, since their boxes nearly coincide: above, below, further below.

    Args:
        drawn: the picture.
        boxes: of the three, in pixels of the picture.
        names: of the three.
        scale: of the font.
    """
    (_, height), baseline = cv2.getTextSize(names[0], cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    line = height + baseline + 5
    person, old, new = boxes
    if old is not None:
        draw_label(drawn, names[1], corners(old)[0], OLD_TRACK, scale)
    below = max((corners(box)[1][1] for box in boxes if box is not None), default=0) + line
    # Where the feet are cut off, both labels must still find a place.
    below = min(below, drawn.shape[0] - line)
    if new is not None:
        draw_label(drawn, names[2], (corners(new)[0][0], below), NEW_TRACK, scale)
    if person is not None:
        draw_label(drawn, names[0], (corners(person)[0][0], below + line), PERSON, scale)


def _dashed(picture: Picture, box: Box, color: Color, width: int) -> None:
    """Outline the person's box: broken, and wider than the tracks' lines, which would cover it."""
    draw_dashed_box(picture, box, color, 2 * width)
