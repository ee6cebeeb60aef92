"""Images that training and validation have in common byte for byte, under other names: copies and links.

The files are read, so this belongs to ``data check``, not to the start of every training.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from jde_lightning.data.index import FrameIndex

_CHUNK = 1 << 20  # bytes read at once
_PROGRESS_DELAY = 2  # seconds; what is compared sooner needs no bar


@dataclass(frozen=True)
class SameImages:
    """What :func:`find_same_images` found.

    Attributes:
        pairs: a training image and the validation image with the same bytes; each validation image once, in the order
            of the validation, with the first training image that it equals.
        unreadable: files that could not be compared.
    """

    pairs: list[tuple[Path, Path]]
    unreadable: list[Path]


@dataclass(frozen=True)
class _File:
    path: bytes
    size: int
    identity: tuple[int, int]  # device and inode: links to one file have the same


def find_same_images(train: FrameIndex, val: FrameIndex, progress: bool = False) -> SameImages:
    """Find the validation images that the training holds under another path with the same bytes.

    Only files whose size occurs in both are read. Images of the same path in both are left to
    :func:`~jde_lightning.data.overlaps.find_overlaps`; empty files are no images.

    Args:
        train: the training frames.
        val: the validation frames.
        progress: show a bar on a terminal if it takes long.
    """
    ours = dict.fromkeys(train.paths.tolist())
    theirs = [path for path in dict.fromkeys(val.paths.tolist()) if path not in ours]
    comparison = _Comparison(progress)
    val_files = comparison.files(theirs)
    sizes = {file.size for file in val_files}
    train_files = [file for file in comparison.files(ours if sizes else ()) if file.size in sizes]
    sizes = {file.size for file in train_files}
    val_files = [file for file in val_files if file.size in sizes]

    digests = comparison.digests([*train_files, *val_files])
    first: dict[bytes, bytes] = {}
    for file in train_files:
        if file.identity in digests:
            first.setdefault(digests[file.identity], file.path)
    pairs = [
        (_path(first[digest]), _path(file.path))
        for file in val_files
        if (digest := digests.get(file.identity)) is not None and digest in first
    ]
    return SameImages(pairs, [_path(path) for path in comparison.unreadable])


class _Comparison:
    """Reads sizes and contents, and remembers what could not be read."""

    def __init__(self, progress: bool) -> None:
        self.unreadable: dict[bytes, None] = {}
        self._progress = progress

    def files(self, paths: Iterable[bytes]) -> list[_File]:
        """The files that hold something, links resolved."""
        found = []
        for path in tqdm(list(paths), desc="comparing sizes", unit="file", **self._bar()):
            try:
                status = os.stat(path)  # noqa: PTH116  # pathlib is slow
            except OSError:
                self.unreadable[path] = None
                continue
            if not stat.S_ISREG(status.st_mode):
                self.unreadable[path] = None
            elif status.st_size:
                found.append(_File(path, status.st_size, (status.st_dev, status.st_ino)))
        return found

    def digests(self, files: list[_File]) -> dict[tuple[int, int], bytes]:
        """Hash of the content of each file, by its identity; without those that cannot be read."""
        digests: dict[tuple[int, int], bytes] = {}
        for file in tqdm(files, desc="comparing images of equal size", unit="file", **self._bar()):
            if file.identity not in digests:
                try:
                    digests[file.identity] = _digest(file.path)
                except OSError:
                    self.unreadable[file.path] = None
        return digests

    def _bar(self) -> dict[str, object]:
        # None: where standard error is no terminal
        return {"delay": _PROGRESS_DELAY, "leave": False, "disable": None if self._progress else True}


def _digest(path: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  # the path is bytes
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def _path(path: bytes) -> Path:
    return Path(os.fsdecode(path))
