"""Indices on disk: what a reader found is read once, and looked up as long as its files are unchanged.

A folder for each reader, so that a change of one dataset of a mix does not read the others again, and one for each mix
of readers, so that what training uses lies in files whole: processes share it instead of copying it.

An entry is a folder ``<what>-<key>-<digest>`` with ``meta.json`` and one ``.npy`` file per column. The key stands for
what was asked (class of the reader, its settings, the root), the digest for the content. So a path never changes its
meaning: a process may open it again at any time, two that build the same thing at once agree on the result, and damage
shows when an entry is looked up (20 MB are checked in a few hundredths of a second).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jde_lightning import __version__
from jde_lightning.data.column_files import open_columns, write_columns
from jde_lightning.data.frame_columns import COLUMNS
from jde_lightning.data.index import FrameIndex, refuse_disagreement
from jde_lightning.data.readers.base import Reader
from jde_lightning.data.readers.findings import Findings
from jde_lightning.files import folder_written_whole

_LOG = logging.getLogger(__name__)

FORMAT = 1
"""To be raised when an index is written in another way than before."""

_META = "meta.json"
_LETTERS = 16  # of a key and a digest: 64 bits
_ABANDONED = 24 * 3600  # seconds; no build takes a day
_NAMES = ("datasets", "sequence_names", "supervision", "min_visibility")

Meta = dict[str, Any]


def default_folder() -> Path | None:
    """Where indices are kept unless told otherwise: ``$XDG_CACHE_HOME`` or ``~/.cache``, then ``jde_lightning/index``.

    Returns:
        The folder, which need not exist; ``None`` where the user has no home.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "jde_lightning" / "index"
    except RuntimeError:
        return None


