"""Which run folder is the finished run of a row, and what it measured."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jde_lightning.cli.ablation_rows import FURTHER_METRICS, METRICS, AblationRow
from jde_lightning.cli.ablation_settings import differences, set_otherwise
from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml


@dataclass(frozen=True)
class Run:
    """A run folder with the settings of a row.

    Attributes:
        folder: ``version_N``.
        epochs: number of epochs that left metrics; those before a resume count.
        finished: whether the last validation that the row plans is there.
        measured: percent by name of the metric, of the chosen epoch; what was not measured is left out.
        seconds: from the start of ``fit`` to the last metrics, by the times of the files in the folder.
        checkpoint: the newest weights, to go on from; ``None`` if there are none.
    """

    folder: Path
    epochs: int
    finished: bool
    measured: dict[str, float]
    seconds: float
    checkpoint: Path | None


def find_run(row: AblationRow, epoch: Literal["last", "best"] = "last") -> tuple[Run | None, str]:
    """Find the run of a row: the newest finished one with its settings, else the newest unfinished one.

    Finished means that ``metrics.csv`` holds the validation of the last epoch that the row validates. A run whose
    ``config.yaml`` differs from the row in more than the machine is not the row's; where the row leaves open what is
    trained or measured, the run must have left it open too.

    Args:
        row: the row.
        epoch: which validation to report: the last one, or the one with the highest HOTA.

    Returns:
        The run, if there is one, and in words why there is none.
    """
    why = "not run"
    unfinished = None
    for folder in _newest_first(row.root):
        try:
            config = read_yaml(folder / "config.yaml", "the configuration of a run")
        except (InputError, FileNotFoundError):
            continue  # the folder of something else, or of a run that ended before it began
        if "verbose" in config:
            continue  # of `validate` or `test`, which have this option
        differing = [*differences(row.settings, config), *set_otherwise(row.settings, config)]
        if differing:
            why = f"not run with these settings: {folder} differs in {', '.join(differing)}"
            continue
        run = _read_run(row, folder, epoch)
        if run is not None and run.finished:
            return run, ""
        unfinished = unfinished or run
    return unfinished, "" if unfinished else why


def _newest_first(root: Path) -> Iterator[Path]:
    """The run folders of a root, by number."""
    folders = [path for path in root.glob("version_*") if path.name.removeprefix("version_").isdigit()]
    return iter(sorted(folders, key=lambda path: int(path.name.removeprefix("version_")), reverse=True))


def _read_run(row: AblationRow, folder: Path, epoch: Literal["last", "best"]) -> Run | None:
    """What a run folder holds; ``None`` if no epoch left metrics."""
    table = folder / "metrics.csv"
    validations: dict[int, dict[str, str]] = {}
    epochs = 0
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                values = {name: value for name, value in line.items() if name and value}
                if not values.get("epoch", "").isdigit():
                    continue
                number = int(values["epoch"])
                epochs = max(epochs, number + 1)
                if any(name.startswith("val/") for name in values):
                    validations.setdefault(number, {}).update(values)
    if not epochs:
        return None
    checkpoint = folder / "checkpoints" / "last.ckpt"
    finished = row.last_validation in validations
    chosen = max(validations, default=-1)
    if epoch == "best":
        chosen = max(validations, key=lambda number: float(validations[number].get("val/hota", "-inf")), default=-1)
    at = validations.get(chosen, {})
    names = [name for name in (*METRICS, *FURTHER_METRICS) if f"val/{name}" in at]
    measured = {name: 100 * float(at[f"val/{name}"]) for name in names}
    seconds = max(table.stat().st_mtime - (folder / "config.yaml").stat().st_mtime, 0.0)
    return Run(folder, epochs, finished, measured, seconds, checkpoint if checkpoint.is_file() else None)
