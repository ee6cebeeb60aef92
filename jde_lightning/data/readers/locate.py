"""Where datasets keep their files: the places that archives, converters and other tools put them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.folders import find, images_below
from jde_lightning.errors import InputError


def first_file(base: Path, candidates: Sequence[str], findings: Findings) -> Path | None:
    """Return the first file there is, whatever the upper and lower case.

    Args:
        base: folder that the candidates are relative to.
        candidates: paths with forward slashes, in order of preference.
        findings: notes every path that was tried, there or not.

    Returns:
        The existing file, ``None`` if there is none.
    """
    return next((path for path in _tried(base, candidates, findings) if path.is_file()), None)


def first_folder(base: Path, candidates: Sequence[str], findings: Findings) -> Path | None:
    """Return the first folder there is; see :func:`first_file`."""
    return next((path for path in _tried(base, candidates, findings) if path.is_dir()), None)


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
    for path in [] if folder is None else images_below(folder, findings):
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


def _tried(base: Path, candidates: Sequence[str], findings: Findings) -> Iterator[Path]:
    """Yield the candidates that exist; those that were asked for are noted, there or not."""
    for candidate in candidates:
        path = find(base, candidate)
        findings.use(path or base / candidate)
        if path is not None:
            yield path
