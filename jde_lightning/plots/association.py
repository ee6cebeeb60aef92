"""What a tracker weighed against what: its matrices of tracks and detections, and their terms over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE, as_rgb, identity_color

_NOT_CONSIDERED = "#eeeeee"
_MOST_COLUMNS = 4
_MOST_NUMBERS = 12
"""Rows or columns of a matrix up to which its values are written into it."""
_MOST_LABELS = 10
_OUTCOMES = ("#e3b23c", "#c8553d", "#588157", "#8e7dbe", "#b8b8b8", "#5bc0be", "#a98467")
"""Colours of what came of pairs that were not matched."""


def plot_association_matrices(
    pair_frames: npt.NDArray[Any],
    track_ids: npt.NDArray[Any],
    detection_indices: npt.NDArray[Any],
    values: npt.NDArray[Any],
    matched: npt.NDArray[np.bool_],
    frames: Sequence[int],
    name: str,
) -> Figure:
    """Plot how a tracker saw tracks (rows) and detections (columns) in some frames: the darker, the more alike.

    A blue frame is a match; an empty one was made in a stage that does not look at these values. A cell on light ground
    was never considered. Where several stages looked at a pair, the last one that has a value is shown. Rows have the
    colours of the annotated video.

    Args:
        pair_frames: ``(P,)`` frame number of each pair, as in a track diary.
        track_ids: ``(P,)`` id of the track.
        detection_indices: ``(P,)`` row of the detection in its frame.
        values: ``(P,)`` what is shown, such as the cosine distance; NaN where a stage did not look at it.
        matched: ``(P,)`` whether the pair became a match.
        frames: numbers of the frames to show, each a matrix of its own; one without pairs stays empty.
        name: of the values.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the arrays differ in length.
    """
    pair_frames, track_ids, detection_indices = (np.asarray(a) for a in (pair_frames, track_ids, detection_indices))
    values, matched = np.asarray(values, float), np.asarray(matched, bool)
    _check_lengths(pair_frames=pair_frames, track_ids=track_ids, detections=detection_indices, values=values)
    _check_lengths(pair_frames=pair_frames, matched=matched)
    shown = values[np.isin(pair_frames, list(frames)) & np.isfinite(values)]
    norm = Normalize(0, max(float(shown.max(initial=0)), 1e-9))
    columns = max(1, min(len(frames), _MOST_COLUMNS))
    rows = max(1, math.ceil(len(frames) / columns))
    figure = Figure(figsize=(2.7 * columns + 1.0, 2.9 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(frames) :]:
        axes.set_axis_off()
    image = None
    for axes, frame in zip(panels, frames, strict=False):
        here = pair_frames == frame
        arrays = track_ids[here], detection_indices[here], values[here], matched[here]
        image = _matrix(axes, *arrays, norm=norm) or image
        axes.set_title(f"frame {frame}", fontsize=10)
    if image is not None:
        figure.colorbar(image, ax=panels.tolist(), label=name, shrink=0.8)
    return figure


def _matrix(
    axes: Axes,
    track_ids: npt.NDArray[Any],
    detections: npt.NDArray[Any],
    values: npt.NDArray[np.float64],
    matched: npt.NDArray[np.bool_],
    norm: Normalize,
) -> Any:
    """Draw the matrix of one frame; returns the image, ``None`` for a frame without pairs."""
    if not len(track_ids):
        axes.text(0.5, 0.5, "nothing was compared", ha="center", va="center", transform=axes.transAxes, color="0.5")
        axes.set_xticks([])
        axes.set_yticks([])
        return None
    ids, rows = np.unique(track_ids, return_inverse=True)
    columns_of, columns = np.unique(detections, return_inverse=True)
    grid = np.full((len(ids), len(columns_of)), np.nan)
    known = np.isfinite(values)
    for row, column, value in zip(rows[known], columns[known], values[known], strict=True):
        grid[row, column] = value  # of several stages the last, as they follow each other
    axes.set_facecolor(_NOT_CONSIDERED)
    image = axes.imshow(grid, cmap="magma", norm=norm, aspect="auto")
    for row, column in {(int(r), int(c)) for r, c in zip(rows[matched], columns[matched], strict=True)}:
        corner = (column - 0.46, row - 0.46)
        axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor="#2f9bff", linewidth=2.2))
    if max(grid.shape) <= _MOST_NUMBERS:
        _write_numbers(axes, grid, image.cmap, norm)
    axes.set_yticks(range(len(ids)), [str(i) for i in ids], fontsize=8)
    for label, identity in zip(axes.get_yticklabels(), ids, strict=True):
        label.set_bbox({"facecolor": as_rgb(identity_color(int(identity))), "edgecolor": "none", "pad": 1.5})
    step = math.ceil(len(columns_of) / _MOST_LABELS)
    axes.set_xticks(range(0, len(columns_of), step), [str(c) for c in columns_of[::step]], fontsize=8)
    axes.set_xlabel("detection")
    axes.set_ylabel("track")
    return image


def _write_numbers(axes: Axes, grid: npt.NDArray[np.float64], cmap: Colormap, norm: Normalize) -> None:
    """Write the values into a small matrix, black on light cells and white on dark ones."""
    for row, column in np.argwhere(np.isfinite(grid)):
        value = float(grid[row, column])
        light = np.dot(cmap(float(norm(value)))[:3], (0.299, 0.587, 0.114)) > 0.55
        text = f"{value:.2f}".removeprefix("0")
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="black" if light else "white")


def plot_pairs_over_time(
    frames: npt.NDArray[Any],
    values: npt.NDArray[Any],
    outcomes: Sequence[str],
    name: str,
    limit: float | None = None,
    matched: str = "matched",
) -> Figure:
    """Plot a term of all pairs that a tracker considered, frame by frame, and what came of them.

    Above, what was matched should lie clearly below what was not: where the two run into each other, the term does not
    decide. Below, the pairs of each frame by outcome.

    Args:
        frames: ``(P,)`` frame number of each pair.
        values: ``(P,)`` the term, such as the cosine distance; NaN where a stage did not look at it.
        outcomes: ``(P,)`` name of the outcome of each pair.
        name: of the term.
        limit: that the term must stay below, drawn as a line.
        matched: the outcome that is a match.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the arrays differ in length.
    """
    frames, values, kinds = np.asarray(frames), np.asarray(values, float), np.asarray(outcomes, dtype=np.str_)
    _check_lengths(frames=frames, values=values, outcomes=kinds)
    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    known = np.isfinite(values)
    for mask, color, label, alpha in (
        (known & (kinds != matched), MOTION_ONLY, "not matched", 0.35),
        (known & (kinds == matched), WITH_APPEARANCE, "matched", 0.6),
    ):
        above.scatter(frames[mask], values[mask], s=7, color=color, alpha=alpha, linewidths=0, label=label)
        numbers, medians = _medians(frames[mask], values[mask])
        above.plot(numbers, medians, color=color, lw=1.8, label=f"{label}, median")
    if limit is not None:
        above.axhline(limit, color="#c0392b", ls="--", lw=1, label=f"limit {limit:.3g}")
    if not known.any():
        above.text(0.5, 0.5, f"no pair has a {name}", ha="center", va="center", transform=above.transAxes, color="0.5")
    else:
        above.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    above.set_ylabel(name)
    _stack(below, frames, kinds, matched)
    below.set_xlabel("frame")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _stack(axes: Axes, frames: npt.NDArray[Any], kinds: npt.NDArray[np.str_], matched: str) -> None:
    """Draw the number of pairs of each frame by outcome, matches at the bottom."""
    axes.set_ylabel("pairs considered")
    if not len(frames):
        return
    numbers = np.arange(frames.min(), frames.max() + 1)
    names = sorted(set(kinds.tolist()), key=lambda kind: (kind != matched, kind))
    counts = [np.bincount(frames[kinds == kind] - numbers[0], minlength=len(numbers)) for kind in names]
    rest = cycle(_OUTCOMES)
    colors = [WITH_APPEARANCE if kind == matched else next(rest) for kind in names]
    axes.stackplot(numbers, counts, labels=[kind.replace("_", " ") for kind in names], colors=colors, alpha=0.8, lw=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _medians(frames: npt.NDArray[Any], values: npt.NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Median of the values of each frame that has some."""
    numbers = np.unique(frames).tolist()
    return numbers, [float(np.median(values[frames == number])) for number in numbers]


def _check_lengths(**arrays: npt.NDArray[Any]) -> None:
    """Refuse arrays that do not belong together."""
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        msg = f"one value per pair is needed in all arrays, got {lengths}"
        raise ValueError(msg)
