"""Rows of an ablation beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE


def plot_ablation(
    rows: Sequence[str],
    measured: Mapping[str, Sequence[float]],
    spread: Mapping[str, Sequence[float]] | None = None,
    published: Mapping[str, Sequence[float]] | None = None,
    title: str = "",
) -> Figure:
    """Plot one panel of dots per metric; each panel has its own scale, because differences are what matters.

    Args:
        rows: ``(R,)`` names of the rows, from the top down.
        measured: ``(R,)`` percent by name of the metric; NaN where not measured.
        spread: ``(R,)`` standard deviations in percent points, of the metrics that have some; NaN where unknown.
        published: ``(R,)`` percent, of the metrics that have some; NaN where not published.
        title: of the figure.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if a metric has not one value per row.
    """
    spread, published = spread or {}, published or {}
    for values in (measured, spread, published):
        for name, numbers in values.items():
            if len(numbers) != len(rows):
                msg = f"{name}: one value per row is needed, got {len(numbers)} for {len(rows)} rows"
                raise ValueError(msg)
    columns = max(len(measured), 1)
    figure = Figure(figsize=(2.2 + 2.0 * columns, 1.3 + 0.3 * max(len(rows), 1)), layout="constrained")
    places = np.arange(len(rows))
    panels = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    for axes, (name, numbers) in zip(panels, measured.items(), strict=False):
        if name in published:
            axes.plot(
                published[name], places, "|", color=MOTION_ONLY, markersize=12, markeredgewidth=2, label="published"
            )
        error = np.nan_to_num(np.asarray(spread[name], float)) if name in spread else None
        axes.errorbar(
            numbers, places, xerr=error, fmt="o", color=WITH_APPEARANCE, markersize=5, capsize=3, label="measured"
        )
        axes.set_title(name)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.15)
    panels[0].set_yticks(places, rows)
    panels[0].set_ylim(max(len(rows), 1) - 0.5, -0.5)
    if published:
        panels[-1].legend(frameon=False, loc="best")
    figure.suptitle(title)
    figure.supxlabel("percent" + (", bars: standard deviation over the seeds" if spread else ""), fontsize="medium")
    return figure
