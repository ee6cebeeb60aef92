"""Tracks over time: where identities begin, break off and change."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jde_lightning.plots.colors import as_rgb, identity_color

_MAX_NAMED_LANES = 40


def plot_tracks_over_time(
    frames: npt.NDArray[np.int64], ids: npt.NDArray[np.int64], boxes: npt.NDArray[Any], title: str = ""
) -> Figure:
    """Plot every track over time: above by horizontal position, below one lane per identity.

    Above, a line that goes on in another colour is an identity switch, and a dotted piece is a gap that the tracker
    bridged. Below, many short lanes are fragments. Colours are those of the annotated video.

    Args:
        frames: ``(N,)`` frame number of each box.
        ids: ``(N,)`` identity of each box.
        boxes: ``(N, 4)`` xyxy pixels.
        title: of the figure.

    Returns:
        A figure that belongs to no pyplot state.

    Raises:
        ValueError: if the three arrays differ in length.
    """
    frames, ids = np.asarray(frames, np.int64).reshape(-1), np.asarray(ids, np.int64).reshape(-1)
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    if not len(frames) == len(ids) == len(boxes):
        msg = f"frames, ids and boxes must have equal lengths, got {len(frames)}, {len(ids)} and {len(boxes)}"
        raise ValueError(msg)
    order = np.lexsort((frames, ids))
    frames, ids, centers = frames[order], ids[order], (boxes[order, 0] + boxes[order, 2]) / 2
    figure = Figure(figsize=(10, 7), layout="constrained")
    position, lanes = figure.subplots(2, 1, sharex=True)
    if title:
        figure.suptitle(title)
    _runs(position, frames, ids, centers)
    position.set_ylabel("horizontal position (px)")
    position.invert_yaxis()
    names, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    # Lanes in the order in which the identities appear.
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(frames[first], kind="stable")] = np.arange(len(names))
    _runs(lanes, frames, ids, rank[inverse.reshape(-1)].astype(float), width=3.0)
    lanes.set_ylabel(f"identity ({len(names)})")
    lanes.set_xlabel("frame")
    lanes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    named = names if len(names) <= _MAX_NAMED_LANES else names[:0]
    lanes.set_yticks(rank[: len(named)], [str(n) for n in named], fontsize=7)
    lanes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _runs(
    axes: Axes,
    frames: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    heights: npt.NDArray[Any],
    width: float = 1.6,
) -> None:
    """Draw each track as solid runs of consecutive frames, joined by faint dotted lines over its gaps.

    Args:
        axes: to draw on.
        frames: ``(N,)`` frame numbers, ascending within an identity.
        ids: ``(N,)`` identities, equal ones together.
        heights: ``(N,)`` vertical value of each box.
        width: of the solid lines, in points.
    """
    points = np.stack([frames.astype(float), heights], axis=1)
    same = ids[1:] == ids[:-1]
    step = np.diff(frames)
    solid, gaps = same & (step == 1), same & (step > 1)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    colors = np.array([as_rgb(identity_color(int(i))) for i in ids]).reshape(-1, 3)
    axes.add_collection(LineCollection(list(segments[solid]), colors=colors[:-1][solid], linewidths=width))
    axes.add_collection(
        LineCollection(list(segments[gaps]), colors=colors[:-1][gaps], linewidths=0.8, linestyles=":", alpha=0.8)
    )
    # A box whose neighbours in time are missing has no segment, yet must be seen.
    joined = np.zeros(len(ids), bool)
    joined[:-1] |= solid
    joined[1:] |= solid
    axes.scatter(frames[~joined], heights[~joined], s=4 * width, color=colors[~joined], linewidths=0)
    axes.autoscale_view()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
