"""The text files of MOTChallenge: ground truth and results.

Formats: motchallenge.net/instructions; what is checked follows TrackEval's ``MotChallenge2DBox``, which evaluates the
official submissions. Boxes are kept as in the file: left, top, width, height, 1-based, float64.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.metrics.sequences import Benchmark

PEDESTRIAN = 1
CLASS_NUMBERS = range(1, 14)
"""Classes of MOT16, MOT17 and MOT20; MOT15 and ``none`` have no classes."""

PARTIAL = ".partial"
"""What `track` appends to the name of a sequence whose end it did not reach: ``NAME.partial.txt``."""

_CLASS_COLUMN = 7
_GROUND_TRUTH_COLUMNS = range(7, 13)
_RESULT_COLUMNS = range(7, 13)


@dataclass(frozen=True, slots=True)
class MOTRows:
    """The rows of one sequence, ground truth or result, column by column and in the order of the file.

    Attributes:
        frames: ``(N,)`` int64, from 1.
        ids: ``(N,)`` int64, unique within a frame.
        boxes_ltwh: ``(N, 4)`` float64 left, top, width, height in pixels, 1-based.
        scores: ``(N,)`` float64, column 7: confidence of a result, mark of ground truth (0: not evaluated).
        classes: ``(N,)`` int64, column 8; -1 where the file has none.
        visibility: ``(N,)`` float64, column 9; 1 where the file has none.
    """

    frames: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    boxes_ltwh: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    visibility: npt.NDArray[np.float64]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.frames)

    def __getitem__(self, index: Any) -> MOTRows:
        """Return the rows that a mask, slice or index array selects."""
        columns = (self.frames, self.ids, self.boxes_ltwh, self.scores, self.classes, self.visibility)
        return MOTRows(*(column[index] for column in columns))


def read_ground_truth(
    path: Path,
    benchmark: Benchmark = "mot17",
    num_frames: int | None = None,
    classes: Collection[int] | None = None,
) -> MOTRows:
    """Read a ``gt.txt``: frame, id, left, top, width, height, mark, class, visibility (7 to 12 columns).

    Args:
        path: the file.
        benchmark: whose rules hold; MOT16, MOT17 and MOT20 need a class of 1 to 13 in column 8.
        num_frames: number of frames of the sequence, ``None`` if unknown.
        classes: the classes that column 8 may hold in rows that are marked for evaluation; ``None`` if they are all of
            one class, whatever it says.

    Returns:
        The rows in the order of the file.

    Raises:
        InputError: if the file breaks the format, naming file and line.
    """
    lines = _lines(path)
    rows = _to_rows(_parse(lines, path, _GROUND_TRUTH_COLUMNS), path, lines, whole_classes=classes is not None)
    if classes is not None:
        # A zero mark is how ground truth says that a row is there, but of no class that is evaluated.
        _check_classes(rows, rows.scores.astype(np.int64) != 0, classes, path, lines)
    has_classes = benchmark in ("mot16", "mot17", "mot20")
    wrong = ~np.isin(rows.classes, CLASS_NUMBERS) if has_classes else np.zeros(len(rows), bool)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = f"{_place(path, lines, row)}: class {rows.classes[row]} in column 8"
        hint = "--benchmark mot15 or none evaluates files without classes"
        msg = f"{found}, {benchmark.upper()} needs 1 to 13; {hint}"
        raise InputError(msg)
    if (rows.ids < 0).any():
        row = int(np.argmax(rows.ids < 0))
        msg = f"{_place(path, lines, row)}: id {rows.ids[row]} is negative; ids of ground truth start at 0"
        raise InputError(msg)
    _check_frames(rows, path, lines, num_frames)
    return rows


def read_results(path: Path, num_frames: int | None = None, classes: Collection[int] | None = None) -> MOTRows:
    """Read a result file: frame, id, left, top, width, height, confidence, class, -1, -1 (7 to 12 columns).

    Every row counts, whatever its confidence. An empty file is a tracker that found nothing.

    Args:
        path: the file.
        num_frames: number of frames of the sequence, ``None`` if unknown.
        classes: the classes that column 8 may hold; ``None`` for one class, then -1 or 1.

    Returns:
        The rows in the order of the file.

    Raises:
        InputError: if the file breaks the format, naming file and line.
    """
    lines = _lines(path)
    rows = _parse_results(lines, path, classes)
    # A side of 0 comes of rounding, and overlaps with nothing; a negative one is a corner in the place of a side.
    negative = (rows.boxes_ltwh[:, 2:] < 0).any(axis=1)
    if negative.any():
        row = int(np.argmax(negative))
        width, height = rows.boxes_ltwh[row, 2:]
        found = f"{_place(path, lines, row)}: a box of {width:g} x {height:g} pixels"
        msg = f"{found}, expected at least 0; columns 3 to 6 are left, top, width, height"
        raise InputError(msg)
    _check_frames(rows, path, lines, num_frames)
    return rows


def parse_results(text: str, source: str = "results", classes: Collection[int] | None = None) -> MOTRows:
    """Read the text of a result file that is in memory.

    Args:
        text: the lines of a result file.
        source: the name that errors give to the text.
        classes: as for :func:`read_results`.
    """
    return _parse_results(text.splitlines(), source, classes)


def check_in_frames(rows: MOTRows, frames: range, path: Path, what: str) -> None:
    """Refuse rows outside of a range of frames, naming file and line.

    Args:
        rows: the rows of ``path``, in the order of the file.
        frames: the frames that are allowed.
        path: the file.
        what: what the frames are, for the message.

    Raises:
        InputError: if a row lies outside.
    """
    outside = (rows.frames < frames.start) | (rows.frames >= frames.stop)
    if outside.any():
        row = int(np.argmax(outside))
        found = f"{_place(path, _lines(path), row)}: frame {rows.frames[row]}"
        msg = f"{found} is outside of {what}, frames {frames.start} to {frames.stop - 1} (numbered as in the sequence)"
        raise InputError(msg)


def partial_hint(sequence: str) -> str:
    """What to do about the partial result of a sequence."""
    return f"a partial result, of a run of `track` that ended early; track {sequence} again, or remove the file"


def _lines(path: Path) -> list[str]:
    """Read the lines of a text file."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{path}: not a text file ({error.reason}); expected comma-separated MOTChallenge rows"
        raise InputError(msg) from error


