"""MOTChallenge sequences: MOT15, MOT16, MOT17, MOT20, and whatever else uses their layout (DanceTrack, SportsMOT).

Format: one folder per sequence with ``img1/``, ``gt/gt.txt`` and ``seqinfo.ini``; see motchallenge.net.
"""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.data.images import IMAGE_SUFFIXES, image_size
from jde_lightning.data.readers.base import Reader, Supervision, find, sequence_key
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

logger = logging.getLogger(__name__)

Detector = Literal["DPM", "FRCNN", "SDP"]

_PEDESTRIAN = 1
# Person on vehicle, static person, distractor, reflection: TrackEval removes detections that match them. MOT20 adds
# the non-motorised vehicle.
_DISTRACTORS = (2, 7, 8, 12)
_MOT20_DISTRACTORS = (*_DISTRACTORS, 6)

_LAYOUT = "SEQUENCE/img1/000001.jpg and SEQUENCE/gt/gt.txt"
_REQUIRED = 6
_COLUMNS = 9


class MOTChallenge(Reader):
    """Read sequences in the MOTChallenge layout.

    Pedestrians (class 1) whose flag is not 0 are POSITIVE; the classes that MOTChallenge's evaluation calls
    distractors (2, 7, 8, 12, with name ``MOT20`` also 6) are IGNORE; all else, flagged-out pedestrians and the crowd
    regions of MOT20 (class 13) included, is OTHER, exactly as TrackEval has it. Training therefore does not ignore
    crowd regions. Files without classes (MOT15 has -1) are read by the flag alone. Boxes become 0-based; they are not
    clipped. Frame numbers stay those of the files, also in the second half of a split.

    Args:
        path: folder of the sequences (or one sequence) below the data root; the usual sub-folders are tried too.
        split: all frames, or the first or second half of every sequence.
        half_convention: where the second half begins, of N frames: at N // 2 + 2 (``centertrack``, also ByteTrack) or
            at N // 2 + 1 (``fairmot``, also the paper's code).
        detector: which of MOT17's three identical copies to take; ``None`` takes FRCNN, else the first there is.
        sequences: names to read, with or without detector suffix; ``None`` reads all.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset.
        every: take only every n-th frame, from the first one of the split on.
    """

    def __init__(
        self,
        path: str = ".",
        split: Literal["all", "train_half", "val_half"] = "all",
        half_convention: Literal["centertrack", "fairmot"] = "centertrack",
        detector: Detector | None = None,
        sequences: list[str] | None = None,
        min_visibility: float = 0.0,
        supervision: Supervision = "self",
        name: str = "MOT17",
        every: int = 1,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        if every < 1:
            msg = f"every is {every}, expected 1 (all frames) or more"
            raise InputError(msg)
        self.path = path
        self.split = split
        self.half_convention = half_convention
        self.detector = detector
        self.sequences = sequences
        self.every = every

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all frames that have an image on disk.

        Raises:
            InputError: if no sequence is found, or one lacks images or ground truth, or a line is broken.
        """
        base = root / self.path
        for folder in self._select(self._find_sequences(base), base):
            yield from self._read_sequence(folder)

    def _find_sequences(self, base: Path) -> list[Path]:
        below = ("train", self.name, f"{self.name}/train", "MOT17/train", "images/train", f"{self.name}/images/train")
        candidates = [".", *below, "mot/train"]
        for candidate in candidates:
            folder = find(base, candidate) if candidate != "." else base
            self.findings.use(folder or base / candidate)
            if folder is None or not folder.is_dir():
                continue
            if _is_sequence(folder):
                return [folder]
            found = sorted(child for child in folder.iterdir() if child.is_dir() and _is_sequence(child))
            if found:
                return found
        msg = f"{base}: no MOTChallenge sequence there nor in its {', '.join(candidates[1:])}; expected {_LAYOUT}"
        raise InputError(msg)

    def _select(self, folders: list[Path], base: Path) -> list[Path]:
        """Take the sequences that are wanted, each exactly once."""
        if self.sequences is not None:
            wanted = set(self.sequences)
            known = {folder.name for folder in folders} | {sequence_key(folder.name) for folder in folders}
            if wanted - known:
                msg = f"{base}: no sequence {sorted(wanted - known)[0]!r}, found {', '.join(sorted(known))}"
                raise InputError(msg)
            folders = [folder for folder in folders if {folder.name, sequence_key(folder.name)} & wanted]
        copies: dict[str, list[Path]] = {}
        for folder in folders:
            copies.setdefault(sequence_key(folder.name), []).append(folder)
        return [self._one_copy(key, same) for key, same in copies.items()]

    def _one_copy(self, key: str, copies: list[Path]) -> Path:
        by_detector = {folder.name.removeprefix(f"{key}-"): folder for folder in copies}
        if key in by_detector:  # no suffix: MOT16, MOT20 and others have no copies
            return by_detector[key]
        wanted = self.detector or ("FRCNN" if "FRCNN" in by_detector else next(iter(by_detector)))
        if wanted not in by_detector:
            msg = f"{copies[0].parent}: {key} has no copy for detector {wanted}, found {', '.join(by_detector)}"
            raise InputError(msg)
        if len(copies) > 1:
            logger.info("%s: %d identical copies, reading %s", key, len(copies), by_detector[wanted].name)
        return by_detector[wanted]

    def _read_sequence(self, folder: Path) -> Iterator[FrameAnnotations]:
        info = _read_info(self.findings.use(folder / "seqinfo.ini"))
        images = _list_images(folder, info)
        self.findings.use(folder / info.image_folder)
        length = info.length or max(images)
        gt = _read_gt(self.findings.use(folder / "gt" / "gt.txt"))
        frames = self._frames_of_split(sorted(images), length)
        if info.length and len(images) < info.length:
            logger.warning("%s: %d of %d frames have an image", folder, len(images), info.length)
        width, height = info.size or image_size(images[min(images)])
        gt = gt[np.argsort(gt[:, 0], kind="stable")]
        starts, ends = np.searchsorted(gt[:, 0], frames), np.searchsorted(gt[:, 0], frames, side="right")
        boxes = gt[:, 2:6].copy()
        boxes[:, :2] -= 1  # MOTChallenge counts pixels from 1
        boxes = ltwh_to_xyxy(boxes).astype(np.float32)
        identities = np.where(gt[:, 1] >= 0, gt[:, 1], NO_IDENTITY).astype(np.int64)
        roles, visibility = self._roles(gt), np.where(gt[:, 8] < 0, 1.0, gt[:, 8].clip(0, 1))
        for frame, start, end in zip(frames, starts.tolist(), ends.tolist(), strict=True):
            yield FrameAnnotations(
                image_path=images[frame],
                width=width,
                height=height,
                boxes=boxes[start:end],
                labels=np.zeros(end - start, np.int64),
                identities=identities[start:end],
                roles=roles[start:end],
                visibility=visibility[start:end],
                dataset=self.name,
                sequence=folder.name,
                frame=frame,
                frame_rate=info.frame_rate,
            )

    def _frames_of_split(self, frames: list[int], length: int) -> list[int]:
        last_of_first_half = length // 2 + (1 if self.half_convention == "centertrack" else 0)
        if self.split == "train_half":
            frames = [frame for frame in frames if frame <= last_of_first_half]
        elif self.split == "val_half":
            frames = [frame for frame in frames if frame > last_of_first_half]
        return frames[:: self.every]

    def _roles(self, gt: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
        flag, category = gt[:, 6], gt[:, 7]
        roles = np.full(len(gt), Role.OTHER, dtype=np.int8)
        roles[((category == _PEDESTRIAN) | (category < 0)) & (flag != 0)] = Role.POSITIVE
        roles[np.isin(category, _MOT20_DISTRACTORS if self.name == "MOT20" else _DISTRACTORS)] = Role.IGNORE
        return roles


class _SequenceInfo(NamedTuple):
    """What ``seqinfo.ini`` says; the defaults stand for what it does not say."""

    image_folder: str = "img1"
    length: int | None = None
    size: tuple[int, int] | None = None
    suffix: str = ""
    frame_rate: float = 30.0


def _is_sequence(folder: Path) -> bool:
    return (folder / "seqinfo.ini").is_file() or (folder / "img1").is_dir()


def _read_info(file: Path) -> _SequenceInfo:
    if not file.is_file():
        return _SequenceInfo()
    parser = configparser.ConfigParser(interpolation=None)  # lower-cases keys, which rewritten copies differ in
    try:
        parser.read_string(file.read_text(encoding="utf-8-sig"), source=str(file))
        keys = {key: value for section in parser.sections() for key, value in parser.items(section)}
        numbers = {key: int(keys[key]) for key in ("seqlength", "imwidth", "imheight") if keys.get(key)}
        frame_rate = float(keys.get("framerate") or 30)
    except (configparser.Error, ValueError) as error:
        reason = str(error).replace("\n", " ")
        msg = f"{file}: {reason}; expected [Sequence] and numbers for seqLength, imWidth, imHeight, frameRate"
        raise InputError(msg) from error
    size = (numbers["imwidth"], numbers["imheight"]) if {"imwidth", "imheight"} <= numbers.keys() else None
    image_folder, suffix = keys.get("imdir") or "img1", keys.get("imext", "").lower()
    return _SequenceInfo(image_folder, numbers.get("seqlength"), size, suffix, frame_rate)


def _list_images(folder: Path, info: _SequenceInfo) -> dict[int, Path]:
    """Map frame numbers to image files; the folder decides, not the stated length."""
    image_folder = folder / info.image_folder
    if not image_folder.is_dir():
        msg = f"{image_folder}: no such folder, expected images; MOT17Labels.zip has none, unpack MOT17.zip"
        raise InputError(msg)
    files = sorted(file for file in image_folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    files = [file for file in files if file.suffix.lower() == info.suffix] or files
    images: dict[int, Path] = {}
    for file in files:
        number = re.search(r"\d+$", file.stem)
        if number is None:
            msg = f"{file}: no frame number at the end of the file name, expected names like 000001.jpg"
            raise InputError(msg)
        if int(number[0]) in images:
            msg = f"{file}: frame {int(number[0])} is also {images[int(number[0])].name}; remove one of them"
            raise InputError(msg)
        images[int(number[0])] = file
    if not images:
        msg = f"{image_folder}: no images, expected files like 000001.jpg"
        raise InputError(msg)
    return images


def _read_gt(file: Path) -> npt.NDArray[np.float64]:
    """Read ``gt.txt`` as ``(N, 9)`` float64; left-out columns get their neutral values."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        msg = f"{file}: no such file; test sequences have no ground truth, training and validation need {_LAYOUT}"
        raise InputError(msg) from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return np.zeros((0, _COLUMNS))
    columns = min(len(first.split(",")), _COLUMNS)
    try:
        rows = np.loadtxt(lines, delimiter=",", comments=None, usecols=range(columns), ndmin=2)
    except ValueError:
        rows = None
    if rows is None or columns < _REQUIRED or not _valid(rows).all():
        raise InputError(_first_broken_line(file, lines, columns))
    gt = np.ones((len(rows), _COLUMNS))  # flag, class and visibility are 1 where a file leaves them out
    gt[:, :columns] = rows
    return gt


def _valid(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """``(N,)`` bool: rows that are finite, with whole frame numbers and ids, and no negative size."""
    return (
        np.isfinite(rows).all(axis=1)
        & (rows[:, :2] == np.floor(rows[:, :2])).all(axis=1)
        & (rows[:, 0] >= 0)
        & (rows[:, 4:6] >= 0).all(axis=1)
    )


def _first_broken_line(file: Path, lines: list[str], columns: int) -> str:
    """Find the line that the fast way failed on, and say what is wrong with it."""
    expected = "frame, id, left, top, width, height[, flag[, class[, visibility]]] as numbers, whole frame and id"
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.split(",")
        try:
            row = np.array([[float(cell) for cell in cells[:columns]]])
            good = max(columns, _REQUIRED) <= len(cells) and bool(_valid(row).all())
        except ValueError:
            good = False
        if not good:
            return f"{file}:{number}: found {line.strip()[:80]!r}, expected {expected}"
    return f"{file}: cannot be read, expected lines of {expected}"
