"""What one identity looks like: body, hair and clothes, constant over a sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np

from jde_lightning.data.synthetic.sprites import Colour, scaled

TEXTURE_SIZE = 96
"""Period of a cloth texture in pixels; it repeats every ``TEXTURE_METRES`` metres."""
TEXTURE_METRES = 0.6
TEXTURE_REPEATS = 3

Choice = TypeVar("Choice")

SKIN: tuple[Colour, ...] = (
    (178, 205, 238),
    (150, 185, 226),
    (120, 158, 205),
    (90, 125, 176),
    (62, 90, 138),
    (45, 62, 98),
)
HAIR: tuple[Colour, ...] = ((28, 26, 30), (32, 44, 66), (40, 66, 104), (84, 140, 190), (46, 62, 140), (150, 150, 152))
CLOTH: tuple[Colour, ...] = (
    (236, 236, 234), (42, 40, 42), (120, 118, 120), (40, 38, 178), (60, 110, 224), (70, 200, 236), (70, 130, 62),
    (56, 92, 50), (168, 110, 44), (120, 56, 32), (206, 170, 120), (150, 74, 140), (190, 150, 232), (76, 100, 142),
    (150, 190, 214), (160, 180, 70), (66, 44, 110), (198, 204, 150), (90, 150, 246), (62, 66, 92),
)  # fmt: skip
BOTTOM: tuple[Colour, ...] = (
    (106, 70, 48), (74, 48, 36), (140, 108, 82), (40, 38, 40), (72, 72, 74), (120, 146, 172), (54, 74, 96),
    (70, 86, 80), (200, 204, 206), (60, 50, 100),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((34, 32, 34), (228, 228, 226), (46, 62, 96), (60, 60, 160), (140, 90, 50))

HAIR_STYLES = ("short", "long", "bun", "bald", "cap", "beanie", "curly")
PATTERNS = ("plain", "plain", "plain", "stripes", "wide_stripes", "upright", "checks", "dots", "blocks", "logo")
TOPS = ("shirt", "sweater", "sweater", "jacket", "coat", "vest")
BOTTOMS = ("trousers", "trousers", "trousers", "shorts", "skirt", "dress")
BAGS = ("none", "none", "backpack", "shoulder", "hand")


@dataclass(frozen=True, slots=True)
class Appearance:
    """The look of one identity. Lengths are in metres or in shares of the body height, colours are BGR.

    Attributes:
        height: body height in metres, without shoes and hat.
        build: breadth relative to an average body.
        skin: skin colour.
        hair: colour of hair or headgear.
        hair_style: one of ``HAIR_STYLES``.
        top: one of ``TOPS``.
        top_colour: main colour of the upper clothes.
        second_colour: colour of the pattern, or of the shirt under an open jacket.
        pattern: one of ``PATTERNS``.
        pattern_scale: size of the pattern, around 1.
        bottom: one of ``BOTTOMS``.
        bottom_colour: colour of the lower clothes.
        shoes: colour of the shoes.
        bag: one of ``BAGS``.
        bag_colour: colour of the bag.
        phone: whether one arm is bent, as if looking at a phone.
        texture: uint8 BGRA of the upper clothes, see :func:`cloth_texture`.
    """

    height: float
    build: float
    skin: Colour
    hair: Colour
    hair_style: str
    top: str
    top_colour: Colour
    second_colour: Colour
    pattern: str
    pattern_scale: float
    bottom: str
    bottom_colour: Colour
    shoes: Colour
    bag: str
    bag_colour: Colour
    phone: bool
    texture: np.ndarray


def _pick(rng: np.random.Generator, choices: tuple[Choice, ...]) -> Choice:
    return choices[int(rng.integers(len(choices)))]


def _varied(rng: np.random.Generator, colour: Colour) -> Colour:
    """A slightly different shade, so that two people in red do not wear the same red."""
    light, *shift = rng.random(4).tolist()
    b, g, r = (
        min(max(c * (0.85 + 0.27 * light) + 20 * s - 10, 12.0), 248.0) for c, s in zip(colour, shift, strict=True)
    )
    return b, g, r


def in_light(look: Appearance, light: Colour) -> Appearance:
    """The look under a coloured light, given as factors for blue, green and red near 1."""

    def lit(colour: Colour) -> Colour:
        b, g, r = (min(c * factor, 255.0) for c, factor in zip(colour, light, strict=True))
        return b, g, r

    return replace(
        look,
        skin=lit(look.skin), hair=lit(look.hair), top_colour=lit(look.top_colour),
        second_colour=lit(look.second_colour), bottom_colour=lit(look.bottom_colour), shoes=lit(look.shoes),
        bag_colour=lit(look.bag_colour), texture=cv2.multiply(look.texture, (*light, 1.0)),
    )  # fmt: skip


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Dress one person."""
    child = rng.random() < 0.07
    top_colour = _varied(rng, _pick(rng, CLOTH))
    second = _varied(rng, _pick(rng, CLOTH))
    while sum(abs(a - b) for a, b in zip(top_colour, second, strict=True)) < 120:
        second = _varied(rng, _pick(rng, CLOTH))
    pattern, scale = _pick(rng, PATTERNS), float(rng.uniform(0.7, 1.4))
    return Appearance(
        height=float(rng.uniform(1.1, 1.35) if child else np.clip(rng.normal(1.72, 0.09), 1.5, 1.96)),
        build=float(np.clip(rng.normal(1.0, 0.1), 0.82, 1.3)),
        skin=_varied(rng, _pick(rng, SKIN)),
        hair=_varied(rng, _pick(rng, HAIR)),
        hair_style=_pick(rng, HAIR_STYLES),
        top=_pick(rng, TOPS),
        top_colour=top_colour,
        second_colour=second,
        pattern=pattern,
        pattern_scale=scale,
        bottom=_pick(rng, BOTTOMS),
        bottom_colour=_varied(rng, _pick(rng, BOTTOM if rng.random() < 0.75 else CLOTH)),
        shoes=_varied(rng, _pick(rng, SHOES)),
        bag=_pick(rng, BAGS),
        bag_colour=_varied(rng, _pick(rng, CLOTH)),
        phone=bool(rng.random() < 0.15),
        texture=cloth_texture(pattern, top_colour, second, scale),
    )


