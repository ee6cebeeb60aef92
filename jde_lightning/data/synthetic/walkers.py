"""How people move: they walk, pause, stand, go in pairs, avoid each other and obstacles, enter and leave the view."""

from __future__ import annotations

import math

import numpy as np

from jde_lightning.data.synthetic.appearance import Appearance, in_light, random_appearance, similar_appearance
from jde_lightning.data.synthetic.pose import Stance
from jde_lightning.data.synthetic.street import Band, Street

_SIDE_MARGIN = 0.7
"""Metres beyond the edge of the canvas where a person is out of sight."""


class Walker:
    """One person.

    Attributes:
        look: appearance.
        band: stretch of ground it stays on.
        position: ``(2,)`` ``X``, ``Z`` in metres.
        wish: ``(2,)`` velocity it would like to have, in metres per second; zero for someone who stands.
        velocity: ``(2,)`` velocity in metres per second.
        facing: direction of the face, as in :class:`Stance`.
        phase: phase of the walk cycle.
        pause: seconds after which it stops and goes on again; infinite for never.
    """

    def __init__(
        self, look: Appearance, band: Band, position: np.ndarray, wish: np.ndarray, facing: float, phase: float,
        pause: tuple[float, float],
    ) -> None:  # fmt: skip
        self.look, self.band = look, band
        self.position, self.wish, self.velocity = position, wish, wish.copy()
        self.facing, self.phase, self.pause = facing, phase, pause
        self.stands = not wish.any()

    def stance(self) -> Stance:
        """The pose of this moment."""
        speed = math.hypot(*self.velocity)
        swing = min(speed / 1.3, 1.15) if speed > 0.12 else 0.0
        return Stance(float(self.position[0]), float(self.position[1]), self.facing, self.phase, swing)


