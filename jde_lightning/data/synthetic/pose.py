"""The skeleton of a figure: where its joints are in the world while it walks, stands or sits."""

from __future__ import annotations

import math
from typing import NamedTuple

from jde_lightning.data.synthetic.appearance import Appearance

Joint = tuple[float, float, float]


class Stance(NamedTuple):
    """Where a body is and what it does.

    Attributes:
        x: world ``X`` of the body in metres.
        z: world ``Z`` of the body in metres.
        facing: direction of the face in radians; 0 looks to the right (``+X``), pi / 2 away from the camera.
        phase: phase of the walk cycle in radians; two steps are 2 pi.
        swing: 0 for standing, 1 for a brisk walk.
        sitting: whether the body sits.
    """

    x: float
    z: float
    facing: float
    phase: float = 0.0
    swing: float = 0.0
    sitting: bool = False


class Skeleton(NamedTuple):
    """Joints in world metres. Lists of two hold the left side first, then the right one.

    Attributes:
        pelvis: middle of the hips.
        neck: base of the neck.
        head: centre of the head.
        hips: hip joints.
        knees: knees.
        ankles: ankles.
        toes: tips of the feet.
        shoulders: shoulder joints.
        elbows: elbows.
        hands: hands.
        forward: ``(x, z)`` unit vector of the facing.
        right: ``(x, z)`` unit vector to the body's right.
    """

    pelvis: Joint
    neck: Joint
    head: Joint
    hips: list[Joint]
    knees: list[Joint]
    ankles: list[Joint]
    toes: list[Joint]
    shoulders: list[Joint]
    elbows: list[Joint]
    hands: list[Joint]
    forward: tuple[float, float]
    right: tuple[float, float]


def _leg(phase: float, swing: float, sitting: bool) -> tuple[float, float]:
    """Angles of thigh and shank against the vertical, forward positive, in radians."""
    if sitting:
        return 1.45, 0.05
    thigh = 0.46 * swing * math.sin(phase) + 0.05 * swing
    # The knee bends while the leg swings forward and is nearly straight while it carries.
    bend = 0.06 + swing * (0.08 + 0.85 * max(math.cos(phase + 0.25), 0.0) ** 1.5)
    return thigh, thigh - bend


def skeleton(look: Appearance, stance: Stance) -> Skeleton:
    """Pose a body.

    Args:
        look: gives height, build and whether an arm is bent.
        stance: place, facing and phase of the walk.

    Returns:
        The joints; the lower foot touches the ground.
    """
    h = look.height
    fx, fz = math.cos(stance.facing), math.sin(stance.facing)
    rx, rz = fz, -fx
    thigh_length, shank_length, ankle_height = 0.245 * h, 0.245 * h, 0.04 * h

    legs = []
    for foot in (0, 1):
        thigh, shank = _leg(stance.phase + math.pi * foot, stance.swing, stance.sitting)
        knee = (thigh_length * math.sin(thigh), -thigh_length * math.cos(thigh))
        ankle = (knee[0] + shank_length * math.sin(shank), knee[1] - shank_length * math.cos(shank))
        legs.append((knee, ankle, shank))
    # The lower foot carries the body: the pelvis bobs with the steps.
    pelvis_y = ankle_height - min(leg[1][1] for leg in legs)
    lean = 0.06 * stance.swing if not stance.sitting else -0.08

    def place(side: float, up: float, ahead: float) -> Joint:
        return stance.x + side * rx + ahead * fx, up, stance.z + side * rz + ahead * fz

    spine = 0.30 * h
    neck_ahead, neck_up = spine * math.sin(lean), pelvis_y + spine * math.cos(lean)
    out: dict[str, list[Joint]] = {
        name: [] for name in ("hips", "knees", "ankles", "toes", "shoulders", "elbows", "hands")
    }
    hip_half, shoulder_half = 0.05 * h * look.build, 0.108 * h * (0.4 + 0.6 * look.build)
    for side, (knee, ankle, shank) in zip((-1.0, 1.0), legs, strict=True):
        out["hips"].append(place(side * hip_half, pelvis_y, 0.0))
        out["knees"].append(place(side * hip_half, pelvis_y + knee[1], knee[0]))
        out["ankles"].append(place(side * hip_half * 0.9, pelvis_y + ankle[1], ankle[0]))
        pitch = min(shank, 0.0) * 0.7
        toe = (ankle[0] + 0.1 * h * math.cos(pitch), ankle[1] - 0.02 * h + 0.1 * h * math.sin(pitch))
        out["toes"].append(place(side * hip_half * 1.15, max(pelvis_y + toe[1], 0.015 * h), toe[0]))
        upper, fore = _arm(look, stance, side)
        elbow = (0.16 * h * math.sin(upper), -0.16 * h * math.cos(upper))
        hand = (elbow[0] + 0.15 * h * math.sin(fore), elbow[1] - 0.15 * h * math.cos(fore))
        shoulder_up = neck_up - 0.03 * h
        out["shoulders"].append(place(side * shoulder_half, shoulder_up, neck_ahead))
        out["elbows"].append(place(side * (shoulder_half + 0.022 * h), shoulder_up + elbow[1], neck_ahead + elbow[0]))
        inward = 0.05 * h if fore > 1.2 else 0.0
        out["hands"].append(
            place(side * (shoulder_half + 0.016 * h - inward), shoulder_up + hand[1], neck_ahead + hand[0])
        )
    return Skeleton(
        pelvis=place(0.0, pelvis_y, 0.0),
        neck=place(0.0, neck_up, neck_ahead),
        head=place(0.0, neck_up + 0.095 * h, neck_ahead + 0.015 * h),
        forward=(fx, fz),
        right=(rx, rz),
        **out,
    )


def _arm(look: Appearance, stance: Stance, side: float) -> tuple[float, float]:
    """Angles of upper arm and forearm against the vertical, forward positive, in radians."""
    if stance.sitting:
        return 0.35, 1.1
    if look.phone and side > 0:
        return 0.35, 2.1
    phase = stance.phase + (math.pi if side < 0 else 0.0)
    upper = 0.42 * stance.swing * math.sin(phase)
    return upper, upper + 0.1 + stance.swing * (0.22 + 0.15 * math.sin(phase))
