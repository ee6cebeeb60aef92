"""Caltech Pedestrian: people in videos taken from a car, annotated in ``.vbb`` files (MATLAB structs).

Format as described at data.caltech.edu and in Piotr Dollar's toolbox (``vbb``, ``bbGt``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.folders import images_below, is_junk
from jde_lightning.data.readers.locate import first_folder, no_images
from jde_lightning.data.readers.matlab import column, elements, field, one_row_each, read_variable, text
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, BoolArray, FloatArray, FrameAnnotations, IntArray, Role

_PERSON, _FALSE_ALARM = "person", "person-fa"
_IGNORED = ("people", "person?")  # several people in one box, and what may be a person
_SETS = {"train": range(6), "test": range(6, 11), "all": range(11)}
_SIZE = (640, 480)
_FRAME_RATE = 30.0
_ROOTS = ("", "Caltech/", "caltech/", "CaltechPedestrians/")
_ANNOTATIONS = ("annotations", "annotations/annotations", "data/annotations", ".")
_IMAGES = ("images", "data/images")
_SET_FOLDER = re.compile(r"set(\d\d)", re.IGNORECASE)
# set04_V010_879.png (the usual converter), set04_V010_I00879.jpg (Dollar's toolbox), set04/V010/879.png and the like;
# the frame number counts from 0 in all of them.
_IMAGE_NAME = re.compile(r"(set\d\d)[_/\\](V\d{3})(?:\.seq)?[_/\\](?:images[/\\])?I?(\d+)\.\w+$", re.IGNORECASE)
_DOWNLOAD = (
    "download set00 to set10 and annotations.zip from data.caltech.edu (older addresses are dead), unpack the latter, "
    "and convert the .seq videos to images/set00_V000_0.png and so on with caltech-pedestrian-dataset-converter"
)


class CaltechPedestrian(Reader):
    """Read Caltech Pedestrian.

    ``person`` is POSITIVE; ``people`` (a group in one box) and ``person?`` are IGNORE; ``person-fa`` (a marked false
    alarm) is dropped; other labels, which the official files don't have, are OTHER. Boxes become 0-based. Visibility is
    that of the official evaluation: 1 unless marked as occluded; then the share of the visible box, 0 where that equals
    the full box, which is how the annotators marked people who can hardly be seen. Identities hold within one video.
    The images are not opened: all are 640 x 480.

    Args:
        split: ``train`` is set00 to set05, ``test`` set06 to set10.
        every: take only every n-th frame, the first n - 1 left out: 30 gives the frames of the official evaluation (29,
            59, ...), 3 those of the tenfold training set.
        keep_empty: keep frames without a positive box, as background. They are most of the frames of the videos.
        images: folder of the images below ``path``; ``None`` tries ``images`` and ``data/images``. All in one folder
            (``set04_V010_879.png``) or in a folder per video (``set04/V010/879.png``), numbered from 0.
        path: folder of the dataset below the data root.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
    """

    def __init__(
        self,
        split: Literal["train", "test", "all"] = "train",
        every: int = 1,
        keep_empty: bool = False,
        images: str | None = None,
        path: str = ".",
        supervision: Supervision = "self",
        name: str = "CaltechPedestrian",
        min_visibility: float = 0.0,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        if every < 1:
            msg = f"every is {every}, expected 1 (all frames) or more"
            raise InputError(msg)
        self.split = split
        self.every = every
        self.keep_empty = keep_empty
        self.images = images
        self.path = path

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all wanted frames that are on disk, video by video.

        Raises:
            InputError: if annotations or all images are missing, or an annotation file is broken.
        """
        base = root / self.path
        home, videos = self._videos(base)
        folders = [f"{home}{below}" for below in _IMAGES] if self.images is None else [self.images]
        paths = self._image_paths(base, folders)
        found, missing = 0, self.findings.missing
        for video, file in videos.items():
            boxes = _read_vbb(self.findings.use(file))
            learnable = boxes.frames[(boxes.roles == Role.POSITIVE) & ~boxes.degenerate]
            positives = np.bincount(learnable, minlength=boxes.num_frames)
            starts = np.searchsorted(boxes.frames, np.arange(boxes.num_frames + 1)).tolist()
            for number in range(self.every - 1, boxes.num_frames, self.every):
                if not (self.keep_empty or positives[number]):
                    continue
                path = paths.get((video, number))
                if path is None:
                    missing.append(f"{video}_{number}.png")
                    continue
                found += 1
                yield self._frame(Path(path), video, number, boxes, slice(starts[number], starts[number + 1]))
        if missing and not found:
            raise no_images(base, folders, missing, _DOWNLOAD)

    def _videos(self, base: Path) -> tuple[str, dict[str, Path]]:
        """Find the annotations of the split: which of the roots, and files by name of the video (``set04_V010``)."""
        for below, home in product(_ANNOTATIONS, _ROOTS):
            folder = first_folder(base, [f"{home}{below}"], self.findings)
            sets = {} if folder is None else _set_folders(folder)
            wanted = {number: sets[number] for number in _SETS[self.split] if number in sets}
            videos = {
                f"set{number:02d}_{file.stem.upper()}": file
                for number, set_folder in wanted.items()
                for file in sorted(self.findings.use(set_folder).iterdir())
                if file.suffix.lower() == ".vbb" and not is_junk(file.name)
            }
            if videos:
                lacking = len(_SETS[self.split]) - len(wanted)
                if lacking:
                    self.findings.notes[f"sets of the {self.split} split without annotations"] += lacking
                return home, videos
        sets_wanted = f"set{_SETS[self.split][0]:02d} to set{_SETS[self.split][-1]:02d}"
        msg = f"{base}: no annotations of {sets_wanted}, expected annotations/set00/V000.vbb; {_DOWNLOAD}"
        raise InputError(msg + ", or set `path`")

    def _image_paths(self, base: Path, folders: Sequence[str]) -> dict[tuple[str, int], str]:
        """Map video and 0-based frame number to image files."""
        folder = first_folder(base, folders, self.findings)
        files = [] if folder is None else images_below(folder, self.findings)
        names = ((_IMAGE_NAME.search(path), path) for path in files)
        return {
            (f"{name[1].lower()}_{name[2].upper()}", int(name[3])): path for name, path in names if name is not None
        }

    def _frame(self, path: Path, video: str, number: int, boxes: _VideoBoxes, rows: slice) -> FrameAnnotations:
        false_alarm, degenerate = boxes.false_alarm[rows], boxes.degenerate[rows]
        for reason, which in (("marked as false alarm", false_alarm), ("no width or height", degenerate)):
            if which.any():
                self.findings.dropped[reason] += int(np.count_nonzero(which))
        kept = ~(false_alarm | degenerate)
        return FrameAnnotations(
            image_path=path,
            width=_SIZE[0],
            height=_SIZE[1],
            boxes=boxes.boxes[rows][kept],
            labels=np.zeros(np.count_nonzero(kept), np.int64),
            identities=boxes.identities[rows][kept],
            roles=boxes.roles[rows][kept],
            visibility=boxes.visibility[rows][kept],
            dataset=self.name,
            sequence=video,
            frame=number,
            frame_rate=_FRAME_RATE,
        )


