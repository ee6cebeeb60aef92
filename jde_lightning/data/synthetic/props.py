"""Things that stand in the street and hide people: cars, trees, lamp posts, columns, billboards, benches, bins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jde_lightning.data.synthetic.camera import Camera
from jde_lightning.data.synthetic.sprites import Colour, Pen, Sprite, mixed, scaled

CAR_COLOURS: tuple[Colour, ...] = (
    (50, 46, 160), (130, 84, 40), (200, 202, 204), (52, 50, 52), (110, 112, 114), (70, 120, 60), (60, 160, 210),
    (236, 236, 236),
)  # fmt: skip


class PropSketch(NamedTuple):
    """The local coordinate frame of one thing: ``(x, y)`` metres right of and above its foot, to pixels."""

    pen: Pen
    foot: tuple[float, float]
    scale: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a local point."""
        return self.foot[0] + x * self.scale, self.foot[1] - y * self.scale

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill an upright rectangle given in metres."""
        left, bottom = self.at(x0, y0)
        right, top = self.at(x1, y1)
        self.pen.rectangle(left, top, right, bottom, colour)

    def shape(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon given in metres."""
        self.pen.polygon([self.at(*p) for p in points], colour, convex=False)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle given in metres."""
        self.pen.circle(self.at(x, y), radius * self.scale, colour)

    def pillar(self, radius: float, y0: float, y1: float, colour: Colour) -> None:
        """An upright cylinder: vertical bands from light to dark."""
        for start, end, factor in ((-1, 1, 0.72), (-1, 0.55, 0.9), (-0.8, 0.15, 1.08), (-1, -0.85, 0.85)):
            self.box(start * radius, y0, end * radius, y1, scaled(colour, factor))


def _car(s: PropSketch, rng: np.random.Generator) -> None:
    paint = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
    way = 1.0 if rng.random() < 0.5 else -1.0
    estate = rng.random() < 0.4
    rear_top, rear = (-1.9, -2.12) if estate else (-1.25, -1.75)

    def body(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(way * x, y) for x, y in points]

    s.pen.ellipse(s.at(0, 0.03), 2.2 * s.scale, 0.16 * s.scale, (40, 38, 38))
    lower = [(-2.15, 0.3), (-2.2, 0.62), (-2.1, 0.9), (0.95, 0.92), (1.95, 0.8), (2.2, 0.62), (2.2, 0.3)]
    s.shape(body(lower), paint)
    s.shape(body([(rear, 0.88), (rear_top, 1.42), (0.15, 1.46), (1.05, 0.9)]), scaled(paint, 1.04))
    glass = (96, 84, 72)
    s.shape(body([(rear + 0.22, 0.92), (rear_top + 0.12, 1.35), (-0.62, 1.37), (-0.62, 0.92)]), glass)
    s.shape(body([(-0.52, 0.92), (-0.52, 1.37), (0.1, 1.38), (0.82, 0.92)]), glass)
    s.shape(body([(-0.4, 0.92), (-0.15, 1.36), (0.05, 1.36), (-0.2, 0.92)]), scaled(glass, 1.7))
    s.box(-2.15, 0.3, 2.15, 0.46, scaled(paint, 0.62))
    s.box(-2.0, 0.74, 1.9, 0.79, scaled(paint, 1.2))
    for x in (-0.57, 0.72, -1.4):
        s.box(way * x - 0.012, 0.42, way * x + 0.012, 0.9, scaled(paint, 0.7))
    s.box(way * 0.5 - 0.08, 0.72, way * 0.5 + 0.08, 0.75, scaled(paint, 0.5))
    s.disc(way * 2.1, 0.68, 0.09, (200, 235, 245))
    s.disc(way * -2.1, 0.74, 0.09, (50, 50, 190))
    for x in (-1.35, 1.38):
        s.disc(way * x, 0.36, 0.39, scaled(paint, 0.35))
        s.disc(way * x, 0.32, 0.32, (34, 32, 32))
        s.disc(way * x, 0.32, 0.19, (176, 176, 178))
        s.disc(way * x, 0.32, 0.07, (90, 90, 92))


def _tree(s: PropSketch, rng: np.random.Generator) -> None:
    trunk = (58, 80, 104)
    s.shape([(-0.2, 0), (-0.11, 1.6), (-0.09, 3.2), (0.09, 3.2), (0.1, 1.6), (0.2, 0)], scaled(trunk, 0.8))
    s.shape([(-0.15, 0), (-0.1, 1.6), (-0.08, 3.2), (0.0, 3.2), (0.02, 1.6), (0.05, 0)], scaled(trunk, 1.1))
    leaf: Colour = ((48, 110, 70), (52, 128, 96), (60, 100, 56), (50, 120, 150))[int(rng.integers(4))]
    for layer, factor in ((0, 0.62), (1, 0.82), (2, 1.0), (3, 1.22)):
        for _ in range(18):
            angle, reach = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 1)) * (1 - 0.13 * layer)
            x, y = 1.35 * reach * math.cos(angle) - 0.12 * layer, 3.9 + 1.05 * reach * math.sin(angle) + 0.12 * layer
            s.disc(
                x, y, rng.uniform(0.28, 0.5) * (1 - 0.17 * layer), scaled(leaf, factor * float(rng.uniform(0.92, 1.08)))
            )


def _lamp(s: PropSketch, rng: np.random.Generator) -> None:
    metal: Colour = ((62, 66, 60), (90, 90, 92), (70, 60, 54))[int(rng.integers(3))]
    s.pillar(0.13, 0, 0.5, metal)
    s.pillar(0.065, 0.5, 4.6, metal)
    s.box(-0.06, 4.5, 0.9, 4.58, metal)
    s.shape([(0.55, 4.5), (1.0, 4.5), (0.9, 4.38), (0.62, 4.38)], (190, 230, 240))


def _column(s: PropSketch, rng: np.random.Generator) -> None:
    s.pillar(0.62, 0, 2.6, (150, 160, 158))
    for _ in range(7):
        x, y = rng.uniform(-0.6, 0.1), rng.uniform(0.5, 1.6)
        colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        s.box(x, y, min(x + rng.uniform(0.3, 0.6), 0.6), y + rng.uniform(0.4, 0.8), mixed(colour, (190, 190, 190), 0.3))
    s.box(0.36, 0.3, 0.62, 2.6, (92, 94, 96))
    s.box(-0.7, 2.55, 0.7, 2.72, (64, 84, 66))
    s.pen.ellipse(s.at(0, 2.72), 0.66 * s.scale, 0.4 * s.scale, (70, 96, 74), 180, 360)
    s.box(-0.66, 0, 0.66, 0.22, (80, 84, 86))


def _billboard(s: PropSketch, rng: np.random.Generator) -> None:
    s.box(-0.5, 0, -0.36, 0.6, (60, 60, 62))
    s.box(0.36, 0, 0.5, 0.6, (60, 60, 62))
    s.box(-0.72, 0.4, 0.72, 2.5, (70, 70, 72))
    a, b = (CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))] for _ in range(2))
    for i in range(12):
        s.box(-0.64, 0.5 + i * 0.16, 0.64, 0.67 + i * 0.16, mixed(mixed(a, b, i / 11), (235, 235, 235), 0.35))
    s.box(-0.5, 2.22, rng.uniform(0.0, 0.5), 2.34, (245, 245, 245))


def _bench(s: PropSketch, rng: np.random.Generator) -> None:
    wood: Colour = (60, 100, 150) if rng.random() < 0.6 else (84, 110, 84)
    for x in (-0.75, 0.67):
        s.box(x, 0, x + 0.08, 0.45, (60, 58, 58))
    for y in (0.42, 0.6, 0.74):
        s.box(-0.9, y, 0.9, y + 0.09, wood)
        s.box(-0.9, y, 0.9, y + 0.03, scaled(wood, 0.7))


def _bin(s: PropSketch, rng: np.random.Generator) -> None:
    colour: Colour = ((70, 110, 70), (110, 110, 112), (50, 120, 200))[int(rng.integers(3))]
    s.pillar(0.26, 0, 0.85, colour)
    s.pillar(0.29, 0.85, 1.0, scaled(colour, 0.7))


def _planter(s: PropSketch, rng: np.random.Generator) -> None:
    for _ in range(26):
        green = scaled((56, 120, 70), float(rng.uniform(0.65, 1.35)))
        s.disc(rng.uniform(-0.55, 0.55), rng.uniform(0.55, 1.05), rng.uniform(0.1, 0.2), green)
    for _ in range(9):
        s.disc(
            rng.uniform(-0.55, 0.55),
            rng.uniform(0.65, 1.1),
            0.06,
            ((80, 80, 220), (60, 200, 240), (200, 120, 220))[int(rng.integers(3))],
        )
    s.shape([(-0.55, 0), (-0.65, 0.55), (0.65, 0.55), (0.55, 0)], (130, 138, 146))
    s.shape([(0.15, 0), (0.15, 0.55), (0.65, 0.55), (0.55, 0)], (104, 110, 118))


def _bollard(s: PropSketch, rng: np.random.Generator) -> None:
    s.pillar(0.08, 0, 0.8, (58, 56, 56))
    s.disc(0, 0.82, 0.09, (64, 62, 62))
    s.box(-0.08, 0.62, 0.08, 0.7, (220, 220, 225))


class PropKind(NamedTuple):
    """A kind of thing.

    Attributes:
        draw: paints it.
        reach: half width, height in metres of the paper that it is drawn on.
        category: MOTChallenge class, 0 where it is too small to be annotated.
        radius: metres that people keep away from its foot, half along and half across the view.
    """

    draw: Callable[[PropSketch, np.random.Generator], None]
    reach: tuple[float, float]
    category: int
    radius: tuple[float, float]


PROPS: dict[str, PropKind] = {
    "car": PropKind(_car, (2.4, 1.6), 3, (2.4, 1.0)),
    "tree": PropKind(_tree, (2.1, 5.9), 9, (0.4, 0.4)),
    "lamp": PropKind(_lamp, (1.1, 4.8), 9, (0.35, 0.35)),
    "column": PropKind(_column, (0.9, 3.3), 9, (0.9, 0.9)),
    "billboard": PropKind(_billboard, (0.9, 2.7), 9, (0.9, 0.5)),
    "bench": PropKind(_bench, (1.0, 1.0), 9, (1.1, 0.6)),
    "bin": PropKind(_bin, (0.4, 1.1), 9, (0.45, 0.45)),
    "planter": PropKind(_planter, (0.9, 1.4), 9, (0.8, 0.6)),
    "bollard": PropKind(_bollard, (0.2, 1.0), 0, (0.25, 0.25)),
}
"""Everything that can stand in a street, by name."""


def draw_prop(name: str, x: float, z: float, camera: Camera, rng: np.random.Generator) -> Sprite:
    """Draw a thing.

    Args:
        name: key of ``PROPS``.
        x: world ``X`` of its foot in metres.
        z: world ``Z`` of its foot in metres.
        camera: projection to pixels.
        rng: source of colours and details.

    Returns:
        The picture, also where it lies outside the canvas.
    """
    kind = PROPS[name]
    scale, foot = camera.focal / z, camera.project(x, 0.0, z)
    half, top = kind.reach
    pen = Pen(
        foot[0] - half * scale, foot[1] - top * scale, foot[0] + half * scale, foot[1] + 0.2 * scale,
        fineness=2 if scale > 40 else 3,
    )  # fmt: skip
    kind.draw(PropSketch(pen, foot, scale), rng)
    return pen.sprite()