def similar_appearance(rng: np.random.Generator, other: Appearance) -> Appearance:
    """Dress a person in the clothes of ``other``; body, hair, bag and shoes are drawn anew."""
    stranger = random_appearance(rng)
    top_colour = _varied(rng, other.top_colour)
    return replace(
        stranger,
        top=other.top,
        top_colour=top_colour,
        second_colour=other.second_colour,
        pattern=other.pattern,
        bottom=other.bottom,
        bottom_colour=_varied(rng, other.bottom_colour),
        texture=cloth_texture(other.pattern, top_colour, other.second_colour, stranger.pattern_scale),
    )


def mannequin_appearance(rng: np.random.Generator) -> Appearance:
    """Dress a shop-window figure: skin and head of one colour, no hair, no bag."""
    plastic = (float(rng.uniform(190, 225)),) * 3
    return replace(
        random_appearance(rng),
        height=1.8,
        build=0.9,
        skin=plastic,
        hair=plastic,
        hair_style="bald",
        bag="none",
        phone=False,
    )


def cloth_texture(pattern: str, colour: Colour, second: Colour, scale: float) -> np.ndarray:
    """Paint the cloth of the upper body.

    Args:
        pattern: one of ``PATTERNS``.
        colour: ground colour, BGR.
        second: colour of the pattern, BGR.
        scale: size of the pattern, around 1.

    Returns:
        ``(3 * TEXTURE_SIZE, 3 * TEXTURE_SIZE, 4)`` uint8 BGRA, opaque: three periods in each direction, enough for
        every body from every side. Its centre is the middle of the chest.
    """
    n = TEXTURE_SIZE
    tile = np.empty((n, n, 4), np.uint8)
    tile[:] = (*colour, 255)
    period = n / max(round(n / (16 * scale)), 1)
    lines = np.arange(0, n - 1e-6, period)
    ink = (*second, 255)
    if pattern in ("stripes", "wide_stripes"):
        step = 2 if pattern == "wide_stripes" else 1
        for y in lines[::step]:
            tile[round(y) : round(y + step * period / 2)] = ink
    elif pattern == "upright":
        for x in lines:
            tile[:, round(x) : round(x + period / 3)] = ink
    elif pattern == "checks":
        middle = (*(0.5 * (np.asarray(colour) + np.asarray(second))), 255)
        for y in lines:
            tile[round(y) : round(y + period / 2)] = middle
        for x in lines:
            tile[:, round(x) : round(x + period / 2)] = middle
        for y in lines:
            for x in lines:
                tile[round(y) : round(y + period / 2), round(x) : round(x + period / 2)] = ink
    elif pattern == "dots":
        for row, y in enumerate(lines):
            for x in lines:
                centre = (round(x + period / 2 + (row % 2) * period / 2) % n, round(y + period / 2))
                cv2.circle(tile, centre, max(round(period / 4), 1), ink, -1)
    elif pattern == "blocks":
        tile[n // 2 :] = ink
    elif pattern == "logo":
        cv2.circle(tile, (n // 2, round(0.42 * n)), round(9 * scale), ink, -1)
        cv2.rectangle(tile, (n // 2 - 16, round(0.56 * n)), (n // 2 + 16, round(0.62 * n)), ink, -1)
    return np.tile(cv2.multiply(tile, _weave(), scale=1 / 255), (TEXTURE_REPEATS, TEXTURE_REPEATS, 1))


@lru_cache(maxsize=1)
def _weave() -> np.ndarray:
    """``(TEXTURE_SIZE, TEXTURE_SIZE, 4)`` uint8 unevenness of cloth."""
    weave = np.random.default_rng(11).integers(235, 256, (TEXTURE_SIZE, TEXTURE_SIZE, 1), dtype=np.uint8)
    weave = weave.repeat(4, axis=2)
    weave[..., 3] = 255
    return weave


def sleeve_colours(look: Appearance) -> tuple[Colour, Colour]:
    """Colours of the upper arm and of the forearm."""
    outer = look.top_colour
    if look.pattern == "checks":
        b, g, r = (0.5 * (a + b) for a, b in zip(look.top_colour, look.second_colour, strict=True))
        outer = (b, g, r)
    if look.top == "vest":
        return look.second_colour, look.second_colour
    if look.top == "shirt":
        return outer, look.skin
    return outer, scaled(outer, 0.96)
