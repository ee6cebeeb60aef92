"""A figure that says why there is nothing to see."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure


def empty_figure(title: str, why: str, size: tuple[float, float] = (7, 4)) -> Figure:
    """Draw a title and a reason where a figure has nothing to show, so that a report keeps its shape.

    Args:
        title: of the figure that should be there.
        why: one sentence.
        size: width and height in inches.

    Returns:
        A figure that belongs to no pyplot state.
    """
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_axis_off()
    axes.text(0.5, 0.5, textwrap.fill(why, 60), ha="center", va="center", color="0.35", transform=axes.transAxes)
    return figure


def add_note(figure: Figure, note: str) -> None:
    """Write a remark below a figure, in small grey letters; an empty one adds nothing."""
    if note:
        figure.supxlabel(textwrap.fill(note, 110), fontsize=8, color="0.35")
