"""What training and validation share: frames, which make the validation worthless, or people, which flatter it.

The same video hides under several names: MOT17's three copies, MOT16 (the images of MOT17), and sequences that MOT15,
MOT16 and MOT17 have in common with each other and with ETH.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import numpy as np

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers.base import sequence_key
from jde_lightning.structures import IntArray

Severity = Literal["leak", "duplicate", "shared identities"]
Video = tuple[str, ...]

_OPTIMISTIC = "measures of the embeddings are optimistic"
_MOT16_OR_17 = re.compile(r"MOT1[67]-(\d\d)")
# Sequences of MOT15 and ETH that came again in MOT16 and MOT17, as MOT15 calls them.
_AGAIN_IN_MOT17 = {"eth-pedcross2": "MOT17-05", "eth-linthescher": "MOT17-06", "adl-rundle-6": "MOT17-09"}
# What the folders and files of ETH's own download, and of JDE's, have in their names.
_ETH_NAMES = {
    "bahnhof": "eth-bahnhof",
    "seq03": "eth-bahnhof",
    "eth01": "eth-bahnhof",
    "jelmoli": "eth-jelmoli",
    "seq04": "eth-jelmoli",
    "eth02": "eth-jelmoli",
    "sunnyday": "eth-sunnyday",
    "eth03": "eth-sunnyday",
    "crossing": "eth-crossing",
    "seq01": "eth-crossing",
    "eth05": "eth-crossing",
    "linthescher": "eth-linthescher",
    "seq02": "eth-linthescher",
    "pedcross2": "eth-pedcross2",
}


@dataclass(frozen=True)
class Overlap:
    """What two sequences, or two sets of single images, have in common.

    Attributes:
        severity: ``leak``: training sees frames of the validation. ``duplicate``: training holds frames twice.
            ``shared identities``: the same people in other frames, so that measures of embeddings are optimistic.
        first: ``dataset/sequence`` in the training, ``dataset`` for single images.
        second: the same in the validation; for a duplicate, where the training has the frames again.
        frames: number of frames in common, 0 if only identities are shared.
        text: all of it in one line.
    """

    severity: Severity
    first: str
    second: str
    frames: int
    text: str


def find_overlaps(train: FrameIndex, val: FrameIndex) -> list[Overlap]:
    """Compare training and validation by image file, by sequence and frame number, and by known other names.

    Args:
        train: the training frames.
        val: the validation frames.

    Returns:
        Leaks, then shared identities, each in the order of the training.
    """
    ours, theirs = _Sources(train), _Sources(val)
    same_files = _count_same_files(ours, theirs)
    leaks, shared = [], []
    for a, b in sorted(same_files.keys() | _same_videos(ours, theirs)):
        first, second = ours.names[a], theirs.names[b]
        frames = max(same_files.get((a, b), 0), _common_frames(ours, a, theirs, b))
        if frames:
            text = f"the training holds {_frames(frames)} of the validation's {second}"
            text += "" if first == second else f", as {first}"
            if ours.videos[a] == theirs.videos[b] and not _comparable(ours, a, theirs, b):
                text += " (one video, counted differently: all are suspected)"
            leaks.append(Overlap("leak", first, second, frames, f"{text}; leave them out of one of the two"))
        else:
            text = (
                f"{second}: validation has frames {_range(theirs.numbers[b])}, training {_range(ours.numbers[a])} of "
                f"the same video{'' if first == second else f', as {first}'}: the same people, so {_OPTIMISTIC}"
            )
            shared.append(Overlap("shared identities", first, second, 0, text))
    return leaks + shared + _shared_identities(train, val)


def find_duplicates(train: FrameIndex) -> list[Overlap]:
    """Find frames that the training holds twice, such as MOT16 beside MOT17, or two of MOT17's three copies.

    Args:
        train: the training frames.
    """
    sources = _Sources(train)
    same_files = _count_repeated_files(sources)
    found = []
    for a, b in sorted(same_files.keys() | {(a, b) for a, b in _same_videos(sources, sources) if a < b}):
        by_number = _common_frames(sources, a, sources, b) if a != b else 0
        frames = max(same_files.get((a, b), 0), by_number)
        if frames:
            first, second = sources.names[a], sources.names[b]
            again = "twice" if a == b else f"again as {second}"
            text = f"the training holds {_frames(frames)} of {first} {again}; leave one of the two out"
            found.append(Overlap("duplicate", first, second, frames, text))
    return found


class _Sources:
    """The sequences of an index and its sets of single images, by number.

    Attributes:
        names: ``dataset/sequence``, or ``dataset`` for single images.
        videos: which video each is, whatever its name; ``()`` for images of no known video.
        countings: how the frames are numbered; numbers of one video compare where it is the same.
        numbers: sorted frame numbers of each.
        of_frame: ``(F,)`` int64 source of each frame.
        paths: ``(F,)`` image files.
    """

    def __init__(self, index: FrameIndex) -> None:
        self.names: list[str] = []
        self.videos: list[Video] = []
        self.countings: list[str] = []
        self.numbers: list[IntArray] = []
        self.of_frame = np.zeros(len(index), np.int64)
        self.paths = index.paths
        for code, sequence in enumerate(index.sequence_names):
            positions = np.flatnonzero(index.sequence_codes == code)
            if len(positions):
                dataset = index.datasets[index.dataset_codes[positions[0]]]
                video, counting = _known_video(dataset, sequence) or ((dataset, sequence_key(sequence)), "own")
                self._add(f"{dataset}/{sequence}", video, counting, positions, index.frame_numbers[positions])
        self._add_single_images(index)

    def _add_single_images(self, index: FrameIndex) -> None:
        """Images without sequence; lists such as JDE's hold videos too, which only their folders tell."""
        folders: dict[tuple[int, str], list[int]] = {}
        single = np.flatnonzero(index.sequence_codes < 0)
        paths = [os.fsdecode(path) for path in index.paths[single].tolist()]
        for position, dataset, path in zip(single.tolist(), index.dataset_codes[single].tolist(), paths, strict=True):
            folders.setdefault((dataset, os.path.dirname(path)), []).append(position)  # noqa: PTH120  # pathlib is slow
        groups: dict[tuple[str, Video, str], list[int]] = {}
        for (code, folder), positions in folders.items():
            dataset = index.datasets[code]
            known = [_known_video(dataset, part) for part in PurePath(folder).parts[::-1]]
            video, counting = next((video for video in known if video is not None), ((), ""))
            name = f"{dataset}/{video[-1]}" if video else dataset
            groups.setdefault((name, video, counting), []).extend(positions)
        for (name, video, counting), members in groups.items():
            numbers = [_number_in(os.fsdecode(index.paths[position])) for position in members] if video else []
            self._add(name, video, counting, np.array(members), np.array(numbers, dtype=np.int64))

    def _add(self, name: str, video: Video, counting: str, positions: IntArray, numbers: IntArray) -> None:
        self.of_frame[positions] = len(self.names)
        self.names.append(name)
        self.videos.append(video)
        self.countings.append(counting)
        self.numbers.append(np.unique(numbers))


