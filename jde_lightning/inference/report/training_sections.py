"""How the training went: the numbers at a glance, curves, average precision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np
import numpy.typing as npt

from jde_lightning.inference.report.metrics_table import Logged, MetricsTable
from jde_lightning.inference.report.page import NONE, Section, lack, percent, quiet
from jde_lightning.inference.report.run import Run
from jde_lightning.plots.chart_sheet import ChartSheet
from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE
from jde_lightning.plots.interactive import PALETTE, Line, line_chart

_LOSSES = {
    "train/box_loss": "box",
    "train/cls_loss": "class",
    "train/dfl_loss": "distribution focal",
    "train/reid_loss": "Re-ID",
}
_TRACKING = {
    "val/hota": ("with appearance", WITH_APPEARANCE, False),
    "val/hota_motion": ("motion only", MOTION_ONLY, False),
}
_DETECTION = {
    "val/map50": ("AP at IoU 0.5", PALETTE[4], False),
    "val/map50_95": ("AP, IoU 0.5 to 0.95", PALETTE[0], False),
}
_RETRIEVAL = {
    "val/retrieval_map": ("retrieval mAP", PALETTE[0], False),
    "val/rank1": ("rank 1", PALETTE[4], False),
    "val/silhouette": ("silhouette", PALETTE[2], False),
    "val/tpr_at_fpr_1e-2": ("TPR at FPR 1e-2", PALETTE[3], False),
    "val/view_map": ("retrieval mAP of two views", PALETTE[0], True),
    "val/view_rank1": ("rank 1 of two views", PALETTE[4], True),
}
_POSITIVES = "train/positive_fraction"
_FEW_EPOCHS = 12
_MANY_POINTS = 1500


def tiles(values: Mapping[str, float]) -> str:
    """The numbers that a reader wants first.

    Args:
        values: by the name under which they are logged, without ``val/``; what is missing is left out.
    """

    def difference(name: str) -> str:
        motion = values.get(f"{name}_motion")
        return "" if motion is None else f"motion only {percent(motion)}"

    found = {name: value for name, value in values.items() if math.isfinite(value)}
    kinds = [
        ("hota", "HOTA", difference("hota")),
        ("mota", "MOTA", difference("mota")),
        ("idf1", "IDF1", difference("idf1")),
        ("idsw", "identity switches", f"motion only {values.get('idsw_motion', math.nan):.0f}"),
        ("map50_95", "average precision", f"at IoU 0.5: {percent(values.get('map50'))}"),
        ("retrieval_map", "retrieval mAP", f"rank 1: {percent(values.get('rank1'))}"),
        ("silhouette", "silhouette", "by cosine, at most 1"),
        ("tpr_at_fpr_1e-2", "TPR at FPR 1e-2", f"at 1e-3: {percent(values.get('tpr_at_fpr_1e-3'))}"),
        ("view_map", "retrieval mAP of two views", f"rank 1: {percent(values.get('view_rank1'))}"),
    ]
    shown = []
    for name, title, below in kinds:
        if name not in found:
            continue
        value = found[name]
        text = f"{value:.0f}" if name == "idsw" else f"{value:.3f}" if name == "silhouette" else percent(value)
        below = "" if "nan" in below or NONE in below else below
        shown.append(f'<div class="tile"><span>{escape(title)}</span><b>{text}</b><span>{escape(below)}</span></div>')
    return f'<div class="tiles">{"".join(shown)}</div>' if shown else ""


def curves(run: Run, sheet: ChartSheet) -> Section:
    """What was logged over the training."""
    table = run.metrics
    if not table.columns:
        return Section("curves", "Curves", [lack("metrics.csv is missing or empty: nothing was logged.")])
    body = [quiet("Epochs count from 0, as in metrics.csv. A click on a name in a legend hides or shows its curve.")]
    if run.epoch is not None and run.checkpoint is not None:
        text = (
            f"The dotted line is at epoch {run.epoch}, of which the weights of this report are ({run.checkpoint.name})."
        )
        body.append(quiet(text))
    broken = sorted(name for name, column in table.columns.items() if not np.isfinite(column.values).all())
    shown = [name for name in broken if name.startswith(("train/", "val/"))]
    if shown:
        body.append(lack(f"Not finite at some points, and left out there: {', '.join(shown)}."))
    charts = []
    losses = [
        Line(name, *_over_epochs(table[key]), PALETTE[k])
        for k, (key, name) in enumerate(_LOSSES.items())
        if key in table
    ]
    if losses:
        charts.append(("Losses of training", line_chart(losses, "epoch", "loss")))
    for title, group, axis in (
        ("Tracking of the validation sequences", _TRACKING, "HOTA (%)"),
        ("Detection", _DETECTION, "average precision (%)"),
        ("Embeddings", _RETRIEVAL, "%"),
    ):
        lines = [
            Line(name, *_over_epochs(table[key], 100), color, dashed, markers=True)
            for key, (name, color, dashed) in group.items()
            if key in table
        ]
        if lines:
            figure = line_chart(lines, "epoch", axis, ".2f")
            if run.epoch is not None:
                figure.add_vline(x=run.epoch, line={"color": "#b3261e", "width": 1, "dash": "dot"})
            charts.append((title, figure))
    rates = sorted(name for name in table.columns if name.startswith("lr-"))
    if rates:
        lines = [Line(name, *_over_steps(table[name]), PALETTE[k % len(PALETTE)]) for k, name in enumerate(rates)]
        lines = _merged(lines)
        charts.append(("Learning rate", line_chart(lines, "step of the optimiser", "learning rate", ".3g")))
    if _POSITIVES in table:
        lines = [Line("share", *_over_epochs(table[_POSITIVES], 100), PALETTE[2])]
        charts.append(("Identities that occur twice in a batch", line_chart(lines, "epoch", "% of identities", ".1f")))
    if not any(name.startswith("val/") for name in table.columns):
        body.append(lack("Nothing was validated yet: there are no curves of metrics."))
    if table.last_epoch is not None and table.last_epoch <= _FEW_EPOCHS:
        for _, figure in charts:
            if figure.layout.xaxis.title.text == "epoch":
                figure.update_xaxes(dtick=1)
    parts = [f"<div><h3>{escape(title)}</h3>{sheet.add(figure)}</div>" for title, figure in charts]
    return Section("curves", "Curves", [*body, f'<div class="two">{"".join(parts)}</div>'])


def detection(
    values: Mapping[str, float], curve: Mapping[float, npt.NDArray[np.float64]] | None, sheet: ChartSheet
) -> Section:
    """Average precision, and the curves whose areas it is.

    Args:
        values: with ``map50_95`` and ``map50``, where they are known.
        curve: precision at recall 0, 0.01, ..., 1 by IoU; empty without objects, ``None`` without detections.
        sheet: of the page.
    """
    body = []
    if "map50_95" in values:
        body.append(
            f"<p>Average precision <b>{percent(values['map50_95'], 2)} %</b> (mean over IoU 0.5 to 0.95), "
            f"<b>{percent(values.get('map50'), 2)} %</b> at IoU 0.5. All detections of an image count, up to 1000.</p>"
        )
    if curve is None:
        body.append(lack("There are no detections of the validation data: no curve of precision and recall."))
    elif not curve:
        body.append(lack("The validation data has no objects: average precision is undefined."))
    else:
        recall = np.linspace(0, 100, 101)
        lines = [
            Line(f"IoU {iou:g} (area {100 * precision.mean():.1f} %)", recall, 100 * precision, PALETTE[k])
            for k, (iou, precision) in enumerate(curve.items())
        ]
        figure = line_chart(lines, "recall (%)", "precision (%)", ".1f")
        figure.update_xaxes(range=[0, 100])
        figure.update_yaxes(range=[0, 101])
        body.append(sheet.add(figure))
    return Section("detection", "Detection", body)


def shown_values(run: Run, measured: Mapping[str, float]) -> dict[str, float]:
    """The values of the weights: as measured for the report, else as logged in their epoch."""
    table: MetricsTable = run.metrics
    logged = table.at_epoch(run.epoch)
    return {**logged, **measured}


def _over_epochs(column: Logged, scale: float = 1) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Epochs and finite values; where an epoch has several values, they are spread over it."""
    known = np.isfinite(column.epochs)
    epochs, values = column.epochs[known], _finite(column.values[known])
    unique, which, counts = np.unique(epochs, return_inverse=True, return_counts=True)
    if len(unique) and counts.max() > 1:
        order = np.argsort(which, kind="stable")
        place = np.arange(len(epochs)) - np.repeat(np.cumsum(counts) - counts, counts)
        epochs = epochs[order] + (place + 1) / counts[which[order]]
        values = values[order]
    return _thinned(epochs, scale * values)


def _over_steps(column: Logged) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Steps and finite values."""
    return _thinned(column.steps, _finite(column.values))


def _merged(lines: list[Line]) -> list[Line]:
    """One line for all that are equal."""
    distinct: list[Line] = []
    for line in lines:
        same = (k for k, other in enumerate(distinct) if np.array_equal(other.y, line.y, equal_nan=True))
        place = next(same, None)
        if place is None:
            distinct.append(line)
        else:
            first = distinct[place].name
            distinct[place] = distinct[place]._replace(name=f"{first}, {line.name.rsplit('/', 1)[-1]}")
    return distinct


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values with NaN, which leaves a gap, for infinity, which would stretch the axis."""
    return np.where(np.isfinite(values), values, np.nan)


def _thinned(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """At most so many points that a page of curves stays small: means of neighbours."""
    if len(x) <= _MANY_POINTS:
        return x, y
    groups = np.linspace(0, len(x), _MANY_POINTS + 1).astype(int)[:-1]
    size = np.diff(np.append(groups, len(x)))
    return np.add.reduceat(x, groups) / size, np.add.reduceat(y, groups) / size
