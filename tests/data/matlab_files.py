"""MATLAB files as the datasets have them, for the tests of their readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat


def cell(values: Sequence[Any], shape: tuple[int, int] | None = None) -> np.ndarray:
    """A cell array, one row unless told otherwise."""
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        array[position] = value
    return array.reshape(shape or (1, len(values)))


def structs(
    records: Sequence[dict[str, Any]], fields: Sequence[str], shape: tuple[int, int] | None = None
) -> np.ndarray:
    """A struct array (MATLAB keeps the fields of an empty one), one row unless told otherwise."""
    array = np.empty(len(records), dtype=[(field, object) for field in fields])
    for position, record in enumerate(records):
        array[position] = tuple(record[field] for field in fields)
    return array.reshape(shape or (1, len(records)))


def number(value: float, dtype: str = "float64") -> np.ndarray:
    """A scalar, which MATLAB stores as a 1x1 matrix."""
    return np.array([[value]], dtype=dtype)


def row(*values: float, dtype: str = "float64") -> np.ndarray:
    return np.array([values], dtype=dtype)


def write_mat(path: Path, **variables: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables, appendmat=False)
    return path
