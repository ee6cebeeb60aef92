"""Embeddings in the plane, with pictures of what they show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.colors import as_rgb, identity_color
from jde_lightning.plots.empty import add_note, empty_figure

_HEIGHT = 7.0  # inches
_ROOM = 1 / 11  # of the width: no two pictures come closer


def plot_embedding_map(
    points: npt.ArrayLike,
    identities: npt.ArrayLike,
    picture_of: Callable[[int], Picture] | None = None,
    title: str = "Embeddings",
    max_pictures: int = 60,
    note: str = "",
) -> Figure:
    """Plot points in the colours of their identities, some of them as pictures.

    Args:
        points: ``(N, 2)``; rows with NaN are left out.
        identities: ``(N,)`` integers; negative ones have none, and are gray.
        picture_of: gives the ``(H, W, 3)`` uint8 BGR picture of a row; asked only for those that are shown. No pictures
            if omitted.
        title: of the figure.
        max_pictures: most pictures; fewer where they would cover each other.
        note: remark to write below.

    Returns:
        A figure that belongs to no pyplot state; an empty one that says why if there is no point.

    Raises:
        ValueError: if points and identities differ in length.
    """
    xy, ids = np.asarray(points, float).reshape(-1, 2), np.asarray(identities).reshape(-1)
    if len(xy) != len(ids):
        msg = f"an identity per point is needed, got {len(xy)} points and {len(ids)} identities"
        raise ValueError(msg)
    rows = np.flatnonzero(np.isfinite(xy).all(axis=1))
    if not len(rows):
        return empty_figure(title, "; ".join(filter(None, ["there is no embedding to show", note])), (8, _HEIGHT))
    known, unknown = rows[ids[rows] >= 0], rows[ids[rows] < 0]
    figure = Figure(figsize=(8, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    size = float(np.clip(4000 / len(rows), 6, 28))
    axes.scatter(xy[unknown, 0], xy[unknown, 1], s=0.6 * size, color="0.75", linewidths=0, zorder=1)
    colors = np.array([as_rgb(identity_color(int(i))) for i in ids[known]]).reshape(-1, 3)
    axes.scatter(xy[known, 0], xy[known, 1], s=size, color=colors, linewidths=0.3, edgecolors="white", zorder=2)
    counted = f"{len(rows):,} embeddings, {len(np.unique(ids[known]))} identities"
    axes.set_title(f"{title}: {counted}" + (f"; gray: {len(unknown):,} without" if len(unknown) else ""))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.06)
    if picture_of is not None:
        for row in _spread(xy, known, unknown, max_pictures):
            _add_picture(axes, xy[row], picture_of(int(row)), int(ids[row]))
    add_note(figure, note)
    return figure


def _spread(
    xy: npt.NDArray[np.float64], known: npt.NDArray[np.int64], unknown: npt.NDArray[np.int64], most: int
) -> list[int]:
    """Rows whose pictures do not cover each other: each the first that is far enough from all before it."""
    rng = np.random.default_rng(0)
    # one after the other from everywhere, not the first identities first
    rows = np.concatenate([rng.permutation(known), rng.permutation(unknown)])
    extent = np.maximum(np.ptp(xy[rows], axis=0), 1e-12)
    places = xy[rows] / extent
    chosen: list[int] = []
    for position in range(len(rows)):
        apart = np.abs(places[chosen] - places[position]) / (_ROOM, 1.6 * _ROOM)
        if len(chosen) < most and (not len(chosen) or apart.max(axis=1).min() >= 1):
            chosen.append(position)
    return [int(rows[position]) for position in chosen]


def _add_picture(axes: Axes, place: npt.NDArray[np.float64], picture: Picture, identity: int) -> None:
    """Put a picture over its point, framed in the colour of its identity."""
    zoom = 34 / max(picture.shape[0] / 1.6, picture.shape[1])
    shown = OffsetImage(picture[..., ::-1], zoom=zoom)
    frame = {"edgecolor": as_rgb(identity_color(identity)), "linewidth": 1.6, "boxstyle": "square,pad=0.08"}
    axes.add_artist(AnnotationBbox(shown, (float(place[0]), float(place[1])), frameon=True, bboxprops=frame, pad=0.1))