class _VideoBoxes(NamedTuple):
    """All ``N`` boxes of one video, ordered by frame.

    Attributes:
        num_frames: frames of the video.
        frames: ``(N,)`` int64 frame of each box, from 0.
        boxes: ``(N, 4)`` float32 xyxy pixels, 0-based.
        identities: ``(N,)`` int64, ``NO_IDENTITY`` for all but single people.
        roles: ``(N,)`` int8.
        visibility: ``(N,)`` float32 in 0..1.
        false_alarm: ``(N,)`` bool: marked as such, to be dropped.
        degenerate: ``(N,)`` bool: others without width or height, to be dropped.
    """

    num_frames: int
    frames: IntArray
    boxes: FloatArray
    identities: IntArray
    roles: npt.NDArray[np.int8]
    visibility: FloatArray
    false_alarm: BoolArray
    degenerate: BoolArray


def _set_folders(folder: Path) -> dict[int, Path]:
    names = ((_SET_FOLDER.fullmatch(child.name), child) for child in sorted(folder.iterdir()))
    return {int(name[1]): child for name, child in names if name is not None and child.is_dir()}


def _read_vbb(file: Path) -> _VideoBoxes:
    annotation = read_variable(file, ["A"])
    labels = [text(label, f"{file}: objLbl") for label in elements(field(annotation, "objLbl", str(file)))]
    per_frame = elements(field(annotation, "objLists", str(file)))
    counts: list[int] = []
    columns: dict[str, list[Any]] = {"id": [], "pos": [], "occl": [], "posv": []}
    for number, objects in enumerate(per_frame):
        values = {name: column(objects, name, f"{file}: frame {number}") for name in columns}
        counts.append(len(values["id"]))
        for name, found in values.items():
            columns[name] += found
    # One conversion for the whole video: thousands of tiny ones would take longer than reading the file.
    where = f"{file}: objLists"
    ids = one_row_each(columns["id"], 1, f"{where}, id")[:, 0].astype(np.int64)
    occluded = one_row_each(columns["occl"], 1, f"{where}, occl")[:, 0] != 0
    full = one_row_each(columns["pos"], 4, f"{where}, pos")
    visible = one_row_each(columns["posv"], 4, f"{where}, posv")
    frames = np.repeat(np.arange(len(counts)), counts)
    outside = (ids < 1) | (ids > len(labels))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        msg = f"{file}: frame {frames[first]} (from 0) has id {ids[first]}, expected 1 to {len(labels)}, the number of "
        raise InputError(msg + "labels in objLbl; download annotations.zip again")
    label = np.array(labels, dtype=object)[ids - 1]
    roles = np.full(len(ids), Role.OTHER, dtype=np.int8)
    roles[label == _PERSON] = Role.POSITIVE
    roles[np.isin(label, _IGNORED)] = Role.IGNORE
    false_alarm = label == _FALSE_ALARM
    zero_based = full - [1, 1, 0, 0]
    return _VideoBoxes(
        num_frames=len(counts),
        frames=frames,
        boxes=ltwh_to_xyxy(zero_based).astype(np.float32),
        identities=np.where(roles == Role.POSITIVE, ids, NO_IDENTITY),
        roles=roles,
        visibility=_visibility(full, visible, occluded),
        false_alarm=false_alarm,
        degenerate=~false_alarm & (full[:, 2:] <= 0).any(axis=1),
    )


def _visibility(full: npt.NDArray[np.float64], visible: npt.NDArray[np.float64], occluded: BoolArray) -> FloatArray:
    """Visible share as the toolbox's evaluation has it (``bbGt``, ``bbLoad``), from ``(N, 4)`` left, top, w, h."""
    full_area, visible_area = full[:, 2] * full[:, 3], visible[:, 2] * visible[:, 3]
    share = np.divide(visible_area, full_area, out=np.zeros_like(full_area), where=full_area > 0).clip(0, 1)
    share[(visible == full).all(axis=1)] = 0
    share[~occluded | (visible == 0).all(axis=1)] = 1
    return share.astype(np.float32)
