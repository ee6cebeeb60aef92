"""The files of one sequence in MOTChallenge's layout: ``seqinfo.ini``, the images, and how both are numbered."""

from __future__ import annotations

import configparser
import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.folders import images_in
from jde_lightning.data.readers.mot_presets import FirstNumber
from jde_lightning.errors import InputError

_NUMBER = re.compile(r"\d+$")
_INI_NUMBERS = ("seqLength", "imWidth", "imHeight", "frameRate")


class SequenceInfo(NamedTuple):
    """What ``seqinfo.ini`` says.

    Attributes:
        image_folder: folder of the images, ``None`` if it does not say.
        length: number of frames, ``None`` if it does not say.
        size: width and height of the images in pixels, ``None`` if it does not say.
        suffix: suffix of the images in lower case, empty if it does not say.
        frame_rate: frames per second, ``None`` if it does not say.
    """

    image_folder: str | None = None
    length: int | None = None
    size: tuple[int, int] | None = None
    suffix: str = ""
    frame_rate: float | None = None


def read_sequence_info(file: Path) -> SequenceInfo:
    """Read a ``seqinfo.ini``, whatever the upper and lower case of its keys; a missing file says nothing.

    Raises:
        InputError: if it is no INI file, or a number is none.
    """
    if not file.is_file():
        return SequenceInfo()
    parser = configparser.ConfigParser(interpolation=None)  # lower-cases keys, which rewritten copies differ in
    try:
        parser.read_string(file.read_text(encoding="utf-8-sig"), source=file.name)
        keys = {key: value for section in parser.sections() for key, value in parser.items(section)}
        found = {key: _above_0(keys[key.lower()], key) for key in _INI_NUMBERS if keys.get(key.lower())}
        numbers = {key.lower(): int(value) for key, value in found.items() if key != "frameRate"}
        frame_rate = found.get("frameRate")
    except (configparser.Error, ValueError) as error:
        reason = " ".join(str(error).split())
        msg = f"{file}: {reason}; expected [Sequence] and numbers for {', '.join(_INI_NUMBERS)}"
        raise InputError(msg) from error
    size = (numbers["imwidth"], numbers["imheight"]) if {"imwidth", "imheight"} <= numbers.keys() else None
    return SequenceInfo(
        keys.get("imdir") or None, numbers.get("seqlength"), size, keys.get("imext", "").lower(), frame_rate
    )


def _above_0(text: str, key: str) -> float:
    """The number that a key has; only the frame rate may have a fraction."""
    try:
        value = float(text) if key == "frameRate" else int(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        msg = f"{key} is {text!r}, which is no {'number' if key == 'frameRate' else 'whole number'} above 0"
        raise ValueError(msg)
    return value


def numbered_images(folder: Path, suffix: str, hint: str, findings: Findings) -> dict[int, Path]:
    """Map the numbers at the end of file names to image files.

    Args:
        folder: the folder of the images of a sequence.
        suffix: the suffix that ``seqinfo.ini`` states; it decides where images of several kinds are there, and only
            then. Empty if it states none.
        hint: where the images come from, for the error if there are none.
        findings: notes the folder, and the files of 0 bytes as corrupt.

    Returns:
        All images, those of 0 bytes included: they too tell how the images are numbered.

    Raises:
        InputError: if there is no image, one has no number, or two have the same.
    """
    if not findings.use(folder).is_dir():
        msg = f"{folder}: no such folder, expected images; {hint}"
        raise InputError(msg)
    good, empty = images_in(folder)
    findings.corrupt += map(str, empty)
    files = sorted([*good, *empty])
    files = [file for file in files if file.suffix.lower() == suffix] or files
    images: dict[int, Path] = {}
    for file in files:
        number = _NUMBER.search(file.stem)
        if number is None:
            msg = f"{file}: no frame number at the end of the file name, expected names like 000001.jpg"
            raise InputError(msg)
        if int(number[0]) in images:
            msg = f"{file}: frame {int(number[0])} is also {images[int(number[0])].name}; remove one of them"
            raise InputError(msg)
        images[int(number[0])] = file
    if not images:
        msg = f"{folder}: no images, expected files like 000001.jpg; {hint}"
        raise InputError(msg)
    return images


def name_later(image: Path, frames: int) -> str:
    """Return the file name that the image a number of frames after ``image`` would have."""
    digits = _NUMBER.search(image.stem)
    if digits is None:
        return image.name
    number = f"{int(digits[0]) + frames:0{len(digits[0])}d}"
    return f"{image.stem[: digits.start()]}{number}{image.suffix}"


def frame_offset(
    annotated: Collection[int],
    images: Collection[int],
    first_frame: FirstNumber,
    first_image: FirstNumber,
    file: Path,
) -> int:
    """Tell by how much frame numbers in ``gt.txt`` exceed the numbers in the names of their images.

    What is given decides. Otherwise the side that knows a number 0 counts from 0, and both count alike unless only one
    of them does. Then they are shifted by one if their last numbers are too; if not, an image or a row may be absent,
    and it takes the user to know.

    Args:
        annotated: frame numbers that occur in ``gt.txt``.
        images: numbers that occur in file names.
        first_frame: number of the first frame in ``gt.txt``, or ``"auto"``.
        first_image: number in the file name of the first image, or ``"auto"``.
        file: the ``gt.txt``, for errors.

    Returns:
        What to add to the number of an image to get its frame number.

    Raises:
        InputError: if a frame number is below ``first_frame``, or it is not clear what counts from 0.
    """
    if first_frame != "auto" and annotated and min(annotated) < first_frame:
        msg = f"{file}: found frame {min(annotated)}, but first_frame is {first_frame}; set first_frame to 0 or auto"
        raise InputError(msg)
    if not annotated or not images:
        return 0 if first_frame == "auto" or first_image == "auto" else first_frame - first_image
    if first_image != "auto":
        return (int(0 not in annotated) if first_frame == "auto" else first_frame) - first_image
    images_from_zero = 0 in images
    annotated_from_zero = 0 in annotated if first_frame == "auto" else first_frame == 0
    if images_from_zero == annotated_from_zero:
        return 0
    offset = int(images_from_zero) - int(annotated_from_zero)
    last, end = max(annotated), max(images) + offset
    # A first_frame that was given leaves one question, whether image 0 is merely absent.
    if last == end or (first_frame == 1 and images_from_zero) or (first_frame == 0 and 1 in images and last < end):
        return offset
    msg = (
        f"{file}: frames {min(annotated)} to {last} and images {min(images)} to {max(images)}, so it is not clear "
        "which of them count from 0; set first_frame (of gt.txt) and first_image (of the file names) to 0 or 1"
    )
    raise InputError(msg)


def first_half_end(first: int, length: int, convention: str) -> int:
    """Return the last frame of the first half of a sequence.

    Args:
        first: number of its first frame.
        length: number of its frames.
        convention: ``centertrack`` or ``fairmot``, see :class:`~jde_lightning.data.readers.mot.MOTChallenge`.
    """
    return first - 1 + length // 2 + (1 if convention == "centertrack" else 0)
