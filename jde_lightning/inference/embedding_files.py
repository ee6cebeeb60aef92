"""Files of embeddings: Parquet, or NPZ where pyarrow is not installed; written row by row, in little memory."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError

FORMAT = "jde_lightning embeddings 1"
NUMBERS: dict[str, type[np.generic]] = {
    "row": np.int64,
    "x1": np.float32,
    "y1": np.float32,
    "x2": np.float32,
    "y2": np.float32,
    "score": np.float32,
    "label": np.int64,
    "identity": np.int64,
    "annotated_id": np.int64,
    "overlap": np.float32,
    "frame": np.int64,
    "time": np.float64,
    "crop_offset": np.int64,
    "crop_bytes": np.int64,
}
"""The columns of numbers and their types. Beside them: ``embedding`` and the texts."""
TEXTS = ("sequence", "image")
ORDER = (
    *("row", "embedding", "x1", "y1", "x2", "y2", "score", "label", "identity", "annotated_id", "overlap"),
    *("sequence", "frame", "time", "image", "crop_offset", "crop_bytes"),
)
"""All columns, as they are shown."""

Columns = dict[str, npt.NDArray[Any]]

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, IndexError)


class TableWriter(ABC):
    """Writes the rows of a table as they come.

    Args:
        path: of the file.
        embed_dim: width of the embeddings.
    """

    def __init__(self, path: Path, embed_dim: int) -> None:
        self.path = path
        self.embed_dim = embed_dim

    @abstractmethod
    def append(self, columns: Columns, texts: dict[str, str]) -> None:
        """Append the rows of one image.

        Args:
            columns: ``(n,)`` each of ``NUMBERS``, and ``embedding`` ``(n, D)`` float32.
            texts: value of each of ``TEXTS``, the same for all rows.
        """

    @abstractmethod
    def finish(self, meta: dict[str, Any]) -> None:
        """Write what is left, and facts about the whole table, which JSON can hold."""

    @abstractmethod
    def close(self) -> None:
        """Release what is open; without :meth:`finish` before, the file is useless."""


class NpzWriter(TableWriter):
    """Collects each column in a file of its own, and packs them into one ``.npz`` in the end.

    Texts, which recur, are numbered: ``sequence_code``, ``image_code`` are positions in lists of lines.
    """

    def __init__(self, path: Path, embed_dim: int) -> None:
        super().__init__(path, embed_dim)
        self._folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.stem}."))
        names = [*NUMBERS, "embedding", *(f"{name}_code" for name in TEXTS), *(f"{name}_lines" for name in TEXTS)]
        self._files: dict[str, BinaryIO] = {name: (self._folder / name).open("wb") for name in names}
        self._rows = 0
        self._last: dict[str, str | None] = dict.fromkeys(TEXTS)
        self._codes = dict.fromkeys(TEXTS, -1)

    def append(self, columns: Columns, texts: dict[str, str]) -> None:
        """Append to the files of the columns; texts that do not change from image to image are written once."""
        count = len(columns["row"])
        for name, column in columns.items():
            self._files[name].write(np.ascontiguousarray(column).tobytes())
        for name, text in texts.items():
            if text != self._last[name]:
                self._last[name] = text
                self._codes[name] += 1
                self._files[f"{name}_lines"].write(f"{json.dumps(text)}\n".encode())
            self._files[f"{name}_code"].write(np.full(count, self._codes[name], np.int64).tobytes())
        self._rows += count

    def finish(self, meta: dict[str, Any]) -> None:
        """Pack the files of the columns, each with the header of a ``.npy`` file."""
        for file in self._files.values():
            file.close()
        with zipfile.ZipFile(self.path, "w", allowZip64=True) as archive:
            for name in self._files:
                kind, shape = _array_of(name, self._rows, self.embed_dim, self._folder / name)
                header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_2_0(member, header)
                    with (self._folder / name).open("rb") as file:
                        shutil.copyfileobj(file, member, 1 << 20)
            with archive.open("meta.npy", "w") as member:
                np.save(member, np.array(json.dumps({"format": FORMAT, **meta})))

    def close(self) -> None:
        """Remove the files of the columns."""
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class ParquetWriter(TableWriter):
    """Writes row groups of some thousand rows.

    Raises:
        InputError: if pyarrow is not installed.
    """

    _GROUP = 4096

    def __init__(self, path: Path, embed_dim: int) -> None:
        super().__init__(path, embed_dim)
        arrow, parquet = import_arrow()
        self._arrow = arrow
        types = {name: arrow.from_numpy_dtype(np.dtype(kind)) for name, kind in NUMBERS.items()}
        # A text for each image: in a dictionary it costs a small number for each row.
        types |= dict.fromkeys(TEXTS, arrow.dictionary(arrow.int32(), arrow.string()))
        types["embedding"] = arrow.list_(arrow.float32(), embed_dim)
        self._schema = arrow.schema([(name, types[name]) for name in ORDER])
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Columns] = []

    def append(self, columns: Columns, texts: dict[str, str]) -> None:
        """Keep the rows until there are enough for a group."""
        count = len(columns["row"])
        self._waiting.append(columns | {name: np.full(count, text, object) for name, text in texts.items()})
        if sum(len(waiting["row"]) for waiting in self._waiting) >= self._GROUP:
            self._write_group()

    def finish(self, meta: dict[str, Any]) -> None:
        """Write the last group and the facts, as metadata of the file under the key ``jde_lightning``."""
        self._write_group()
        self._writer.add_key_value_metadata({"jde_lightning": json.dumps({"format": FORMAT, **meta})})
        self._writer.close()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write_group(self) -> None:
        if not self._waiting:
            return
        arrow = self._arrow
        joined = {name: np.concatenate([columns[name] for columns in self._waiting]) for name in ORDER}
        self._waiting = []
        arrays = {name: arrow.array(joined[name]) for name in NUMBERS}
        arrays |= {name: arrow.array(joined[name].tolist(), arrow.string()).dictionary_encode() for name in TEXTS}
        flat = arrow.array(np.ascontiguousarray(joined["embedding"]).reshape(-1))
        arrays["embedding"] = arrow.FixedSizeListArray.from_arrays(flat, self.embed_dim)
        self._writer.write_table(arrow.table([arrays[name] for name in ORDER], schema=self._schema))


def open_writer(path: Path, embed_dim: int) -> TableWriter:
    """Begin a table.

    Args:
        path: ends with ``.parquet`` or ``.npz``.
        embed_dim: width of the embeddings.

    Raises:
        InputError: if the suffix is another, or pyarrow is not installed.
    """
    writers: dict[str, type[TableWriter]] = {".parquet": ParquetWriter, ".npz": NpzWriter}
    if path.suffix not in writers:
        msg = f"{path}: embeddings are written to .parquet or .npz, not {path.suffix or 'a file without suffix'}"
        raise InputError(msg)
    return writers[path.suffix](path, embed_dim)


def read_meta(path: Path) -> dict[str, Any]:
    """Read the facts about a table, without its columns; errors as for :func:`read_columns`."""
    parquet = import_arrow()[1] if path.suffix == ".parquet" else None
    try:
        if parquet is not None:
            text = (parquet.read_metadata(path).metadata or {}).get(b"jde_lightning", b"{}")
        else:
            with np.load(path, allow_pickle=False) as content:
                text = str(content["meta"]) if "meta" in content.files else "{}"
        meta = json.loads(text)
    except _UNREADABLE as error:  # what pyarrow raises is a ValueError or an OSError
        raise InputError(_unreadable(path, error)) from error
    found = meta.get("format") if isinstance(meta, dict) else meta
    if found != FORMAT:
        msg = f"{path}: its format is {str(found)[:40]!r}, expected {FORMAT!r}; write it again with `embed`"
        raise InputError(msg)
    return dict(meta)


def read_columns(path: Path) -> tuple[Columns, dict[str, Any]]:
    """Read a whole table: the columns by name, texts as arrays of ``str``, and the facts about it.

    Raises:
        InputError: if the file holds something else, is cut short, or pyarrow is not installed.
    """
    meta = read_meta(path)
    columns = _read_parquet(path, int(meta["embed_dim"])) if path.suffix == ".parquet" else _read_npz(path)
    return columns, meta


def import_arrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet module, which are optional.

    Raises:
        InputError: if they are not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        msg = "Parquet needs pyarrow: pip install 'jde-lightning[explore]', or use a file that ends with .npz"
        raise InputError(msg) from error
    return pyarrow, parquet


def _array_of(name: str, rows: int, embed_dim: int, file: Path) -> tuple[Any, tuple[int, ...]]:
    """Type and shape of the array that a column's file holds."""
    if name == "embedding":
        return np.float32, (rows, embed_dim)
    if name.endswith("_lines"):
        return np.uint8, (file.stat().st_size,)
    return NUMBERS.get(name, np.int64), (rows,)


def _read_npz(path: Path) -> Columns:
    try:
        with np.load(path, allow_pickle=False) as content:
            columns = {name: content[name] for name in (*NUMBERS, "embedding")}
            for name in TEXTS:
                lines = content[f"{name}_lines"].tobytes().decode().splitlines()
                texts = np.array([json.loads(line) for line in lines], object)
                columns[name] = texts[content[f"{name}_code"]] if len(texts) else np.zeros(0, object)
    except _UNREADABLE as error:
        raise InputError(_unreadable(path, error)) from error
    return columns


def _read_parquet(path: Path, embed_dim: int) -> Columns:
    parquet = import_arrow()[1]
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read(list(ORDER))
    except _UNREADABLE as error:
        raise InputError(_unreadable(path, error)) from error
    columns = {name: table[name].to_numpy() for name in NUMBERS}
    columns |= {name: np.array(table[name].to_pylist(), object) for name in TEXTS}
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table["embedding"].chunks]
    columns["embedding"] = np.concatenate([np.zeros(0, np.float32), *chunks]).reshape(-1, embed_dim)
    return columns


def _unreadable(path: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())[:120]
    return f"{path}: cut short, or no table of embeddings ({reason}); write it again with `jde-lightning embed`"