def _known_video(dataset: str, name: str) -> tuple[Video, str] | None:
    """The video that a sequence or folder name stands for, and how it counts frames; ``None`` if it is not known."""
    match = _MOT16_OR_17.fullmatch(sequence_key(name))
    if match is not None:
        return (f"MOT17-{match[1]}",), "MOTChallenge"
    lower = name.casefold()
    if lower in _AGAIN_IN_MOT17 or lower in _ETH_NAMES.values():
        return (_AGAIN_IN_MOT17.get(lower, lower),), "MOTChallenge"
    if dataset.casefold().startswith("eth"):
        plain = re.sub(r"[^a-z0-9]", "", lower)
        video = next((video for part, video in _ETH_NAMES.items() if part in plain), None)
        if video is not None:
            return (_AGAIN_IN_MOT17.get(video, video),), "ETH"
    return None


def _count_same_files(ours: _Sources, theirs: _Sources) -> dict[tuple[int, int], int]:
    """Number of image files that two sources have in common, where there are any."""
    _, a, b = np.intersect1d(ours.paths, theirs.paths, return_indices=True)
    return _counted(np.stack([ours.of_frame[a], theirs.of_frame[b]], axis=1))


def _count_repeated_files(sources: _Sources) -> dict[tuple[int, int], int]:
    """Number of image files that occur in two sources, or twice in one, where there are any."""
    order = np.argsort(sources.paths, kind="stable")
    same = np.flatnonzero(sources.paths[order[1:]] == sources.paths[order[:-1]])
    pairs = np.sort(np.stack([sources.of_frame[order[same]], sources.of_frame[order[same + 1]]], axis=1), axis=1)
    return _counted(pairs)


def _counted(pairs: IntArray) -> dict[tuple[int, int], int]:
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(a, b): count for (a, b), count in zip(unique.tolist(), counts.tolist(), strict=True)}


def _same_videos(ours: _Sources, theirs: _Sources) -> set[tuple[int, int]]:
    """Pairs of sources that are one video."""
    by_video: dict[Video, list[int]] = {}
    for number, video in enumerate(ours.videos):
        if video:
            by_video.setdefault(video, []).append(number)
    return {(a, b) for b, video in enumerate(theirs.videos) for a in by_video.get(video, ())}


def _comparable(ours: _Sources, a: int, theirs: _Sources, b: int) -> bool:
    return ours.countings[a] == theirs.countings[b]


def _common_frames(ours: _Sources, a: int, theirs: _Sources, b: int) -> int:
    """Frames that two sources have in common by their numbers; all of one video that numbers cannot tell apart."""
    if not ours.videos[a] or ours.videos[a] != theirs.videos[b]:
        return 0
    if not _comparable(ours, a, theirs, b):
        return min(len(ours.numbers[a]), len(theirs.numbers[b]))
    return len(np.intersect1d(ours.numbers[a], theirs.numbers[b]))


def _shared_identities(train: FrameIndex, val: FrameIndex) -> list[Overlap]:
    """People of datasets whose identities hold across all images (person search), if they are in both."""
    found = []
    ours, theirs = _global_identities(train), _global_identities(val)
    for dataset, identities in ours.items():
        count = len(np.intersect1d(identities, theirs.get(dataset, identities[:0])))
        if count:
            text = f"{dataset}: {count} people of the validation are in the training, so {_OPTIMISTIC}"
            found.append(Overlap("shared identities", dataset, dataset, 0, text))
    return found


def _global_identities(index: FrameIndex) -> dict[str, IntArray]:
    box_frames = index.box_frames
    single = (index.sequence_codes[box_frames] < 0) & (index.identities >= 0)
    codes = index.dataset_codes[box_frames]
    return {name: np.unique(index.identities[single & (codes == code)]) for code, name in enumerate(index.datasets)}


def _number_in(path: str) -> int:
    """The frame number in a file name: its longest run of digits (ETH has ``image_00000001_0.png``)."""
    runs = re.findall(r"\d+", PurePath(path).stem)
    return int(max(runs, key=len)) if runs else -1


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _range(numbers: IntArray) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if len(numbers) else "none"
