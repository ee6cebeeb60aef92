"""Small charts as SVG text, for pages that hold hundreds: a line takes a microsecond, and text stays sharp.

The drawings are 420 units wide with letters of 11 units, so that they can be read at the width of a phone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.plots.colors import Color

_WIDTH = 420
_LEFT, _RIGHT = 34, 8


class Series(NamedTuple):
    """Values over frames.

    Attributes:
        name: for the legend.
        frames: ``(N,)`` frame numbers.
        values: ``(N,)`` finite values.
        color: blue, green, red.
        joined: whether the points of neighbouring frames are joined by a line; ``False`` for many faint points.
    """

    name: str
    frames: npt.NDArray[np.integer]
    values: npt.NDArray[np.floating]
    color: Color
    joined: bool = True


class Run(NamedTuple):
    """A span of frames in one colour.

    Attributes:
        first: the first frame.
        last: the last frame.
        color: blue, green, red.
        name: written on it where there is room; also its tooltip.
    """

    first: int
    last: int
    color: Color
    name: str


def hex_color(color: Color) -> str:
    """Blue, green, red as the ``#rrggbb`` of the web."""
    blue, green, red = color
    return f"#{red:02x}{green:02x}{blue:02x}"


def chart(series: Sequence[Series], first: int, last: int, marks: Sequence[int], top: float, label: str) -> str:
    """Draw values over frames.

    Args:
        series: what to draw, in this order; none gives an empty frame.
        first: the first frame of the axis.
        last: the last one.
        marks: frames to mark by a vertical line.
        top: what the vertical axis, which starts at 0, must reach.
        label: of the vertical axis.

    Returns:
        An ``<svg>`` element.
    """
    height, above, below = 190, 34, 22
    span = max(last - first, 1)
    step = next((size for size in (0.1, 0.2, 0.5) if top <= 5 * size), top / 4)
    top = max(math.ceil(top / step - 1e-6), 1) * step

    def x(frame: float) -> float:
        return _LEFT + (frame - first) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return height - below - min(max(value, 0.0), top) / top * (height - above - below)

    parts = [f'<text x="0" y="11">{escape(label)}</text>']
    for value in np.arange(0, top + step / 2, step).tolist():
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 4}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2g}</text>')
    parts += [f'<path class="mark" d="M{x(mark):.1f} {above}V{height - below}"/>' for mark in marks]
    for frame in _ticks(first, last):
        parts.append(f'<text x="{x(frame):.1f}" y="{height - 7}" text-anchor="middle">{frame}</text>')
    place = float(_LEFT)
    for entry in series:
        color = hex_color(entry.color)
        points = list(zip(entry.frames.tolist(), entry.values.tolist(), strict=True))
        if entry.joined:
            parts.append(f'<path fill="none" stroke="{color}" stroke-width="2" d="{_path(points, x, y)}"/>')
        radius, opacity = (1.8, 1) if entry.joined else (1.5, 0.45)
        dots = "".join(f'<circle cx="{x(f):.1f}" cy="{y(v):.1f}" r="{radius}"/>' for f, v in points)
        parts.append(f'<g fill="{color}" opacity="{opacity}">{dots}</g>')
        parts.append(f'<circle cx="{place + 5:.0f}" cy="22" r="4" fill="{color}"/>')
        parts.append(f'<text x="{place + 13:.0f}" y="26">{escape(entry.name)}</text>')
        place += 28 + 6.2 * len(entry.name)
    return _svg(height, parts)


def timeline(runs: Sequence[Run], first: int, last: int, marks: Sequence[int], label: str) -> str:
    """Draw spans of frames as one bar.

    Args:
        runs: the spans, which should not overlap.
        first: the first frame of the axis.
        last: the last one.
        marks: frames to mark by a vertical line.
        label: above the bar.

    Returns:
        An ``<svg>`` element.
    """
    height = 58
    unit = (_WIDTH - _LEFT - _RIGHT) / max(last - first + 1, 1)

    def x(frame: float) -> float:
        return _LEFT + (frame - first) * unit

    parts = [f'<text x="0" y="11">{escape(label)}</text>']
    for run in runs:
        width = (run.last - run.first + 1) * unit
        who = run.name or "nobody"
        tip = f"<title>{escape(who)}: frames {run.first} to {run.last}</title>"
        shape = f'<rect x="{x(run.first):.1f}" y="18" width="{max(width, 0.8):.1f}" height="20"'
        parts.append(f'{shape} fill="{hex_color(run.color)}">{tip}</rect>')
        if run.name and width > 7 * len(run.name) + 4:
            middle = x(run.first) + width / 2
            parts.append(f'<text class="on" x="{middle:.1f}" y="32" text-anchor="middle">{escape(run.name)}</text>')
    parts += [f'<path class="mark" d="M{x(mark):.1f} 14V42"/>' for mark in marks]
    for frame in _ticks(first, last):
        parts.append(f'<text x="{x(frame):.1f}" y="54" text-anchor="middle">{frame}</text>')
    return _svg(height, parts)


def _svg(height: int, parts: Sequence[str]) -> str:
    """Wrap the parts; colours of lines and letters are those of the page's style sheet.

    Browsers need neither the namespace nor a size, but other programs (converters, viewers of mail) show nothing
    without them.
    """
    size = f'xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    return f'<svg {size} role="img" font-size="11">{"".join(parts)}</svg>'


def _path(points: Sequence[tuple[int, float]], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Line through the points, broken where frames are missing."""
    steps = []
    previous = None
    for frame, value in points:
        steps.append(f"{'L' if previous is not None and frame == previous + 1 else 'M'}{x(frame):.1f} {y(value):.1f}")
        previous = frame
    return "".join(steps)


def _ticks(first: int, last: int) -> list[int]:
    """About five round numbers in a range."""
    rough = max(last - first, 1) / 5
    magnitude = 10 ** math.floor(math.log10(rough)) if rough >= 1 else 1
    step = max(1, next(int(m * magnitude) for m in (1, 2, 5, 10) if m * magnitude >= rough))
    return list(range(-(-first // step) * step, last + 1, step))
