"""Contact sheets of crops: the neighbours of one, and pairs that an embedding gets wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.colors import CORRECT, FALSE_POSITIVE, GRAY, Color, as_rgb
from jde_lightning.plots.empty import add_note, empty_figure

_CELL = (1.15, 2.35)  # inches that a picture and its text take
_PER_ROW = 7


def plot_nearest_neighbours(
    query: Picture,
    pictures: Sequence[Picture],
    distances: Sequence[float],
    same: Sequence[bool | None] | None = None,
    captions: Sequence[str] | None = None,
    query_caption: str = "",
    note: str = "",
) -> Figure:
    """Show a crop and those that are most alike to it, with their distances.

    Args:
        query: ``(H, W, 3)`` uint8 BGR.
        pictures: ``K`` pictures, the nearest first.
        distances: ``(K,)`` cosine distance of each.
        same: ``(K,)`` whether each shows the same person, which frames it green or red; ``None`` where nobody knows.
        captions: ``(K,)`` what to write below each.
        query_caption: what to write below the query.
        note: remark to write below the figure.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if lengths do not fit.
    """
    truth = [None] * len(pictures) if same is None else list(same)
    texts = [""] * len(pictures) if captions is None else list(captions)
    if not len(pictures) == len(distances) == len(truth) == len(texts):
        msg = f"a distance and a caption per picture are needed, got {len(pictures)} pictures, {len(distances)} values"
        raise ValueError(msg)
    columns = min(len(pictures), _PER_ROW) + 1
    rows = max(1, math.ceil(len(pictures) / _PER_ROW))
    figure = Figure(figsize=(columns * _CELL[0], rows * _CELL[1] + 0.4), layout="constrained")
    cells = figure.subplots(rows, columns, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    _show(cells[0, 0], query, (0, 0, 0), "query", query_caption)
    colors: dict[bool | None, Color] = {True: CORRECT, False: FALSE_POSITIVE, None: GRAY}
    for position, (picture, distance, is_same, text) in enumerate(zip(pictures, distances, truth, texts, strict=True)):
        axes = cells[position // _PER_ROW, position % _PER_ROW + 1]
        _show(axes, picture, colors[None if is_same is None else bool(is_same)], f"{distance:.2f}", text)
    figure.suptitle("Nearest neighbours, with their cosine distance", fontsize=11)
    add_note(figure, note or ("" if len(pictures) else "there is no other embedding"))
    return figure


def plot_pairs(
    first: Sequence[Picture],
    second: Sequence[Picture],
    distances: Sequence[float],
    first_captions: Sequence[str] | None = None,
    second_captions: Sequence[str] | None = None,
    title: str = "Hardest pairs",
    note: str = "",
) -> Figure:
    """Show pairs of crops side by side with their distances: hardest positives or negatives.

    Args:
        first: ``K`` pictures, ``(H, W, 3)`` uint8 BGR.
        second: ``K`` pictures.
        distances: ``(K,)`` cosine distance of the two of a pair.
        first_captions: ``(K,)`` what to write below the first of each.
        second_captions: ``(K,)`` what to write below the second.
        title: of the figure.
        note: remark to write below, and the reason if there are no pairs.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there are no pairs.

    Raises:
        ValueError: if lengths do not fit.
    """
    count = len(first)
    texts = [[""] * count if given is None else list(given) for given in (first_captions, second_captions)]
    if {len(second), len(distances), len(texts[0]), len(texts[1])} != {count}:
        msg = f"as many first as second pictures, distances and captions are needed, got {count}, {len(second)}, "
        raise ValueError(msg + f"{len(distances)}")
    if not count:
        return empty_figure(title, note or "there are no such pairs")
    across = min(count, 4)
    rows = math.ceil(count / across)
    figure = Figure(figsize=(across * 2 * _CELL[0] + 0.2, rows * _CELL[1] + 0.4), layout="constrained")
    blocks = np.atleast_2d(np.asarray(figure.subfigures(rows, across, wspace=0.04, squeeze=False)))
    for position, block in enumerate(blocks.flat):
        if position >= count:
            continue
        cells = block.subplots(1, 2)
        block.suptitle(f"{distances[position]:.2f}", fontsize=10)
        for axes, pictures, captions in zip(cells, (first, second), texts, strict=True):
            _show(axes, pictures[position], GRAY, "", captions[position])
    figure.suptitle(title, fontsize=11)
    add_note(figure, note)
    return figure


def _show(axes: Axes, picture: Picture, color: Color, above: str, below: str) -> None:
    """Show a picture in a coloured frame, with a line of text above and some below."""
    axes.set_axis_on()
    axes.imshow(picture[..., ::-1])
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(as_rgb(color))
        side.set_linewidth(2)
    if above:
        axes.set_title(above, fontsize=9, pad=3)
    if below:
        axes.set_xlabel(below.replace(", ", "\n"), fontsize=6.5, labelpad=3)
