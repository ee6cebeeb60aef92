"""What is known about a sequence beside its boxes: benchmark, ``seqinfo.ini``, halves. No numpy: used by ``--help``."""

from __future__ import annotations

import configparser
import math
from pathlib import Path
from typing import Literal, NamedTuple

from jde_lightning.errors import InputError

Benchmark = Literal["mot15", "mot16", "mot17", "mot20", "none"]
Split = Literal["all", "train_half", "val_half"]
HalfConvention = Literal["centertrack", "fairmot"]

BENCHMARKS: tuple[Benchmark, ...] = ("mot15", "mot16", "mot17", "mot20", "none")
SPLITS: tuple[Split, ...] = ("all", "train_half", "val_half")
HALF_CONVENTIONS: tuple[HalfConvention, ...] = ("centertrack", "fairmot")


class SequenceInfo(NamedTuple):
    """What ``seqinfo.ini`` says; ``None`` where it does not.

    Attributes:
        name: name of the sequence.
        length: number of frames.
        frame_rate: frames per second.
        width: image width in pixels.
        height: image height in pixels.
    """

    name: str | None
    length: int | None
    frame_rate: float | None
    width: int | None
    height: int | None


def read_seqinfo(path: Path) -> SequenceInfo:
    """Read ``seqinfo.ini``, whatever the case of its keys and the spaces around ``=``.

    Args:
        path: the file.

    Raises:
        InputError: if the file is no INI file with a section ``[Sequence]``, or a value is not a positive number.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"), source=path.name)
    except configparser.Error as error:
        msg = f"{path}: not an INI file ({' '.join(str(error).split())}); expected a section [Sequence] with seqLength"
        raise InputError(msg) from error
    section = next((parser[name] for name in parser.sections() if name.lower() == "sequence"), None)
    if section is None:
        msg = f"{path}: no section [Sequence], found {parser.sections() or 'none'}; expected [Sequence] with seqLength"
        raise InputError(msg)

    def number(key: str) -> float | None:
        text = section.get(key)  # configparser's keys are case-insensitive
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            msg = f"{path}: {key} is {text!r}, expected a positive number"
            raise InputError(msg)
        return value

    length, rate, width, height = (number(key) for key in ("seqLength", "frameRate", "imWidth", "imHeight"))
    integers = (None if value is None else int(value) for value in (length, width, height))
    length, width, height = integers
    return SequenceInfo(section.get("name"), length, rate, width, height)


def split_frames(num_frames: int, split: Split, half_convention: HalfConvention = "centertrack") -> range:
    """Return the frame numbers of a split, as in the original sequence.

    Args:
        num_frames: number of frames N of the whole sequence.
        split: the whole sequence or one of its halves.
        half_convention: ``centertrack`` (also ByteTrack, mmtracking): training 1..N//2+1, validation N//2+2..N;
            ``fairmot`` (also the YOLO11-JDE paper): training 1..N//2, validation N//2+1..N.

    Returns:
        The frame numbers, from 1.
    """
    last_training = num_frames // 2 + (1 if half_convention == "centertrack" else 0)
    halves = {
        "all": range(1, num_frames + 1),
        "train_half": range(1, min(last_training, num_frames) + 1),
        "val_half": range(last_training + 1, num_frames + 1),
    }
    return halves[split]
