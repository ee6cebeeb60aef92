"""The files of the ETH sequences: annotation lists (``.idl``), label files, and which images belong to which list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.folders import images_in, is_junk, subfolders
from jde_lightning.errors import InputError

MOT_OVERLAP = {"pedcross2": "MOT16/17-05", "linthescher": "MOT16/17-06"}
"""Sequences whose video MOT16 and MOT17 contain too, and under which name."""

# The words that the official archives and annotation files call a sequence by.
_WORDS = {
    "bahnhof": ("bahnhof", "seq03"),
    "jelmoli": ("jelmoli", "seq04"),
    "sunnyday": ("sunnyday", "sunny"),
    "crossing": ("crossing", "seq01"),
    "loewenplatz": ("loewenplatz", "lp"),
    "linthescher": ("linthescher", "seq02"),
    "pedcross2": ("pedcross2", "pedcross"),
}
_OVERLAP_LENGTHS = {837: "pedcross2", 1194: "linthescher"}
_DEPTH = 3
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_RECORD = re.compile(r'"([^"]+)"\s*(?::(.*?))?\s*[;.]?')
_BOX = re.compile(rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)(?:\s*:\s*{_NUMBER})?")
_FRAME = re.compile(r"(\d+)(?:_[01])?$")  # image_00000012_0: frame 12 of the left camera
_EXPECTED = '"left/image_00000001_0.png": (x1, y1, x2, y2), (x1, y1, x2, y2);'


@dataclass(frozen=True)
class EthSequence:
    """One sequence on disk.

    Attributes:
        name: its name, that of the street if a file or folder tells.
        annotations: the ``.idl`` file, or the folder of label files.
        images: the folder of the images, ``None`` if none of the images of a list is on disk.
    """

    name: str
    annotations: Path
    images: Path | None

    @property
    def has_list(self) -> bool:
        """Whether the annotations are a list, not label files."""
        return self.annotations.suffix.lower() == ".idl"

    def overlap(self, number_of_images: int) -> str | None:
        """Name of the sequence of MOT16 and MOT17 that shows the same video, told by name or else by length."""
        known = self.name if self.name in _WORDS else _OVERLAP_LENGTHS.get(number_of_images, "")
        return MOT_OVERLAP.get(known)


def frame_number(image: Path) -> int:
    """Return the number of a frame, from the file name of its left image.

    Raises:
        InputError: if the name does not end with a number.
    """
    number = _FRAME.search(image.stem)
    if number is None:
        msg = f"{image}: no frame number at the end of the file name, expected names like image_00000001_0.png"
        raise InputError(msg)
    return int(number[1])


def read_list(file: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read an ``.idl`` file: one image a line, boxes without or with a score, which is left out.

    Returns:
        By path of an image as the file names it, ``(N, 4)`` float64: the four numbers of each box, whose corners may
        be swapped.

    Raises:
        InputError: if a line is broken, or an image occurs twice.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{file}: not a text file ({error.reason}), expected lines of {_EXPECTED}"
        raise InputError(msg) from error
    boxes: dict[str, npt.NDArray[np.float64]] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _RECORD.fullmatch(line.strip())
        listed = (record[2] or "") if record else ""
        if record is None or _BOX.sub("", listed).replace(",", "").strip():
            msg = f"{file}:{number}: found {line.strip()[:80]!r}, expected {_EXPECTED}"
            raise InputError(msg)
        if record[1] in boxes:
            msg = f"{file}:{number}: image {record[1]} is also in line {line_of[record[1]]}; remove one of them"
            raise InputError(msg)
        line_of[record[1]] = number
        boxes[record[1]] = np.array(_BOX.findall(listed), dtype=np.float64).reshape(-1, 4)
    return boxes


def read_label_file(file: Path, columns: int) -> npt.NDArray[np.float64]:
    """Read one label file.

    Args:
        file: the file; an empty one is a frame without boxes.
        columns: 6 for class, id, centre x, centre y, width, height; 5 for the same without id.

    Returns:
        ``(N, 5)`` float64: id (-1 where there is none) and the box in parts of the image.

    Raises:
        InputError: if a line has another number of columns or something else than numbers.
    """
    rows = []
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()  # what is no text is no number either
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [float(cell) for cell in line.split()]
        except ValueError:
            row = []
        if len(row) != columns or not np.isfinite(row).all() or min(row[-2:]) < 0:
            named = "class id xc yc width height" if columns == 6 else "class xc yc width height"
            msg = f"{file}:{number}: found {line.strip()[:80]!r}, expected the {columns} numbers {named}; "
            raise InputError(msg + "`labels_with_ids` has 6 columns, `labels` has 5")
        rows.append([row[1] if columns == 6 else -1.0, *row[-4:]])
    return np.array(rows, dtype=np.float64).reshape(-1, 5)


def find_sequences(base: Path, refined: bool, findings: Findings) -> list[EthSequence]:
    """Find all sequences below a folder, in the official form or that of JDE.

    Args:
        base: the folder.
        refined: which of two lists of the same images to take: ``refined.idl`` or the other one.
        findings: notes every folder that was looked at, and the lists that were left out.

    Returns:
        The sequences by name.

    Raises:
        InputError: if there is none, or it is not clear which images a list is about.
    """
    folders = list(_walk(base, _DEPTH, findings))
    sequences = [sequence for folder in folders if (sequence := _with_label_files(folder, base)) is not None]
    lists: dict[Path | str, list[tuple[Path, Path | None]]] = {}  # by images, or by name if there are none
    for file in (findings.use(file) for folder in folders for file in _lists_in(folder)):
        images = _images_of(file, base, findings)
        lists.setdefault(images or _name(file, None, base), []).append((file, images))
    for same in lists.values():
        file, images = min(same, key=lambda pair: _rank(pair[0], refined))
        if len(same) > 1:
            findings.notes["annotation lists left out, another one has the same images"] += len(same) - 1
        sequences.append(EthSequence(_name(file, images, base), file, images))
    if not sequences:
        msg = f"{base}: no ETH sequence, expected an .idl file beside a folder of images, or eth01/images with "
        raise InputError(msg + "eth01/labels_with_ids; set `path` to the folder of the sequences")
    sequences.sort(key=lambda sequence: sequence.name)
    for one, other in pairwise(sequences):
        if one.name == other.name:
            msg = f"{other.annotations}: sequence {one.name} is also annotated by {one.annotations}; remove one of them"
            raise InputError(msg)
    return sequences


def known_name(path: Path, base: Path) -> str | None:
    """Return which official sequence a file or folder says it belongs to, by its own name or those above it."""
    for part in (path, *path.parents):
        words = set(re.split(r"[^a-z0-9]+", part.name.lower()))
        for name, marks in _WORDS.items():
            if words.intersection(marks):
                return name
        if part == base:
            break
    return None


def _walk(folder: Path, depth: int, findings: Findings) -> Iterator[Path]:
    """Yield a folder and those below it, down to a depth."""
    if not findings.use(folder).is_dir():
        return
    yield folder
    if depth:
        for child in subfolders(folder):
            yield from _walk(child, depth - 1, findings)


def _lists_in(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.suffix.lower() == ".idl" and not is_junk(f.name) and f.is_file())


def _with_label_files(folder: Path, base: Path) -> EthSequence | None:
    """The sequence in a folder of JDE's form, if it is one."""
    for labels in ("labels_with_ids", "labels"):
        if (folder / "images").is_dir() and (folder / labels).is_dir():
            return EthSequence(known_name(folder, base) or folder.name, folder / labels, folder / "images")
    return None


