"""Curves over training epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE


def plot_hota_over_epochs(
    epochs: Sequence[int], with_appearance: Sequence[float], motion_only: Sequence[float]
) -> Figure:
    """Plot tracking quality over training, with and without appearance on the same detections.

    The gap between the curves is what the embedding adds; where the lower curve is on top, it costs.

    Args:
        epochs: ``(E,)`` epoch of each value.
        with_appearance: ``(E,)`` HOTA in 0..1 of the tracker that uses the embeddings; NaN where not measured.
        motion_only: ``(E,)`` HOTA in 0..1 of the same tracker without them; NaN where not measured.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the three sequences differ in length.
    """
    x = np.asarray(epochs, dtype=float)
    upper, lower = (100 * np.asarray(values, dtype=float) for values in (with_appearance, motion_only))
    if not len(x) == len(upper) == len(lower):
        msg = f"one value per epoch is needed, got {len(x)} epochs, {len(upper)} and {len(lower)} values"
        raise ValueError(msg)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    _line(axes, x, lower, MOTION_ONLY, "motion only")
    _line(axes, x, upper, WITH_APPEARANCE, "with appearance")
    axes.fill_between(x, lower, upper, where=upper >= lower, interpolate=True, color=WITH_APPEARANCE, alpha=0.15, lw=0)
    axes.fill_between(x, lower, upper, where=upper < lower, interpolate=True, color="#c0392b", alpha=0.15, lw=0)
    axes.set_xlabel("epoch")
    axes.set_ylabel("HOTA (%)")
    axes.set_title("HOTA on the validation sequences")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    return figure


def plot_losses(steps: Sequence[int], losses: Mapping[str, Sequence[float]], window: int = 9) -> Figure:
    """Plot the terms of the loss over training, each in a panel of its own, because their sizes differ.

    Args:
        steps: ``(S,)`` optimiser steps.
        losses: ``(S,)`` values by name; NaN where a term was not logged.
        window: values that the thick line is the running median of; the thin one is what was logged.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if a term has not one value per step.
    """
    x = np.asarray(steps, dtype=float)
    figure = Figure(figsize=(2.9 * max(len(losses), 2), 2.7), layout="constrained")
    if not losses:
        figure.text(0.5, 0.5, "no loss was logged", ha="center", va="center")
        return figure
    for axes, (name, values) in zip(figure.subplots(1, len(losses), squeeze=False)[0], losses.items(), strict=True):
        y = np.asarray(values, dtype=float)
        if len(y) != len(x):
            msg = f"{name} must have one value per step, got {len(y)} values and {len(x)} steps"
            raise ValueError(msg)
        known = np.isfinite(y)
        axes.plot(x[known], y[known], color=WITH_APPEARANCE, alpha=0.35, lw=1)
        axes.plot(x[known], _running_median(y[known], window), color=WITH_APPEARANCE, lw=2)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _running_median(values: np.ndarray, window: int) -> np.ndarray:
    """Median of each value and its neighbours; the window is cut off at the ends."""
    half = window // 2
    return np.array([np.median(values[max(0, k - half) : k + half + 1]) for k in range(len(values))])


def _line(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, name: str) -> None:
    """Draw one curve; its legend gives the best and the last value that were measured."""
    measured = values[np.isfinite(values)]
    numbers = f": best {measured.max():.1f}, last {measured[-1]:.1f}" if len(measured) else ": not measured"
    axes.plot(x, values, color=color, marker="o", markersize=3.5, label=name + numbers)
