"""What is in a folder, without what operating systems and network drives leave in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jde_lightning.data.images import IMAGE_SUFFIXES

# .DS_Store, AppleDouble files such as ._000001.jpg, hidden folders; the ghost folder of macOS archives; Synology's
# thumbnails. Thumbs.db is no image and has no sub-folders, so it needs no rule.
_JUNK = (".", "__MACOSX", "@eaDir")

Key = TypeVar("Key", int, str)


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is nobody's data."""
    return name.startswith(_JUNK)


def subfolders(folder: Path) -> list[Path]:
    """List the folders in ``folder``, sorted by name, junk left out; empty if it is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if not is_junk(entry.name) and entry.is_dir())


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
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
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each entry is ten times slower
            if suffix in IMAGE_SUFFIXES and not is_junk(entry.name) and entry.is_file():
                (images if entry.stat().st_size else empty).append(folder / entry.name)
    return sorted(images), sorted(empty)


def size_of_video(images: dict[Key, Path], size_of: Callable[[Path], tuple[int, int] | None]) -> tuple[int, int] | None:
    """Read the size that all images of a video have from the first one that is an image.

    Args:
        images: the images by frame number or name; those that are tried in vain are taken out.
        size_of: reads a size, ``None`` if a file is no image.

    Returns:
        Width and height in pixels, ``None`` if no file is an image.
    """
    for key in sorted(images):
        size = size_of(images[key])
        if size is not None:
            return size
        del images[key]
    return None
