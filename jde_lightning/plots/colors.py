"""Every colour of the package's pictures and figures."""

from __future__ import annotations

import colorsys
from functools import lru_cache

Color = tuple[int, int, int]
"""Blue, green, red in 0..255, as OpenCV draws."""

WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
GRAY: Color = (150, 150, 150)
CORRECT: Color = (80, 180, 40)
FALSE_POSITIVE: Color = (40, 40, 230)
MISSED: Color = (0, 190, 255)

WITH_APPEARANCE = "#1b6ca8"
"""Curve of the tracker that uses the embeddings."""
MOTION_ONLY = "#8a8a8a"
"""Curve of the same tracker without them."""

SAME_IDENTITY = "#1b6ca8"
"""Pairs of boxes that show one person."""
DIFFERENT_IDENTITY = "#d9822b"
"""Pairs of boxes that show two."""

_GOLDEN_RATIO = 0.6180339887498949
_SHADES = ((0.90, 1.00), (0.60, 1.00), (1.00, 0.72))


@lru_cache(maxsize=4096)
def identity_color(identity: int) -> Color:
    """Give an identity its colour: the same in every picture, and far from the colours of neighbouring numbers.

    Steps of the golden ratio spread any run of consecutive numbers evenly over the circle of hues; three shades tell
    apart the hues that come close again after a few dozen.

    Args:
        identity: any integer; negative numbers mean that there is no identity.

    Returns:
        Blue, green, red in 0..255; gray where there is no identity.
    """
    if identity < 0:
        return GRAY
    saturation, value = _SHADES[identity % len(_SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(identity * _GOLDEN_RATIO % 1.0, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)


def text_color(background: Color) -> Color:
    """Black or white, whichever is easier to read on ``background``."""
    blue, green, red = background
    # Luma weights of Rec. 601.
    return BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else WHITE


def as_rgb(color: Color) -> tuple[float, float, float]:
    """Convert an OpenCV colour to the red, green, blue fractions of matplotlib."""
    blue, green, red = color
    return red / 255, green / 255, blue / 255
