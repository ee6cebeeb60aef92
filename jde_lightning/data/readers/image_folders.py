"""Which images and label files there are, asked folder by folder and not file by file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from jde_lightning.data.images import IMAGE_SUFFIXES
from jde_lightning.data.readers.findings import Findings

# Unpacking on macOS and the thumbnails of a Synology leave these behind, with files in them that end in .jpg.
_FOREIGN_FOLDERS = frozenset({"__MACOSX", "@eaDir"})


class ImageFolders:
    """Folders of images and labels, each listed once however many of its files are asked for.

    Every folder that an answer depends on is noted in the findings: an index on disk then expires when a file comes or
    goes. Upper and lower case are told apart only where a folder has both.

    Args:
        findings: of the reader that asks.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._listings: dict[Path, _Listing] = {}

    def file(self, path: Path) -> Path | None:
        """Find one file.

        Args:
            path: the file as an annotation names it.

        Returns:
            The file as it is on disk, ``None`` if there is none.
        """
        listing = self._list(path.parent)
        name = listing.names.get(path.name) or listing.names.get(path.name.lower())
        if name is None or listing.folder is None:
            return None
        return path if listing.folder == path.parent and name == path.name else listing.folder / name

    def names(self, folder: Path) -> set[str]:
        """Return the names of all that is in a folder; none if there is no such folder."""
        return set(self._list(folder).names.values())

    def exists(self, folder: Path) -> bool:
        """Whether there is such a folder."""
        return self._list(folder).folder is not None

    def images(self, folder: Path) -> list[Path]:
        """Find all images below a folder, at any depth.

        Hidden files and folders and what macOS and Synology leave behind are no images.

        Args:
            folder: where to start.

        Returns:
            The images, sorted by path.
        """
        found: list[Path] = []
        seen: set[tuple[int, int]] = set()
        for where, folders, files in os.walk(folder, followlinks=True):
            here = self._findings.use(Path(where))
            state = here.stat()
            if (state.st_dev, state.st_ino) in seen:  # a link that leads back up
                folders.clear()
                continue
            seen.add((state.st_dev, state.st_ino))
            folders[:] = [name for name in folders if not name.startswith(".") and name not in _FOREIGN_FOLDERS]
            found += [here / name for name in files if not name.startswith(".") and _suffix(name) in IMAGE_SUFFIXES]
        return sorted(found)

    def _list(self, folder: Path) -> _Listing:
        listing = self._listings.get(folder)
        if listing is None:
            actual = _actual(folder)
            self._findings.use(actual or folder)
            exact = sorted(os.listdir(actual)) if actual is not None else []  # noqa: PTH208 (names, not paths)
            names = {name.lower(): name for name in reversed(exact)} | {name: name for name in exact}
            listing = self._listings[folder] = _Listing(actual, names)
        return listing


class _Listing(NamedTuple):
    """One folder: where it is on disk, and its names by themselves and in lower case."""

    folder: Path | None
    names: dict[str, str]


def _actual(folder: Path) -> Path | None:
    """The folder itself, or one whose path differs in upper and lower case only."""
    if folder.is_dir():
        return folder
    parent = _actual(folder.parent) if folder.parent != folder else None
    if parent is None:
        return None
    try:
        same = sorted(child for child in parent.iterdir() if child.name.lower() == folder.name.lower())
    except OSError:  # a folder that may be passed through but not listed
        return None
    return next((child for child in same if child.is_dir()), None)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path for each file takes ten times as long)
