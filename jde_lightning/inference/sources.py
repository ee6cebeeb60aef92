"""Where frames come from: videos, cameras, folders of images, MOTChallenge sequences."""

from __future__ import annotations

import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import IMAGE_SUFFIXES, decode
from jde_lightning.errors import InputError
from jde_lightning.metrics.sequences import HalfConvention, Split, read_seqinfo, split_frames

_LOG = logging.getLogger(__name__)

DEFAULT_FRAME_RATE = 30.0
_HIGHEST_FRAME_RATE = 1000.0


class Frame(NamedTuple):
    """One image of a source.

    Attributes:
        number: as the source counts, from 1; of a MOTChallenge sequence the number in the file name.
        image: ``(H, W, 3)`` uint8 BGR.
    """

    number: int
    image: npt.NDArray[np.uint8]


class FrameSource(ABC):
    """Frames in order, to be iterated once or again from the start.

    Attributes:
        name: for the files that are written about it.
        frame_rate: frames per second.
        length: number of frames, ``None`` where only the end will tell.
        live: whether frames arrive in their own time and end when the user says so.
    """

    name: str
    frame_rate: float
    length: int | None
    live: bool = False

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            InputError: if an image cannot be read; it names the file.
        """


class ImageFolder(FrameSource):
    """Image files in the order that a person would give them: ``frame2`` before ``frame10``.

    Args:
        folder: that holds the images.
        frame_rate: frames per second that the images were taken with.

    Raises:
        InputError: if the folder holds no image.
    """

    def __init__(self, folder: Path, frame_rate: float = DEFAULT_FRAME_RATE) -> None:
        self.name = folder.resolve().name
        self.frame_rate = frame_rate
        self.files = list(enumerate(_images(folder), start=1))
        self.length: int | None = len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images, numbered by position."""
        for number, path in self.files:
            yield Frame(number, decode(path))


class MOTSequence(ImageFolder):
    """A sequence of the MOTChallenge layout; frames keep the numbers of their files, whichever part is taken.

    Args:
        folder: with ``seqinfo.ini`` and ``img1/``; one of the two is enough.
        split: the whole sequence, or one half of it.
        half_convention: where the second half of ``N`` frames begins: at ``N // 2 + 2`` (CenterTrack, ByteTrack) or
            at ``N // 2 + 1`` (FairMOT, YOLO11-JDE).

    Raises:
        InputError: if there is no image, a file name has no number, or ``seqinfo.ini`` cannot be read.
    """

    def __init__(self, folder: Path, split: Split = "all", half_convention: HalfConvention = "centertrack") -> None:
        path = folder / "seqinfo.ini"
        info = read_seqinfo(path) if path.is_file() else None
        rate = info.frame_rate if info else None
        if rate is None:
            _LOG.warning("%s: no frameRate in seqinfo.ini; %g is assumed", folder, DEFAULT_FRAME_RATE)
        super().__init__(folder / _image_folder(path), rate or DEFAULT_FRAME_RATE)
        self.name = folder.resolve().name
        numbered = sorted((_frame_number(file), file) for _, file in self.files)
        total = (info.length if info else None) or numbered[-1][0]
        # The whole sequence is what is there; its stated length only says where the halves part.
        wanted = split_frames(total, split, half_convention) if split != "all" else None
        self.files = [(number, file) for number, file in numbered if wanted is None or number in wanted]
        self.length = len(self.files)
        if not self.files:
            msg = f"{folder}: none of its {len(numbered)} images is in {split} of {total} frames; use --split all"
            raise InputError(msg)


