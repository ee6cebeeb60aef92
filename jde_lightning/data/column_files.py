"""Arrays on disk, one uncompressed ``.npy`` file each, that processes look into without reading them first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def write_columns(folder: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write each array to ``<name>.npy`` in a folder that exists.

    Raises:
        OSError: if the folder cannot be written to, or the disk is full.
    """
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)


def open_columns(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """Map files of :func:`write_columns` into memory.

    The system reads what is touched, drops it when memory runs short, and keeps one copy for all processes.

    Returns:
        Read-only arrays by name.

    Raises:
        OSError: if a file is missing or cannot be opened.
        ValueError: if a file is damaged.
    """
    columns = {}
    for name in names:
        try:
            mapped = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except EOFError as error:
            msg = f"{folder / name}.npy is cut short"
            raise ValueError(msg) from error
        columns[name] = np.asarray(mapped)  # a plain view: np.memmap itself is slow to index
    return columns
