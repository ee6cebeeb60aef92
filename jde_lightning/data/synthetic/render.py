"""Frames of a street with its people, and what is annotated in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.data.synthetic.camera import Camera, Window
from jde_lightning.data.synthetic.figure import Figure, draw_figure
from jde_lightning.data.synthetic.street import CAR, OCCLUDER, PERSON, Standing, Street
from jde_lightning.data.synthetic.walkers import Crowd
from jde_lightning.structures import FrameAnnotations, Role

_NOISE_MARGIN = 64
Row = tuple[int, int, tuple[int, int, int, int], float, tuple[float, ...]]
"""Identity, category, box, visible share and head of one annotation."""


class RenderedFrame:
    """One picture and its ground truth.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR.
        identities: ``(N,)`` int64, from 1, unique within the sequence over all categories.
        categories: ``(N,)`` int64 class of MOTChallenge: 1 pedestrian, 3 car, 7 static person, 8 mannequin or
            picture, 9 occluder, 13 crowd.
        boxes: ``(N, 4)`` int64 xyxy pixels, 0-based, ``right`` and ``bottom`` behind the last pixel, unclipped: the
            whole body, however much of it is hidden.
        visibility: ``(N,)`` float64 share of its pixels that is to be seen.
        heads: ``(N, 4)`` float64 xyxy pixels of the head, NaN where there is none.
    """

    def __init__(
        self, image: np.ndarray, rows: list[Row],
        indices: np.ndarray, names: np.ndarray,
    ) -> None:  # fmt: skip
        self.image, self._indices, self._names = image, indices, names
        self.identities = np.array([row[0] for row in rows], np.int64)
        self.categories = np.array([row[1] for row in rows], np.int64)
        self.boxes = np.array([row[2] for row in rows], np.int64).reshape(-1, 4)
        self.visibility = np.array([row[3] for row in rows], np.float64)
        self.heads = np.array([row[4] for row in rows], np.float64).reshape(-1, 4)

    @property
    def owners(self) -> np.ndarray:
        """``(H, W)`` int64 identity that each pixel belongs to, 0 for the street and what is not annotated in it."""
        return self._names[self._indices]

    def visible_box(self, row: int) -> tuple[int, int, int, int] | None:
        """Pixels (xyxy) around what is to be seen of a row, ``None`` where that is nothing."""
        left, top, right, bottom = (int(v) for v in self.boxes[row])
        x0, y0 = max(left, 0), max(top, 0)
        region = self._names[self._indices[y0 : max(bottom, 0), x0 : max(right, 0)]] == self.identities[row]
        if not region.any():
            return None
        x, y, w, h = cv2.boundingRect(region.astype(np.uint8))
        return x0 + x, y0 + y, x0 + x + w, y0 + y + h

    def annotations(
        self, image_path: Path, dataset: str = "synthetic", sequence: str | None = None, frame: int = 0
    ) -> FrameAnnotations:
        """The ground truth as the package's readers would deliver it.

        Args:
            image_path: name of the image; no file needs to exist.
            dataset: name of the dataset.
            sequence: name of the sequence.
            frame: number of the frame.
        """
        roles = np.full(len(self.identities), Role.IGNORE, np.int8)
        roles[self.categories == PERSON] = Role.POSITIVE
        roles[np.isin(self.categories, (CAR, OCCLUDER))] = Role.OTHER
        return FrameAnnotations(
            image_path=image_path,
            width=self.image.shape[1],
            height=self.image.shape[0],
            boxes=self.boxes.astype(np.float32),
            labels=np.zeros(len(roles), np.int64),
            identities=self.identities,
            roles=roles,
            visibility=self.visibility.astype(np.float32),
            dataset=dataset,
            sequence=sequence,
            frame=frame,
        )


class Renderer:
    """Renders the frames of one street one after the other.

    Args:
        street: background and camera.
        crowd: the people.
        rng: source of sensor noise and exposure.
    """

    def __init__(self, street: Street, crowd: Crowd, rng: np.random.Generator) -> None:
        self._street, self._crowd, self._rng = street, crowd, rng
        self._depths = np.array([-s.z for s in street.standing])
        self._canvas = cv2.cvtColor(street.image, cv2.COLOR_BGR2BGRA)
        self._identities: dict[object, int] = {}
        self._noise = float(rng.uniform(2.0, 5.0))
        self._exposure = float(rng.uniform(0, 6))

    def frames(self, count: int, frame_rate: float) -> Iterator[RenderedFrame]:
        """Render ``count`` frames; the crowd moves on after each."""
        for index in range(count):
            yield self.frame(index / frame_rate)
            self._crowd.step(1 / frame_rate)

    def frame(self, seconds: float) -> RenderedFrame:
        """Render the street and the crowd as they are now; ``seconds`` moves the camera and the exposure."""
        street = self._street
        window = street.path.at(seconds)
        image, layers = self._background(window)
        owners = layers.astype(np.int16)
        camera = street.camera.through(window)
        figures = [
            (walker, draw_figure(walker.look, walker.stance(), camera))
            for walker in sorted(self._crowd.walkers, key=lambda w: -w.position[1])
            if walker.position[1] > 1.0
        ]
        self._cast_shadows(image, layers, [figure for _, figure in figures], camera)
        first = len(street.standing) + 1
        for index, (walker, figure) in enumerate(figures):
            rank = int(np.searchsorted(self._depths, -walker.position[1]))
            hidden_by = layers if rank < len(self._depths) else None
            figure.sprite.blend(image, owners, first + index, hidden_by, rank)
        rows, names = [], np.zeros(first + len(figures), np.int64)
        for index, standing in enumerate(street.standing):
            row = self._standing_row(standing, index + 1, owners, window)
            if row is not None:
                names[index + 1] = row[0]
                rows.append(row)
        for index, (walker, figure) in enumerate(figures):
            row = self._figure_row(walker, figure, first + index, owners)
            if row is not None:
                names[first + index] = row[0]
                rows.append(row)
        return RenderedFrame(self._expose(image, seconds), sorted(rows), owners, names)

    def _background(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        street, path = self._street, self._street.path
        if not path.moving:
            return street.image.copy(), street.layers
        matrix, size = window.matrix(), (path.width, path.height)
        # OpenCV is three times faster on four channels than on three.
        image = cv2.warpAffine(self._canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), cv2.warpAffine(
            street.layers, matrix, size, flags=cv2.INTER_NEAREST
        )

    def _overlaps(self, box: tuple[int, int, int, int]) -> bool:
        path = self._street.path
        return box[0] < path.width and box[1] < path.height and box[2] > 0 and box[3] > 0

    def _identity(self, thing: object) -> int:
        """Number of a person or thing, counted in the order of appearance."""
        return self._identities.setdefault(thing, len(self._identities) + 1)

    def _standing_row(self, standing: Standing, index: int, owners: np.ndarray, window: Window) -> Row | None:
        if standing.category == 0:
            return None
        zoom, shift = window.zoom, (window.dx, window.dy) * 2
        x1, y1, x2, y2 = (round(edge * zoom + move) for edge, move in zip(standing.box, shift, strict=True))
        box = (x1, y1, x2, y2)
        if not self._overlaps(box):
            return None
        head: tuple[float, ...] = (np.nan,) * 4
        if standing.head is not None:
            head = tuple(edge * zoom + move for edge, move in zip(standing.head, shift, strict=True))
        share = min(_visible(owners, box, index) / (standing.area * zoom * zoom), 1.0)
        return self._identity(index), standing.category, box, share, head

    def _figure_row(self, walker: object, figure: Figure, index: int, owners: np.ndarray) -> Row | None:
        solid = figure.sprite.solid()
        x, y, w, h = cv2.boundingRect(solid.view(np.uint8))
        left, top = figure.sprite.left + x, figure.sprite.top + y
        box = (left, top, left + w, top + h)
        if w == 0 or not self._overlaps(box):
            return None
        share = _visible(owners, box, index) / int(np.count_nonzero(solid))
        return self._identity(walker), PERSON, box, share, figure.head

    def _cast_shadows(self, image: np.ndarray, layers: np.ndarray, figures: list[Figure], camera: Camera) -> None:
        """Darken the ground where bodies keep the sun away, at half resolution; things that stand on it stay lit."""
        day, (height, width) = self._street.day, layers.shape
        top = min(max(int(camera.horizon), 0), height - 2)
        shade = np.full(((height - top + 1) // 2, (width + 1) // 2), 255, np.uint8)
        for figure in figures:
            _shadow(shade, figure, day.sun, top, round(255 * (1 - day.shadow)))
        shade = cv2.blur(shade, (3, 3))
        shade = cv2.resize(shade, (width, height - top), interpolation=cv2.INTER_LINEAR)
        shade = cv2.max(shade, cv2.compare(layers[top:], 0, cv2.CMP_GT))
        ground = image[top:]
        ground[:] = cv2.multiply(ground, cv2.cvtColor(shade, cv2.COLOR_GRAY2BGR), scale=1 / 255)

    def _expose(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """Slowly changing exposure and sensor noise."""
        gain = 1.0 + 0.025 * np.sin(0.9 * seconds + self._exposure)
        height, width = image.shape[:2]
        y, x = self._rng.integers(0, _NOISE_MARGIN, 2)
        noise = sensor_noise(height, width)[y : y + height, x : x + width]
        return cv2.addWeighted(image, gain, noise, self._noise / 16, -128 * self._noise / 16)


def _visible(owners: np.ndarray, box: tuple[int, int, int, int], index: int) -> int:
    """How many pixels in a box belong to ``index``."""
    left, top, right, bottom = box
    # One pixel more on each side: the boxes of painted things are rounded when the camera moves.
    region = owners[max(top - 1, 0) : max(bottom + 1, 0), max(left - 1, 0) : max(right + 1, 0)]
    return int(np.count_nonzero(region == index))


def _shadow(shade: np.ndarray, figure: Figure, sun: tuple[float, float], top: int, dark: int) -> None:
    """Draw the shadow of one figure into a half-size map that begins at row ``top`` of the frame."""
    bones, camera = figure.bones, figure.camera
    unit = camera.focal / bones.pelvis[2] / 2

    def on_ground(joint: tuple[float, float, float]) -> tuple[int, int]:
        x, y, z = joint
        column, row = camera.project(x + sun[0] * y, 0.0, z + sun[1] * y)
        return round(column * 8), round((row - top) * 8)

    pelvis, neck = on_ground(bones.pelvis), on_ground(bones.neck)
    # The ground is seen at a flat angle: what lies on it is lower than broad.
    flat = 0.35 + 0.3 * abs(sun[1])
    thick = max(round(0.16 * flat * unit), 1)
    for side in (0, 1):
        knee, ankle = on_ground(bones.knees[side]), on_ground(bones.ankles[side])
        cv2.line(shade, pelvis, knee, dark, thick, cv2.LINE_8, 4)
        cv2.line(shade, knee, ankle, dark, max(thick - 1, 1), cv2.LINE_8, 4)
        axes = (round(0.17 * unit * 16), round(0.05 * unit * 16))
        cv2.ellipse(shade, ankle, axes, 0, 0, 360, max(dark - 30, 0), -1, cv2.LINE_8, 4)
        hand = on_ground(bones.hands[side])
        cv2.line(shade, neck, hand, dark, max(round(0.08 * flat * unit), 1), cv2.LINE_8, 4)
    cv2.line(shade, pelvis, neck, dark, max(round(0.42 * flat * unit), 1), cv2.LINE_8, 4)
    axes = (round(0.11 * unit * 16), round(0.11 * flat * unit * 16))
    cv2.ellipse(shade, on_ground(bones.head), axes, 0, 0, 360, dark, -1, cv2.LINE_8, 4)


@lru_cache(maxsize=2)
def sensor_noise(height: int, width: int) -> np.ndarray:
    """``(height + 64, width + 64, 3)`` uint8 Gaussian noise of mean 128 and deviation 16, always the same."""
    rng = np.random.default_rng(7)
    shape = (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3)
    return np.clip(128 + 16 * rng.standard_normal(shape, np.float32), 0, 255).astype(np.uint8)
