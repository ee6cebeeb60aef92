"""Where datasets keep their files: the places that archives, converters and other tools put them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jde_lightning.data.images import IMAGE_SUFFIXES
from jde_lightning.data.readers.base import find
from jde_lightning.data.readers.findings import Findings
from jde_lightning.errors import InputError

_RUBBISH = (".", "__MACOSX", "@eaDir")  # what archivers and network drives leave behind, AppleDouble files included


def first_file(base: Path, candidates: Sequence[str], findings: Findings) -> Path | None:
    """Return the first file there is, whatever the upper and lower case.

    Args:
        base: folder that the candidates are relative to.
        candidates: paths with forward slashes, in order of preference.
        findings: notes every path that was tried, there or not.

    Returns:
        The existing file, ``None`` if there is none.
    """
    for candidate in candidates:
        path = find(base, candidate)
        findings.use(path or base / candidate)
        if path is not None and path.is_file():
            return path
    return None


def first_folder(base: Path, candidates: Sequence[str], findings: Findings) -> Path | None:
    """Return the first folder there is; see :func:`first_file`."""
    for candidate in candidates:
        path = find(base, candidate)
        findings.use(path or base / candidate)
        if path is not None and path.is_dir():
            return path
    return None


def images_by_stem(base: Path, candidates: Sequence[str], findings: Findings) -> dict[str, str]:
    """Map file names without suffix to all images in the first folder there is, sub-folders included.

    Args:
        base: folder that the candidates are relative to.
        candidates: folders, in order of preference.
        findings: notes every folder that was looked for or listed.

    Returns:
        Paths by stem, the first of equal stems; empty if there is no folder.
    """
    folder = first_folder(base, candidates, findings)
    images: dict[str, str] = {}
    for path in [] if folder is None else image_files(folder, findings):
        images.setdefault(os.path.splitext(os.path.basename(path))[0], path)  # noqa: PTH119, PTH122
    return images


def no_images(base: Path, candidates: Sequence[str], missing: Sequence[str], download: str) -> InputError:
    """Make the error of a dataset whose annotations are there and whose images are not.

    Args:
        base: folder of the dataset.
        candidates: folders that were tried; the first ones are named.
        missing: names of the missing images, at least one.
        download: where the images come from.
    """
    tried = ", ".join(candidates[:3])
    msg = f"{base}: none of {len(missing)} images found, first {missing[0]}, in {tried}; {download}"
    return InputError(msg + ", or set `images` to their folder")


def image_files(folder: Path, findings: Findings) -> list[str]:
    """List all images below a folder, the deepest sub-folders included.

    Args:
        folder: an existing folder.
        findings: notes every folder that was listed.

    Returns:
        Paths that begin with ``folder``, sorted within each folder. Strings, because a video dataset has a quarter of
        a million of them.
    """
    found: list[str] = []
    for where, below, names in os.walk(folder, followlinks=True):
        findings.use(Path(where))
        below[:] = sorted(name for name in below if not name.startswith(_RUBBISH))
        found += [
            f"{where}{os.sep}{name}"
            for name in sorted(names)
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(_RUBBISH)  # noqa: PTH122
        ]
    return found