class Crowd:
    """People of one street over time.

    Each step depends only on the steps before it, so that a longer sequence begins like a shorter one.

    Args:
        street: where they walk.
        people: how many are in view at a time, about.
        rng: source of everything.
    """

    def __init__(self, street: Street, people: int, rng: np.random.Generator) -> None:
        self._street, self._rng = street, rng
        self._looks: list[Appearance] = []
        self.walkers: list[Walker] = []
        self._target = round(people * street.path.canvas_size[0] / street.path.width)
        while len(self.walkers) < self._target:
            self._enter(anywhere=True)

    def step(self, seconds: float) -> None:
        """Move everybody on by a time step."""
        if self.walkers:
            self._move(seconds)
        self.walkers = [w for w in self.walkers if not self._has_left(w)]
        missing = self._target - len(self.walkers)
        # People come one after the other, not as soon as somebody leaves.
        if missing > 0 and self._rng.random() < min(missing * 1.5 * seconds, 1.0):
            self._enter(anywhere=False)

    def _edges(self, z: float) -> tuple[float, float]:
        """``X`` in metres of both edges of the canvas at a depth, out of sight."""
        camera, width = self._street.camera, self._street.image.shape[1]
        return camera.across(0, z) - _SIDE_MARGIN, camera.across(width, z) + _SIDE_MARGIN

    def _has_left(self, walker: Walker) -> bool:
        left, right = self._edges(walker.position[1])
        x, direction = walker.position[0], walker.velocity[0]
        return (x < left and direction <= 0) or (x > right and direction >= 0)

    def _new_look(self) -> Appearance:
        rng = self._rng
        if self._looks and rng.random() < 0.18:
            look = similar_appearance(rng, self._looks[int(rng.integers(len(self._looks)))])
        else:
            look = random_appearance(rng)
        self._looks.append(look)
        return in_light(look, self._street.day.light)

    def _enter(self, anywhere: bool) -> None:
        """Add a person, or two who walk together."""
        rng, street = self._rng, self._street
        # Nearer places are preferred: far people are small and hidden by everything.
        weight = np.array([(band.z1 - band.z0) / band.z0 for band in street.bands])
        band = street.bands[int(rng.choice(len(weight), p=weight / weight.sum()))]
        z = band.z0 + (band.z1 - band.z0) * float(rng.random()) ** 1.4
        left, right = self._edges(z)
        low, high = max(left, street.limits[0]), min(right, street.limits[1])
        if anywhere:
            x = float(rng.uniform(low, high))
            stands = rng.random() < 0.2
            heading = self._heading(band, 0.0)
        else:
            side = 1.0 if rng.random() < 0.5 else -1.0
            x, stands = (low if side > 0 else high), False
            heading = self._heading(band, side)
        if self._blocked(x, z):
            return
        speed = float(np.clip(rng.normal(1.3, 0.22), 0.7, 1.9))
        wish = np.zeros(2) if stands else speed * np.array([math.cos(heading), math.sin(heading)])
        pause = (float(rng.uniform(1, 6)), float(rng.uniform(1, 3))) if rng.random() < 0.12 else (math.inf, 0.0)
        group = 2 if rng.random() < 0.22 else 1
        for member in range(group):
            beside = 0.68 * member * np.array([-math.sin(heading), math.cos(heading)])
            facing = heading + (math.pi * member if stands else 0.0)
            phase = float(rng.uniform(0, 2 * math.pi))
            self.walkers.append(
                Walker(self._new_look(), band, np.array([x, z]) + beside, wish.copy(), facing, phase, pause)
            )

    def _heading(self, band: Band, side: float) -> float:
        """A direction of walking; ``side`` 1 enters from the left, -1 from the right, 0 is free."""
        rng = self._rng
        if side == 0.0:
            side = 1.0 if rng.random() < 0.5 else -1.0
            if rng.random() < band.inwards:
                return float(rng.choice([-1, 1]) * math.pi / 2 + rng.normal(0, 0.25))
        spread = 0.12 + 0.5 * band.inwards
        return float((0.0 if side > 0 else math.pi) + rng.normal(0, spread))

    def _blocked(self, x: float, z: float) -> bool:
        near = any(math.hypot(w.position[0] - x, w.position[1] - z) < 0.6 for w in self.walkers)
        ox, oz, rx, rz = self._street.obstacles.T
        return near or bool((((ox - x) / rx) ** 2 + ((oz - z) / rz) ** 2 < 1).any())

    def _move(self, seconds: float) -> None:
        walkers, rng = self.walkers, self._rng
        position = np.array([w.position for w in walkers])
        push = self._avoid_people(position) + self._avoid_obstacles(position)
        drift = rng.normal(0, 0.25 * math.sqrt(seconds), len(walkers))
        for walker, force, turn in zip(walkers, push, drift, strict=True):
            if walker.stands:
                walker.facing += 0.4 * turn
                continue
            self._stay_inside(walker, turn)
            goal = walker.wish + force
            walker.pause = (walker.pause[0] - seconds, walker.pause[1])
            if -walker.pause[1] < walker.pause[0] < 0:
                goal = 0.0 * goal
            speed = math.hypot(*goal)
            goal *= min(1.0, 1.35 * max(math.hypot(*walker.wish), 0.3) / max(speed, 1e-6))
            walker.velocity += (goal - walker.velocity) * min(1.0, seconds / 0.35)
            step = walker.velocity * seconds
            walker.position = walker.position + step
            pace = math.hypot(*walker.velocity)
            if pace > 0.15:
                ahead = math.atan2(walker.velocity[1], walker.velocity[0])
                away = (ahead - walker.facing + math.pi) % (2 * math.pi) - math.pi
                walker.facing += away * min(1.0, seconds / 0.2)
            # One cycle is two steps; they get shorter when walking slowly. The feet do not slide.
            stride = walker.look.height * (0.42 + 0.34 * pace)
            walker.phase += 2 * math.pi * pace * seconds / max(stride, 0.2)

    def _stay_inside(self, walker: Walker, turn: float) -> None:
        """Let the wished direction wander a little, and turn it back at walls and at the ends of the band."""
        c, s = math.cos(turn), math.sin(turn)
        walker.wish = np.array([c * walker.wish[0] - s * walker.wish[1], s * walker.wish[0] + c * walker.wish[1]])
        (x, z), (low, high) = walker.position, self._street.limits
        if (z < walker.band.z0 and walker.wish[1] < 0) or (z > walker.band.z1 and walker.wish[1] > 0):
            walker.wish[1] *= -1
        if (x < low and walker.wish[0] < 0) or (x > high and walker.wish[0] > 0):
            walker.wish[0] *= -1

    @staticmethod
    def _avoid_people(position: np.ndarray) -> np.ndarray:
        """``(N, 2)`` metres per second away from people nearer than an arm's length."""
        away = position[:, None] - position[None]
        distance = np.sqrt((away**2).sum(-1)) + 1e-6
        strength = 1.6 * np.exp(-(distance - 0.35) / 0.16)
        np.fill_diagonal(strength, 0.0)
        return (away / distance[..., None] * np.minimum(strength, 2.5)[..., None]).sum(axis=1)

    def _avoid_obstacles(self, position: np.ndarray) -> np.ndarray:
        """``(N, 2)`` metres per second away from obstacles, and around them."""
        obstacles = self._street.obstacles
        if not len(obstacles):
            return np.zeros_like(position)
        scaled = (position[:, None] - obstacles[None, :, :2]) / obstacles[None, :, 2:]
        distance = np.sqrt((scaled**2).sum(-1)) + 1e-6
        strength = 1.8 * np.exp(-np.maximum(distance - 0.9, 0) / 0.25) * (distance < 2.5)
        away = scaled / distance[..., None]
        around = np.stack([-away[..., 1], away[..., 0]], axis=-1)
        return ((away + 0.4 * around) * strength[..., None]).sum(axis=1)