def _place(source: Path | str, lines: list[str], row: int) -> str:
    """Name file and line of a row; blank lines count as lines, not as rows."""
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    return f"{source}, line {numbers[row]}"


def _parse(lines: list[str], source: Path | str, columns: range) -> npt.NDArray[np.float64]:
    """Turn lines into ``(N, columns)`` float64.

    Raises:
        InputError: if a value is no finite number, or the number of columns is wrong or changes.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        return np.zeros((0, columns.start))
    with suppress(ValueError):
        table: npt.NDArray[np.float64] = np.loadtxt(filled, delimiter=",", comments=None, ndmin=2)
        if table.shape[1] in columns and np.isfinite(table).all():
            return table
    raise _first_bad_line(lines, source, columns)


def _first_bad_line(lines: list[str], source: Path | str, columns: range) -> InputError:
    """Find the line that the fast reader stumbled over, and say what is wrong with it."""
    expected = f"expected {columns.start} to {columns.stop - 1} comma-separated numbers"
    first_count = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split(",")]
        first_count = first_count or len(fields)
        if len(fields) not in columns:
            return InputError(f"{source}, line {number}: {len(fields)} columns, {expected}")
        if len(fields) != first_count:
            return InputError(f"{source}, line {number}: {len(fields)} columns, but {first_count} in the first line")
        for column, field in enumerate(fields, start=1):
            try:
                finite = np.isfinite(float(field))
            except ValueError:
                finite = False
            if not finite or "_" in field:
                text = f"{source}, line {number}: {field!r} in column {column} is not a finite number; {expected}"
                return InputError(text)
    return InputError(f"{source}: cannot be read; {expected} in every line")


def _to_rows(
    table: npt.NDArray[np.float64], source: Path | str, lines: list[str], *, whole_classes: bool = False
) -> MOTRows:
    """Name the columns, and check what holds for ground truth and results alike.

    Raises:
        InputError: if a frame, an id or (if so wanted) a class is not an integer, or an id occurs twice in a frame.
    """
    integers = [(0, "frame"), (1, "id")]
    if whole_classes and table.shape[1] > _CLASS_COLUMN:
        integers.append((_CLASS_COLUMN, "class"))
    for column, name in integers:
        fraction = table[:, column] != np.rint(table[:, column])
        if fraction.any():
            row = int(np.argmax(fraction))
            msg = f"{_place(source, lines, row)}: {name} {table[row, column]} is not an integer"
            raise InputError(msg)
    n, width = table.shape
    rows = MOTRows(
        frames=table[:, 0].astype(np.int64),
        ids=table[:, 1].astype(np.int64),
        boxes_ltwh=np.ascontiguousarray(table[:, 2:6]),
        scores=table[:, 6].copy(),
        classes=table[:, _CLASS_COLUMN].astype(np.int64) if width > _CLASS_COLUMN else np.full(n, -1, np.int64),
        visibility=table[:, 8].copy() if width >= 9 else np.ones(n),
    )
    order = np.lexsort((rows.ids, rows.frames))
    same = (np.diff(rows.frames[order]) == 0) & (np.diff(rows.ids[order]) == 0)
    if same.any():
        # A stable sort: the later of the two rows is the one that repeats.
        row = int(order[1:][same].min())
        msg = f"{_place(source, lines, row)}: id {rows.ids[row]} occurs twice in frame {rows.frames[row]}"
        raise InputError(msg)
    return rows


def _parse_results(lines: list[str], source: Path | str, classes: Collection[int] | None) -> MOTRows:
    """Parse a result file, and check what holds for results only."""
    rows = _to_rows(_parse(lines, source, _RESULT_COLUMNS), source, lines, whole_classes=classes is not None)
    if (rows.ids <= 0).any():
        row = int(np.argmax(rows.ids <= 0))
        found = f"{_place(source, lines, row)}: id {rows.ids[row]}"
        msg = f"{found}, expected ids from 1; add 1 to all ids if they start at 0"
        raise InputError(msg)
    if classes is not None:
        _check_classes(rows, np.ones(len(rows), bool), classes, source, lines)
    elif (rows.classes > PEDESTRIAN).any():
        row = int(np.argmax(rows.classes > PEDESTRIAN))
        found = f"{_place(source, lines, row)}: class {rows.classes[row]} in column 8"
        msg = f"{found}, expected -1 or 1 (pedestrian only); --classes evaluates several classes"
        raise InputError(msg)
    return rows


def _check_classes(
    rows: MOTRows, used: npt.NDArray[np.bool_], classes: Collection[int], source: Path | str, lines: list[str]
) -> None:
    """Refuse a used row whose class is none of those that are evaluated."""
    unknown = used & ~np.isin(rows.classes, list(classes))
    if unknown.any():
        row = int(np.argmax(unknown))
        found = f"{_place(source, lines, row)}: class {rows.classes[row]} in column 8"
        expected = ", ".join(map(str, sorted(classes)))
        msg = f"{found}, expected one of {expected}; give all classes of the files to --classes"
        raise InputError(msg)


def _check_frames(rows: MOTRows, path: Path, lines: list[str], num_frames: int | None) -> None:
    """Refuse frames outside of ``1..num_frames``."""
    last = num_frames if num_frames is not None else np.inf
    outside = (rows.frames < 1) | (rows.frames > last)
    if outside.any():
        row = int(np.argmax(outside))
        msg = f"{_place(path, lines, row)}: frame {rows.frames[row]}, expected 1 to {num_frames or 'the last frame'}"
        raise InputError(msg)
