"""The report as a whole: measures what is there, and writes the page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from jde_lightning.data.index import FrameIndex
from jde_lightning.files import written_whole
from jde_lightning.inference.report.described import cut_crops, describe_observed
from jde_lightning.inference.report.embedding_sections import CROP, MAP_SCRIPT, TILE, embedding_sections
from jde_lightning.inference.report.explored import MOST_ROWS, Explored, explore
from jde_lightning.inference.report.page import Section, lack, report_page
from jde_lightning.inference.report.run import Run
from jde_lightning.inference.report.setup_sections import configuration, data_summary, versions
from jde_lightning.inference.report.tracking import Tracked, track_observed
from jde_lightning.inference.report.tracking_sections import switches, tracking
from jde_lightning.inference.report.training_sections import curves, detection, shown_values, tiles
from jde_lightning.inference.report.validation_pass import Observed, observe
from jde_lightning.metrics.detection import DetectionAP
from jde_lightning.metrics.projection import ProjectionMethod
from jde_lightning.plots.chart_sheet import ChartSheet

_OF_EMBEDDINGS = {"embeddings": "Embedding map", "distances": "Distances", "hardest": "Hardest pairs"}
_LOGGED = {"HOTA": "hota", "MOTA": "mota", "IDF1": "idf1", "IDSW": "idsw"}


@dataclass(frozen=True)
class ReportOptions:
    """How a report is made.

    Attributes:
        batch_size: frames that the network sees at once; that of validation gives its very numbers.
        device: as for :class:`~jde_lightning.inference.predictor.Predictor`.
        network: ``False`` never runs the network.
        projections: of the embedding map, the first one is shown first.
        max_switches: most identity switches with pictures.
        progress: show progress bars on stderr.
    """

    batch_size: int = 8
    device: str = "auto"
    network: bool = True
    projections: Sequence[ProjectionMethod] = ("tsne", "pca")
    max_switches: int = 10
    progress: bool = False


@dataclass
class _Measured:
    """What was measured for the report, and which sections show it."""

    values: dict[str, float] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    precision_recall: dict[float, Any] | None = None


def write_report(
    output: Path, run: Run, indices: Mapping[str, FrameIndex | str], options: ReportOptions | None = None
) -> None:
    """Write the report of a run.

    Args:
        output: the HTML file; its folder is created.
        run: as :func:`~jde_lightning.inference.report.run.open_run` found it; its notes are added to.
        indices: frames of ``train`` and ``val``, or why they cannot be read.
        options: how.

    Raises:
        InputError: if a projection is unknown or not installed.
    """
    options = options or ReportOptions()
    sheet = ChartSheet()
    val = indices.get("val")
    observed = None
    if isinstance(val, FrameIndex) and len(val):
        observed = observe(run, val, options.batch_size, options.device, options.network, options.progress)
    else:
        reason = val if isinstance(val, str) else "There are no images of validation"
        run.notes.append(f"The validation data cannot be read: {reason.rstrip('.')}.")
    measured = _without_detections() if observed is None else _measure(run, observed, sheet, options)
    values = shown_values(run, measured.values)
    sections = [
        curves(run, sheet),
        detection(values, measured.precision_recall, sheet),
        *measured.sections,
        data_summary(indices),
        configuration(run),
        versions(run),
    ]
    text = report_page(run.name, _head(run, values), sections, sheet, MAP_SCRIPT)
    with written_whole(output) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _head(run: Run, values: Mapping[str, float]) -> list[str]:
    """Title, what is missing, and the numbers at a glance."""
    of = "" if run.checkpoint is None else f", weights {run.checkpoint.name} of epoch {run.epoch}"
    when = time.strftime("%Y-%m-%d %H:%M")
    head = [f"<h1>{escape(run.name)}</h1>", f'<p class="quiet">{escape(f"Report of {when}{of}.")}</p>']
    if run.notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in run.notes)
        head.append(f'<div class="lack">To know about this report:<ul>{items}</ul></div>')
    return [*head, tiles(values)]


def _without_detections() -> _Measured:
    """The sections that need detections, which are not there."""
    text = "There are no detections of the validation data; the remarks at the top say why."
    names = {
        "tracking": "Tracking",
        "embeddings": "Embedding map",
        "distances": "Distances",
        "hardest": "Hardest pairs",
    }
    names |= {"switches": "Identity switches"}
    return _Measured(sections=[Section(anchor, title, [lack(text)]) for anchor, title in names.items()])


def _measure(run: Run, observed: Observed, sheet: ChartSheet, options: ReportOptions) -> _Measured:
    """Measure detections, tracks and embeddings."""
    metric = DetectionAP()
    for _, frames, found in observed.pairs():
        metric.update(frames, found)
    values = dict(metric.compute())
    tracked = track_observed(run, observed, options.progress)
    values |= _tracking_values(tracked)
    sections = [tracking(tracked, sheet)]
    described = describe_observed(run, observed)
    if described is None:
        text = "The detections have no embeddings: the network has no trained appearance branch."
        sections += [Section(anchor, title, [lack(text)]) for anchor, title in _OF_EMBEDDINGS.items()]
    else:
        explored = explore(described, options.projections)
        if len(described) <= MOST_ROWS:
            values |= explored.metrics
        sections += _embedding_sections(run, observed, explored, sheet, options)
    sections.append(switches(tracked, options.max_switches, options.progress))
    return _Measured(values, sections, metric.precision_recall())


def _embedding_sections(
    run: Run, observed: Observed, explored: Explored, sheet: ChartSheet, options: ReportOptions
) -> list[Section]:
    """The sections about embeddings, with the crops that they show."""
    described, sample = explored.described, explored.sample
    small, missing = cut_crops(observed.index, described, sample, TILE, options.progress)
    large, more = cut_crops(observed.index, described, explored.pair_rows, CROP)
    if missing + more:
        run.notes.append(f"The images of {missing + more} crops cannot be read: they are grey.")
    return embedding_sections(explored, [small[row] for row in sample.tolist()], large, sheet)


def _tracking_values(tracked: Tracked) -> dict[str, float]:
    """Combined scores by the names under which they are logged."""
    if not tracked.sequences:
        return {}
    values = {name: float(tracked.with_appearance[key]) for key, name in _LOGGED.items()}
    return values | {f"{name}_motion": float(tracked.motion_only[key]) for key, name in _LOGGED.items()}
