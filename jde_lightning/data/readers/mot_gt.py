"""``gt.txt``: the ground truth of one sequence in MOTChallenge's layout, in all the dialects that occur."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.data.readers.mot_presets import ClassRule
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, BoolArray, FloatArray, IntArray, Role

_COLUMNS = (6, 7, 8, 9, 10, 12)
_FULL = 9
_EXPECTED = "frame, id, left, top, width, height[, flag[, class[, visibility]]] as numbers, whole frame and id"


class GroundTruth(NamedTuple):
    """The ``N`` rows of a ``gt.txt``, in the order of the file.

    Attributes:
        frames: ``(N,)`` int64 as the file counts.
        identities: ``(N,)`` int64, ``NO_IDENTITY`` for negative ones.
        boxes: ``(N, 4)`` float32 xyxy pixels, 0-based, unclipped.
        flags: ``(N,)`` bool, whether the row is to be considered.
        classes: ``(N,)`` int64; -1 where the file has no classes.
        visibility: ``(N,)`` float32 in 0..1; 1 where the file does not say.
    """

    frames: IntArray
    identities: IntArray
    boxes: FloatArray
    flags: BoolArray
    classes: IntArray
    visibility: FloatArray

    def take(self, rows: IntArray) -> GroundTruth:
        """Return the given rows, in that order."""
        return GroundTruth._make(column[rows] for column in self)

    def roles(self, rule: ClassRule) -> npt.NDArray[np.int8]:
        """``(N,)`` int8 roles by a rule. A row without a class counts as one of a positive class."""
        wanted = np.full(len(self.frames), True)
        if rule.positive is not None:
            wanted = np.isin(self.classes, rule.positive) | (self.classes < 0)
        considered = self.flags | (not rule.use_flag)
        roles = np.full(len(self.frames), Role.OTHER, dtype=np.int8)
        roles[np.isin(self.classes, rule.ignored or ())] = Role.IGNORE
        roles[wanted & ~considered] = rule.flagged_out
        roles[wanted & considered] = Role.POSITIVE
        roles[wanted & (self.visibility < rule.min_visibility)] = Role.OTHER
        return roles


def read_ground_truth(file: Path, coordinate_base: int, class_column: bool) -> GroundTruth:
    """Read a ``gt.txt``.

    Args:
        file: the file. All its rows must have the same number of columns: 6, 7, 8, 9, 10 or 12.
        coordinate_base: number of the first pixel.
        class_column: whether columns 8 and 9 are class and visibility; otherwise they are not read.

    Raises:
        InputError: if the file is missing, or a line is broken.
    """
    lines = _lines(file)
    rows = _numbers(lines, file)
    flag, category, visibility = (_column(rows, 6, 1.0), np.full(len(rows), -1.0), np.ones(len(rows)))
    if class_column:
        category, visibility = _column(rows, 7, -1.0), _column(rows, 8, 1.0)
    fraction = category != np.floor(category)
    if fraction.any():
        row = int(np.argmax(fraction))
        found = f"{place(file, lines, row)}: class {category[row]:g} in column 8, expected a whole number"
        msg = f"{found}; if columns 8 to 10 are world coordinates, as in MOT15, set `preset: mot15`"
        raise InputError(msg)
    boxes = rows[:, 2:6].copy()
    boxes[:, :2] -= coordinate_base
    return GroundTruth(
        frames=rows[:, 0].astype(np.int64),
        identities=np.where(rows[:, 1] >= 0, rows[:, 1], NO_IDENTITY).astype(np.int64),
        boxes=ltwh_to_xyxy(boxes).astype(np.float32),
        flags=flag != 0,
        classes=np.where(category >= 0, category, -1).astype(np.int64),
        visibility=np.where(visibility < 0, 1.0, visibility.clip(0, 1)).astype(np.float32),
    )


def check_classes(gt: GroundTruth, known: range, expected: str, file: Path) -> None:
    """Refuse a class that means nothing, since its boxes would be left out without a word.

    Args:
        gt: the rows of ``file``.
        known: the classes that mean something.
        expected: who knows them and what to do, for the error.
        file: the ``gt.txt``.

    Raises:
        InputError: if a row has another class, naming its line.
    """
    unknown = (gt.classes >= 0) & ((gt.classes < known.start) | (gt.classes >= known.stop))
    if unknown.any():
        row = int(np.argmax(unknown))
        msg = f"{place(file, _lines(file), row)}: found class {gt.classes[row]} in column 8, expected {expected}"
        raise InputError(msg)


def check_identities(gt: GroundTruth, positive: BoolArray, file: Path) -> None:
    """Refuse a person who is in a frame twice: then the file was written twice, or its ids are no identities.

    Only boxes to be learned count; MOTChallenge's own evaluation refuses the same.

    Args:
        gt: the rows of ``file``.
        positive: ``(N,)`` bool, the rows to be learned.
        file: the ``gt.txt``.

    Raises:
        InputError: naming both lines.
    """
    rows = np.flatnonzero(positive & (gt.identities != NO_IDENTITY))
    rows = rows[np.lexsort((gt.identities[rows], gt.frames[rows]))]
    same = (np.diff(gt.frames[rows]) == 0) & (np.diff(gt.identities[rows]) == 0)
    if same.any():
        first = int(np.argmax(same))
        row, earlier = int(rows[first + 1]), int(rows[first])
        lines = _lines(file)
        found = f"{place(file, lines, row)}: identity {gt.identities[row]} is in frame {gt.frames[row]} a second time"
        fix = "remove one of them, or write -1 for boxes without identity"
        msg = f"{found}, expected once; the first is line {_line_number(lines, earlier)}; {fix}"
        raise InputError(msg)


def read_labels(file: Path) -> list[str]:
    """Read the names of the classes 1, 2, ..., one a line, as CVAT writes them to ``gt/labels.txt``.

    Raises:
        InputError: if the file is missing or empty.
    """
    try:
        names = file.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        found = f"{file}: cannot be read ({type(error).__name__}), expected the name of a class in each line"
        msg = f"{found}; if the classes are MOTChallenge's, use `preset: mot17` with `coordinate_base: 0`"
        raise InputError(msg) from error
    names = [name.strip() for name in names]
    if not any(names):
        msg = f"{file}: no names, expected the name of a class in each line"
        raise InputError(msg)
    return names


def place(file: Path, lines: list[str], row: int) -> str:
    """Name file and line of a row; blank lines count as lines, not as rows."""
    return f"{file}:{_line_number(lines, row)}"


def _line_number(lines: list[str], row: int) -> int:
    return [number for number, line in enumerate(lines, start=1) if line.strip()][row]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        msg = f"{file}: no such file; test sequences have no ground truth, training and validation need "
        raise InputError(msg + "SEQUENCE/img1/000001.jpg and SEQUENCE/gt/gt.txt") from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file}: cannot be read as text ({type(error).__name__}), expected lines of {_EXPECTED}"
        raise InputError(msg) from error


def _numbers(lines: list[str], file: Path) -> npt.NDArray[np.float64]:
    """Turn lines into ``(N, columns)`` float64."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return np.zeros((0, _FULL))
    try:
        rows = np.loadtxt(filled, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        rows = None
    if rows is None or rows.shape[1] not in _COLUMNS or not _valid(rows).all():
        raise InputError(_first_broken_line(file, lines))
    return rows


def _column(rows: npt.NDArray[np.float64], column: int, otherwise: float) -> npt.NDArray[np.float64]:
    return rows[:, column] if rows.shape[1] > column else np.full(len(rows), otherwise)


def _valid(rows: npt.NDArray[np.float64]) -> BoolArray:
    """``(N,)`` bool: rows that are finite, with whole frame numbers and ids, and no negative size."""
    return (
        np.isfinite(rows).all(axis=1)
        & (rows[:, :2] == np.floor(rows[:, :2])).all(axis=1)
        & (rows[:, 0] >= 0)
        & (rows[:, 4:6] >= 0).all(axis=1)
    )


def _first_broken_line(file: Path, lines: list[str]) -> str:
    """Find the line that the fast way failed on, and say what is wrong with it."""
    columns = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.split(",")
        columns = columns or len(cells)
        try:
            good = len(cells) == columns and columns in _COLUMNS
            numbers = np.array([[float(cell) for cell in cells]])
            good = good and bool(_valid(numbers).all())
        except ValueError:
            good, numbers = False, np.zeros((1, 0))
        if not good:
            if numbers.shape[1] in _COLUMNS and (numbers[0, 4:6] < 0).any():
                size = f"{numbers[0, 4]:g} x {numbers[0, 5]:g}"
                return f"{file}:{number}: a box of {size} pixels in columns 5 and 6, expected 0 or more"
            found = f"{file}:{number}: found {line.strip()[:80]!r}, expected {_EXPECTED}"
            if columns not in _COLUMNS:
                return f"{found}; these are {columns} columns, not 6 to 10 or 12"
            return found if len(cells) == columns else f"{found}; these are {len(cells)} columns after {columns} before"
    return f"{file}: cannot be read, expected lines of {_EXPECTED}"
