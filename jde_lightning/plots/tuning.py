"""The course of a search for parameters, and what mattered in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE


def plot_tuning_history(values: Sequence[float], pruned: Sequence[bool], before: float, name: str) -> Figure:
    """Plot what each trial scored, and the best so far.

    Args:
        values: ``(T,)`` objective of each trial in 0..1; of one that was given up, on the sequences that it had seen.
        pruned: ``(T,)`` whether the trial was given up.
        before: objective before the search, in 0..1.
        name: of the objective.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the two sequences differ in length.
    """
    score = 100 * np.asarray(values, dtype=float)
    given_up = np.asarray(pruned, dtype=bool)
    if len(score) != len(given_up):
        msg = f"one flag per trial is needed, got {len(score)} values and {len(given_up)} flags"
        raise ValueError(msg)
    number = np.arange(1, len(score) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(100 * before, color=MOTION_ONLY, linestyle="--", lw=1.2, label=f"before: {100 * before:.1f}")
    label = "given up early" if given_up.any() else "_nothing given up"  # an underscore keeps it out of the legend
    shown = np.append(score[~given_up], 100 * before)
    # A few hopeless trials must not squeeze the part that matters; what lies far below is drawn on the edge.
    bottom = max(shown.min(), np.median(shown) - 2 * (shown.max() - np.median(shown)) - 1) - 0.5
    edge = np.maximum(score[given_up], bottom)
    axes.scatter(number[given_up], edge, s=14, facecolors="none", edgecolors="0.6", label=label, clip_on=False)
    inside, below = ~given_up & (score >= bottom), ~given_up & (score < bottom)
    axes.scatter(number[inside], score[inside], s=14, color=WITH_APPEARANCE, alpha=0.6, label="trial")
    if below.any():
        edge_label, at = f"trial below {bottom:.1f}", np.full(below.sum(), bottom)
        axes.scatter(number[below], at, s=24, marker="v", color=WITH_APPEARANCE, label=edge_label, clip_on=False)
    if (~given_up).any():
        best = np.maximum.accumulate(np.where(given_up, -np.inf, score))
        best = np.where(np.isfinite(best), best, np.nan)
        label = f"best so far: {np.nanmax(best):.1f}"
        axes.step(number, best, where="post", color=WITH_APPEARANCE, label=label)
        axes.set_ylim(bottom, max(shown.max(), edge.max(initial=0)) + 0.5)
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{name} (%)")
    axes.set_title(f"{name} on the tuning sequences")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


def plot_parameter_importance(names: Sequence[str], importance: Sequence[float], objective: str) -> Figure:
    """Plot the share of each parameter in the variance of the objective.

    Args:
        names: ``(P,)`` parameters; none where there were too few trials.
        importance: ``(P,)`` shares in 0..1.
        objective: name of the objective.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the two sequences differ in length.
    """
    share = 100 * np.asarray(importance, dtype=float)
    if len(share) != len(names):
        msg = f"one share per parameter is needed, got {len(names)} names and {len(share)} shares"
        raise ValueError(msg)
    order = np.argsort(share, kind="stable")
    figure = Figure(figsize=(7, max(2.0, 0.8 + 0.32 * len(names))), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh([names[i] for i in order], share[order], color=WITH_APPEARANCE)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    if not len(names):
        axes.text(0.5, 0.5, "too few trials, or no difference", ha="center", va="center", transform=axes.transAxes)
        axes.set_yticks([])
    axes.set_xlim(0, max(10.0, 1.12 * share.max(initial=0)))
    axes.set_xlabel(f"share in the variance of {objective} over the trials (%)")
    axes.set_title("What mattered")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_tuning_landscape(
    x: Sequence[float],
    y: Sequence[float],
    values: npt.NDArray[np.floating],
    names: tuple[str, str],
    objective: str,
    marked: tuple[float, float] | None = None,
) -> Figure:
    """Plot the objective over two parameters, all others held: a plateau can be trusted, a lonely peak cannot.

    Args:
        x: ``(X,)`` values of the first parameter, ascending.
        y: ``(Y,)`` values of the second parameter, ascending.
        values: ``(Y, X)`` objective in 0..1; NaN where it was not measured.
        names: of the two parameters.
        objective: name of the objective.
        marked: the setting in use, drawn as a ring.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the shape of the values is not that of the two axes.
    """
    score = 100 * np.asarray(values, dtype=float)
    if score.shape != (len(y), len(x)):
        msg = f"values must have shape ({len(y)}, {len(x)}) as y and x, got {score.shape}"
        raise ValueError(msg)
    figure = Figure(figsize=(1.6 + 0.75 * max(len(x), 4), 1.4 + 0.5 * max(len(y), 4)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.set_title(f"{objective} (%)")
    if not np.isfinite(score).any():
        axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=axes.transAxes)
        return figure
    image = axes.imshow(score, origin="lower", aspect="auto", cmap="viridis")
    axes.set_xticks(range(len(x)), [f"{value:g}" for value in x])
    axes.set_yticks(range(len(y)), [f"{value:g}" for value in y])
    best = float(np.nanmax(score))
    for row, column in np.argwhere(np.isfinite(score)):
        value = score[row, column]
        scaled: Any = image.norm(value)
        light = np.dot(image.cmap(float(scaled))[:3], (0.299, 0.587, 0.114)) > 0.55
        weight = "bold" if value == best else "normal"
        axes.text(
            column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, fontweight=weight,
            color="black" if light else "white",
        )  # fmt: skip
    if marked is not None:
        place = [np.interp(at, axis, range(len(axis))) for at, axis in zip(marked, (x, y), strict=True)]
        axes.scatter(place[0], place[1], s=620, facecolors="none", edgecolors="#e4572e", linewidths=2.2, label="in use")
        figure.legend(frameon=False, loc="outside lower right")
    return figure
