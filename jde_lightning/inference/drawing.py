"""Annotated frames: tracks with their identity and path."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from jde_lightning.plots.canvas import (
    Picture,
    class_name,
    corners,
    draw_annotations,
    draw_box,
    draw_detections,
    draw_label,
    font_scale,
    label_corners,
    line_width,
)
from jde_lightning.plots.colors import BLACK, identity_color
from jde_lightning.structures import Tracks

__all__ = ["Trails", "draw_annotations", "draw_detections", "draw_tracks"]


class Trails:
    """Where each identity stood in the last frames.

    Args:
        length: frames after which a point is forgotten.
    """

    def __init__(self, length: int = 30) -> None:
        self.length = length
        self._points: dict[int, deque[tuple[int, int, int]]] = {}
        self._now = 0

    def update(self, tracks: Tracks) -> None:
        """Add the middle of the lower edge of each box: where a person stands.

        Args:
            tracks: of the next frame.
        """
        self._now += 1
        for box, identity in zip(tracks.boxes, tracks.ids, strict=True):
            (x1, _), (x2, y2) = corners(box)
            self._points.setdefault(int(identity), deque()).append((self._now, (x1 + x2) // 2, y2))
        for identity, points in list(self._points.items()):
            while points and points[0][0] <= self._now - self.length:
                points.popleft()
            if not points:
                del self._points[identity]

    def __iter__(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Yield each identity with its points ``(x, y)`` in pixels, oldest first."""
        for identity, points in self._points.items():
            yield identity, [(x, y) for _, x, y in points]


def draw_tracks(
    image: Picture,
    tracks: Tracks,
    trails: Trails | None = None,
    frame_number: int | None = None,
    class_names: Sequence[str] = (),
) -> Picture:
    """Draw the tracks of a frame in the colours of their identities; sizes follow the size of the image.

    A label keeps off the labels of those who stand nearer: above the box, or else inside of it, at its other side or
    below it.

    Args:
        image: ``(H, W, 3)`` uint8 BGR; stays as it is.
        tracks: of this frame, in the pixels of ``image``.
        trails: paths up to this frame, drawn below the boxes.
        frame_number: written into the upper left corner.
        class_names: name of each class index; written if there is more than one class.

    Returns:
        A new picture.
    """
    drawn = image.copy()
    width = line_width(drawn)
    for identity, points in trails or ():
        path = np.array(points, np.int32).reshape(-1, 1, 2)
        cv2.polylines(drawn, [path], False, identity_color(identity), width, cv2.LINE_AA)
    # Whoever stands lower in the picture is nearer, and is drawn last; labels lie on top of all boxes.
    order = np.argsort(tracks.boxes[:, 3], kind="stable")
    for row in order:
        draw_box(drawn, tracks.boxes[row], identity_color(int(tracks.ids[row])), width)
    texts = [str(identity) for identity in tracks.ids]
    if len(class_names) > 1:
        texts = [f"{t} {class_name(int(k), class_names)}" for t, k in zip(texts, tracks.labels, strict=True)]
    scale = font_scale(drawn) * 1.4
    anchors = _place_labels(drawn, tracks, texts, order[::-1].tolist(), scale)
    for row in order:
        draw_label(drawn, texts[row], anchors[row], identity_color(int(tracks.ids[row])), scale)
    if frame_number is not None:
        draw_label(drawn, f"frame {frame_number}: {len(tracks)} tracks", (0, 0), BLACK, scale=font_scale(drawn) * 1.2)
    return drawn


def _place_labels(
    picture: Picture, tracks: Tracks, texts: Sequence[str], order: Sequence[int], scale: float
) -> dict[int, tuple[int, int]]:
    """Find a place for each label, one row after the other, that no earlier label covers.

    Returns:
        The anchor of each row's label. Where every place is taken, the label goes above its box all the same.
    """
    taken = np.zeros((len(texts), 4))
    anchors: dict[int, tuple[int, int]] = {}
    for done, row in enumerate(order):
        (x1, y1), (x2, y2) = corners(tracks.boxes[row])
        (left, top), (right, bottom) = label_corners(picture, texts[row], (x1, y1), scale)
        width, height = right - left, bottom - top
        aside = x2 - width
        places = [(x1, y1), (x1, y1 + height), (aside, y1), (aside, y1 + height), (x1, y2 + height), (x1, y2)]
        for anchor in places:
            (left, top), (right, bottom) = label_corners(picture, texts[row], anchor, scale)
            others = taken[:done]
            covers = (others[:, 0] < right) & (others[:, 2] > left) & (others[:, 1] < bottom) & (others[:, 3] > top)
            if not covers.any():
                break
        else:
            anchor = places[0]
            (left, top), (right, bottom) = label_corners(picture, texts[row], anchor, scale)
        anchors[int(row)] = anchor
        taken[done] = left, top, right, bottom
    return anchors
