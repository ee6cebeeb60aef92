"""A table of embeddings on disk, read back: arrays and crops, or a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.inference.crop_archive import CropArchive, Picture
from jde_lightning.inference.embedding_files import ORDER, Columns, read_columns, read_meta
from jde_lightning.structures import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

FILE_NAMES = ("embeddings.parquet", "embeddings.npz")
"""How a table is called in a folder of its own; its crops are ``crops.zip``."""


class EmbeddingTable:
    """``N`` boxes with their embeddings, in the order of sequences and frames.

    Opening reads the facts only; the columns are read, all together, when one of them is first used.

    Args:
        path: the ``.parquet`` or ``.npz`` file, or the folder that holds one.

    Attributes:
        path: the file.
        meta: facts about the whole: ``rows``, ``images`` (number of those that were looked at), ``identified`` (rows
            that have an identity), ``identities`` (number of them), ``embed_dim``, ``crop_size``, ``iou``; of the
            command line also ``boxes`` (detected or annotated), ``class_names`` and ``origin`` (weights and settings).

    Raises:
        InputError: if there is none, it holds something else, is cut short, or pyarrow is needed and missing. What is
            cut short may be seen only when a column is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_table(Path(path))
        self.meta: dict[str, Any] = read_meta(self.path)

    @classmethod
    def open(cls, path: str | Path) -> EmbeddingTable:
        """Open a table that ``jde-lightning embed`` or ``collect_embeddings`` wrote; as the constructor."""
        return cls(path)

    @cached_property
    def _columns(self) -> Columns:
        return read_columns(self.path)[0]

    @property
    def embeddings(self) -> FloatArray:
        """``(N, D)`` float32, of unit norm unless a network gave NaN."""
        return self._columns["embedding"]

    @cached_property
    def boxes(self) -> FloatArray:
        """``(N, 4)`` float32 xyxy pixels of the image."""
        return np.stack([self._columns[name] for name in ("x1", "y1", "x2", "y2")], axis=1)

    @property
    def scores(self) -> FloatArray:
        """``(N,)`` float32 confidence in 0..1."""
        return self._columns["score"]

    @property
    def labels(self) -> IntArray:
        """``(N,)`` int64 class index."""
        return self._columns["label"]

    @property
    def identities(self) -> IntArray:
        """``(N,)`` int64 number of the identity, unique over the table, from 0; -1 where nobody knows it."""
        return self._columns["identity"]

    @property
    def annotated_ids(self) -> IntArray:
        """``(N,)`` int64 what the annotations call it, unique within a sequence only; -1 where nobody knows it."""
        return self._columns["annotated_id"]

    @property
    def overlaps(self) -> FloatArray:
        """``(N,)`` float32 IoU with the annotated box that gave the identity, 0 where there is none."""
        return self._columns["overlap"]

    @property
    def sequences(self) -> npt.NDArray[np.object_]:
        """``(N,)`` str name of the sequence, empty for single images."""
        return self._columns["sequence"]

    @property
    def frames(self) -> IntArray:
        """``(N,)`` int64 number of the frame, as its dataset counts."""
        return self._columns["frame"]

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """``(N,)`` float64 seconds, frame over frame rate; NaN for single images."""
        return self._columns["time"]

    @property
    def images(self) -> npt.NDArray[np.object_]:
        """``(N,)`` str file of the image, empty for videos."""
        return self._columns["image"]

    @cached_property
    def crops(self) -> CropArchive:
        """``crops[row]`` is the crop of a row, ``crops.jpeg(row)`` the bytes of its JPEG."""
        return CropArchive(crops_path(self.path), self._columns["crop_offset"], self._columns["crop_bytes"])

    def __len__(self) -> int:
        """Number of boxes."""
        return int(self.meta["rows"])

    def crop(self, row: int) -> Picture:
        """Return the crop of a row, ``(H, W, 3)`` uint8 BGR.

        Raises:
            InputError: if there is no such row, or the archive of crops is missing or another.
        """
        return self.crops[row]

    def pictures(self, rows: Iterable[int]) -> list[Picture]:
        """Return the crops of some rows, as :meth:`crop` each."""
        return [self.crop(int(row)) for row in rows]

    def captions(self, rows: Iterable[int]) -> list[str]:
        """Say whom and what some rows show, as :meth:`caption` each."""
        return [self.caption(int(row)) for row in rows]

    def caption(self, row: int) -> str:
        """Say in one line whom and what a row shows."""
        who = "unknown" if self.annotated_ids[row] < 0 else f"id {self.annotated_ids[row]}"
        where = f"{self.sequences[row]}, " if self.sequences[row] else ""
        return f"{who}, {where}frame {self.frames[row]}"


def read_embeddings(path: str | Path) -> pd.DataFrame:
    """Read a table of embeddings into a DataFrame, a row for each box.

    Args:
        path: the ``.parquet`` or ``.npz`` file that ``jde-lightning embed`` wrote, or the folder that holds one.

    Returns:
        Columns ``row``, ``embedding`` (an array ``(D,)`` float32 in each row), ``x1``, ``y1``, ``x2``, ``y2`` (pixels),
        ``score``, ``label``, ``identity`` (-1: none), ``annotated_id``, ``overlap``, ``sequence``, ``frame``, ``time``
        (seconds), ``image``; see :class:`EmbeddingTable`. ``attrs`` holds the facts about the whole.

    Raises:
        InputError: as for :meth:`EmbeddingTable.open`, or if pandas is not installed.
    """
    try:
        import pandas as pd  # optional: EmbeddingTable does without
    except ImportError as error:
        msg = "a DataFrame needs pandas: pip install 'jde-lightning[explore]', or use EmbeddingTable.open"
        raise InputError(msg) from error
    columns, meta = read_columns(find_table(Path(path)))
    shown: dict[str, Any] = {name: columns[name] for name in ORDER if not name.startswith("crop_")}
    shown["embedding"] = list(columns["embedding"])
    frame = pd.DataFrame(shown)
    frame.attrs.update(meta)
    return frame


def find_table(path: Path) -> Path:
    """Find the file of a table.

    Args:
        path: the file, or the folder that holds it under its usual name.

    Raises:
        InputError: if there is none.
    """
    files = [path / name for name in FILE_NAMES] if path.is_dir() else [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        where = f"{path}: no {' or '.join(FILE_NAMES)} in it" if path.is_dir() else f"{path}: no such file"
        msg = f"{where}; `jde-lightning embed` writes a table of embeddings"
        raise InputError(msg)
    return found


def crops_path(table: Path) -> Path:
    """The archive of crops that belongs to a table: ``crops.zip`` in a folder of its own, else ``NAME.crops.zip``."""
    return table.with_name("crops.zip" if table.name in FILE_NAMES else f"{table.stem}.crops.zip")
