"""How well a threshold on the distance tells whether two boxes show one person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jde_lightning.plots.colors import WITH_APPEARANCE
from jde_lightning.plots.empty import add_note, empty_figure

_TITLE = "Same person or not"


def plot_verification(
    false_positive_rates: npt.ArrayLike,
    true_positive_rates: npt.ArrayLike,
    marks: Sequence[float] = (1e-2, 1e-3),
    note: str = "",
) -> Figure:
    """Plot the share of pairs of one identity that are found against that of different ones that are mistaken.

    Args:
        false_positive_rates: ``(T,)`` never decreasing, in 0..1.
        true_positive_rates: ``(T,)`` in 0..1.
        marks: false positive rates at which the true positive rate is written.
        note: remark to write below.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there is no curve.

    Raises:
        ValueError: if the two differ in length.
    """
    mistaken, found = np.asarray(false_positive_rates, float), np.asarray(true_positive_rates, float)
    if len(mistaken) != len(found):
        msg = f"rates must have equal lengths, got {len(mistaken)} and {len(found)}"
        raise ValueError(msg)
    if not len(mistaken):
        return empty_figure(_TITLE, note or "it takes two identities, and two embeddings of one", (6, 4.5))
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    left = min([1e-4, *(mark / 10 for mark in marks)])
    area = float((np.diff(mistaken) * (found[1:] + found[:-1])).sum() / 2)
    chance = np.geomspace(left, 1, 100)
    axes.plot(chance, chance, color="0.6", linestyle=":", label="guessing")
    axes.step(np.maximum(mistaken, left), found, where="post", color=WITH_APPEARANCE, label=f"area {area:.3f}")
    for mark in marks:
        value = float(found[np.searchsorted(mistaken, mark, side="right") - 1])
        axes.plot([mark, mark, left], [0, value, value], color="0.5", linewidth=0.8, linestyle="--")
        axes.plot(mark, value, "o", color=WITH_APPEARANCE, markersize=5)
        axes.annotate(
            f"{100 * value:.1f} % at {mark:g}", (mark, value), (-6, 5), textcoords="offset points", ha="right"
        )
    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("pairs of different people taken for one (share, logarithmic)")
    axes.set_ylabel("pairs of one person found (share)")
    axes.set_title(_TITLE)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    add_note(figure, note)
    return figure
