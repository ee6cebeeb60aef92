"""Text files of boxes in fractions of the image size, one box per line: what all dialects of them share."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import cxcywh_to_xyxy
from jde_lightning.errors import InputError
from jde_lightning.structures import FloatArray

Row = tuple[float, ...]

# Whole-body boxes leave the image, by more than its size where somebody stands before the camera. Pixel values, which
# some tools write in place of fractions, are larger than this.
_LARGEST_FRACTION = 10.0


def read_rows(file: Path, columns: str) -> tuple[dict[Row, int], int]:
    """Read the numbers of one label file; an equal row that comes again is left out.

    Args:
        file: the label file.
        columns: what a line consists of, for error messages.

    Returns:
        The distinct rows in order, each with the number of its line (from 1), and how many repeated rows were left out:
        scripts that append to their files write all rows twice when they are run twice.

    Raises:
        InputError: if the file is no text, or a line has a cell that is no finite number.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{file}: no UTF-8 text ({error.reason}), expected lines of {columns}"
        raise InputError(msg) from error
    rows: dict[Row, int] = {}
    repeated = 0
    for number, line in enumerate(lines, start=1):
        try:
            row = tuple(map(float, line.split()))
        except ValueError:
            row = (math.nan,)
        if not all(map(math.isfinite, row)):
            msg = f"{file}:{number}: found {line.strip()[:80]!r}, expected {columns}, separated by spaces"
            raise InputError(msg)
        if row in rows:
            repeated += 1
        elif row:
            rows[row] = number
    return rows, repeated


def check_boxes(boxes: npt.NDArray[np.float64], lines: list[int], file: Path) -> None:
    """Refuse boxes that cannot be fractions of an image. They may leave the image, also by far.

    Args:
        boxes: ``(N, 4)`` centre x, centre y, width, height.
        lines: number of the line of each box.
        file: the label file, for the message.

    Raises:
        InputError: if a width or height is negative, or values look like pixels.
    """
    negative = np.asarray((boxes[:, 2:] < 0).any(axis=1))
    wrong = negative | (np.abs(boxes) > _LARGEST_FRACTION).any(axis=1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        values = " ".join(f"{value:g}" for value in boxes[first])
        what = "a negative size" if negative[first] else "values far above 1: pixels, or another order of columns"
        msg = (
            f"{file}:{lines[first]}: the box is {values}, which has {what}; expected centre x, centre y, width and "
            "height as fractions of the image size"
        )
        raise InputError(msg)


def fractions_to_pixels(boxes: npt.NDArray[np.float64], width: int, height: int) -> FloatArray:
    """Convert fractions of the image size to corners.

    Args:
        boxes: ``(N, 4)`` centre x, centre y, width, height in fractions.
        width: image width in pixels.
        height: image height in pixels.

    Returns:
        ``(N, 4)`` float32 xyxy pixels, unclipped.
    """
    return cxcywh_to_xyxy(boxes * (width, height, width, height)).astype(np.float32)


def whole(value: float) -> bool:
    """Whether a cell is a whole number that a float holds exactly, as class and identity must be."""
    return value == int(value) and abs(value) <= 2**53
