"""Whether the embedding tells people apart, and where it fails: map, distances, verification, hardest pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from jde_lightning.inference.report.described import sprite_sheet
from jde_lightning.inference.report.explored import Explored
from jde_lightning.inference.report.page import Section, json_element, lack, percent, quiet
from jde_lightning.metrics.projection import ProjectionMethod
from jde_lightning.metrics.verification import VerificationCurve
from jde_lightning.plots import interactive
from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.chart_sheet import ChartSheet
from jde_lightning.plots.interactive import PALETTE, Line
from jde_lightning.plots.pages import data_uri
from jde_lightning.structures import NO_IDENTITY

TILE = (36, 72)
"""Width and height of a thumbnail in the page, in pixels; the mouse sees it at twice the size."""
CROP = (64, 128)
"""The same of a crop of the hardest pairs."""
_COLUMNS = 40
_NEGATIVES_TEXT = (
    "At most one pair of any two identities. Where people cover each other, a box may belong to either of them."
)
_METHODS: dict[ProjectionMethod, str] = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}

MAP_SCRIPT = """
(function () {
  var map = document.getElementById("map"), tip = document.getElementById("tip");
  if (!map || !map.on) { return; }
  var facts = JSON.parse(document.getElementById("map-facts").textContent);
  var picture = tip.querySelector("div"), text = tip.querySelector("span");
  map.on("plotly_hover", function (event) {
    var point = event.points[0], row = point.customdata, w = 2 * facts.width, h = 2 * facts.height;
    picture.style.backgroundPosition = -(row % facts.columns) * w + "px " + -Math.floor(row / facts.columns) * h + "px";
    text.textContent = facts.captions[row];
    tip.style.display = "block";
    var box = map.getBoundingClientRect(), e = event.event || {};
    var x = e.clientX === undefined ? box.left + box.width / 2 : e.clientX;
    var y = e.clientY === undefined ? box.top + 60 : e.clientY;
    var left = x + 16 + tip.offsetWidth > document.documentElement.clientWidth ? x - 16 - tip.offsetWidth : x + 16;
    tip.style.left = Math.max(4, left + window.scrollX) + "px";
    tip.style.top = y + window.scrollY - tip.offsetHeight / 2 + "px";
  });
  map.on("plotly_unhover", function () { tip.style.display = "none"; });
  var shown = null;
  map.on("plotly_click", function (event) {
    var who = facts.identities[event.points[0].customdata];
    shown = who === shown || who < 0 ? null : who;
    var opacity = facts.identities.map(function (one) { return shown === null || one === shown ? 1 : 0.08; });
    Plotly.restyle(map, {"marker.opacity": [opacity]}, [0]);
  });
})();
"""
"""What the mouse does on the map: the crop under it; a click leaves one identity visible."""


def embedding_sections(
    explored: Explored, thumbnails: Sequence[Picture], crops: dict[int, Picture], sheet: ChartSheet
) -> list[Section]:
    """The sections about embeddings.

    Args:
        explored: what was computed.
        thumbnails: a crop of at most :data:`TILE` for each row of the sample.
        crops: crops of at most :data:`CROP` of the hardest pairs, by row.
        sheet: of the page.
    """
    return [
        Section("embeddings", "Embedding map", _map(explored, thumbnails, sheet)),
        Section("distances", "Distances", _distances(explored, sheet)),
        Section("hardest", "Hardest pairs", _hardest(explored, crops)),
    ]


def _map(explored: Explored, thumbnails: Sequence[Picture], sheet: ChartSheet) -> list[str]:
    """The map and its thumbnails."""
    described, sample = explored.described, explored.sample
    body = [quiet(note) for note in explored.notes]
    if not len(sample):
        return [*body, lack("There are no embeddings to show: nothing was detected, or no embedding is usable.")]
    views: dict[str, Any] = {}
    for view in explored.views:
        views.setdefault(_METHODS[view.method], view.points)
        body += [quiet(f"{view.note[0].upper()}{view.note[1:]}.")] if view.note else []
    known = described.identities[sample]
    people = len(np.unique(known[known != NO_IDENTITY]))
    who = f"of {people} identities, a colour for each" if people else "without identity"
    intro = (
        f"{len(sample):,} of {len(described):,} detections {who}. The crop appears under the mouse or finger; a click "
        "on a point leaves its identity alone on the map, another one brings the others back. t-SNE keeps "
        "neighbourhoods: distances between its clusters mean nothing. PCA keeps large distances."
    )
    facts = {
        "width": TILE[0],
        "height": TILE[1],
        "columns": _COLUMNS,
        "captions": [described.caption(row) for row in sample.tolist()],
        "identities": known.tolist(),
    }
    sprites = sprite_sheet(thumbnails, TILE, _COLUMNS)
    style = (
        f"#tip div {{ width: {2 * TILE[0]}px; height: {2 * TILE[1]}px; "
        f'background-image: url("{data_uri(sprites, 78)}"); '
        f"background-size: {2 * sprites.shape[1]}px {2 * sprites.shape[0]}px; }}"
    )
    return [
        f"<p>{escape(intro)}</p>",
        *body,
        *([lack(f"{_capital(explored.undefined)}.")] if explored.undefined else []),
        sheet.add(interactive.embedding_map(views, known), "map"),
        f'<style>{style}</style><div id="tip"><div></div><span></span></div>',
        json_element("map-facts", facts),
    ]


def _distances(explored: Explored, sheet: ChartSheet) -> list[str]:
    """Histograms, time gaps, ROC, silhouettes."""
    metrics, parts = explored.metrics, []

    def chart(title: str, text: str, note: str, draw: Callable[[], Any] | None) -> None:
        shown = sheet.add(draw()) if draw else ""
        remark = lack(f"{_capital(note)}.") if note and draw is None else quiet(f"{_capital(note)}.") if note else ""
        parts.append(f"<div><h3>{escape(title)}</h3><p>{escape(text)}</p>{remark}{shown}</div>")

    found = explored.histograms
    text = "Cosine distance of all pairs of detections. The less the two hills overlap, the better."
    if "mean_positive_cosine" in metrics and "mean_negative_cosine" in metrics:
        text += (
            f" Means: {metrics['mean_positive_cosine']:.2f} within identities, "
            f"{metrics['mean_negative_cosine']:.2f} between them."
        )
    any_pair = found.same.sum() + found.different.sum() > 0
    chart(
        "Same against different identity",
        text,
        found.note,
        (lambda: interactive.pair_histograms(found.edges, found.same, found.different)) if any_pair else None,
    )
    gaps = explored.gaps
    chart(
        "Distance against time gap",
        "Median and 10 to 90 % of the pairs of one sequence. A tracker finds somebody again after a gap for as long as "
        "the green band stays below the orange one.",
        gaps.note,
        (
            lambda: interactive.time_gap_bands(
                gaps.edges, gaps.same, gaps.different, (gaps.same_counts, gaps.different_counts)
            )
        )
        if len(gaps.edges) > 1
        else None,
    )
    roc = explored.roc
    text = "Whether two detections show one person, decided by a threshold on their cosine distance."
    if roc.values:
        text += (
            f" Of the pairs of one person, {percent(metrics['tpr_at_fpr_1e-2'])} % are found when 1 % of the others "
            f"are mistaken (TPR at FPR 1e-2), {percent(metrics['tpr_at_fpr_1e-3'])} % when 0.1 % are (FPR 1e-3). Area "
            f"under the curve {metrics['roc_auc']:.3f}."
        )
    chart("Verification", text, roc.note, (lambda: _roc(roc)) if len(roc.true_positive_rates) else None)
    of_identity = explored.silhouettes
    text = "Below 0, the detections of somebody are on average closer to somebody else's than to each other."
    if "silhouette" in metrics:
        worse = int((of_identity.silhouettes < 0).sum())
        text += (
            f" Mean over all detections {metrics['silhouette']:.3f}; {worse} of {len(of_identity.identities)} "
            "identities are below 0."
        )
    chart(
        "Silhouette of each identity",
        text,
        of_identity.note,
        (lambda: _silhouettes(explored)) if not explored.undefined else None,
    )
    return [f'<div class="two">{"".join(parts)}</div>']


def _roc(roc: VerificationCurve) -> Any:
    """The ROC with a logarithmic axis, since trackers work where errors are rare."""
    x, y = roc.false_positive_rates, roc.true_positive_rates
    least = 1e-4
    grid = np.unique(np.concatenate([np.geomspace(least, 1, 200), [1e-3, 1e-2]]))
    shown = y[np.searchsorted(x, grid, side="right") - 1]
    figure = interactive.line_chart(
        [Line("TPR", grid, 100 * shown, PALETTE[0])],
        "false positive rate",
        "true positive rate (%)",
        ".1f",
        log_x=True,
    )
    marks = [("1e-3", 1e-3), ("1e-2", 1e-2)]
    values = [100 * roc.values[f"tpr_at_fpr_{name}"] for name, _ in marks]
    figure.add_scatter(
        x=[rate for _, rate in marks],
        y=values,
        mode="markers+text",
        text=[f"{value:.1f} %" for value in values],
        textposition="top left",
        marker={"size": 9, "color": PALETTE[1]},
        hovertemplate="FPR %{x}: %{y:.1f} %<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_yaxes(range=[0, 104])
    return figure


def _silhouettes(explored: Explored) -> Any:
    """The bars, with a name for each identity."""
    described, found = explored.described, explored.silhouettes
    first = {int(identity): row for row, identity in reversed(list(enumerate(described.identities.tolist())))}

    def name(identity: int) -> str:
        row = first[identity]
        return f"id {described.annotated_ids[row]}, {described.groups[described.group_of[row]]}"

    names = [name(identity) for identity in found.identities.tolist()]
    notes = [
        f"{count} detections" + (f"; closest to {name(closest)}" if closest != NO_IDENTITY else "")
        for count, closest in zip(found.counts.tolist(), found.closest.tolist(), strict=True)
    ]
    return interactive.silhouette_bars(names, found.silhouettes, notes)


def _hardest(explored: Explored, crops: dict[int, Picture]) -> list[str]:
    """The pairs that the embedding gets most wrong."""
    body = []
    for title, text, pairs in (
        ("Different people who look most alike", _NEGATIVES_TEXT, explored.negatives),
        ("One person who looks least alike", "At most one pair of each identity.", explored.positives),
    ):
        body.append(f'<h3>{escape(title)}</h3><p class="quiet">{escape(text)}</p>')
        if not len(pairs.distances):
            body.append(lack(f"{_capital(pairs.note or explored.undefined)}."))
            continue
        cards = [
            f'<div class="pair"><div>{_crop(crops[one])}{_crop(crops[other])}</div><b>distance {distance:.3f}</b><br>'
            f"{escape(explored.described.caption(one))}<br>{escape(explored.described.caption(other))}</div>"
            for one, other, distance in zip(
                pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist(), strict=True
            )
        ]
        body.append(f'<div class="pairs">{"".join(cards)}</div>')
    return body


def _crop(crop: Picture) -> str:
    return f'<img src="{data_uri(crop, 85)}" alt="crop">'


def _capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]
