"""The table of an ablation: measured beside published, as CSV, as Markdown and as pictures."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from jde_lightning.cli.ablation_rows import FURTHER_METRICS, METRICS
from jde_lightning.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = [
    "table",
    "row",
    *(f"{name}{suffix}" for name in METRICS for suffix in ("", "_published", "_difference")),
    *FURTHER_METRICS,
    *(f"{name}_sd" for name in (*METRICS, *FURTHER_METRICS)),
    "seeds",
    "epochs",
    "seconds",
    "run",
    "note",
    "differs",
]

_TITLES = {
    "hota_motion": "HOTA by motion",
    "retrieval_map": "retrieval mAP",
    "rank1": "rank-1",
    "silhouette": "silhouette",
}


@dataclass(frozen=True)
class RowResult:
    """One line of the table.

    Attributes:
        table: number of the paper's table, or name of the group.
        name: the row.
        published: percent by name of the metric (hota, mota, idf1); may be empty.
        measured: the same of the run, and further metrics; empty where there is no finished one. Of several seeds,
            the mean over the finished runs.
        epochs: number of epochs that the run has trained.
        seconds: duration of the run; of several runs, the mean.
        run: its folder, or the one above those of several seeds; ``None`` if there is none.
        spread: standard deviation over the seeds (n - 1 in the denominator); empty where there are not two.
        seeds: how many finished runs the numbers are of.
        note: why there are no numbers, or what else to know; empty if all is well.
        deviations: in what the run is not what was published; empty where nothing was.
    """

    table: str
    name: str
    published: dict[str, float]
    measured: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    run: Path | None = None
    spread: dict[str, float] = field(default_factory=dict)
    seeds: int = 1
    note: str = ""
    deviations: tuple[str, ...] = ()


def of_seeds(runs: Sequence[tuple[int | None, RowResult]]) -> RowResult:
    """Sum up the runs of one row.

    Args:
        runs: seed and result of each, at least one; of a single run the result is returned as it is.
    """
    if len(runs) == 1:
        return runs[0][1]
    finished = [result for _, result in runs if result.measured]
    notes = [f"seed {seed}: {result.note}" for seed, result in runs if result.note]
    first = (finished or [result for _, result in runs])[0]
    if not finished:
        return replace(first, note="; ".join(notes))
    shared = [name for name in first.measured if all(name in result.measured for result in finished)]
    values = {name: [result.measured[name] for result in finished] for name in shared}
    return replace(
        first,
        measured={name: mean(numbers) for name, numbers in values.items()},
        seconds=mean(result.seconds for result in finished),
        run=first.run.parent.parent if first.run else None,  # above seed_N/version_M
        spread={name: stdev(numbers) for name, numbers in values.items()} if len(finished) > 1 else {},
        seeds=len(finished),
        note="; ".join(notes),
    )


def write_tables(results: Sequence[RowResult], folder: Path) -> list[Path]:
    """Write ``ablations.csv`` and ``ablations.md``, and a picture of each table with two measured rows.

    Args:
        results: the lines.
        folder: where; created if needed.

    Returns:
        The files: the table as CSV and Markdown, then ``table_2.png`` and so on.
    """
    paths = [folder / "ablations.csv", folder / "ablations.md"]
    with written_whole(paths[0]) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(map(_csv_line, results))
    with written_whole(paths[1]) as temporary:
        temporary.write_text(markdown(results), encoding="utf-8")
    for table, lines in _tables(results):
        measured = [line for line in lines if line.measured]
        if len(measured) > 1:
            paths.append(folder / f"table_{re.sub(r'[^0-9A-Za-z_-]+', '_', table)}.png")
            with written_whole(paths[-1]) as temporary:
                _picture(_title(table), measured).savefig(temporary, format="png", dpi=150)
    return paths


def has_numbers(folder: Path) -> bool:
    """Whether a folder has a table, and the table a measured row.

    Args:
        folder: as of :func:`write_tables`.
    """
    try:
        with (folder / "ablations.csv").open(newline="", encoding="utf-8") as file:
            return any(line.get("seeds") for line in csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _picture(title: str, lines: Sequence[RowResult]) -> Figure:
    """Draw the measured rows of a table."""
    from jde_lightning.plots.ablation import plot_ablation

    def values(numbers: Callable[[RowResult], dict[str, float]]) -> dict[str, list[float]]:
        names = [name for name in (*METRICS, *FURTHER_METRICS) if any(name in numbers(line) for line in lines)]
        return {_heading(name): [numbers(line).get(name, math.nan) for line in lines] for name in names}

    return plot_ablation(
        [line.name for line in lines],
        values(lambda line: line.measured),
        values(lambda line: line.spread),
        values(lambda line: line.published),
        title,
    )


def _tables(results: Sequence[RowResult]) -> list[tuple[str, list[RowResult]]]:
    """The lines of each table, in the order in which the tables are first named."""
    tables: dict[str, list[RowResult]] = {}
    for result in results:
        tables.setdefault(result.table, []).append(result)
    return list(tables.items())


def _title(table: str) -> str:
    """What a table is called."""
    return f"Table {table}" if table.isdigit() else table


def _heading(name: str) -> str:
    """What a metric is called."""
    return _TITLES.get(name, name.upper())


def markdown(results: Sequence[RowResult]) -> str:
    """Return the lines as Markdown, one table for each table of the paper.

    A cell reads ``measured (published, difference)``; the best measured value of a table is bold. Below a table stands
    in what its measured rows are not what was published.

    Args:
        results: the lines, in any order; tables come in the order in which they are first named.
    """
    several = any(result.seeds > 1 for result in results)
    spread = " ± standard deviation over the seeds" if several else ""
    parts = [f"Percent: measured{spread} (published, measured - published). Time of a run in hours:minutes."]
    for table, lines in _tables(results):
        names = [*METRICS, *(name for name in FURTHER_METRICS if any(name in line.measured for line in lines))]
        best = {
            name: max((_rounded(line, name) for line in lines if name in line.measured), default=None) for name in names
        }
        heads = ["row", *map(_heading, names), *(["seeds"] if several else [])]
        heads += ["epochs", "time", "run", "note"]
        parts += ["", f"## {_title(table)}", "", _markdown_line(heads), _markdown_line(["---"] * len(heads))]
        for line in lines:
            cells = [_cell(line, name, best[name], len(lines)) for name in names]
            minutes = round(line.seconds / 60)
            time = f"{minutes // 60}:{minutes % 60:02}" if line.run else ""
            run = f"`{line.run}`" if line.run else ""
            if several:
                cells.append(str(line.seeds) if line.measured else "")
            parts.append(_markdown_line([line.name, *cells, str(line.epochs or ""), time, run, line.note]))
        parts += _notes(lines)
    return "\n".join(parts) + "\n"


def _notes(lines: Sequence[RowResult]) -> list[str]:
    """What to say below a table about runs that are not what was published; rows of which the same is true share it."""
    measured = [line for line in lines if line.measured]
    rows: dict[tuple[str, ...], list[str]] = {}
    for line in measured:
        rows.setdefault(line.deviations, []).append(line.name)
    notes = []
    for deviations, names in rows.items():
        if deviations:
            whose = "" if len(names) == len(measured) else f" ({', '.join(names)})"
            text = f"Not what was published{whose}: {', '.join(deviations)}. The differences are of these too."
            notes += ["", text]
    return notes


def _csv_line(result: RowResult) -> dict[str, str]:
    """The cells of a line by column."""
    cells = {"table": result.table, "row": result.name, "note": result.note}
    for name in (*METRICS, *FURTHER_METRICS):
        measured, published = result.measured.get(name), result.published.get(name)
        if measured is not None:
            cells[name] = f"{measured:.2f}"
        if name in result.spread:
            cells[f"{name}_sd"] = f"{result.spread[name]:.2f}"
        if published is not None:
            cells[f"{name}_published"] = f"{published:.2f}"
        if measured is not None and published is not None:
            cells[f"{name}_difference"] = f"{measured - published:+.2f}"
    if result.measured:
        cells["seeds"] = str(result.seeds)
        cells["differs"] = "; ".join(result.deviations)
    if result.run is not None:
        cells |= {"epochs": str(result.epochs), "seconds": f"{result.seconds:.0f}", "run": str(result.run)}
    return cells


def _rounded(result: RowResult, name: str) -> float:
    """A measured value as it is shown, so that what looks equal is equal."""
    return round(result.measured[name], 2)


def _cell(result: RowResult, name: str, best: float | None, rows: int) -> str:
    """Measured and published value of a metric."""
    published = result.published.get(name)
    if name not in result.measured:
        return f"- ({published:.2f})" if published is not None else "-"
    value = _rounded(result, name)
    text = f"**{value:.2f}**" if value == best and rows > 1 else f"{value:.2f}"
    text += f" ± {result.spread[name]:.2f}" if name in result.spread else ""
    return text if published is None else f"{text} ({published:.2f}, {result.measured[name] - published:+.2f})"


def _markdown_line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
