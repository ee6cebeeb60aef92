"""The loggers of a run, which go on where the checkpoint was written."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from jde_lightning.files import written_whole

_NAME = "metrics.csv"


def run_loggers(root: Path | str, folder: Path | None = None, step: int = 0) -> list[CSVLogger | TensorBoardLogger]:
    """Make the TensorBoard and CSV loggers of a run, in one folder.

    Args:
        root: folder of the runs.
        folder: folder of the run that goes on, ``version_N``; a new one if omitted.
        step: optimiser steps that the checkpoint holds. What was logged for later steps is logged again: it goes from
            the table, and TensorBoard hides it.
    """
    if folder is None:
        board = TensorBoardLogger(root, name="", default_hp_metric=False)
        return [board, RunCSVLogger(root, name="", version=f"version_{board.version}")]
    version = int(folder.name.removeprefix("version_"))
    board = TensorBoardLogger(folder.parent, name="", version=version, default_hp_metric=False, purge_step=step)
    return [board, RunCSVLogger(folder.parent, name="", version=folder.name, goes_on_at=step)]


class RunCSVLogger(CSVLogger):
    """Lightning's CSV logger, for runs that go on: theirs deletes the table that it finds.

    Rows are on the disk no later than the checkpoint of their step: a run that is killed goes on from there, and would
    never log them again. Lightning's writes every hundredth step.

    Args:
        goes_on_at: rows of this step and later are dropped from the table that is there; ``None`` begins a table.
        *args: as Lightning's.
        **kwargs: as Lightning's.
    """

    def __init__(self, *args: Any, goes_on_at: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._goes_on_at = goes_on_at
        self._newest = -1  # step that was logged
        self._saved_at: int | None = None  # the newest step that was logged when a checkpoint was written

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Take a row; that of the step of a checkpoint comes after the checkpoint, and is written at once."""
        super().log_metrics(dict(metrics), step)
        self._newest = self._newest if step is None else step
        if self._saved_at is not None:
            self.save()
            if self._newest > self._saved_at + 1:
                self._saved_at = None

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Write the rows that belong to a checkpoint."""
        self._saved_at = self._newest
        self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the table."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir, self._goes_on_at)
        return self._experiment


class _Writer(ExperimentWriter):
    """Writes rows below those that are there, and rewrites a table whole where it gets a new column."""

    def __init__(self, log_dir: str, goes_on_at: int | None) -> None:
        self._goes_on_at = goes_on_at
        super().__init__(log_dir)
        path = Path(self.metrics_file_path)
        if goes_on_at is not None and path.is_file():
            self.metrics_keys, rows = _read(path, goes_on_at)
            _write(path, self.metrics_keys, rows)

    def _check_log_dir_exists(self) -> None:
        if self._goes_on_at is None:
            super()._check_log_dir_exists()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        _write(path, fieldnames, _read(path)[1])


def _read(path: Path, before: int | None = None) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and whole rows of a table, those of earlier steps only if asked; a process may have died within a row."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if None not in row.values() and None not in row]
    if before is not None:
        rows = [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) < before]
    return list(reader.fieldnames or []), rows


def _write(path: Path, columns: list[str], rows: Iterable[dict[str, str]]) -> None:
    """Write a table whole."""
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)
