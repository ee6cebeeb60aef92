"""Plotly figures for pages: arrays in, a figure out that answers to the mouse and fits a phone.

They carry no template, so that a page of twenty stays small; see :mod:`jde_lightning.plots.chart_sheet` for the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE, identity_color
from jde_lightning.plots.svg import hex_color

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
SAME = "#009e73"
"""Pairs of the same identity."""
DIFFERENT = "#d55e00"
"""Pairs of different identities."""
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5a6570")
"""Colours of lines that mean nothing in particular."""

_FONT = 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif'
_GRID = "#e7eaee"
_QUIET = "#5a6570"


class Line(NamedTuple):
    """A curve.

    Attributes:
        name: for the legend.
        x: ``(N,)`` places.
        y: ``(N,)`` values; NaN leaves a gap.
        color: ``#rrggbb``.
        dashed: whether the line is broken.
        markers: whether its points are marked.
    """

    name: str
    x: npt.ArrayLike
    y: npt.ArrayLike
    color: str
    dashed: bool = False
    markers: bool = False


def line_chart(
    lines: Sequence[Line], x_title: str, y_title: str, y_format: str = ".3~g", log_x: bool = False, height: int = 320
) -> go.Figure:
    """Draw curves over one axis.

    Args:
        lines: the curves; none gives empty axes.
        x_title: what the horizontal axis is, with its unit.
        y_title: what the vertical axis is, with its unit.
        y_format: how values are written, in d3's format.
        log_x: whether the horizontal axis is logarithmic.
        height: of the figure, in pixels.
    """
    figure = _figure(x_title, y_title, height)
    for line in lines:
        mode = "lines+markers" if line.markers or np.size(line.y) == 1 else "lines"
        figure.add_scatter(
            x=np.asarray(line.x, np.float64),
            y=np.asarray(line.y, np.float64),
            name=line.name,
            mode=mode,
            line={"color": line.color, "width": 2, "dash": "dash" if line.dashed else "solid"},
            marker={"size": 5},
            hovertemplate=f"%{{y:{y_format}}}",
        )
    figure.update_layout(hovermode="x unified" if len(lines) > 1 else "closest")
    if log_x:
        figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    return figure


def paired_bars(
    names: Sequence[str], with_appearance: Sequence[float], motion_only: Sequence[float], title: str
) -> go.Figure:
    """Compare a score of every sequence with and without appearance.

    Args:
        names: ``(S,)`` of the sequences.
        with_appearance: ``(S,)`` scores in percent.
        motion_only: ``(S,)`` scores in percent.
        title: of the horizontal axis.
    """
    figure = _figure(title, "", 110 + 46 * len(names))
    for name, values, color in (
        ("with appearance", with_appearance, WITH_APPEARANCE),
        ("motion only", motion_only, MOTION_ONLY),
    ):
        figure.add_bar(
            y=list(names),
            x=np.asarray(values, np.float64),
            name=name,
            orientation="h",
            marker={"color": color},
            texttemplate="%{x:.1f}",
            textposition="auto",
            hovertemplate=f"%{{y}}, {name}: %{{x:.2f}}<extra></extra>",
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True, ticksuffix="  ")
    return figure


def pair_histograms(edges: npt.ArrayLike, same: npt.ArrayLike, different: npt.ArrayLike) -> go.Figure:
    """Draw how far apart pairs of the same and of different identities are, each kind as shares of its own pairs.

    Args:
        edges: ``(B + 1,)`` edges of the bins, cosine distance.
        same: ``(B,)`` pairs of the same identity.
        different: ``(B,)`` pairs of different identities.
    """
    edges = np.asarray(edges, np.float64)
    figure = _figure("cosine distance", "share of the pairs (%)", 320)
    last = 0
    for name, counts, color in (("different identities", different, DIFFERENT), ("same identity", same, SAME)):
        counts = np.asarray(counts, np.float64)
        if counts.sum():
            last = max(last, int(np.flatnonzero(counts)[-1]) + 1)
            figure.add_bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=100 * counts / counts.sum(),
                width=np.diff(edges),
                name=f"{name} ({int(counts.sum()):,} pairs)",
                marker={"color": color, "line": {"width": 0}},
                opacity=0.6,
                hovertemplate="distance %{x:.2f}: %{y:.2f} %<extra>" + name + "</extra>",
            )
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(range=[0, max(float(edges[last]), 0.1)])
    return figure


def time_gap_bands(
    edges: npt.ArrayLike, same: npt.ArrayLike, different: npt.ArrayLike, counts: Sequence[npt.ArrayLike]
) -> go.Figure:
    """Draw how the distance of one person to itself, and to others, grows with the time between two boxes.

    Args:
        edges: ``(B + 1,)`` seconds.
        same: ``(B, 3)`` low quantile, median and high quantile of the cosine distance within identities; NaN where
            there is no pair.
        different: ``(B, 3)`` the same between identities.
        counts: number of pairs of both kinds, ``(B,)`` each.
    """
    edges = np.asarray(edges, np.float64)
    labels = [f"{low:g} to {high:g} s" for low, high in pairwise(edges.tolist())]
    figure = _figure("time between the two boxes", "cosine distance", 340)
    kinds = (("different identities", different, DIFFERENT), ("same identity", same, SAME))
    for (name, values, color), pairs in zip(kinds, (counts[1], counts[0]), strict=True):
        low, middle, high = np.asarray(values, np.float64).reshape(-1, 3).T
        if not np.isfinite(middle).any():
            continue
        error = {"type": "data", "array": high - middle, "arrayminus": middle - low, "width": 5, "thickness": 2}
        figure.add_scatter(
            x=labels,
            y=middle,
            error_y=error | {"color": color},
            mode="lines+markers",
            name=name,
            line={"color": color, "width": 2},
            marker={"size": 7},
            customdata=np.stack([low, high, np.asarray(pairs, np.float64)], axis=1),
            hovertemplate="median %{y:.2f}, 10 to 90 %: %{customdata[0]:.2f} to %{customdata[1]:.2f}, "
            "%{customdata[2]:,} pairs<extra>" + name + "</extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def silhouette_bars(names: Sequence[str], silhouettes: npt.ArrayLike, notes: Sequence[str]) -> go.Figure:
    """Draw the silhouette of each identity, the worst first.

    Args:
        names: ``(K,)`` of the identities.
        silhouettes: ``(K,)`` in -1..1.
        notes: ``(K,)`` what the mouse tells besides.
    """
    values = np.asarray(silhouettes, np.float64)
    order = np.argsort(values, kind="stable")
    figure = _figure("identities, the worst first", "silhouette", 300)
    figure.add_bar(
        x=np.arange(len(values)),
        y=values[order],
        marker={"color": np.where(values[order] < 0, DIFFERENT, SAME), "line": {"width": 0}},
        text=[f"{names[k]}: {notes[k]}" for k in order],
        textposition="none",
        hovertemplate="%{text}<br>silhouette %{y:.2f}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(bargap=0.1, margin={"t": 16})
    figure.update_xaxes(showticklabels=False, showgrid=False)
    return figure


def embedding_map(views: Mapping[str, npt.ArrayLike], identities: npt.ArrayLike) -> go.Figure:
    """Draw embeddings in the plane, coloured by identity, with a button for each projection.

    The mouse finds the row of a point in ``customdata``; what it shows is left to the page: the report dims all other
    identities, :func:`~jde_lightning.plots.clickable_map.interactive_embedding_map` shows the nearest neighbours.

    Args:
        views: ``(N, 2)`` points by the name of the projection, at least one.
        identities: ``(N,)`` integers; negative ones are grey.
    """
    identities = np.asarray(identities)
    points = {name: np.asarray(values, np.float64) for name, values in views.items()}
    first = next(iter(points.values()))
    figure = _figure("", "", 520)
    figure.add_scatter(
        x=first[:, 0],
        y=first[:, 1],
        mode="markers",
        marker={
            "color": [hex_color(identity_color(int(identity))) for identity in identities],
            "size": 7,
            "line": {"width": 0.5, "color": "#ffffff"},
        },
        customdata=np.arange(len(identities)),
        hoverinfo="none",
        showlegend=False,
    )
    bare = {"showticklabels": False, "zeroline": False, "title": None}
    figure.update_xaxes(**bare)
    figure.update_yaxes(**bare)
    figure.update_layout(dragmode="pan", margin={"l": 8, "r": 8, "t": 48 if len(points) > 1 else 8, "b": 8})
    if len(points) > 1:
        buttons = [
            {"label": name, "method": "restyle", "args": [{"x": [xy[:, 0].tolist()], "y": [xy[:, 1].tolist()]}]}
            for name, xy in points.items()
        ]
        place = {"x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "pad": {"b": 8}}
        figure.update_layout(
            updatemenus=[{"type": "buttons", "direction": "right", "buttons": buttons, "active": 0, **place}]
        )
    return figure


def _figure(x_title: str, y_title: str, height: int) -> go.Figure:
    """Empty axes in the look of the pages."""
    axis: dict[str, Any] = {"gridcolor": _GRID, "zerolinecolor": "#c5cbd2", "tickfont": {"color": _QUIET}}
    title = {"font": {"size": 13, "color": _QUIET}, "standoff": 8}
    layout = {
        "template": "none",
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 36, "b": 46},
        "font": {"family": _FONT, "size": 12, "color": "#1c2127"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x_title, **title}, "automargin": True},
        "yaxis": {**axis, "title": {"text": y_title, **title}, "automargin": True},
        # on a phone the finger that scrolls the page must not be taken for a zoom
        "dragmode": False,
        "hoverlabel": {"font": {"family": _FONT, "size": 12}},
    }
    return go.Figure(layout=layout)
