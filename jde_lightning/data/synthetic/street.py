"""A street: background, things that stand in it, and where people may walk."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from jde_lightning.data.synthetic.appearance import mannequin_appearance, random_appearance
from jde_lightning.data.synthetic.camera import Camera, CameraPath
from jde_lightning.data.synthetic.facades import ShopWindow, paint_row, paint_side_row
from jde_lightning.data.synthetic.figure import Figure, draw_figure
from jde_lightning.data.synthetic.ground import (
    DAYLIGHTS,
    GROUNDS,
    Surface,
    paint_ground,
    paint_sky,
    paint_stripe,
)
from jde_lightning.data.synthetic.pose import Stance
from jde_lightning.data.synthetic.props import PROPS, draw_prop
from jde_lightning.data.synthetic.sprites import Colour, Sprite, mixed

PERSON, CAR, STATIC_PERSON, DISTRACTOR, OCCLUDER, CROWD = 1, 3, 7, 8, 9, 13
"""Classes of MOTChallenge that occur."""

AWAY = np.pi / 2


class Standing(NamedTuple):
    """Something that is painted into the background.

    Attributes:
        category: MOTChallenge class, 0 where it is not annotated.
        z: world depth in metres.
        box: left, top, right, bottom in pixels of the canvas, unclipped.
        area: its pixels on the canvas, hidden and outside ones included.
        head: box of the head in pixels of the canvas, for people.
    """

    category: int
    z: float
    box: tuple[int, int, int, int]
    area: int
    head: tuple[float, float, float, float] | None = None


class Band(NamedTuple):
    """A stretch of ground that people walk on, in metres, and how often they walk along ``Z`` rather than ``X``."""

    z0: float
    z1: float
    inwards: float


class Street:
    """One scene without its walking people.

    Args:
        rng: source of everything that differs between scenes.
        width: frame width in pixels.
        height: frame height in pixels.
        moving: whether the camera moves.
        far_crowd: whether a crowd too far to tell apart may stand in the distance.

    Attributes:
        path: the camera's movement over the canvas.
        camera: projection to the pixels of the canvas.
        image: ``(Hc, Wc, 3)`` uint8 BGR canvas.
        layers: ``(Hc, Wc)`` uint8: which of ``standing`` is in front, counted from 1; 0 is the backdrop.
        standing: painted things, far ones first.
        bands: where people walk.
        limits: smallest and largest ``X`` in metres where people walk (walls).
        obstacles: ``(N, 4)`` foot ``X``, ``Z`` and keep-away half axes along both, in metres.
        day: the light.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, moving: bool, far_crowd: bool) -> None:
        self.path = CameraPath(rng, width, height, moving)
        canvas_w, canvas_h = self.path.canvas_size
        self.camera = Camera(
            focal=rng.uniform(1.25, 1.5) * height,
            height=rng.uniform(2.1, 3.2),
            centre=canvas_w / 2 + rng.uniform(-0.08, 0.08) * width,
            horizon=self.path.margin_y + rng.uniform(0.27, 0.36) * height,
        )
        self.day = DAYLIGHTS[int(rng.integers(len(DAYLIGHTS)))]
        self.image = np.zeros((canvas_h, canvas_w, 3), np.uint8)
        self.layers = np.zeros((canvas_h, canvas_w), np.uint8)
        self.standing: list[Standing] = []
        self.bands: list[Band] = []
        self.limits = (-1e6, 1e6)
        self._sketches: list[tuple[float, int, Sprite, tuple[float, float, float, float] | None]] = []
        self._feet: list[tuple[float, float, float, float]] = []

        paint_sky(self.image, self.camera.horizon, self.day, rng)
        layouts = (self._lay_out_boulevard, self._lay_out_plaza, self._lay_out_lane)
        layouts[int(rng.choice(3, p=[0.4, 0.35, 0.25]))](rng)
        if far_crowd:
            self._add_crowd(rng)
        self.obstacles = np.array(self._feet, np.float64).reshape(-1, 4)
        self._shade_ground()
        self._paint_standing()
        self.image = cv2.multiply(self.image, (*self.day.light, 1.0))

    @property
    def far(self) -> float:
        """Depth in metres behind which nobody walks."""
        return max(band.z1 for band in self.bands)

    def _lay_out_boulevard(self, rng: np.random.Generator) -> None:
        """Two pavements and a road with parked cars between them, seen from across the street."""
        front = rng.uniform(18.5, 21.5)
        kerb, far_kerb = rng.uniform(8.2, 9.2), rng.uniform(13.8, 14.8)
        windows = self._paint_front(rng, front)
        paving = _choose(rng, GROUNDS["slabs"])
        surfaces = [
            Surface("slabs", paving, 0.5, front),
            Surface("asphalt", _choose(rng, GROUNDS["asphalt"]), kerb, far_kerb),
        ]
        paint_ground(self.image, self.camera, surfaces, rng)
        for z in (kerb, far_kerb):
            self._stripe((-60, 60), (z - 0.1, z + 0.1), (196, 200, 202))
        middle = (kerb + far_kerb) / 2
        if rng.random() < 0.5:
            start = rng.uniform(-4, 3)
            for i in range(7):
                x = start + 0.95 * i
                self._stripe((x, x + 0.5), (kerb + 0.5, far_kerb - 0.5), (214, 218, 220))
        else:
            for x in np.arange(-30, 30, 3.0):
                self._stripe((x, x + 1.5), (middle - 0.07, middle + 0.07), (210, 214, 216))
        self.bands = [Band(5.2, kerb - 0.5, 0.1), Band(far_kerb + 0.5, front - 0.8, 0.1)]
        for z in (kerb + 1.1, far_kerb - 1.0):
            x = -self._half_view(z) + rng.uniform(-3, 3)
            while x < self._half_view(z):
                if rng.random() < (0.2 if z < 11 else 0.4):
                    self._add_prop(rng, "car", x, z)
                x += rng.uniform(5.0, 6.5)
        self._scatter(rng, ["lamp", "tree", "bin", "bollard", "bollard"], kerb - 0.3, kerb - 0.1, 2)
        self._scatter(rng, ["lamp", "tree", "bench", "billboard", "column", "bin"], far_kerb + 0.5, far_kerb + 0.8, 4)
        self._add_mannequins(rng, windows, front)

    def _lay_out_plaza(self, rng: np.random.Generator) -> None:
        """A paved square in front of houses."""
        front = rng.uniform(22, 32)
        windows = self._paint_front(rng, front)
        kind = "slabs" if rng.random() < 0.6 else "bricks"
        colours = GROUNDS[kind]
        surfaces = [Surface(kind, _choose(rng, colours), 0.5, front)]
        if rng.random() < 0.5:
            surfaces.append(Surface("asphalt", _choose(rng, GROUNDS["asphalt"]), front - 6, front - 2))
        x = rng.uniform(-6, 4)
        surfaces.append(Surface("bricks", _choose(rng, GROUNDS["bricks"]), 0.5, front - 6, x, x + rng.uniform(1.5, 3)))
        paint_ground(self.image, self.camera, surfaces, rng)
        self.bands = [Band(5.2, min(front - 7, 19.0), 0.45)]
        names = ["tree", "lamp", "column", "billboard", "bench", "planter", "bin", "bollard", "tree", "bench"]
        self._scatter(rng, names, 6.5, 10.0, 2)
        self._scatter(rng, names, 10.0, min(front - 6.5, 20), int(rng.integers(3, 7)))
        for car in np.arange(-16, 16, 6.5):
            if len(surfaces) == 3 and rng.random() < 0.5:
                self._add_prop(rng, "car", car + rng.uniform(-1, 1), front - 3.2)
        self._add_mannequins(rng, windows, front)

    def _lay_out_lane(self, rng: np.random.Generator) -> None:
        """A narrow street with houses on both sides, running away from the camera."""
        end, near = rng.uniform(30, 40), 2.2
        left, right = -rng.uniform(4.6, 7.0), rng.uniform(4.6, 7.0)
        self._paint_front(rng, end)
        for x in (left, right):
            top = 9.0
            corners = [self.camera.project(x, y, z) for y, z in ((top, near), (top, end), (0, end), (0, near))]
            paint_side_row(self.image, np.array(corners), end - near, top, rng)
        surfaces = [Surface("bricks", _choose(rng, GROUNDS["bricks"]), 0.5, end, left, right)]
        if rng.random() < 0.5:
            surfaces[0] = surfaces[0]._replace(kind="slabs", colour=_choose(rng, GROUNDS["slabs"]))
            surfaces.append(Surface("asphalt", _choose(rng, GROUNDS["asphalt"]), 0.5, end, left + 2.2, right - 2.2))
        paint_ground(self.image, self.camera, surfaces, rng)
        if len(surfaces) == 2:
            for x in (left + 2.2, right - 2.2):
                self._stripe((x - 0.08, x + 0.08), (0.8, end), (190, 194, 196))
        self.bands = [Band(5.2, 20.0, 0.75)]
        self.limits = (left + 0.5, right - 0.5)
        for x, side in ((left, 1), (right, -1)):
            for z in np.arange(rng.uniform(6, 9), 24, rng.uniform(3.5, 5.5)):
                name = str(rng.choice(["lamp", "tree", "planter", "tree", "bin", "column", "lamp", "billboard"]))
                self._add_prop(rng, name, x + side * rng.uniform(1.2, 1.9), float(z))

    def _paint_front(self, rng: np.random.Generator, z: float) -> list[ShopWindow]:
        """Paint a row of houses that faces the camera, in slight haze."""
        base = round(self.camera.project(0, 0, z)[1])
        scale = self.camera.focal / z
        self._paint_distance(rng, base, scale)
        windows = paint_row(self.image, 0, self.image.shape[1], base, scale, rng, low=True)
        haze = min(z / 250, 0.15)
        region = self.image[:base]
        veil = np.broadcast_to(np.array(self.day.sky_low, np.uint8), region.shape)
        region[:] = cv2.addWeighted(region, 1 - haze, np.ascontiguousarray(veil), haze, 0)
        return windows

    def _paint_distance(self, rng: np.random.Generator, base: int, scale: float) -> None:
        """Paint the trees and roofs that are seen between the houses."""
        for _ in range(10):
            x, width = rng.uniform(-0.1, 1) * self.image.shape[1], rng.uniform(2, 5) * scale
            roof = base - rng.uniform(2.5, 5.5) * scale
            grey = mixed((120, 116, 118), self.day.sky_low, float(rng.uniform(0.45, 0.7)))
            cv2.rectangle(self.image, (round(x), round(roof)), (round(x + width), base), grey, -1)
        for x in np.arange(-1, self.image.shape[1] / scale + 1, 0.9):
            centre = (round(x * scale), round(base - rng.uniform(0.6, 1.6) * scale))
            green = mixed((70, 112, 84), self.day.sky_low, float(rng.uniform(0.25, 0.5)))
            cv2.circle(self.image, centre, round(rng.uniform(0.9, 1.5) * scale), green, -1, cv2.LINE_AA)
        bottom = self.image[base - round(0.5 * scale) : base]
        bottom[:] = mixed((70, 100, 80), self.day.sky_low, 0.3)

    def _stripe(self, x: tuple[float, float], z: tuple[float, float], colour: Colour) -> None:
        paint_stripe(self.image, self.camera, x, z, colour)

    def _half_view(self, z: float) -> float:
        """Half the breadth of the canvas at a depth, in metres."""
        return 0.5 * self.image.shape[1] * z / self.camera.focal

    def _scatter(self, rng: np.random.Generator, names: list[str], z0: float, z1: float, count: int) -> None:
        """Put things at free places between two depths."""
        for _ in range(count):
            z = float(rng.uniform(z0, z1))
            half = self._half_view(z)
            x = float(rng.uniform(-half, half))
            name = str(rng.choice(names))
            if all(abs(x - fx) > 1.1 + rx or abs(z - fz) > 0.8 for fx, fz, rx, _ in self._feet):
                self._add_prop(rng, name, x, z)

    def _sketch(
        self, category: int, z: float, sprite: Sprite, head: tuple[float, float, float, float] | None = None
    ) -> None:
        self._sketches.append((z, category, sprite, head))

    def _add_prop(self, rng: np.random.Generator, name: str, x: float, z: float) -> None:
        self._sketch(PROPS[name].category, z, draw_prop(name, x, z, self.camera, rng))
        self._feet.append((x, z, *PROPS[name].radius))
        if name == "billboard" and rng.random() < 0.6:
            figure = self._picture(rng, self.camera.project(x, 0.55, z), 1.62, z, mannequin=False)
            self._sketch(DISTRACTOR, z - 0.01, figure.sprite)
        elif name == "bench" and rng.random() < 0.6:
            side = rng.uniform(-0.5, 0.5)
            stance = Stance(x + side, z - 0.1, -AWAY + rng.uniform(-0.6, 0.6), sitting=True)
            figure = draw_figure(random_appearance(rng), stance, self.camera)
            self._sketch(STATIC_PERSON, z - 0.01, figure.sprite, figure.head)

    def _picture(
        self, rng: np.random.Generator, foot: tuple[float, float], tall: float, z: float, mannequin: bool
    ) -> Figure:
        """A figure of a given size whose feet are at a pixel, whatever the ground there."""
        look = mannequin_appearance(rng) if mannequin else random_appearance(rng)
        # Nearer or farther until it is as tall as wanted; the camera is moved so that the feet come to the pixel.
        distance = z * look.height / tall
        lift = (foot[1] - self.camera.horizon) * distance / self.camera.focal
        camera = self.camera._replace(height=lift, centre=foot[0])
        stance = Stance(0.0, distance, -AWAY + rng.uniform(-0.7, 0.7), rng.uniform(0, 6), float(rng.choice([0.0, 0.4])))
        return draw_figure(look, stance, camera)

    def _add_mannequins(self, rng: np.random.Generator, windows: list[ShopWindow], z: float) -> None:
        scale = self.camera.focal / z
        for index in rng.permutation(len(windows))[:3]:
            window = windows[index]
            tall = min(0.85 * (window.bottom - window.top) / scale, 1.8)
            for _ in range(int(rng.integers(1, 3))):
                column = rng.uniform(window.left + 0.4 * scale, window.right - 0.4 * scale)
                foot = (float(column), window.bottom - 0.12 * scale)
                self._sketch(DISTRACTOR, z, self._picture(rng, foot, tall, z, mannequin=True).sprite)

    def _add_crowd(self, rng: np.random.Generator) -> None:
        """A group behind the last walker, close together."""
        z = self.far + 0.6
        middle = rng.uniform(-0.6, 0.6) * self._half_view(z)
        pen = []
        for _ in range(int(rng.integers(9, 16))):
            depth = z + rng.uniform(0, 0.9)
            facing = rng.uniform(0, 2 * np.pi)
            stance = Stance(middle + rng.normal(0, 1.1), depth, facing, rng.uniform(0, 6), 0.2)
            pen.append((depth, draw_figure(random_appearance(rng), stance, self.camera).sprite))
        pen.sort(key=lambda item: -item[0])
        left, top = min(s.left for _, s in pen), min(s.top for _, s in pen)
        right = max(s.left + s.bgra.shape[1] for _, s in pen)
        bottom = max(s.top + s.bgra.shape[0] for _, s in pen)
        group = np.zeros((bottom - top, right - left, 4), np.uint8)
        for _, sprite in pen:
            h, w = sprite.bgra.shape[:2]
            region = group[sprite.top - top : sprite.top - top + h, sprite.left - left : sprite.left - left + w]
            rest = np.repeat(255 - sprite.bgra[..., 3:], 4, axis=2)
            region[:] = cv2.add(cv2.multiply(region, rest, scale=1 / 255), sprite.bgra)
        self._sketch(CROWD, z, Sprite(group, left, top))

    def _shade_ground(self) -> None:
        """Darken the ground around the feet of everything that stands on it."""
        shade = np.full(self.layers.shape, 255, np.uint8)
        dark = round(255 * (1 - 0.55 * self.day.shadow - 0.12))
        for x, z, rx, _ in self._feet:
            foot = self.camera.project(x, 0, z)
            end = self.camera.project(x + 2.2 * self.day.sun[0], 0, z + 2.2 * self.day.sun[1])
            scale = self.camera.focal / z
            points = np.rint(np.array([foot, end]) * 16).astype(np.int32)
            cv2.line(shade, points[0], points[1], dark, max(round(0.4 * min(rx, 1.0) * scale), 1), cv2.LINE_8, 4)
            axes = (round(1.05 * rx * scale * 16), round(max(0.12 * rx, 0.1) * scale * 16))
            cv2.ellipse(shade, points[0], axes, 0, 0, 360, dark, -1, cv2.LINE_8, 4)
        size = max(self.image.shape[0] // 100, 1) * 2 + 1
        shade = cv2.blur(shade, (size, size))
        self.image = cv2.multiply(self.image, cv2.cvtColor(shade, cv2.COLOR_GRAY2BGR), scale=1 / 255)

    def _paint_standing(self) -> None:
        """Paint far things first and remember which one is in front in every pixel."""
        self._sketches.sort(key=lambda sketch: -sketch[0])
        for z, category, sprite, head in self._sketches:
            solid = sprite.solid()
            area = int(np.count_nonzero(solid))
            if area == 0:
                continue
            x, y, w, h = cv2.boundingRect(solid.astype(np.uint8))
            left, top = sprite.left + x, sprite.top + y
            self.standing.append(Standing(category, z, (left, top, left + w, top + h), area, head))
            sprite.blend(self.image, self.layers, len(self.standing))
        self._sketches.clear()


def _choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]