def _images_of(file: Path, base: Path, findings: Findings) -> Path | None:
    """Find the folder with the images of a list: by their file names, whatever the folder is called.

    Folders that say that they belong to another sequence do not count, since file names repeat between sequences.
    """
    names = {Path(name).stem for name in read_list(file)}
    sequence = known_name(file, base)
    best: dict[Path, int] = {}
    for above in dict.fromkeys((file.parent, file.parent.parent if file.parent != base else file.parent)):
        for folder in _walk(above, _DEPTH - 1, findings):
            other = known_name(folder, base)
            if sequence is None or other in (None, sequence):
                best[folder] = len(names.intersection(image.stem for image in images_in(folder)[0]))
        if max(best.values(), default=0):
            break
    most = max(best.values(), default=0)
    if not most:
        return None
    found = [folder for folder, count in best.items() if count == most]
    if sequence is not None:
        found = [folder for folder in found if known_name(folder, base) == sequence] or found
    found = [folder for folder in found if "left" in folder.name.lower()] or found
    if len(found) > 1:
        msg = f"{file}: its images may be those of {found[0]} or of {found[1]}, expected one folder; put each sequence "
        raise InputError(msg + "into a folder of its own, together with its .idl file")
    return found[0]


def _name(file: Path, images: Path | None, base: Path) -> str:
    """Name of a sequence with a list."""
    known = known_name(file, base) or (known_name(images, base) if images is not None else None)
    says_nothing = file.stem in ("annot", "annotations", "refined")
    return known or (file.parent.name if says_nothing and file.parent != base else file.stem)


def _rank(file: Path, refined: bool) -> tuple[bool, bool, Path]:
    """The smaller, the rather a list is taken among those of the same images."""
    return ("refined" in file.stem.lower()) != refined, "annot" not in file.stem.lower(), file
