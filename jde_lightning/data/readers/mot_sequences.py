"""Which folders are the sequences of a dataset in MOTChallenge's layout, each taken once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from jde_lightning.data.readers.base import sequence_key
from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.folders import find, subfolders
from jde_lightning.errors import InputError

logger = logging.getLogger(__name__)

Detector = Literal["DPM", "FRCNN", "SDP"]

_LAYOUT = "SEQUENCE/img1/000001.jpg and SEQUENCE/gt/gt.txt"


def sequence_name(folder: Path) -> str:
    """Name of the sequence in a folder, also if the folder is given as ``.``."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def usual_places(*names: str) -> list[str]:
    """Folders below the root where archives and tools put the training sequences of a dataset of these names."""
    return ["train", *(place for name in names for place in (name, f"{name}/train", f"{name}/images/train"))]


def find_sequences(
    base: Path, places: Iterable[tuple[str, ...]], is_sequence: Callable[[Path], bool], findings: Findings
) -> list[Path]:
    """Find the folders of sequences.

    Args:
        base: a sequence, or a folder of sequences, or a folder above one.
        places: folders below ``base`` to look in if it holds no sequence itself, in order of preference. Those that
            stand in one tuple are parts of the same split.
        is_sequence: tells a sequence from another folder.
        findings: notes every folder that was looked at.

    Returns:
        The folders of the first place that has any, in order of their names.

    Raises:
        InputError: if there is none.
    """
    tried = dict.fromkeys([(".",), *places])
    for place in tried:
        found = [folder for part in place for folder in _sequences_in(base, part, is_sequence, findings)]
        if found:
            return found
    names = ", ".join(part for place in tried for part in place if part != ".")
    msg = f"{base}: no MOTChallenge sequence there nor in its {names}; expected {_LAYOUT}"
    raise InputError(msg)


def select_sequences(
    folders: list[Path], wanted: list[str] | None, detector: Detector | None, base: Path
) -> list[Path]:
    """Take the sequences that are wanted, and one of each sequence's copies.

    Args:
        folders: the folders of the sequences.
        wanted: names with or without detector suffix; ``None`` takes all.
        detector: which copy of MOT17 to take; ``None`` takes FRCNN, else the first there is.
        base: where they were looked for, for errors.

    Raises:
        InputError: if one that is wanted is not there.
    """
    if wanted is not None:
        known = {key for folder in folders for key in _keys(folder)}
        unknown = set(wanted) - known
        if unknown:
            msg = f"{base}: no sequence {min(unknown)!r}, found {', '.join(sorted(known))}"
            raise InputError(msg)
        folders = [folder for folder in folders if _keys(folder) & set(wanted)]
    copies: dict[str, list[Path]] = {}
    for folder in folders:
        copies.setdefault(sequence_key(sequence_name(folder)), []).append(folder)
    return [_one_copy(key, same, detector) for key, same in copies.items()]


def _sequences_in(base: Path, place: str, is_sequence: Callable[[Path], bool], findings: Findings) -> list[Path]:
    folder = base if place == "." else find(base, place)
    findings.use(folder or base / place)
    if folder is None or not folder.is_dir():
        return []
    if is_sequence(folder):
        return [folder]
    return [child for child in subfolders(folder) if is_sequence(findings.use(child))]


def _keys(folder: Path) -> set[str]:
    name = sequence_name(folder)
    return {name, sequence_key(name)}


def _one_copy(key: str, copies: list[Path], detector: Detector | None) -> Path:
    by_detector = {sequence_name(folder).removeprefix(f"{key}-"): folder for folder in copies}
    if key in by_detector:  # no suffix: MOT16, MOT20 and others have no copies
        return by_detector[key]
    wanted: str = detector or ("FRCNN" if "FRCNN" in by_detector else next(iter(by_detector)))
    if wanted not in by_detector:
        msg = f"{copies[0].parent}: {key} has no copy for detector {wanted}, found {', '.join(by_detector)}"
        raise InputError(msg)
    if len(copies) > 1:
        logger.info("%s: %d identical copies, reading %s", key, len(copies), by_detector[wanted].name)
    return by_detector[wanted]
