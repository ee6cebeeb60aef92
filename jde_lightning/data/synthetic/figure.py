"""Drawing a person: an articulated body in clothes, projected joint by joint."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jde_lightning.data.synthetic.appearance import (
    TEXTURE_METRES,
    TEXTURE_REPEATS,
    TEXTURE_SIZE,
    Appearance,
    sleeve_colours,
)
from jde_lightning.data.synthetic.camera import Camera
from jde_lightning.data.synthetic.pose import Joint, Skeleton, Stance, skeleton
from jde_lightning.data.synthetic.sprites import Colour, Pen, Point, Sprite, mixed, scaled

_SHADED, _LIT = 0.74, 1.06


class Figure(NamedTuple):
    """A drawn person.

    Attributes:
        sprite: the picture.
        head: left, top, right, bottom of the head in pixels of the frame, continuous.
        bones: the skeleton it was drawn from, turned so that the line of sight is its ``Z`` axis.
        camera: the camera, turned in the same way.
    """

    sprite: Sprite
    head: tuple[float, float, float, float]
    bones: Skeleton
    camera: Camera


def draw_figure(look: Appearance, stance: Stance, camera: Camera) -> Figure:
    """Draw a person as seen by a camera.

    Args:
        look: the identity.
        stance: place, facing and phase of the walk.
        camera: projection to the pixels of the frame.

    Returns:
        The figure, also where it lies outside the frame.
    """
    # Turn towards the figure: a flat image plane would shear a body at the edge of the picture.
    scale = camera.focal / stance.z
    camera = camera._replace(centre=camera.centre + stance.x * scale)
    stance = stance._replace(x=0.0, facing=stance.facing + math.atan2(stance.x, stance.z))
    bones = skeleton(look, stance)
    painter = _Painter(look, bones, stance, camera, scale)
    near = 1 if bones.right[1] < 0 else 0
    painter.arm(1 - near)
    if look.bag == "backpack" and bones.forward[1] < 0.5:
        painter.backpack()
    painter.leg(1 - near)
    painter.leg(near)
    painter.torso()
    if look.bag == "backpack" and bones.forward[1] >= 0.5:
        painter.backpack()
    painter.head()
    painter.arm(near)
    painter.shoulder_bag()
    centre, half_w, half_h = painter.head_centre, 0.048 * look.height * scale, 0.066 * look.height * scale
    head = (centre[0] - half_w, centre[1] - half_h, centre[0] + half_w, centre[1] + half_h)
    return Figure(painter.pen.sprite(), head, bones, camera)


class _Painter:
    """Draws the parts of one figure; ``unit`` is the body height in pixels."""

    def __init__(self, look: Appearance, bones: Skeleton, stance: Stance, camera: Camera, scale: float) -> None:
        self.look, self.bones, self.stance, self.camera, self.scale = look, bones, stance, camera, scale
        self.unit = look.height * scale
        self.frontal = abs(bones.right[0])
        self.sideways = abs(bones.right[1])
        self.head_centre = self.at(bones.head)
        joints = [*bones.toes, *bones.hands, *bones.knees, *bones.elbows, *bones.ankles, bones.head]
        points = [self.at(j) for j in joints]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        # The breadth of the trunk and a backpack reach beyond the joints.
        side = 0.17 * self.unit * look.build
        fineness = 4 if self.unit < 55 else 3 if self.unit < 100 else 2
        self.pen = Pen(
            min(xs) - side,
            self.head_centre[1] - 0.12 * self.unit,
            max(xs) + side,
            max(ys) + 0.04 * self.unit,
            fineness,
        )

    def at(self, joint: Joint) -> Point:
        return self.camera.project(*joint)

    def limb(self, a: Joint, b: Joint, radius_a: float, radius_b: float, colour: Colour) -> None:
        """A rounded limb: the dark side first, the lit side over it, shifted to the light at the left."""
        p, q = self.at(a), self.at(b)
        ra, rb = radius_a * self.unit, radius_b * self.unit
        self.pen.limb(p, q, ra, rb, scaled(colour, _SHADED))
        self.pen.limb(
            (p[0] - 0.22 * ra, p[1] - 0.06 * ra), (q[0] - 0.22 * rb, q[1] - 0.06 * rb), 0.72 * ra, 0.7 * rb,
            scaled(colour, _LIT),
        )  # fmt: skip

    def leg(self, side: int) -> None:
        look, bones = self.look, self.bones
        bare = look.skin
        covered = look.bottom in ("trousers", "shorts")
        thigh = look.bottom_colour if covered else bare
        shank = look.bottom_colour if look.bottom == "trousers" else bare
        build = 0.5 + 0.5 * look.build
        knee, ankle, toe = bones.knees[side], bones.ankles[side], bones.toes[side]
        self.limb(ankle, toe, 0.024, 0.019, look.shoes)
        loose = 1.12 if look.bottom == "trousers" else 0.92
        self.limb(knee, ankle, 0.038 * build, 0.027 * build * loose, shank)
        if look.bottom == "shorts":
            self.limb(bones.hips[side], knee, 0.05 * build, 0.038 * build, bare)
            end = _between(bones.hips[side], knee, 0.25, 0.75)
            self.limb(bones.hips[side], end, 0.058 * build, 0.056 * build, thigh)
        else:
            self.limb(bones.hips[side], knee, 0.057 * build, 0.041 * build, thigh)

    def arm(self, side: int) -> None:
        look, bones = self.look, self.bones
        upper, fore = sleeve_colours(look)
        build = 0.6 + 0.4 * look.build
        thick = 1.15 if look.top in ("jacket", "coat") else 1.0
        shoulder, elbow, hand = bones.shoulders[side], bones.elbows[side], bones.hands[side]
        if look.top in ("shirt", "vest"):
            self.limb(elbow, hand, 0.024 * build, 0.018 * build, fore)
            if look.top == "shirt":
                self.limb(shoulder, elbow, 0.03 * build, 0.024 * build, fore)
                middle = _between(shoulder, elbow, 0.4, 0.6)
                self.limb(shoulder, middle, 0.038 * build, 0.036 * build, upper)
            else:
                self.limb(shoulder, elbow, 0.035 * build, 0.027 * build, upper)
        else:
            self.limb(elbow, hand, 0.03 * build * thick, 0.023 * build * thick, fore)
            self.limb(shoulder, elbow, 0.037 * build * thick, 0.031 * build * thick, upper)
        wrist = self.at(hand)
        self.pen.circle((wrist[0], wrist[1] + 0.012 * self.unit), 0.02 * self.unit, look.skin)
        if look.phone and side == 1 and self.bones.forward[1] < 0.3:
            self.pen.rectangle(
                wrist[0] - 0.014 * self.unit, wrist[1] - 0.03 * self.unit,
                wrist[0] + 0.014 * self.unit, wrist[1] + 0.012 * self.unit, (40, 36, 34),
            )  # fmt: skip
        if look.bag == "hand" and side == 0:
            self._hand_bag(wrist)

    def _hand_bag(self, wrist: Point) -> None:
        u, x = self.unit, wrist[0]
        top = wrist[1] + 0.06 * u
        half = (0.035 + 0.035 * self.sideways) * u
        for handle in (-0.6, 0.6):
            self.pen.limb(
                (x, wrist[1] + 0.015 * u), (x + handle * half, top), 0.005 * u, 0.005 * u,
                scaled(self.look.bag_colour, 0.6),
            )  # fmt: skip
        self.pen.rectangle(x - half, top, x + half, top + 0.1 * u, scaled(self.look.bag_colour, 0.8))
        self.pen.rectangle(x - half, top, x + 0.5 * half, top + 0.09 * u, self.look.bag_colour)

    def _half_width(self, lateral: float, depth: float) -> float:
        """Half the breadth of the body's elliptical cross-section as the camera sees it, in pixels."""
        return math.hypot(lateral * self.frontal, depth * self.sideways) * self.unit

    def torso(self) -> None:
        look = self.look
        pelvis, neck = self.at(self.bones.pelvis), self.at(self.bones.neck)
        build = look.build
        # Share of the way from pelvis to neck, half breadth, half depth, all relative to the body height.
        profile = [
            (-0.12, 0.088 * build, 0.064 * build),
            (0.12, 0.084 * build, 0.064 * build),
            (0.35, 0.079 * build, 0.060 * build),
            (0.62, 0.095 * build, 0.070 * build),
            (0.83, 0.108 * build, 0.064 * build),
            (0.93, 0.092 * build, 0.050),
            (1.0, 0.045, 0.034),
        ]
        if look.bottom in ("skirt", "dress"):
            self._skirt(pelvis, neck)
        if look.top == "coat" and not self.stance.sitting:
            profile[0] = (-0.62, 0.108 * build, 0.1 * build)
        elif look.top == "jacket":
            profile[0] = (-0.22, 0.096 * build, 0.07 * build)
        outline = self._outline(profile, pelvis, neck)
        ahead = self.bones.forward[0]
        self.pen.limb(neck, self.head_centre, 0.03 * self.unit, 0.028 * self.unit, scaled(look.skin, 0.8))
        self.pen.textured(outline, look.texture, self._cloth_matrix(pelvis, neck))
        facing_us = -self.bones.forward[1]
        if look.top in ("jacket", "coat", "vest") and facing_us > 0.25:
            self._open_front(pelvis, neck, ahead)
        elif facing_us > 0.25:
            collar = (neck[0] + 0.01 * ahead * self.unit, neck[1] + 0.004 * self.unit)
            self.pen.ellipse(collar, 0.03 * self.unit, 0.022 * self.unit, scaled(look.skin, 0.86), 0, 180)

    def _outline(self, profile: list[tuple[float, float, float]], low: Point, high: Point) -> list[Point]:
        """The polygon around a spine from ``low`` to ``high``: left side upwards, right side downwards."""
        left, right = [], []
        for share, lateral, depth in profile:
            x, y = low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1])
            half = self._half_width(lateral, depth)
            left.append((x - half, y))
            right.append((x + half, y))
        return left + right[::-1]

    def _cloth_matrix(self, low: Point, high: Point) -> np.ndarray:
        """From pixels of the cloth texture to the frame; the cloth turns with the body and leans with the spine."""
        per_pixel = TEXTURE_METRES / TEXTURE_SIZE * self.scale
        lean = (high[0] - low[0]) / min(high[1] - low[1], -1e-3)
        turn = math.remainder((self.stance.facing + math.pi / 2) / math.pi * TEXTURE_SIZE, TEXTURE_SIZE)
        x, y = 0.38 * low[0] + 0.62 * high[0], 0.38 * low[1] + 0.62 * high[1]
        matrix = np.array([[per_pixel, lean * per_pixel, 0.0], [0.0, per_pixel, 0.0]])
        middle = 0.5 * TEXTURE_REPEATS * TEXTURE_SIZE + np.array([turn, 0.0])
        matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ middle
        return matrix

    def _open_front(self, low: Point, high: Point, ahead: float) -> None:
        """The shirt between the halves of an open jacket."""
        u = self.unit
        shift = ahead * 0.05 * u
        half = 0.032 * u * max(-self.bones.forward[1], 0.0)
        top_y, bottom_y = high[1] + 0.01 * u, low[1] + 0.02 * u
        shirt = [
            (high[0] + shift - half, top_y), (high[0] + shift + half, top_y),
            (low[0] + shift + 0.8 * half, bottom_y), (low[0] + shift - 0.8 * half, bottom_y),
        ]  # fmt: skip
        self.pen.polygon(shirt, scaled(self.look.second_colour, 0.95))

    def _skirt(self, low: Point, high: Point) -> None:
        look, u = self.look, self.unit
        knees = [self.at(k) for k in self.bones.knees]
        hem_y = low[1] + (0.2 if look.bottom == "skirt" else 0.26) * u
        if self.stance.sitting:
            hem_y = max(k[1] for k in knees) + 0.04 * u
        half = self._half_width(0.092 * look.build, 0.07 * look.build)
        reach_left = min(min(k[0] for k in knees) - 0.045 * u, low[0] - 1.15 * half)
        reach_right = max(max(k[0] for k in knees) + 0.045 * u, low[0] + 1.15 * half)
        waist = low[1] - 0.09 * u
        colour = look.bottom_colour if look.bottom == "skirt" else look.top_colour
        lean = 0.3 * (high[0] - low[0])
        shape = [
            (low[0] + lean - 0.85 * half, waist), (low[0] + lean + 0.85 * half, waist),
            (low[0] + half, low[1]), (reach_right, hem_y), (reach_left, hem_y), (low[0] - half, low[1]),
        ]  # fmt: skip
        self.pen.polygon(shape, scaled(colour, _SHADED), convex=False)
        for share in (0.0, 0.42):
            x0 = reach_left + share * (reach_right - reach_left)
            x1 = x0 + 0.3 * (reach_right - reach_left)
            fold = [(low[0] + lean + (2 * share - 0.85) * half, waist), (low[0] + (2 * share - 0.35) * half, waist)]
            self.pen.polygon([*fold, (x1, hem_y), (x0, hem_y)], scaled(colour, _LIT))

    def backpack(self) -> None:
        u, back = self.unit, -self.bones.forward[0]
        pelvis, neck = self.at(self.bones.pelvis), self.at(self.bones.neck)
        x = 0.35 * pelvis[0] + 0.65 * neck[0] + back * 0.085 * u
        half = math.hypot(0.075 * self.frontal, 0.05 * self.sideways) * u
        top, bottom = neck[1] + 0.03 * u, 0.75 * pelvis[1] + 0.25 * neck[1]
        colour = self.look.bag_colour
        self.pen.rectangle(x - half, top + 0.02 * u, x + half, bottom, scaled(colour, _SHADED))
        self.pen.ellipse((x, top + 0.03 * u), half, 0.035 * u, scaled(colour, _SHADED))
        self.pen.rectangle(x - half, top + 0.03 * u, x + 0.55 * half, bottom - 0.012 * u, scaled(colour, _LIT))
        self.pen.rectangle(x - 0.7 * half, bottom - 0.08 * u, x + 0.6 * half, bottom - 0.02 * u, scaled(colour, 0.88))

    def shoulder_bag(self) -> None:
        if self.look.bag != "shoulder":
            return
        u, colour = self.unit, self.look.bag_colour
        # The strap runs from the left shoulder to the right hip.
        start, hip = self.at(self.bones.shoulders[0]), self.at(self.bones.hips[1])
        x, y = hip[0] + 0.05 * u * self.bones.right[0], hip[1] - 0.01 * u
        visible = self.bones.right[1] < 0.55
        if self.frontal > 0.45:
            self.pen.limb((start[0], start[1] - 0.02 * u), (x, y), 0.009 * u, 0.009 * u, scaled(colour, 0.7))
        if visible:
            half = (0.03 + 0.04 * self.sideways) * u
            self.pen.rectangle(x - half, y - 0.02 * u, x + half, y + 0.07 * u, scaled(colour, _SHADED))
            self.pen.rectangle(x - half, y - 0.02 * u, x + 0.5 * half, y + 0.06 * u, scaled(colour, _LIT))

    def head(self) -> None:
        look, u = self.look, self.unit
        (x, y), (fx, fz) = self.head_centre, self.bones.forward
        half_w, half_h = 0.048 * u, 0.064 * u
        dark_hair = scaled(look.hair, 0.85)
        if look.hair_style == "long" and fz < 0.4:
            self.pen.ellipse((x - 0.3 * fx * half_w, y + 0.5 * half_h), 1.2 * half_w, 1.35 * half_h, dark_hair)
        if look.hair_style != "bald":
            swell = {"curly": 1.28, "short": 1.08, "bun": 1.06}.get(look.hair_style, 1.1)
            self.pen.ellipse((x - 0.18 * fx * half_w, y - 0.1 * half_h), swell * half_w, swell * half_h, look.hair)
        else:
            self.pen.ellipse((x, y), half_w, half_h, scaled(look.skin, 0.85))
        if look.hair_style == "bun":
            bun = (x - fx * 1.25 * half_w, y - 0.55 * half_h - 0.35 * half_h * abs(fz))
            self.pen.circle(bun, 0.42 * half_w, dark_hair)
        if fz < 0.55:
            self._face(x, y, fx, fz, half_w, half_h)
        if look.hair_style == "long" and fz >= 0.4:
            self.pen.ellipse((x, y + 0.55 * half_h), 1.18 * half_w, 1.3 * half_h, look.hair)
        if look.hair_style in ("cap", "beanie"):
            self._hat(x, y, fx, fz, half_w, half_h)

    def _face(self, x: float, y: float, fx: float, fz: float, half_w: float, half_h: float) -> None:
        skin = self.look.skin
        turned = max(fz, 0.0)
        centre = (x + fx * (0.26 + 0.3 * turned) * half_w, y + 0.14 * half_h)
        breadth = (0.9 - 0.12 * abs(fx) - 0.6 * turned) * half_w
        self.pen.ellipse(centre, breadth, 0.86 * half_h, scaled(skin, 0.8))
        self.pen.ellipse((centre[0] - 0.1 * half_w, centre[1]), 0.84 * breadth, 0.82 * half_h, skin)
        if abs(fx) > 0.6:
            nose = (centre[0] + math.copysign(0.92 * breadth, fx), centre[1] + 0.08 * half_h)
            self.pen.circle(nose, 0.14 * half_h, scaled(skin, 0.92))
        if half_w > 3.0:
            eye_y = centre[1] - 0.1 * half_h
            for side in (-1.0, 1.0):
                eye_x = x + 0.62 * fx * half_w + side * 0.36 * half_w * max(-fz, 0.15)
                if abs(eye_x - centre[0]) < 0.85 * breadth:
                    self.pen.circle((eye_x, eye_y), 0.085 * half_h, (40, 34, 36))
            mouth = (x + 0.6 * fx * half_w, centre[1] + 0.42 * half_h)
            self.pen.ellipse(mouth, 0.24 * half_w, 0.07 * half_h, mixed(scaled(skin, 0.75), (70, 60, 170), 0.35))

    def _hat(self, x: float, y: float, fx: float, fz: float, half_w: float, half_h: float) -> None:
        colour = self.look.hair
        self.pen.ellipse((x, y - 0.18 * half_h), 1.12 * half_w, 0.98 * half_h, scaled(colour, _SHADED), 180, 360)
        self.pen.ellipse((x - 0.15 * half_w, y - 0.2 * half_h), 0.85 * half_w, 0.9 * half_h, colour, 180, 360)
        if self.look.hair_style == "beanie":
            self.pen.rectangle(
                x - 1.14 * half_w, y - 0.42 * half_h, x + 1.14 * half_w, y - 0.14 * half_h, scaled(colour, 0.6)
            )
        elif fz < 0.5:
            brim = (x + 0.75 * fx * half_w, y - 0.18 * half_h)
            self.pen.ellipse(brim, (0.75 + 0.35 * abs(fx)) * half_w, 0.16 * half_h, scaled(colour, 0.6))


def _between(a: Joint, b: Joint, of_a: float, of_b: float) -> Joint:
    """The point between two joints with these shares of each."""
    x, y, z = (of_a * one + of_b * other for one, other in zip(a, b, strict=True))
    return x, y, z
