"""MOTChallenge sequences: MOT15, MOT16, MOT17, MOT20, and whatever else uses their layout.

Format: one folder per sequence with ``img1/``, ``gt/gt.txt`` and ``seqinfo.ini``; see motchallenge.net. What differs
between the datasets is in :mod:`~jde_lightning.data.readers.mot_presets`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import area
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.folders import find
from jde_lightning.data.readers.mot_files import (
    SequenceInfo,
    first_half_end,
    frame_offset,
    name_later,
    numbered_images,
    read_sequence_info,
)
from jde_lightning.data.readers.mot_gt import (
    GroundTruth,
    check_classes,
    check_identities,
    read_ground_truth,
    read_labels,
)
from jde_lightning.data.readers.mot_presets import (
    CLASS_RULES,
    MOT_CLASSES,
    PRESETS,
    ClassRule,
    ClassRuleName,
    FirstNumber,
    PresetName,
    class_rule,
    preset_of,
)
from jde_lightning.data.readers.mot_sequences import (
    Detector,
    find_sequences,
    select_sequences,
    sequence_name,
    usual_places,
)
from jde_lightning.data.readers.sequence_folders import size_of_video
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FrameAnnotations, IntArray, Role

logger = logging.getLogger(__name__)


class MOTChallenge(Reader):
    """Read sequences in the MOTChallenge layout.

    One reader for MOT15/16/17/20, DanceTrack, SportsMOT, HiEve, MOTSynth, CVAT's "MOT 1.1" export and home-made sets.
    ``preset`` names the dataset and sets everything in which it differs; an argument that is given wins over it.

    Which boxes are learned is a rule of the name ``classes`` (by column 7, the flag, and column 8, the class):

    * ``evaluation``: pedestrians (class 1) whose flag is not 0 are POSITIVE; the classes that the benchmark's
      evaluation calls distractors (2, 7, 8, 12, for MOT20 also 6) are IGNORE; all else, flagged-out pedestrians and
      MOT20's crowd (13) included, is OTHER, exactly as TrackEval has it. Right for validation, and the default.
    * ``training``: the same, but flagged-out pedestrians and the crowd are IGNORE.
    * ``pedestrian``: pedestrians whose flag is not 0, all else is background, as FairMOT, ByteTrack and CenterTrack
      train.
    * ``yolo11_jde``: classes 1, 2 and 7 with a visibility of 0.1 or more, whatever the flag, all else is background,
      as the paper's code trains.
    * ``person``: classes 1, 2, 7, 8 and 12, whatever the flag, as MOTSynth's baselines train.
    * ``labelled``: every class, flagged-out boxes are IGNORE; CVAT's default.

    Rows without a class (-1 or no column 8) go by the flag alone. Boxes become 0-based; they are not clipped. Frame
    numbers stay those of ``gt.txt``, also in the second half of a split. A row of an image that is not on disk counts
    as missing. The size comes from ``seqinfo.ini``, without it from one image. An identity that is in one frame twice
    is an error: ids must be identities, and a file that was written twice would double every box.

    Args:
        path: folder of the sequences (or one sequence) below the data root; the usual sub-folders are tried too.
        split: all frames, or the first or second half of every sequence.
        half_convention: where the second half begins, of N frames: at N // 2 + 2 (``centertrack``, also ByteTrack and
            mmtracking) or at N // 2 + 1 (``fairmot``, also the paper's code).
        detector: which of MOT17's three identical copies to take; ``None`` takes FRCNN, else the first there is.
        sequences: names to read, with or without detector suffix; ``None`` reads all.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset; that of the preset if omitted.
        every: take only every n-th frame, from the first one of the split on.
        preset: the dataset; if omitted, the one that ``name`` is the name of, else ``mot17``.
        classes: rule of what is learned and what is ignored, see above.
        positive_classes: numbers (or, with a ``label_file``, names) of the classes to learn, instead of the rule's.
        ignored_classes: numbers (or names) of the classes to ignore, instead of the rule's.
        label_file: file in the folder of a sequence that names its classes 1, 2, ..., one a line
            (``gt/labels.txt``). Labels then are per class and keep the names; otherwise all are one class, "person".
        class_column: whether columns 8 and 9 are class and visibility; ``False`` where they are world coordinates or
            fillers.
        coordinate_base: number of the first pixel of an image, 0 or 1.
        first_frame: number of the first frame in ``gt.txt``, 0 or 1. ``auto`` tells from the files whether it counts as
            the file names do or is shifted by one, and is an error where they do not show it.
        first_image: number in the file name of the first image, likewise.
        image_folder: folder of the images of a sequence; ``None`` takes what ``seqinfo.ini`` says, else ``img1``.
        image_root: folder below ``path`` with a folder per sequence, where images stand apart from annotations.
        frame_rate: frames per second of sequences whose ``seqinfo.ini`` does not say.

    Raises:
        InputError: if an argument is out of range.
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
        name: str | None = None,
        every: int = 1,
        preset: PresetName | None = None,
        classes: ClassRuleName | None = None,
        positive_classes: list[int | str] | None = None,
        ignored_classes: list[int | str] | None = None,
        label_file: str | None = None,
        class_column: bool | None = None,
        coordinate_base: Literal[0, 1] | None = None,
        first_frame: FirstNumber | None = None,
        first_image: FirstNumber | None = None,
        image_folder: str | None = None,
        image_root: str | None = None,
        frame_rate: float | None = None,
    ) -> None:
        _check_choice("preset", preset, (None, *PRESETS))
        _check_choice("classes", classes, (None, *CLASS_RULES))
        _check_choice("coordinate_base", coordinate_base, (None, 0, 1))
        _check_choice("first_frame", first_frame, (None, "auto", 0, 1))
        _check_choice("first_image", first_image, (None, "auto", 0, 1))
        self.preset: PresetName = preset_of(preset, name)
        facts = PRESETS[self.preset]
        super().__init__(facts.name if name is None else name, supervision, min_visibility)
        if every < 1:
            msg = f"every is {every}, expected 1 (all frames) or more"
            raise InputError(msg)
        self.path = path
        self.split = split
        self.half_convention = half_convention
        self.detector = detector
        self.sequences = sequences
        self.every = every
        self.classes: ClassRuleName = facts.classes if classes is None else classes
        self.positive_classes = positive_classes
        self.ignored_classes = ignored_classes
        self.label_file = facts.label_file if label_file is None else label_file
        self.class_column = facts.class_column if class_column is None else class_column
        self.coordinate_base = facts.coordinate_base if coordinate_base is None else coordinate_base
        self.first_frame: FirstNumber = facts.first_frame if first_frame is None else first_frame
        self.first_image: FirstNumber = facts.first_image if first_image is None else first_image
        self.image_folder = facts.image_folder if image_folder is None else image_folder
        self.image_root = facts.image_root if image_root is None else image_root
        self.frame_rate = facts.frame_rate if frame_rate is None else frame_rate

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all frames that have an image on disk.

        Raises:
            InputError: if no sequence is found, or one lacks images or ground truth, or a line is broken.
        """
        base, facts = root / self.path, PRESETS[self.preset]
        places = [*((place,) for place in usual_places(self.name, facts.name)), ("images/train",), *facts.places]
        found = find_sequences(base, places, self._is_sequence, self.findings)
        folders = select_sequences(found, self.sequences, self.detector, base)
        class_names = {folder: self._class_names_of(folder) for folder in folders}
        self._name_labels(class_names.values())
        for folder in folders:
            yield from self._read_sequence(base, folder, class_names[folder])

    def _is_sequence(self, folder: Path) -> bool:
        annotated = (folder / "seqinfo.ini").is_file() or (folder / "gt" / "gt.txt").is_file()
        return annotated or (not self.image_root and (folder / (self.image_folder or "img1")).is_dir())

    def _class_names_of(self, folder: Path) -> list[str]:
        """Names of the classes 1, 2, ... of a sequence; none where the classes are MOTChallenge's."""
        if self.label_file:
            return read_labels(self.findings.use(folder / self.label_file))
        if self.findings.use(folder / "gt" / "labels.txt").is_file():
            self.findings.notes["gt/labels.txt not read (CVAT writes such files: `preset: cvat`)"] += 1
        return []

    def _name_labels(self, class_names: Collection[list[str]]) -> None:
        """Let the labels stand for the classes to learn, in the order in which the sequences name them."""
        known = {name for names in class_names for name in names}
        for chosen in (*(self.positive_classes or []), *(self.ignored_classes or [])):
            if isinstance(chosen, str) and chosen not in known:
                found = f"found {', '.join(sorted(known))}" if known else "a number is expected without `label_file`"
                msg = f"{self.name}: no class {chosen!r} to learn or to ignore, {found}"
                raise InputError(msg)
        if self.label_file:
            positive = (name for names in class_names for name in _chosen(names, self._rule(names).positive))
            self.class_names = tuple(dict.fromkeys(positive)) or ("person",)

    def _rule(self, class_names: list[str]) -> ClassRule:
        rule = class_rule(self.classes, PRESETS[self.preset])
        if self.positive_classes is not None:
            rule = rule._replace(positive=_class_numbers(self.positive_classes, class_names))
        if self.ignored_classes is not None:
            rule = rule._replace(ignored=_class_numbers(self.ignored_classes, class_names))
        return rule

    def _read_sequence(self, base: Path, folder: Path, class_names: list[str]) -> Iterator[FrameAnnotations]:
        info = read_sequence_info(self.findings.use(folder / "seqinfo.ini"))
        image_folder = self._image_folder(base, folder, info)
        images = numbered_images(image_folder, info.suffix, PRESETS[self.preset].image_hint, self.findings)
        file = self.findings.use(folder / "gt" / "gt.txt")
        gt = read_ground_truth(file, self.coordinate_base, self.class_column)
        labels, roles = self._labels_and_roles(gt, class_names, file)
        order = np.argsort(gt.frames, kind="stable")  # files are in the order of frames or of identities
        gt, labels, roles = gt.take(order), labels[order], roles[order]
        annotated = np.unique(gt.frames).tolist()
        images = self._renumber(images, annotated, file)
        size = info.size or size_of_video(images, self.size_of)
        frames = self._frames_of_split(images, annotated, info, folder)
        self._note_missing(frames, images, image_folder)
        if size is None:
            return
        frames = [frame for frame in frames if frame in images]
        starts, ends = np.searchsorted(gt.frames, frames), np.searchsorted(gt.frames, frames, side="right")
        for frame, start, end in zip(frames, starts.tolist(), ends.tolist(), strict=True):
            yield FrameAnnotations(
                image_path=images[frame],
                width=size[0],
                height=size[1],
                boxes=gt.boxes[start:end],
                labels=labels[start:end],
                identities=gt.identities[start:end],
                roles=roles[start:end],
                visibility=gt.visibility[start:end],
                dataset=self.name,
                sequence=sequence_name(folder),
                frame=frame,
                frame_rate=info.frame_rate or self.frame_rate,
            )

    def _image_folder(self, base: Path, folder: Path, info: SequenceInfo) -> Path:
        name = self.image_folder or info.image_folder or "img1"
        if not self.image_root:
            return folder / name
        apart = [find(above, self.image_root) for above in (base, folder.parent, folder.parent.parent)]
        root = next((candidate for candidate in apart if candidate is not None), base / self.image_root)
        return self.findings.use(root) / sequence_name(folder) / name

    def _labels_and_roles(
        self, gt: GroundTruth, class_names: list[str], file: Path
    ) -> tuple[IntArray, npt.NDArray[np.int8]]:
        rule = self._rule(class_names)
        if class_names:
            known = range(1, len(class_names) + 1)
            check_classes(gt, known, f"1 to {len(class_names)}, the lines of {self.label_file}", file)
        elif self.positive_classes is None and rule.positive is not None:
            fix = "1 to 13, which MOTChallenge defines; for other classes say with `positive_classes` which to learn"
            check_classes(gt, MOT_CLASSES, fix, file)
        roles = gt.roles(rule)
        check_identities(gt, roles == Role.POSITIVE, file)
        labels = np.zeros(len(roles), np.int64)
        if class_names:
            names = self.class_names or ()
            own = {name: label for label, name in enumerate(names)}
            label_of_class = np.array([0, *(own.get(name, 0) for name in class_names)], np.int64)
            labels = label_of_class[np.maximum(gt.classes, 0)]
            if len(names) > 1:
                self._ignore(roles, gt.classes < 0, "boxes without a class ignored")
        # As a region to ignore such a box does no harm; learned, it could not be.
        self._ignore(roles, area(gt.boxes) == 0, "boxes without area ignored")
        return labels, roles

    def _ignore(self, roles: npt.NDArray[np.int8], rows: BoolArray, why: str) -> None:
        rows = rows & (roles == Role.POSITIVE)
        if rows.any():
            roles[rows] = Role.IGNORE
            self.findings.notes[why] += int(np.count_nonzero(rows))

    def _renumber(self, images: dict[int, Path], annotated: list[int], file: Path) -> dict[int, Path]:
        """Map frame numbers of ``gt.txt`` to the images that are not damaged; their names may count otherwise."""
        offset = frame_offset(annotated, images.keys(), self.first_frame, self.first_image, file)
        if offset and self.first_frame == "auto":
            self.findings.notes[f"sequences whose frames are numbered {offset:+d} against their images"] += 1
        corrupt = set(self.findings.corrupt)
        return {number + offset: image for number, image in images.items() if str(image) not in corrupt}

    def _frames_of_split(
        self, images: dict[int, Path], annotated: list[int], info: SequenceInfo, folder: Path
    ) -> list[int]:
        """Frames of the split that have an image or a row; images after the end of the sequence are taken out."""
        first = int(0 not in annotated and 0 not in images) if self.first_frame == "auto" else self.first_frame
        length = info.length
        if length is not None and len(images) > length:
            # The ground truth covers a part, such as one half, but the images are all there: no empty frames.
            end = max(first + length - 1, max(annotated, default=0))
            after = [frame for frame in images if frame > end]
            if after:
                self.findings.notes["images after the end of their sequence (seqLength) left out"] += len(after)
            for frame in after:
                del images[frame]
        elif length is not None and len(images) < length:
            logger.warning("%s: %d of %d frames have an image", folder, len(images), length)
        frames = sorted(images.keys() | annotated)
        if frames and (length is None or frames[-1] >= first + length):
            first, length = frames[0], frames[-1] - frames[0] + 1  # numbers that seqLength does not fit
        if self.split != "all":
            end = first_half_end(first, length or 0, self.half_convention)
            frames = [frame for frame in frames if (frame <= end) == (self.split == "train_half")]
        return frames[:: self.every]

    def _note_missing(self, frames: list[int], images: dict[int, Path], folder: Path) -> None:
        """Note the frames without image: they have rows in ``gt.txt``, or they would be unknown."""
        if not images:
            return
        first, corrupt = min(images), set(self.findings.corrupt)
        names = (folder / name_later(images[first], frame - first) for frame in frames if frame not in images)
        self.findings.missing += [name for name in map(str, names) if name not in corrupt]


def _check_choice(argument: str, value: object, choices: tuple[object, ...]) -> None:
    """Refuse what the command line would have refused already, where a reader is made in Python."""
    if value not in choices:
        expected = ", ".join(str(choice) for choice in choices if choice is not None)
        msg = f"{argument} is {value!r}, expected one of {expected}"
        raise InputError(msg)


def _chosen(class_names: list[str], numbers: tuple[int, ...] | None) -> list[str]:
    return [name for number, name in enumerate(class_names, start=1) if numbers is None or number in numbers]


def _class_numbers(chosen: list[int | str], class_names: list[str]) -> tuple[int, ...]:
    """Numbers of classes that are given by number or name; a name that a sequence does not know is none."""
    by_name = [n for n, name in enumerate(class_names, start=1) if name in chosen]
    return (*(choice for choice in chosen if isinstance(choice, int)), *by_name)
