"""What a run logged: the columns of its ``metrics.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_EXTRA = "extra columns"


class Logged(NamedTuple):
    """The values of one column, in the order of the file.

    Attributes:
        epochs: ``(N,)`` float64 epoch, from 0; NaN where the row does not say.
        steps: ``(N,)`` float64 optimiser step.
        values: ``(N,)`` float64, as logged: NaN and infinity among them.
    """

    epochs: npt.NDArray[np.float64]
    steps: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Number of values."""
        return len(self.values)


class MetricsTable:
    """The table of a run; an empty one where nothing was logged.

    Args:
        columns: what was logged, by name.
    """

    def __init__(self, columns: dict[str, Logged] | None = None) -> None:
        self.columns = columns or {}

    def __getitem__(self, name: str) -> Logged:
        """The values of a column; none where there is no such column."""
        nothing = np.zeros(0)
        return self.columns.get(name, Logged(nothing, nothing, nothing))

    def __contains__(self, name: str) -> bool:
        """Whether something was logged under a name."""
        return name in self.columns

    @property
    def last_epoch(self) -> int | None:
        """The last epoch that is mentioned, from 0; ``None`` if there is none."""
        epochs = [column.epochs[np.isfinite(column.epochs)] for column in self.columns.values()]
        return int(max((part.max() for part in epochs if len(part)), default=-1)) if any(map(len, epochs)) else None

    def at_epoch(self, epoch: int | None, prefix: str = "val/") -> dict[str, float]:
        """What was logged in an epoch, last value first.

        Args:
            epoch: from 0; the last one in which each name was logged if ``None``.
            prefix: only names that begin so, which are returned without it.
        """
        found = {}
        for name, column in self.columns.items():
            rows = np.arange(len(column)) if epoch is None else np.flatnonzero(column.epochs == epoch)
            if name.startswith(prefix) and len(rows):
                found[name.removeprefix(prefix)] = float(column.values[rows[-1]])
        return found


def read_metrics(path: Path) -> MetricsTable:
    """Read a table.

    A run that is killed may leave half a row at the end; it is left out, as is every value that is no number.

    Args:
        path: ``metrics.csv``; a missing or empty file gives an empty table.
    """
    if not path.is_file():
        return MetricsTable()
    found: dict[str, list[tuple[float, float, float]]] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(_without_nul(file), restkey=_EXTRA):
            if _EXTRA in row or None in row.values():
                continue  # half a row
            epoch, step = (_number(row.get(name, "")) for name in ("epoch", "step"))
            for name, text in row.items():
                value = _number(text) if name not in ("epoch", "step") and text else None
                if value is not None:
                    at = (math.nan if epoch is None else epoch, math.nan if step is None else step)
                    found.setdefault(name, []).append((*at, value))
    return MetricsTable({name: Logged(*np.array(rows, np.float64).T) for name, rows in found.items()})


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """Blocks that never reached the disk read as zero bytes, which the csv module of Python 3.10 refuses."""
    return (line.replace("\0", "") for line in lines)


def _number(text: str) -> float | None:
    """The number that a cell holds, ``None`` if it holds none."""
    try:
        return float(text)
    except ValueError:
        return None
