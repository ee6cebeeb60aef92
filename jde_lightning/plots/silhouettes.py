"""Which identities are well apart from the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from jde_lightning.plots.colors import as_rgb, identity_color
from jde_lightning.plots.empty import add_note, empty_figure

_TITLE = "Silhouette of each identity"


def plot_silhouettes(
    identities: npt.ArrayLike,
    silhouettes: npt.ArrayLike,
    counts: npt.ArrayLike,
    names: Sequence[str] | None = None,
    closest: Sequence[str] | None = None,
    most: int = 30,
    note: str = "",
) -> Figure:
    """Plot the silhouette of each identity, the worst on top; below 0 it is closer to somebody else than to itself.

    Args:
        identities: ``(K,)`` integers, for the colours.
        silhouettes: ``(K,)`` in -1..1.
        counts: ``(K,)`` embeddings of each.
        names: ``(K,)`` what to call them; their numbers if omitted.
        closest: ``(K,)`` name of the identity that each is closest to; not shown if omitted.
        most: most identities; of more, the worst are shown.
        note: remark to write below.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why with fewer than two identities.

    Raises:
        ValueError: if lengths do not fit.
    """
    ids, values, sizes = np.asarray(identities), np.asarray(silhouettes, float), np.asarray(counts)
    called = [str(i) for i in ids.tolist()] if names is None else list(names)
    others = [""] * len(ids) if closest is None else [f" → {name}" for name in closest]
    if len({len(ids), len(values), len(sizes), len(called), len(others)}) != 1:
        msg = f"a value per identity is needed, got {len(ids)} identities, {len(values)} values, {len(sizes)} counts"
        raise ValueError(msg)
    if len(ids) < 2:
        why = "no embedding has an identity" if not len(ids) else "there is one identity only, and nothing to compare"
        return empty_figure(_TITLE, note or why)
    order = np.argsort(values, kind="stable")[:most][::-1]
    figure = Figure(figsize=(7, max(2.5, 1.2 + 0.22 * len(order))), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(order))
    axes.barh(places, values[order], color=[as_rgb(identity_color(int(i))) for i in ids[order]], height=0.75)
    axes.set_yticks(places, [f"{called[i]}{others[i]} ({sizes[i]})" for i in order], fontsize=7)
    axes.set_ylim(-0.6, len(order) - 0.4)
    mean = float(np.average(values, weights=sizes))
    axes.axvline(mean, color="0.25", linestyle="--", linewidth=1)
    axes.axvline(0, color="0.6", linewidth=0.8)
    left, right = min(-0.1, values[order].min(), mean), max(0.1, values[order].max(), mean)
    axes.set_xlim(max(-1.02, left - 0.05), min(1.02, right + 0.05))
    axes.set_xlabel("mean silhouette (cosine)")
    shown = f"; the {most} worst of {len(ids)}" if len(ids) > most else ""
    # over the whole figure, for long names leave little room to the axes
    figure.suptitle(f"{_TITLE} (all {sizes.sum():,} embeddings: {mean:.2f}{shown})", fontsize=11)
    axes.grid(alpha=0.3, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
    arrow = "→ who it is closest to; " if closest is not None else ""
    add_note(figure, "; ".join(filter(None, [f"{arrow}in brackets, number of embeddings", note])))
    return figure
