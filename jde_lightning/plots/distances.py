"""Distances of pairs of embeddings: of the same and of different identities, together and by time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jde_lightning.plots.colors import DIFFERENT_IDENTITY, SAME_IDENTITY
from jde_lightning.plots.empty import add_note, empty_figure

_HISTOGRAMS = "Distance of two boxes"
_GAPS = "Distance after a while"


def plot_distance_histograms(
    edges: npt.ArrayLike, same: npt.ArrayLike, different: npt.ArrayLike, note: str = ""
) -> Figure:
    """Plot how far apart pairs of the same and of different identities are; where the two overlap, trackers err.

    Args:
        edges: ``(B + 1,)`` edges of the bins, cosine distance.
        same: ``(B,)`` number of pairs of the same identity.
        different: ``(B,)`` number of pairs of different identities.
        note: remark to write below.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there are no pairs.

    Raises:
        ValueError: if lengths do not fit.
    """
    bins, kinds = np.asarray(edges, float), [np.asarray(counts, float) for counts in (same, different)]
    if any(len(counts) != len(bins) - 1 for counts in kinds):
        msg = f"a count per bin is needed, got {len(bins)} edges, {len(kinds[0])} and {len(kinds[1])} counts"
        raise ValueError(msg)
    if not kinds[0].sum() and not kinds[1].sum():
        return empty_figure(_HISTOGRAMS, note or "there are no two embeddings with an identity")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for counts, color, name in zip(kinds, *_KINDS, strict=True):
        if not counts.sum():
            axes.plot([], [], color=color, label=f"{name}: no pairs")
            continue
        density = counts / counts.sum() / np.diff(bins)
        median = _quantile(bins, counts, 0.5)
        axes.stairs(density, bins, fill=True, color=color, alpha=0.35)
        label = f"{name}: median {median:.2f}, {counts.sum():,.0f} pairs"
        axes.stairs(density, bins, color=color, linewidth=1.5, label=label)
        axes.axvline(median, color=color, linestyle="--", linewidth=1)
    filled = np.flatnonzero(kinds[0] + kinds[1])
    axes.set_xlim(bins[max(filled[0] - 1, 0)], bins[min(filled[-1] + 2, len(bins) - 1)])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("cosine distance")
    axes.set_ylabel("share of the pairs, per unit of distance")
    axes.set_title(_HISTOGRAMS)
    _finish(axes)
    add_note(figure, note)
    return figure


def plot_distance_by_time_gap(
    edges: npt.ArrayLike,
    same: npt.ArrayLike,
    different: npt.ArrayLike,
    same_counts: npt.ArrayLike,
    different_counts: npt.ArrayLike,
    note: str = "",
) -> Figure:
    """Plot the distance of two boxes of one sequence against the time between them.

    Where the band of the same identity rises to that of different ones, appearance does not bring back who was gone for
    so long.

    Args:
        edges: ``(B + 1,)`` seconds.
        same: ``(B, 3)`` low, middle and high quantile of the distances of pairs of the same identity; NaN without any.
        different: ``(B, 3)`` the same of different identities.
        same_counts: ``(B,)`` number of pairs.
        different_counts: ``(B,)`` number of pairs.
        note: remark to write below.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there are no pairs.

    Raises:
        ValueError: if lengths do not fit.
    """
    seconds, numbers = np.asarray(edges, float), [np.asarray(counts) for counts in (same_counts, different_counts)]
    kinds = [np.asarray(values, float).reshape(-1, 3) for values in (same, different)]
    lengths = {len(array) for array in (*kinds, *numbers)}
    if lengths != {max(len(seconds) - 1, 0)}:
        msg = f"a value per band is needed, got {len(seconds)} edges and {sorted(lengths)} values"
        raise ValueError(msg)
    if not numbers[0].sum() and not numbers[1].sum():
        return empty_figure(_GAPS, note or "there are no two embeddings of one sequence with an identity")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    x = np.arange(len(seconds) - 1)
    for values, counts, color, name in zip(kinds, numbers, *_KINDS, strict=True):
        label = name if counts.sum() else f"{name}: no pairs"
        axes.fill_between(x, values[:, 0], values[:, 2], color=color, alpha=0.2, linewidth=0)
        axes.plot(x, values[:, 1], color=color, marker="o", markersize=4, label=label)
    ticks = [
        f"{low:g} to {high:g}\n{_short(count)}"
        for low, high, count in zip(seconds[:-1], seconds[1:], numbers[0].tolist(), strict=True)
    ]
    axes.set_xticks(x, ticks, fontsize=8)
    axes.set_xlim(-0.4, len(x) - 0.6)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds between the two boxes; below, pairs of the same identity")
    axes.set_ylabel("cosine distance")
    axes.set_title(f"{_GAPS}: median, and where 80 % of the pairs are")
    _finish(axes)
    add_note(figure, note)
    return figure


_KINDS = ((SAME_IDENTITY, DIFFERENT_IDENTITY), ("same identity", "different identities"))


def _quantile(edges: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], share: float) -> float:
    """Value below which a share of the pairs lies, spread evenly within their bins."""
    below = np.append(0, np.cumsum(counts)) / counts.sum()
    return float(np.interp(share, below, edges))


def _short(count: int) -> str:
    """A number in few letters: 950, 9.5k, 95k, 9.5M."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if count >= limit:
            return f"{count / limit:.{1 if count < 10 * limit else 0}f}{unit}"
    return str(count)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
