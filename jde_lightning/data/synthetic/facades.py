"""Building fronts with windows, doors, shops, awnings and signs."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from jde_lightning.data.synthetic.ground import plaster
from jde_lightning.data.synthetic.sprites import Colour, mixed, scaled

WALLS: tuple[Colour, ...] = (
    (150, 190, 216), (120, 150, 190), (86, 104, 158), (186, 200, 208), (150, 170, 150), (200, 188, 170),
    (110, 120, 132), (140, 176, 222), (96, 112, 140), (170, 150, 166),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = (
    (60, 60, 170), (120, 70, 40), (60, 110, 60), (40, 40, 44), (60, 150, 210), (140, 60, 120), (220, 220, 220),
)  # fmt: skip
FLOOR_METRES, SHOP_METRES = 3.1, 3.7


class ShopWindow(NamedTuple):
    """A large pane at street level: left, top, right, bottom in pixels of the facade's image."""

    left: int
    top: int
    right: int
    bottom: int


def _box(image: np.ndarray, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    cv2.rectangle(image, (round(left), round(top)), (round(right) - 1, round(bottom) - 1), colour, -1)


def _glass(image: np.ndarray, left: float, top: float, right: float, bottom: float, dark: Colour) -> None:
    """A pane with a slanted reflection."""
    x0, y0, x1, y1 = round(left), round(top), round(right), round(bottom)
    pane = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if pane.size == 0:
        return
    h, w = pane.shape[:2]
    pane[:] = dark
    gleam = np.array([[0.1 * w, 0], [0.6 * w, 0], [0.25 * w, h], [-0.25 * w, h]])
    cv2.fillConvexPoly(pane, np.rint(gleam).astype(np.int32), mixed(dark, (230, 215, 200), 0.22), cv2.LINE_AA)


def paint_row(
    image: np.ndarray, left: int, right: int, base: int, scale: float, rng: np.random.Generator, low: bool
) -> list[ShopWindow]:
    """Paint a row of houses side by side.

    Args:
        image: ``(H, W, 3)`` uint8 BGR, changed in place.
        left: first column.
        right: column behind the last one.
        base: row of the pavement.
        scale: pixels per metre.
        rng: source of everything that differs.
        low: whether some houses may be so low, or missing, that the sky shows.

    Returns:
        The shop windows.
    """
    windows: list[ShopWindow] = []
    x = left - round(rng.uniform(0, 4) * scale)
    while x < right:
        width = round(rng.uniform(5.5, 10.5) * scale)
        floors = int(rng.integers(1, 4)) if low else int(rng.integers(2, 5))
        windows += _paint_house(image, x, min(x + width, right), base, scale, floors, rng)
        x += width + (round(rng.uniform(1, 3) * scale) if low and rng.random() < 0.2 else 0)
    return windows


def _paint_house(
    image: np.ndarray, left: int, right: int, base: int, scale: float, floors: int, rng: np.random.Generator
) -> list[ShopWindow]:
    wall = WALLS[int(rng.integers(len(WALLS)))]
    wall = scaled(wall, float(rng.uniform(0.8, 1.12)))
    top = round(base - (SHOP_METRES + floors * FLOOR_METRES + 0.5) * scale)
    x0, x1, y0 = max(left, 0), min(right, image.shape[1]), max(top, 0)
    if x1 - x0 < 3 or base <= y0:
        return []
    front = image[y0:base, x0:x1]
    grain = plaster()[: front.shape[0], : front.shape[1]]
    if grain.shape != front.shape:
        grain = cv2.resize(plaster(), (front.shape[1], front.shape[0]))
    front[:] = wall
    front[:] = cv2.multiply(front, grain, scale=1 / 128)
    if scale > 12 and rng.random() < 0.45:
        for y in np.arange(base, y0, -0.24 * scale):
            cv2.line(image, (x0, round(y)), (x1 - 1, round(y)), scaled(wall, 0.9), 1)
    _box(image, x0, top, x1, top + 0.35 * scale, scaled(wall, 1.15))
    _box(image, x0, top + 0.35 * scale, x1, top + 0.5 * scale, scaled(wall, 0.7))
    _paint_windows(image, left, right, base, scale, floors, wall, rng)
    shops = _paint_street_level(image, left, right, base, scale, wall, rng)
    _box(image, x0, y0, x0 + max(0.12 * scale, 1), base, scaled(wall, 0.78))
    return shops


def _paint_windows(
    image: np.ndarray, left: int, right: int, base: int, scale: float, floors: int, wall: Colour,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    pitch = rng.uniform(1.9, 2.9) * scale
    count = max(int((right - left) // pitch), 1)
    pitch = (right - left) / count
    width, height = min(rng.uniform(1.0, 1.6) * scale, 0.7 * pitch), rng.uniform(1.5, 2.0) * scale
    frame = (235, 235, 235) if rng.random() < 0.6 else scaled(wall, 0.55)
    dark = (110, 92, 78) if rng.random() < 0.5 else (86, 80, 76)
    border, balcony = max(0.09 * scale, 1), rng.random() < 0.25
    for floor in range(floors):
        bottom = base - (SHOP_METRES + floor * FLOOR_METRES + 0.75) * scale
        if bottom < 0:
            break
        for i in range(count):
            x = left + (i + 0.5) * pitch - width / 2
            _box(image, x - border, bottom - height - border, x + width + border, bottom + border, frame)
            _glass(image, x, bottom - height, x + width, bottom, scaled(dark, float(rng.uniform(0.7, 1.4))))
            if rng.random() < 0.3:
                _box(image, x, bottom - height, x + 0.3 * width, bottom, (206, 214, 220))
            _box(image, x + width / 2 - border / 2, bottom - height, x + width / 2 + border / 2, bottom, frame)
            sill = bottom + border
            _box(image, x - 2 * border, sill, x + width + 2 * border, sill + border, scaled(wall, 1.2))
            _box(image, x - 2 * border, sill + border, x + width + 2 * border, sill + 2 * border, scaled(wall, 0.72))
            if balcony and scale > 14:
                for bar in np.arange(x - 2 * border, x + width + 2 * border, 0.16 * scale):
                    _box(image, bar, bottom - 0.8 * scale, bar + 1, bottom, (50, 46, 44))
                _box(
                    image,
                    x - 2 * border,
                    bottom - 0.85 * scale,
                    x + width + 2 * border,
                    bottom - 0.78 * scale,
                    (50, 46, 44),
                )


def _paint_street_level(
    image: np.ndarray, left: int, right: int, base: int, scale: float, wall: Colour, rng: np.random.Generator
) -> list[ShopWindow]:
    if rng.random() < 0.25:
        _paint_entrance(image, left, right, base, scale, wall, rng)
        return []
    accent = SIGNS[int(rng.integers(len(SIGNS)))]
    top = base - SHOP_METRES * scale
    _box(image, left, top, right, base, scaled(accent, 0.55))
    _box(image, left, base - 0.35 * scale, right, base, scaled(wall, 0.6))
    door = left + rng.uniform(0.15, 0.7) * (right - left)
    windows = []
    for x0, x1 in ((left + 0.3 * scale, door - 0.2 * scale), (door + 1.4 * scale, right - 0.3 * scale)):
        if x1 - x0 < 1.0 * scale:
            continue
        y0, y1 = base - 2.75 * scale, base - 0.4 * scale
        _glass(image, x0, y0, x1, y1, (92, 104, 116) if rng.random() < 0.5 else (66, 64, 66))
        _box(image, x0, y1 - 0.25 * scale, x1, y1, (120, 140, 156))
        windows.append(ShopWindow(round(x0), round(y0), round(x1), round(y1)))
    _glass(image, door, base - 2.5 * scale, door + 1.1 * scale, base - 0.05 * scale, (70, 66, 64))
    _box(image, door + 0.95 * scale, base - 1.3 * scale, door + 1.02 * scale, base - 0.9 * scale, (200, 210, 214))
    _paint_sign(image, left, right, top, scale, accent, rng)
    if rng.random() < 0.5:
        _paint_awning(image, left, right, base - 2.85 * scale, scale, accent)
    return windows


def _paint_sign(
    image: np.ndarray, left: int, right: int, top: float, scale: float, accent: Colour, rng: np.random.Generator
) -> None:
    _box(image, left + 0.1 * scale, top + 0.1 * scale, right - 0.1 * scale, top + 0.75 * scale, accent)
    ink = (240, 240, 240) if sum(accent) < 450 else (40, 40, 40)
    x = left + rng.uniform(0.1, 0.4) * (right - left)
    for _ in range(int(rng.integers(4, 9))):
        w = rng.uniform(0.12, 0.32) * scale
        if x + w > right - 0.3 * scale:
            break
        tall = rng.uniform(0.22, 0.38) * scale
        _box(image, x, top + 0.6 * scale - tall, x + max(w, 1), top + 0.6 * scale, ink)
        x += w + max(0.1 * scale, 1)


def _paint_awning(image: np.ndarray, left: int, right: int, top: float, scale: float, accent: Colour) -> None:
    stripes = max(round((right - left) / (0.45 * scale)), 2)
    step, drop, flare = (right - left) / stripes, 0.75 * scale, 0.25 * scale
    middle = (left + right) / 2
    for i in range(stripes):
        colour = accent if i % 2 else (232, 234, 236)
        x0, x1 = left + i * step, left + (i + 1) * step
        spread0, spread1 = flare * (x0 - middle) / (right - left), flare * (x1 - middle) / (right - left)
        strip = np.array([[x0, top], [x1, top], [x1 + spread1, top + drop], [x0 + spread0, top + drop]])
        cv2.fillConvexPoly(image, np.rint(strip).astype(np.int32), scaled(colour, 0.95))
        hem = (round((x0 + x1 + spread0 + spread1) / 2), round(top + drop))
        cv2.circle(image, hem, max(round(step / 2), 1), scaled(colour, 0.8), -1)


def _paint_entrance(
    image: np.ndarray, left: int, right: int, base: int, scale: float, wall: Colour, rng: np.random.Generator
) -> None:
    _box(image, left, base - 0.7 * scale, right, base, scaled(wall, 0.65))
    door = left + rng.uniform(0.2, 0.6) * (right - left)
    wood = ((50, 70, 110), (70, 90, 60), (60, 50, 50), (90, 60, 40))[int(rng.integers(4))]
    _box(image, door - 0.15 * scale, base - 2.6 * scale, door + 1.35 * scale, base, scaled(wall, 1.2))
    _box(image, door, base - 2.45 * scale, door + 1.2 * scale, base, wood)
    for x in (0.1, 0.66):
        for y in (2.25, 1.2):
            _box(
                image,
                door + x * scale,
                base - y * scale,
                door + (x + 0.44) * scale,
                base - (y - 0.8) * scale,
                scaled(wood, 1.25),
            )
    for x in (left + 0.5 * scale, door + 2.0 * scale):
        if x + 1.3 * scale < right and (x + 1.3 * scale < door or x > door + 1.4 * scale):
            _box(image, x - 0.1 * scale, base - 2.6 * scale, x + 1.4 * scale, base - 0.9 * scale, (230, 230, 230))
            _glass(image, x, base - 2.5 * scale, x + 1.3 * scale, base - 1.0 * scale, (96, 84, 76))


def paint_side_row(
    image: np.ndarray, camera_quad: np.ndarray, length: float, height: float, rng: np.random.Generator
) -> None:
    """Paint a row of houses along the street, in perspective.

    Args:
        image: ``(H, W, 3)`` uint8 BGR, changed in place.
        camera_quad: ``(4, 2)`` pixels of the row's corners: near top, far top, far bottom, near bottom.
        length: metres along the street.
        height: metres above the pavement.
        rng: source of everything that differs.
    """
    scale = 34
    texture = np.zeros((round(height * scale), round(length * scale), 3), np.uint8)
    paint_row(texture, 0, texture.shape[1], texture.shape[0], scale, rng, low=False)
    h, w = texture.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, camera_quad.astype(np.float32))
    size = (image.shape[1], image.shape[0])
    cv2.warpPerspective(texture, matrix, size, image, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
