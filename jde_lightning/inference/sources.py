"""Where frames come from: videos, cameras, folders of images, MOTChallenge sequences."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from jde_lightning.data.images import IMAGE_SUFFIXES, decode
from jde_lightning.errors import InputError, UsageError
from jde_lightning.inference.frames import DEFAULT_FRAME_RATE, Frame, FrameSource, check_frame_rate
from jde_lightning.inference.live_source import LiveSource
from jde_lightning.inference.video_source import VideoSource, open_capture, told_frame_rate, told_length
from jde_lightning.metrics.sequences import HalfConvention, Split, read_seqinfo, split_frames

_LOG = logging.getLogger(__name__)


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
        frame_rate: frames per second; what ``seqinfo.ini`` says if omitted.

    Raises:
        InputError: if there is no image, a file name has no number, or ``seqinfo.ini`` cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        split: Split = "all",
        half_convention: HalfConvention = "centertrack",
        frame_rate: float | None = None,
    ) -> None:
        self.folder = folder
        path = folder / "seqinfo.ini"
        info = read_seqinfo(path) if path.is_file() else None
        rate = (info.frame_rate if info else None) if frame_rate is None else frame_rate
        if rate is None:
            _LOG.warning("%s: no frameRate in seqinfo.ini; %g is assumed (--fps)", folder, DEFAULT_FRAME_RATE)
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
        there = {number for number, _ in self.files}
        self._warn_of_gaps(there, range(min(there), max(total, *there) + 1) if wanted is None else wanted)

    def _warn_of_gaps(self, there: set[int], expected: range) -> None:
        """Say which frames have no image: nobody can be found in them."""
        gaps = [number for number in expected if number not in there]
        if gaps:
            first = ", ".join(map(str, gaps[:3])) + (", ..." if len(gaps) > 3 else "")
            _LOG.warning("%s: no image for %d of %d frames (%s)", self.folder, len(gaps), len(expected), first)


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
    source: str,
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
    frame_rate: float | None = None,
    reconnects: int = 5,
) -> list[FrameSource]:
    """Open whatever the user calls a source.

    Args:
        source: video file, folder of images, MOTChallenge sequence, folder of such sequences, camera number, or
            address of a stream.
        split: which half of the frames of MOTChallenge sequences.
        half_convention: where the halves part; see :class:`MOTSequence`.
        frame_rate: frames per second. If omitted, what the source tells, and 30 where it tells nothing.
        reconnects: how often in a row a dropped camera or stream is opened again before it counts as ended.

    Returns:
        One source; for a folder of sequences one for each, by name.

    Raises:
        InputError: if there is no such source, it cannot be read, a split of something else than a MOTChallenge
            sequence is wanted, or a number is out of range.
    """
    if frame_rate is not None:
        check_frame_rate(frame_rate)
    if reconnects < 0:
        msg = f"--reconnect must be at least 0, got {reconnects}"
        raise UsageError(msg)
    path = Path(source).expanduser()
    sequences = _sequence_folders(path) if path.is_dir() else []
    if sequences:
        return [MOTSequence(folder, split, half_convention, frame_rate) for folder in sequences]
    if split != "all":
        msg = f"{source}: --split {split} needs MOTChallenge sequences (a folder with seqinfo.ini and img1/)"
        raise InputError(msg)
    if path.is_dir():
        return [ImageFolder(path, frame_rate or DEFAULT_FRAME_RATE)]
    if path.is_file():
        return [VideoSource(str(path), path.stem, frame_rate)]
    if source.isdecimal():
        return [_address(int(source), f"camera{source}", frame_rate, reconnects)]
    if "://" in source:
        stem = source.split("://", 1)[1].split("?", 1)[0].rstrip("/")
        stem = re.sub(r"\.\w{2,4}$", "", stem.rsplit("/", 1)[-1]) or "stream"
        return [_address(source, re.sub(r"[^\w.-]+", "_", stem), frame_rate, reconnects)]
    msg = (
        f"{source}: no such file or folder; a source is a video file, a folder of images, "
        "a MOTChallenge sequence, the number of a camera, or an address such as rtsp://..."
    )
    raise InputError(msg)


def _address(source: str | int, name: str, frame_rate: float | None, reconnects: int) -> FrameSource:
    """A camera or an address, which may be that of a stream or of a file: a file tells its length."""
    capture = open_capture(source)
    try:
        if isinstance(source, str) and told_length(capture) is not None:
            return VideoSource(source, name, frame_rate)
        rate = told_frame_rate(capture, source) if frame_rate is None else frame_rate
        return LiveSource(source, name, rate, reconnects)
    finally:
        capture.release()


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
