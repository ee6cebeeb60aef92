"""What the run was made of: its data, its configuration, the versions of everything."""

from __future__ import annotations

import base64
import platform
import sys
from collections.abc import Mapping
from html import escape
from importlib.metadata import PackageNotFoundError, version

from jde_lightning import __version__
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.summary import DatasetSummary, summarize
from jde_lightning.inference.report.page import Section, lack
from jde_lightning.inference.report.run import Run
from jde_lightning.plots.pages import table

_SPLITS = {"train": "Training", "val": "Validation"}
_HEAD = (
    *("dataset", "images", "sequences", "objects", "objects per image", "identities", "with identity"),
    *("ignored", "other classes", "too hidden to learn", "missing images"),
)
_PACKAGES = (
    *("torch", "torchvision", "lightning", "torchmetrics", "ultralytics", "pytorch-metric-learning"),
    *("numpy", "scipy", "scikit-learn", "opencv-python", "lap", "faster-coco-eval", "plotly"),
)


def data_summary(indices: Mapping[str, FrameIndex | str]) -> Section:
    """What the splits hold.

    Args:
        indices: the frames of a split by its name, or why they cannot be read.
    """
    body = []
    for split, title in _SPLITS.items():
        index = indices.get(split)
        body.append(f"<h3>{title}</h3>")
        if index is None or isinstance(index, str):
            body.append(lack(index or "The configuration names no data."))
            continue
        summaries = summarize(index)
        head: tuple[str, ...] = (
            "dataset",
            "images",
            "sequences",
            "objects",
            "objects per image",
            "identities",
            "with identity",
        )
        head += ("ignored", "other classes", "too hidden to learn", "missing images")
        body.append(table(_HEAD, [(_cells(summary), "") for summary in summaries]))
        if split == "train":
            modes = (f"<p><b>{escape(s.name)}</b>: {escape(s.training_mode)}.</p>" for s in summaries)
            body += list(modes)
    return Section("data", "Data", body)


def configuration(run: Run) -> Section:
    """The whole configuration, and how to use it again."""
    if not run.config_text:
        return Section("configuration", "Configuration", [lack("config.yaml is missing.")])
    encoded = base64.b64encode(run.config_text.encode()).decode("ascii")
    lines = len(run.config_text.splitlines())
    body = [
        "<p>The run again: <code>jde-lightning fit --config config.yaml</code> "
        f'(<a download="config.yaml" href="data:text/yaml;base64,{encoded}">save config.yaml</a>).</p>',
        f"<details><summary>all {lines} lines</summary><pre>{escape(run.config_text)}</pre></details>",
    ]
    return Section("configuration", "Configuration", body)


def versions(run: Run) -> Section:
    """Versions of the training, as far as the checkpoint tells, and of this report."""
    facts = run.facts
    network = facts.get("jde_lightning", {})
    rows: list[tuple[list[object], str]] = []
    if run.checkpoint is not None:
        size = f"{facts.get('size', 0) / 1e6:.1f} MB"
        told = {
            "checkpoint": f"{run.checkpoint.name}, {size}",
            "epoch, step": f"{facts.get('epoch')}, {facts.get('global_step')}",
            "jde-lightning of the training": network.get("version"),
            "lightning of the training": facts.get("pytorch-lightning_version"),
            "network": f"YOLO11{network.get('scale', '?')}-JDE, embeddings of width {network.get('embed_dim', '?')}",
            "input": f"{network.get('image_size', '?')} pixels",
            "classes": ", ".join(map(str, network.get("class_names", []))),
        }
        rows += [([escape(name), escape(str(value))], "") for name, value in told.items() if value]
    now = {
        "jde-lightning": __version__,
        "Python": platform.python_version(),
        "system": f"{sys.platform}, {platform.machine()}",
    }
    now |= {name: found for name in _PACKAGES if (found := _version(name))}
    rows += [([escape(f"{name} of this report"), escape(found)], "") for name, found in now.items()]
    return Section("versions", "Versions", [table(("what", "version"), rows)])


def _cells(summary: DatasetSummary) -> list[object]:
    """The row of a dataset."""
    images = max(summary.images, 1)
    numbers = (summary.identities, summary.labelled_boxes, summary.ignored, summary.other, summary.too_hidden)
    cells = [escape(summary.name), f"{summary.images:,}", f"{summary.sequences:,}", f"{summary.boxes:,}"]
    cells += [f"{summary.boxes / images:.1f} (at most {int(summary.boxes_per_image.max(initial=0))})"]
    return [*cells, *(f"{number:,}" for number in numbers), f"{len(summary.findings.missing):,}"]


def _version(package: str) -> str | None:
    """The installed version of a package, ``None`` if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