class VideoSource(FrameSource):
    """A video file, a camera or a stream, through OpenCV.

    Args:
        source: path, address, or number of a camera.
        name: for the files that are written about it.

    Raises:
        InputError: if it cannot be opened.
    """

    def __init__(self, source: str | int, name: str) -> None:
        self.source = source
        self.name = name
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        # Cameras and some streams say 0, NaN or a time base of 90000 instead of a rate.
        plausible = math.isfinite(rate) and 0 < rate <= _HIGHEST_FRAME_RATE
        if not plausible:
            _LOG.warning("%s does not tell its frame rate; %g is assumed", source, DEFAULT_FRAME_RATE)
        self.frame_rate = rate if plausible else DEFAULT_FRAME_RATE
        self.length = int(count) if math.isfinite(count) and count > 0 else None
        self.live = isinstance(source, int) or ("://" in source and self.length is None)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames until the video ends or the camera stops."""
        capture = self._open()
        number = 0
        try:
            while True:
                read, image = capture.read()
                if not read:
                    break
                number += 1
                yield Frame(number, image)
        finally:
            capture.release()
        if number == 0:
            msg = f"{self.source}: opens, but no frame of it can be decoded; is the file complete?"
            raise InputError(msg)
        # The count in the header is an estimate; only a clear lack is worth a word.
        if self.length is not None and number < 0.95 * self.length:
            _LOG.warning("%s: ends after %d of %d frames; is the file complete?", self.source, number, self.length)

    def _open(self) -> cv2.VideoCapture:
        """Open the video, or say in one line that it cannot be."""
        capture = cv2.VideoCapture(self.source)
        if not capture.isOpened():
            what = f"camera {self.source}" if isinstance(self.source, int) else self.source
            msg = f"{what}: cannot be opened as a video; a file may be damaged or its codec unknown to OpenCV"
            raise InputError(msg)
        return capture


def open_source(source: str) -> FrameSource:
    """Open one source of frames; arguments and errors as for :func:`open_sources`.

    Raises:
        InputError: also if the source is a folder of several sequences.
    """
    sources = open_sources(source)
    if len(sources) > 1:
        msg = f"{source}: holds {len(sources)} sequences, expected one; name one of them: {sources[0].name}, ..."
        raise InputError(msg)
    return sources[0]


def open_sources(
    source: str, split: Split = "all", half_convention: HalfConvention = "centertrack"
) -> list[FrameSource]:
    """Open whatever the user calls a source.

    Args:
        source: video file, folder of images, MOTChallenge sequence, folder of such sequences, camera number, or
            address of a stream.
        split: which half of the frames of MOTChallenge sequences.
        half_convention: where the halves part; see :class:`MOTSequence`.

    Returns:
        One source; for a folder of sequences one for each, by name.

    Raises:
        InputError: if there is no such source, it cannot be read, or a split of something else than a MOTChallenge
            sequence is wanted.
    """
    path = Path(source).expanduser()
    sequences = _sequence_folders(path) if path.is_dir() else []
    if sequences:
        return [MOTSequence(folder, split, half_convention) for folder in sequences]
    if split != "all":
        msg = f"{source}: --split {split} needs MOTChallenge sequences (a folder with seqinfo.ini and img1/)"
        raise InputError(msg)
    if path.is_dir():
        return [ImageFolder(path)]
    if path.is_file():
        return [VideoSource(str(path), path.stem)]
    if source.isdecimal():
        return [VideoSource(int(source), f"camera{source}")]
    if "://" in source:
        stem = source.split("://", 1)[1].split("?", 1)[0].rstrip("/")
        stem = re.sub(r"\.\w{2,4}$", "", stem.rsplit("/", 1)[-1]) or "stream"
        return [VideoSource(source, re.sub(r"[^\w.-]+", "_", stem))]
    msg = (
        f"{source}: no such file or folder; a source is a video file, a folder of images, "
        "a MOTChallenge sequence, the number of a camera, or an address such as rtsp://..."
    )
    raise InputError(msg)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts the numbers inside of names by value: ``a2`` before ``a10``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name)]


def _images(folder: Path) -> list[Path]:
    """The images of a folder in natural order, or an error that says what is there instead."""
    entries = list(folder.iterdir()) if folder.is_dir() else []
    files = [p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    if not files:
        there = ", ".join(sorted(p.name for p in entries)[:5]) or "nothing"
        msg = f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in this folder, found {there}"
        raise InputError(msg)
    return sorted(files, key=lambda p: natural_key(p.name))


def _sequence_folders(path: Path) -> list[Path]:
    """The MOTChallenge sequences that a folder is, belongs to (as ``img1``), or holds."""
    for folder in (path, path.resolve().parent):
        is_parent = folder != path
        if is_parent and path.resolve().name != "img1":
            continue
        if (folder / "seqinfo.ini").is_file() or (not is_parent and (folder / "img1").is_dir()):
            return [folder]
    inside = [p for p in path.iterdir() if p.is_dir() and ((p / "seqinfo.ini").is_file() or (p / "img1").is_dir())]
    return sorted(inside, key=lambda p: natural_key(p.name))


def _image_folder(seqinfo: Path) -> str:
    """Name of the folder of images that ``seqinfo.ini`` gives; ``img1`` where it gives none."""
    text = seqinfo.read_text(encoding="utf-8-sig") if seqinfo.is_file() else ""
    match = re.search(r"^\s*imDir\s*=\s*(\S+)", text, re.IGNORECASE | re.MULTILINE)
    return match[1] if match else "img1"


def _frame_number(path: Path) -> int:
    """The number at the end of a file name, such as 12 of ``000012.jpg`` and ``img_000012.jpg``."""
    match = re.search(r"(\d+)$", path.stem)
    if match is None:
        msg = f"{path}: the name of a MOTChallenge image ends with its frame number, such as 000001.jpg"
        raise InputError(msg)
    return int(match[1])