class IndexCache:
    """Reads datasets, or takes what was read before.

    An entry serves as long as reader, format and package have the version that wrote it and every source in its
    findings is unchanged; a damaged or outdated one is replaced. Where nothing can be written, one warning says so and
    this object remembers what it read.

    Args:
        folder: where the entries lie, created when needed; it may be deleted at any time. ``None`` reads anew each
            time and writes nothing.

    Attributes:
        told: dataset and text of the warnings that readers gave through this object, which need no repetition.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.told: set[tuple[str, str]] = set()
        self._remembered: dict[str, tuple[FrameIndex, Meta]] = {}
        self._warned = False

    def index(
        self, readers: Sequence[Reader], root: Path, class_names: Sequence[str] | None = None, progress: bool = False
    ) -> FrameIndex:
        """Return the index of everything that ``readers`` find below ``root``.

        The same as :meth:`~jde_lightning.data.index.FrameIndex.from_readers`, except that paths are absolute. The
        readers' ``findings`` are set, read or not.

        Args:
            readers: the datasets.
            root: the folder that the readers' own paths are relative to.
            class_names: the classes to look for; all classes of the readers if omitted.
            progress: show a bar on a terminal while reading.

        Raises:
            InputError: as ``from_readers``.
        """
        refuse_disagreement(readers)
        root = Path(os.path.abspath(root))  # noqa: PTH100  # resolves "..", but keeps symbolic links
        parts = [self._part(reader, root, progress) for reader in readers]
        names = None if class_names is None else tuple(class_names)
        if len(parts) == 1 and (names is None or parts[0].class_names in (None, names)):
            return FrameIndex.joined(parts, names)  # the part itself
        folders = [part.folder for part in parts if part.folder is not None]
        if len(folders) < len(parts):
            return FrameIndex.joined(parts, names)
        entry = _entry_of_mix(folders, names)
        # the sources were checked a moment ago, part by part
        return self._find(entry, check_sources=False) or self._store(entry, FrameIndex.joined(parts, names))

    def _part(self, reader: Reader, root: Path, progress: bool) -> FrameIndex:
        """What one reader found, from disk if possible."""
        entry = None if self.folder is None else _entry_of_reader(reader, root)
        stored = None if entry is None else self._find(entry, check_sources=True)
        if stored is not None:
            reader.findings = stored.findings[reader.name]
            return stored
        index = FrameIndex.from_reader(reader, root, progress)
        self.told.add((reader.name, reader.findings.summary()))
        # without sources nothing would ever tell that an entry is outdated
        return index if entry is None or not reader.findings.sources else self._store(entry, index)

    def _find(self, entry: _Entry, check_sources: bool) -> FrameIndex | None:
        """Look an entry up; what is damaged is deleted."""
        assert self.folder is not None
        remembered = self._remembered.get(entry.stem)
        if remembered is not None and _serves(*remembered, entry, check_sources):
            return remembered[0]
        for folder in sorted(self.folder.glob(f"{entry.stem}-*")):
            try:
                index, meta = _open(folder)
                if _serves(index, meta, entry, check_sources):
                    return index
            except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
                _LOG.warning("%s: damaged (%s), reading the dataset again", folder, error)
                shutil.rmtree(folder, ignore_errors=True)
            except OSError as error:  # perhaps not forever
                _LOG.warning("%s: cannot be opened (%s), reading the dataset again", folder, error)
        return None

    def _store(self, entry: _Entry, index: FrameIndex) -> FrameIndex:
        """Write an entry in place of older ones, and return the index as it is on disk."""
        assert self.folder is not None
        meta = {**entry.about, **_meta_of(index)}
        folder = self.folder / f"{entry.stem}-{_digest(index, meta)}"
        try:
            with folder_written_whole(folder) as temporary:
                write_columns(temporary, {name: getattr(index, name) for name in COLUMNS})
                (temporary / _META).write_text(json.dumps(meta, indent=1), encoding="utf-8")
            stored, _ = _open(folder)
        except (OSError, ValueError) as error:
            if not self._warned:
                advice = "so datasets are read anew in each process; name another folder as data.index_cache"
                _LOG.warning("%s: indices cannot be kept there (%s), %s", self.folder, error, advice)
            self._warned = True
            self._remembered[entry.stem] = (index, meta)
            return index
        for other in self.folder.glob(f"{entry.stem}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        self._sweep()
        return stored

    def _sweep(self) -> None:
        """Delete what builds that were killed left behind."""
        assert self.folder is not None
        for folder in self.folder.glob(".*-*-*"):
            try:
                if time.time() - folder.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue  # somebody else was faster


class _Entry(NamedTuple):
    """What is asked for: the name of the folder up to the digest, and what its ``meta.json`` must say."""

    stem: str
    about: Meta


def _entry_of_reader(reader: Reader, root: Path) -> _Entry | None:
    """The entry of a reader; ``None`` where a setting has no plain form, so that nothing would find it again."""
    try:
        settings = {name: _plain(value) for name, value in reader.settings().items()}
    except TypeError:
        return None
    name = f"{type(reader).__module__}.{type(reader).__qualname__}"
    key = _key(name, settings, str(root))  # without the version, so that a new version replaces the old one's entry
    about = {"reader": name, "version": reader.version, "settings": settings, "root": str(root)}
    return _Entry(f"{type(reader).__name__}-{key}", about)


def _entry_of_mix(folders: Sequence[Path], class_names: Sequence[str] | None) -> _Entry:
    """The entry of the parts in ``folders`` together."""
    # parts keep their stems when their files change, so that the new mix replaces the old one
    key = _key([folder.name.rpartition("-")[0] for folder in folders], class_names)
    return _Entry(f"mix-{key}", {"parts": [folder.name for folder in folders]})


def _serves(index: FrameIndex, meta: Meta, entry: _Entry, check_sources: bool) -> bool:
    """Whether an index is what is asked for, and nothing that it was made of has changed."""
    wanted = {**entry.about, "format": FORMAT, "package": __version__}
    if any(meta[name] != value for name, value in wanted.items()):
        return False
    return not check_sources or all(found.unchanged() for found in index.findings.values())


def _plain(value: Any) -> Any:
    """A setting as JSON has it.

    Raises:
        TypeError: if it is none of the plain kinds.
    """
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    msg = f"{type(value).__name__} has no plain form"
    raise TypeError(msg)


def _key(*values: Any) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]


def _digest(index: FrameIndex, meta: Meta) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in COLUMNS:
        digest.update(np.ascontiguousarray(getattr(index, name)).data)
    return digest.hexdigest()[:_LETTERS]


def _meta_of(index: FrameIndex) -> Meta:
    """All of an index but its columns, and who wrote it."""
    return {
        "format": FORMAT,
        "package": __version__,
        **{name: list(getattr(index, name)) for name in _NAMES},
        "class_names": None if index.class_names is None else list(index.class_names),
        "findings": {name: found.as_dict() for name, found in index.findings.items()},
    }


def _open(folder: Path) -> tuple[FrameIndex, Meta]:
    """Open an entry and check that it is whole.

    Raises:
        OSError: if a file is missing or cannot be opened.
        ValueError, KeyError, TypeError, AttributeError: if it is damaged.
    """
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    names: dict[str, Any] = {name: tuple(meta[name]) for name in _NAMES}
    index = FrameIndex(
        **open_columns(folder, COLUMNS),
        **names,
        class_names=None if meta["class_names"] is None else tuple(meta["class_names"]),
        findings={name: Findings.from_dict(found) for name, found in meta["findings"].items()},
        folder=folder,
    )
    if folder.name.rpartition("-")[2] != _digest(index, meta):
        msg = "its content is not what was written"
        raise ValueError(msg)
    return index, meta
