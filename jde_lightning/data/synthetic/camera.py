"""A pinhole camera over flat ground, and how it moves.

The world is in metres: ``X`` to the right, ``Y`` up from the ground, ``Z`` away from the camera. The image plane stays
vertical (the camera is shifted, not tilted), so that upright lines stay upright and a pan, a jitter or a zoom is one
similarity of the whole picture: the street is painted once on a larger canvas, and each frame is a window of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Camera(NamedTuple):
    """Projection of the world to pixels (continuous coordinates; pixel ``i`` covers ``i`` to ``i + 1``).

    Attributes:
        focal: focal length in pixels.
        height: metres above the ground.
        centre: column of the vanishing point in pixels.
        horizon: row of the horizon in pixels.
    """

    focal: float
    height: float
    centre: float
    horizon: float

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return column and row of a world point in pixels; ``z`` must be positive."""
        scale = self.focal / z
        return self.centre + x * scale, self.horizon + (self.height - y) * scale

    def across(self, column: float, z: float) -> float:
        """World ``X`` in metres of the points at depth ``z`` that appear in ``column``."""
        return (column - self.centre) * z / self.focal

    def through(self, window: Window) -> Camera:
        """The camera of the frame that ``window`` cuts out of the canvas."""
        return Camera(
            self.focal * window.zoom,
            self.height,
            self.centre * window.zoom + window.dx,
            self.horizon * window.zoom + window.dy,
        )


class Window(NamedTuple):
    """Which part of the canvas a frame shows: ``frame = canvas * zoom + (dx, dy)``, in pixels."""

    zoom: float
    dx: float
    dy: float

    def matrix(self) -> np.ndarray:
        """The ``(2, 3)`` float64 matrix for ``cv2.warpAffine``, canvas to frame, between pixel centres."""
        half = 0.5 * self.zoom - 0.5
        return np.array([[self.zoom, 0.0, self.dx + half], [0.0, self.zoom, self.dy + half]])


class CameraPath:
    """A smooth path of the window over the canvas: slow pan, hand-held jitter, slight zoom; or no motion at all.

    Args:
        rng: source of the amplitudes and phases.
        width: frame width in pixels.
        height: frame height in pixels.
        moving: whether the camera moves.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, moving: bool) -> None:
        self.width, self.height, self.moving = width, height, moving
        self.margin_x = round(0.16 * width) if moving else 0
        self.margin_y = round(0.05 * height) if moving else 0
        self._phases = rng.uniform(0, 2 * math.pi, 6)
        self._pan_period = rng.uniform(7.0, 12.0)
        self._jitter = rng.uniform(0.3, 1.0) * height / 384
        self._zoom = rng.uniform(0.02, 0.05)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Width and height in pixels of the canvas that holds every window of the path."""
        return self.width + 2 * self.margin_x, self.height + 2 * self.margin_y

    def at(self, seconds: float) -> Window:
        """The window at a time."""
        if not self.moving:
            return Window(1.0, 0.0, 0.0)
        a, b, c, d, e, f = self._phases
        turn = 2 * math.pi * seconds
        zoom = 1.0 + self._zoom * (1.0 + math.sin(turn / 9.0 + a))
        shake_x = self._jitter * (math.sin(1.7 * turn + b) + 0.6 * math.sin(2.9 * turn + c))
        shake_y = self._jitter * (math.sin(2.1 * turn + d) + 0.6 * math.sin(1.3 * turn + e))
        pan = 0.85 * self.margin_x * math.sin(turn / self._pan_period + f)
        tilt = 0.5 * self.margin_y * math.sin(turn / 5.0 + b)
        canvas_w, canvas_h = self.canvas_size
        # The window's centre may move as long as the window stays inside the canvas.
        room_x = canvas_w / 2 - self.width / 2 / zoom
        room_y = canvas_h / 2 - self.height / 2 / zoom
        x = canvas_w / 2 + min(max(pan + shake_x, -room_x), room_x)
        y = canvas_h / 2 + min(max(tilt + shake_y, -room_y), room_y)
        return Window(zoom, self.width / 2 - zoom * x, self.height / 2 - zoom * y)
