"""What is in folders: files found whatever the upper and lower case, and images without what other programs leave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from jde_lightning.data.images import IMAGE_SUFFIXES
from jde_lightning.data.readers.findings import Findings

# .DS_Store, AppleDouble files such as ._000001.jpg, hidden folders; the ghost folder of macOS archives; Synology's
# thumbnails. Thumbs.db is no image and has no sub-folders, so it needs no rule.
_JUNK = (".", "__MACOSX", "@eaDir")


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's data."""
    return name.startswith(_JUNK)


def is_image(name: str) -> bool:
    """Whether a file of this name is an image, told by its suffix."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a Path for each file takes ten times as long)
    return suffix in IMAGE_SUFFIXES and not is_junk(name)


def find(folder: Path, relative: str) -> Path | None:
    """Find a file or folder below ``folder``, ignoring upper and lower case where the exact name does not exist.

    Args:
        folder: where to start.
        relative: a path with forward slashes.

    Returns:
        The existing path, ``None`` if there is none.
    """
    exact = folder / relative
    if exact.exists():
        return exact
    current = folder
    for part in Path(relative).parts:
        same = _namesakes(current, part)
        if not same:
            return None
        current = same[0]
    return current


def subfolders(folder: Path) -> list[Path]:
    """List the folders in ``folder``, sorted by name, junk left out; empty if it is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if not is_junk(entry.name) and entry.is_dir())


def images_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the images in ``folder``, those of its sub-folders not included.

    Args:
        folder: the folder; one that does not exist has no images.

    Returns:
        The image files sorted by name, and those of them that are of 0 bytes (an unpacking that broke off), which the
        first list does not contain. No file is opened. Links that lead nowhere are in neither.
    """
    images: list[Path] = []
    empty: list[Path] = []
    if not folder.is_dir():
        return images, empty
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_image(entry.name) and entry.is_file():
                (images if entry.stat().st_size else empty).append(folder / entry.name)
    return sorted(images), sorted(empty)


def images_below(folder: Path, findings: Findings) -> list[str]:
    """List all images in ``folder`` and its sub-folders, at any depth; links are followed.

    Args:
        folder: where to start; one that does not exist has no images.
        findings: notes every folder that was listed.

    Returns:
        Paths that begin with ``folder``, the images of a folder before those of its sub-folders, each in order of
        their names. Strings, because a video dataset has a quarter of a million of them.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for where, below, names in os.walk(folder, followlinks=True):
        state = findings.use(Path(where)).stat()
        if (state.st_dev, state.st_ino) in seen:  # a link that leads back up
            below.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        below[:] = sorted(name for name in below if not is_junk(name))
        found += [f"{where}{os.sep}{name}" for name in sorted(names) if is_image(name)]
    return found


class Folders:
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
        """Find all images below a folder, sorted by path; see :func:`images_below`."""
        return sorted(map(Path, images_below(folder, self._findings)))

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
    same = _namesakes(parent, folder.name) if parent is not None else []
    return next((child for child in same if child.is_dir()), None)


def _namesakes(folder: Path, name: str) -> list[Path]:
    """What is in a folder and differs from a name in upper and lower case at most, sorted."""
    try:
        return sorted(child for child in folder.iterdir() if child.name.lower() == name.lower())
    except OSError:  # no folder, or one that may be passed through but not listed
        return []
