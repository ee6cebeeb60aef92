"""Table 7 of the YOLO11-JDE paper on a cache: FairMOT's tracker as it came and tuned, beside YOLO11-JDE's."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jde_lightning.files import written_whole
from jde_lightning.inference.tuning.evaluation import TrackerChoice
from jde_lightning.inference.tuning.plan_run import TuningOutcome
from jde_lightning.metrics.scores import Scores

METRICS = ("HOTA", "MOTA", "IDF1")

_FAIRMOT = {
    "conf_thresh": 0.4,
    "first_match_thresh": 0.4,
    "second_match_thresh": 0.5,
    "new_match_thresh": 0.7,
    "track_buffer": 30,
}
"""FairMOT's own parameters, which the paper's first row begins with."""

_PUBLISHED = {
    "FairMOT": (56.89, 57.84, 66.89),
    "FairMOT (fine-tuned)": (57.25, 57.10, 67.16),
    "YOLO11-JDE": (60.06, 58.25, 71.84),
}
"""HOTA, MOTA and IDF1 in percent of the paper's network on the training sequences of MOT17."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of the table.

    Attributes:
        name: of the tracker, as in the paper.
        published: percent by name of the metric; empty where the paper has no such line.
        held_out: scores on sequences that no parameter was chosen on, in fractions; empty if none were held out.
        tuning: scores on the sequences of the search.
    """

    name: str
    published: dict[str, float]
    held_out: Scores
    tuning: Scores


def table7_trackers(appearance: bool = True) -> dict[str, TrackerChoice]:
    """Return the trackers that the searches of the table begin with, by name of their row.

    Args:
        appearance: whether the cache has embeddings.
    """
    return {
        "FairMOT": TrackerChoice.load("fairmot", appearance).updated(_FAIRMOT),
        "YOLO11-JDE": TrackerChoice.load("yolo11_jde", appearance),
    }


def table7_rows(fairmot: TuningOutcome, yolo11_jde: TuningOutcome) -> list[TableRow]:
    """Return the rows of the table.

    Args:
        fairmot: of FairMOT's tracker: before and after its search are two rows of the paper.
        yolo11_jde: of YOLO11-JDE's; its authors' parameters came from a search, too, so that the paper has one row.
    """
    named = (
        ("FairMOT", fairmot, False),
        ("FairMOT (fine-tuned)", fairmot, True),
        ("YOLO11-JDE", yolo11_jde, False),
        ("YOLO11-JDE (fine-tuned here)", yolo11_jde, True),
    )
    rows = []
    for name, outcome, after in named:
        published = dict(zip(METRICS, _PUBLISHED.get(name, ()), strict=False))
        held_out = outcome.held_out and (outcome.held_out.after if after else outcome.held_out.before)
        tuning = outcome.tuning.after if after else outcome.tuning.before
        rows.append(TableRow(name, published, held_out["combined"] if held_out else {}, tuning["combined"]))
    return rows


def write_table7(rows: Sequence[TableRow], description: str, folder: Path) -> list[Path]:
    """Write ``table7.md`` and ``table7.csv``.

    Args:
        rows: the lines.
        description: what was held out.
        folder: where; created if needed.

    Returns:
        The two files.
    """
    paths = [folder / "table7.md", folder / "table7.csv"]
    with written_whole(paths[0]) as temporary:
        temporary.write_text(table7_markdown(rows, description), encoding="utf-8")
    columns = ["tracker"]
    columns += [f"{part}_{name.lower()}" for part in ("held_out", "tuning") for name in (*METRICS, "IDSW")]
    columns += [f"published_{name.lower()}" for name in METRICS]
    with written_whole(paths[1]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            line: dict[str, str] = {"tracker": row.name}
            for part, scores in (("held_out", row.held_out), ("tuning", row.tuning)):
                line |= {f"{part}_{name.lower()}": _number(name, value) for name, value in _shown(scores).items()}
            line |= {f"published_{name.lower()}": f"{value:.2f}" for name, value in row.published.items()}
            writer.writerow(line)
    return paths


def table7_markdown(rows: Sequence[TableRow], description: str) -> str:
    """Return the table as Markdown: percent, ``measured (published, difference)``.

    Args:
        rows: the lines.
        description: what was held out.
    """
    parts = [
        "# Table 7: data association",
        "",
        "Percent: measured (published, measured - published). The published numbers are of the paper's network on the",
        f"training sequences of MOT17, on which its parameters were chosen. Here: {description}.",
    ]
    for title, of in (("Held out", "held_out"), ("On the tuning sequences", "tuning")):
        if not any(getattr(row, of) for row in rows):
            continue
        parts += ["", f"## {title}", "", "| tracker | HOTA | MOTA | IDF1 | IDSW |", "| --- | --- | --- | --- | --- |"]
        for row in rows:
            cells = [_cell(name, value, row.published) for name, value in _shown(getattr(row, of)).items()]
            parts.append("| " + " | ".join([row.name, *cells]) + " |")
    return "\n".join(parts) + "\n"


def _shown(scores: Scores) -> Scores:
    """The scores of the table."""
    return {name: scores[name] for name in (*METRICS, "IDSW") if name in scores}


def _number(name: str, value: float) -> str:
    """Print a count as it is and a fraction as a percentage."""
    return str(value) if name == "IDSW" else f"{100 * value:.2f}"


def _cell(name: str, value: float, published: dict[str, float]) -> str:
    """Measured and published value of a metric."""
    if name not in published:
        return _number(name, value)
    return f"{_number(name, value)} ({published[name]:.2f}, {100 * value - published[name]:+.2f})"
