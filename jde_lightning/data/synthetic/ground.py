"""Sky and ground of the street, in perspective."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from jde_lightning.data.synthetic.camera import Camera
from jde_lightning.data.synthetic.sprites import Colour


class Daylight(NamedTuple):
    """Light of a scene.

    Attributes:
        sky_top: colour of the sky far above.
        sky_low: colour of the sky at the horizon.
        cloud: colour of the clouds.
        light: factor for blue, green and red of everything that is lit.
        sun: ``(x, z)`` metres that a shadow runs over the ground per metre of height.
        shadow: darkness of cast shadows in 0..1.
    """

    sky_top: Colour
    sky_low: Colour
    cloud: Colour
    light: Colour
    sun: tuple[float, float]
    shadow: float


DAYLIGHTS: tuple[Daylight, ...] = (
    Daylight((214, 150, 84), (236, 214, 188), (252, 250, 248), (1.0, 1.0, 1.02), (0.7, 0.25), 0.5),
    Daylight((196, 180, 168), (222, 216, 210), (204, 198, 194), (0.97, 0.95, 0.92), (0.1, 0.05), 0.2),
    Daylight((168, 120, 104), (150, 196, 240), (190, 204, 242), (0.82, 0.93, 1.06), (1.25, 0.15), 0.42),
    Daylight((226, 176, 120), (240, 228, 214), (250, 250, 250), (1.03, 1.03, 1.05), (-0.55, 0.35), 0.48),
    Daylight((120, 92, 70), (160, 140, 136), (128, 112, 106), (0.80, 0.74, 0.72), (0.1, 0.1), 0.22),
)

GROUNDS: dict[str, tuple[Colour, ...]] = {
    "slabs": ((168, 176, 182), (150, 158, 170), (176, 180, 180), (146, 160, 176)),
    "bricks": ((110, 126, 160), (126, 136, 156), (120, 122, 132)),
    "asphalt": ((96, 94, 92), (108, 106, 106), (84, 84, 86)),
}


@lru_cache(maxsize=1)
def noise_tile() -> np.ndarray:
    """``(512, 512)`` float32 of zero mean: stains of several sizes and grain; repeats without a seam."""
    rng = np.random.default_rng(20240501)
    tile = np.zeros((512, 512), np.float32)
    for cells, strength in ((8, 0.3), (32, 0.3), (128, 0.3), (512, 0.35)):
        field = rng.normal(size=(cells, cells)).astype(np.float32)
        wrapped = np.pad(field, 2, mode="wrap")
        step = 512 // cells
        large = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        tile += strength * large[2 * step : 2 * step + 512, 2 * step : 2 * step + 512]
    return tile


@lru_cache(maxsize=1)
def plaster() -> np.ndarray:
    """``(512, 1024, 3)`` uint8 around 128: the unevenness of walls."""
    grain = np.clip(128 * (1 + 0.05 * noise_tile()), 0, 255).astype(np.uint8)
    return cv2.cvtColor(np.hstack([grain, grain]), cv2.COLOR_GRAY2BGR)


def paint_sky(image: np.ndarray, horizon: float, day: Daylight, rng: np.random.Generator) -> None:
    """Paint a gradient and clouds above the horizon.

    Args:
        image: ``(H, W, 3)`` uint8 BGR, changed in place.
        horizon: row of the horizon in pixels.
        day: colours.
        rng: source of the clouds.
    """
    rows, width = min(max(round(horizon) + 2, 8), image.shape[0]), image.shape[1]
    small = (width // 4, rows // 4)
    share = np.linspace(0, 1, small[1], dtype=np.float32)[:, None, None]
    sky = (1 - share) * np.array(day.sky_top, np.float32) + share * np.array(day.sky_low, np.float32)
    field = np.zeros(small[::-1], np.float32)
    for cells, strength in ((4, 1.0), (9, 0.6), (20, 0.35)):
        coarse = rng.normal(size=(max(cells // 2, 2), cells)).astype(np.float32)
        field += strength * cv2.resize(coarse, small, interpolation=cv2.INTER_CUBIC)
    cover = np.clip(0.55 * field, 0, 0.9)[..., None]
    clouded = (sky * (1 - cover) + np.array(day.cloud, np.float32) * cover).astype(np.uint8)
    image[:rows] = cv2.resize(clouded, (width, rows), interpolation=cv2.INTER_LINEAR)
    # Whatever the ground leaves free below lies in the haze.
    image[rows:] = day.sky_low


class Surface(NamedTuple):
    """A paved region of the ground: the given range of ``Z``, and of ``X``, in metres."""

    kind: str
    colour: Colour
    z0: float
    z1: float
    x0: float = -1e6
    x1: float = 1e6


def _joint(coordinate: np.ndarray, period: float, width: float, footprint: np.ndarray) -> np.ndarray:
    """How much of a pixel the joint lines at multiples of ``period`` cover, 0..1: anti-aliased to any distance."""
    turns = coordinate / np.float32(period)
    distance = np.abs(turns - np.rint(turns)) * np.float32(period)
    covered = np.clip((width / 2 + footprint / 2 - distance) / footprint, 0, 1)
    return covered * np.minimum(1, width / footprint)


def paint_ground(image: np.ndarray, camera: Camera, surfaces: list[Surface], rng: np.random.Generator) -> None:
    """Paint slabs, bricks and asphalt in perspective.

    Args:
        image: ``(H, W, 3)`` uint8 BGR, changed in place below the horizon.
        camera: projection to the pixels of ``image``.
        surfaces: regions, later ones over earlier ones.
        rng: source of the offsets.
    """
    height, width = image.shape[:2]
    offset = rng.uniform(0, 512, 2)
    for surface in surfaces:
        # Rows that the range of Z covers.
        top = max(int(camera.project(0, 0, surface.z1)[1]), 0)
        bottom = min(int(np.ceil(camera.project(0, 0, max(surface.z0, 0.5))[1])), height)
        if bottom - top < 1:
            continue
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
        z = np.float32(camera.focal * camera.height) / np.maximum(rows - np.float32(camera.horizon), np.float32(0.5))
        columns = np.arange(width, dtype=np.float32)[None] + np.float32(0.5) - np.float32(camera.centre)
        x = columns * (z / np.float32(camera.focal))
        shade = _relief(surface.kind, x, z, camera)
        # The ground plane is a homography of the image: the noise is looked up in perspective.
        to_tile = np.array([
            [26 * camera.height, offset[0], -26 * camera.height * camera.centre - offset[0] * camera.horizon],
            [0, offset[1], 26 * camera.focal * camera.height - offset[1] * camera.horizon],
            [0, 1, -camera.horizon],
        ]) @ np.array([[1, 0, 0], [0, 1, top], [0, 0, 1]])  # fmt: skip
        grain = cv2.warpPerspective(
            noise_tile(), to_tile, (width, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        grain /= 1 + z / 12
        shade = shade * (1 + np.float32(0.09 if surface.kind == "asphalt" else 0.06) * grain)
        painted = cv2.merge([np.clip(shade * np.float32(c), 0, 255) for c in surface.colour]).astype(np.uint8)
        region = image[top:bottom]
        if surface.x0 > -1e5 or surface.x1 < 1e5:
            inside = ((x >= surface.x0) & (x <= surface.x1)).astype(np.uint8)
            cv2.copyTo(painted, inside, region)
        else:
            region[:] = painted


def _relief(kind: str, x: np.ndarray, z: np.ndarray, camera: Camera) -> np.ndarray:
    """Brightness around 1 of a surface at world points; ``x`` is ``(h, w)``, ``z`` is ``(h, 1)``, in metres."""
    if kind == "asphalt":
        return np.ones_like(x)
    step_x, step_z, joint = (0.9, 0.9, 0.03) if kind == "slabs" else (0.42, 0.21, 0.02)
    footprint_x = z / np.float32(camera.focal)
    footprint_z = z * z / np.float32(camera.focal * camera.height)
    row = np.rint(z / np.float32(step_z))
    shifted = x + (row % 2) * np.float32(0.5 * step_x)
    # Every slab has its own brightness; far away they melt into one.
    column = np.rint(shifted / np.float32(step_x) + np.float32(0.5))
    own = np.sin(column * np.float32(12.9898) + row * np.float32(78.233))
    fade = np.clip(np.float32(1.6 * step_z) / footprint_z - np.float32(0.4), 0, 1)
    lines = np.maximum(
        _joint(shifted, step_x, joint, footprint_x), _joint(z + np.float32(step_z / 2), step_z, joint, footprint_z)
    )
    return 1 + (np.float32(0.045) * own - np.float32(0.25) * lines) * fade - np.float32(0.03) * (1 - fade)


def paint_stripe(
    image: np.ndarray, camera: Camera, x: tuple[float, float], z: tuple[float, float], colour: Colour
) -> None:
    """Paint a rectangle that lies on the ground: a lane mark, a kerb, a stripe of a crossing; metres."""
    corners = [camera.project(x[i], 0, z[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    fixed = np.rint((np.array(corners) - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(image, fixed, colour, cv2.LINE_AA, 4)
