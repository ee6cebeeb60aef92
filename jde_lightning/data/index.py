"""All frames of all datasets as a few flat arrays: small, and shared by worker processes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.data.class_mapping import describe_unwanted, map_classes
from jde_lightning.data.column_files import open_columns
from jde_lightning.data.frame_columns import COLUMNS, PER_BOX, PER_FRAME, ColumnBuilder
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.findings import Findings
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray, FrameAnnotations, IntArray, Role

_PROGRESS_DELAY = 2  # seconds; what is read sooner needs no bar


@dataclass(frozen=True)
class FrameIndex:
    """``F`` frames with ``N`` boxes; boxes of frame ``i`` are rows ``offsets[i]`` to ``offsets[i + 1]``.

    Frames of a sequence stand together, ordered by frame number; sequences and datasets keep the order in which the
    readers delivered them. An index from disk (:mod:`~jde_lightning.data.index_cache`) goes to another process as the
    name of its folder: the arrays are not copied.

    Attributes:
        paths: ``(F,)`` image paths as bytes in the file system's encoding.
        sizes: ``(F, 2)`` int32 width and height in pixels.
        frame_numbers: ``(F,)`` int64 as the dataset counts.
        frame_rates: ``(F,)`` float32 frames per second.
        dataset_codes: ``(F,)`` int32 row of ``datasets``.
        sequence_codes: ``(F,)`` int32 row of ``sequence_names``, -1 for single images.
        offsets: ``(F + 1,)`` int64.
        boxes: ``(N, 4)`` float32 xyxy pixels of the original image, 0-based, unclipped.
        labels: ``(N,)`` int64 row of ``class_names``; of no meaning where the role is not ``POSITIVE``.
        identities: ``(N,)`` int64 as annotated.
        roles: ``(N,)`` int8, see :class:`~jde_lightning.structures.Role`.
        visibility: ``(N,)`` float32 in 0..1.
        datasets: names of the datasets.
        sequence_names: names of the sequences as annotated; two datasets may use the same name.
        supervision: how training uses the identities, one per dataset.
        min_visibility: below it training ignores a box, one per dataset.
        class_names: what the labels stand for; ``None`` if nobody said.
        findings: what the readers met, by name of the dataset, also of those that delivered no frame.
        folder: where the arrays lie as files; ``None`` for an index in memory.
    """

    paths: npt.NDArray[np.bytes_]
    sizes: npt.NDArray[np.int32]
    frame_numbers: IntArray
    frame_rates: FloatArray
    dataset_codes: npt.NDArray[np.int32]
    sequence_codes: npt.NDArray[np.int32]
    offsets: IntArray
    boxes: FloatArray
    labels: IntArray
    identities: IntArray
    roles: npt.NDArray[np.int8]
    visibility: FloatArray
    datasets: tuple[str, ...] = ()
    sequence_names: tuple[str, ...] = ()
    supervision: tuple[Supervision, ...] = ()
    min_visibility: tuple[float, ...] = ()
    class_names: tuple[str, ...] | None = None
    findings: dict[str, Findings] = field(default_factory=dict)
    folder: Path | None = None

    def __post_init__(self) -> None:
        """Protect the arrays, as those in files are: frames are views of them."""
        for name in COLUMNS:
            getattr(self, name).flags.writeable = False

    @classmethod
    def from_readers(
        cls, readers: Sequence[Reader], root: Path, class_names: Sequence[str] | None = None
    ) -> FrameIndex:
        """Read everything that ``readers`` find below ``root``.

        Args:
            readers: the datasets.
            root: the folder that the readers' own paths are relative to.
            class_names: see :meth:`joined`.

        Raises:
            InputError: from a reader; if two readers of one name differ in supervision or visibility limit; or from
                :meth:`joined`.
        """
        refuse_disagreement(readers)
        return cls.joined([cls.from_reader(reader, root) for reader in readers], class_names)

    @classmethod
    def from_reader(cls, reader: Reader, root: Path, progress: bool = False) -> FrameIndex:
        """Read what one reader finds, with the class numbers that it delivers.

        Args:
            reader: the dataset.
            root: the folder that the reader's own path is relative to.
            progress: show a bar on a terminal if it takes long.

        Raises:
            InputError: from the reader, or if a frame of a sequence occurs twice.
        """
        frames = tqdm(
            reader.read(root),
            desc=f"reading {reader.name}",
            unit=" frames",
            delay=_PROGRESS_DELAY,
            leave=False,
            disable=None if progress else True,  # None: where standard error is no terminal
        )
        index = cls.from_frames(
            frames,
            supervision={reader.name: reader.supervision},
            min_visibility={reader.name: reader.min_visibility},
        )
        # only now: a reader may learn its classes from the files
        index = replace(index, class_names=reader.class_names, findings={reader.name: reader.findings})
        if len(index) == 0:
            settings: dict[str, Any] = {
                "supervision": (reader.supervision,),
                "min_visibility": (reader.min_visibility,),
            }
            index = replace(index, datasets=(reader.name,), **settings)
        return index

    @classmethod
    def joined(cls, parts: Sequence[FrameIndex], class_names: Sequence[str] | None = None) -> FrameIndex:
        """Put indices one after the other; datasets of one name become one.

        Args:
            parts: the indices.
            class_names: the classes to look for, which the parts' classes are mapped to by name: objects of other
                classes become ``Role.OTHER``, and ``findings`` counts them. All classes of all parts if omitted.

        Returns:
            An index in memory; the part itself if there is one only and nothing changes.

        Raises:
            InputError: if a part has objects but none of the classes, a class number without a name, or if a frame of
                a sequence occurs twice.
        """
        if class_names is None:
            named = [part.class_names for part in parts if part.class_names is not None]
            class_names = list(dict.fromkeys(name for names in named for name in names)) if named else None
        if class_names is not None:
            class_names = tuple(class_names)
            parts = [part._with_classes(class_names) for part in parts]
        if len(parts) == 1:
            return parts[0]
        index = _concatenated(parts, class_names)
        ordered = index.take(_order(index))
        _refuse_duplicates(ordered)
        return ordered

    @classmethod
    def from_frames(
        cls,
        frames: Iterable[FrameAnnotations],
        supervision: Mapping[str, Supervision] | None = None,
        min_visibility: Mapping[str, float] | None = None,
    ) -> FrameIndex:
        """Collect frames.

        Args:
            frames: annotated frames in any order; they are not kept.
            supervision: by dataset name, ``"self"`` where omitted.
            min_visibility: by dataset name, 0 where omitted.

        Raises:
            InputError: if a frame of a sequence occurs twice.
        """
        columns = ColumnBuilder()
        for frame in frames:
            columns.append(frame)
        datasets = tuple(columns.datasets)
        index = cls(
            **columns.arrays(),
            datasets=datasets,
            sequence_names=tuple(name for _, name in columns.sequences),
            supervision=tuple((supervision or {}).get(name, "self") for name in datasets),
            min_visibility=tuple((min_visibility or {}).get(name, 0.0) for name in datasets),
        )
        ordered = index.take(_order(index))
        _refuse_duplicates(ordered)
        return ordered

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.paths)

    def path(self, i: int) -> Path:
        """Return the image file of frame ``i``."""
        return Path(os.fsdecode(self.paths[i]))

    def frame(self, i: int) -> FrameAnnotations:
        """Return frame ``i`` with all its boxes; the arrays are views and must not be changed."""
        rows = slice(self.offsets[i], self.offsets[i + 1])
        sequence = self.sequence_codes[i]
        width, height = self.sizes[i].tolist()
        return FrameAnnotations(
            image_path=self.path(i),
            width=width,
            height=height,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            identities=self.identities[rows],
            roles=self.roles[rows],
            visibility=self.visibility[rows],
            dataset=self.datasets[self.dataset_codes[i]],
            sequence=None if sequence < 0 else self.sequence_names[sequence],
            frame=int(self.frame_numbers[i]),
            frame_rate=float(self.frame_rates[i]),
        )

    def take(self, positions: npt.ArrayLike) -> FrameIndex:
        """Return an index of the frames at ``positions``, in that order."""
        positions = np.asarray(positions, dtype=np.int64)
        counts = np.diff(self.offsets)[positions]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.offsets[:-1][positions] - offsets[:-1], counts) + np.arange(offsets[-1])
        return replace(
            self,
            **{name: getattr(self, name)[positions] for name in PER_FRAME},
            **{name: getattr(self, name)[rows] for name in PER_BOX},
            offsets=offsets,
            folder=None,
        )

    def _with_classes(self, class_names: tuple[str, ...]) -> FrameIndex:
        """This index with the class numbers of ``class_names``; itself where nothing changes."""
        labels, roles, unwanted = map_classes(
            self.labels, self.roles, self.class_names, class_names, ", ".join(self.datasets)
        )
        folder = self.folder if labels is self.labels and roles is self.roles else None
        findings = self.findings
        if unwanted:
            name = self.datasets[0]
            noted = Findings(notes=Counter({describe_unwanted(unwanted): unwanted.total()}))
            findings = findings | {name: findings.get(name, Findings()).merged(noted)}
        return replace(self, labels=labels, roles=roles, class_names=class_names, findings=findings, folder=folder)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arrays behind where a folder holds them."""
        state = dict(self.__dict__)
        if self.folder is not None:
            for name in COLUMNS:
                del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the arrays where they were left.

        Raises:
            InputError: if the folder is gone or damaged.
        """
        self.__dict__.update(state)
        if self.folder is not None:
            try:
                self.__dict__.update(open_columns(self.folder, COLUMNS))
            except (OSError, ValueError) as error:
                msg = f"{self.folder}: the index was removed while it was in use ({error}); start again"
                raise InputError(msg) from error

    @property
    def sequences(self) -> dict[str, IntArray]:
        """Positions of the frames of each sequence, in order, by its name.

        A name that two datasets use is written ``dataset/name`` for both.
        """
        names: dict[str, IntArray] = {}
        for code, name in enumerate(self.sequence_names):
            positions = np.flatnonzero(self.sequence_codes == code)
            if len(positions) == 0:
                continue
            dataset = self.datasets[self.dataset_codes[positions[0]]]
            unique = self.sequence_names.count(name) == 1
            names[name if unique else f"{dataset}/{name}"] = positions
        return names

    @property
    def box_frames(self) -> IntArray:
        """``(N,)`` int64 frame of each box."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def learnable(self) -> BoolArray:
        """``(N,)`` bool: boxes that training learns, those of role POSITIVE that are visible enough."""
        limits = np.asarray(self.min_visibility, dtype=np.float32)
        limit = limits[self.dataset_codes[self.box_frames]] if len(limits) else np.zeros(0, np.float32)
        return (self.roles == Role.POSITIVE) & (self.visibility >= limit)


def refuse_disagreement(readers: Sequence[Reader]) -> None:
    """Insist that readers of one name, which become one dataset, use its identities in one way.

    Raises:
        InputError: if two of them differ in supervision or visibility limit.
    """
    first_of_name: dict[str, Reader] = {}
    for reader in readers:
        first = first_of_name.setdefault(reader.name, reader)
        if (first.supervision, first.min_visibility) != (reader.supervision, reader.min_visibility):
            msg = f"two readers named {reader.name!r} differ in supervision or min_visibility; make them equal"
            raise InputError(msg + " or give one another name")


def _concatenated(parts: Sequence[FrameIndex], class_names: tuple[str, ...] | None) -> FrameIndex:
    """Put the columns of parts one after the other, with common numbers for datasets and sequences."""
    empty = FrameIndex(**ColumnBuilder().arrays())
    datasets: dict[str, int] = {}
    sequences: dict[tuple[int, str], int] = {}
    settings: dict[str, tuple[Supervision, float]] = {}
    findings: dict[str, Findings] = {}
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [getattr(empty, name)] for name in COLUMNS}
    num_boxes = 0
    for part in parts:
        dataset_codes = np.array([datasets.setdefault(name, len(datasets)) for name in part.datasets], np.int32)
        sequence_codes = np.full(len(part.sequence_names) + 1, -1, np.int32)  # the last is for code -1
        used, first_frames = np.unique(part.sequence_codes, return_index=True)
        for code, frame in zip(used.tolist(), first_frames.tolist(), strict=True):
            if code >= 0:
                key = (int(dataset_codes[part.dataset_codes[frame]]), part.sequence_names[code])
                sequence_codes[code] = sequences.setdefault(key, len(sequences))
        recoded: dict[str, npt.NDArray[Any]] = {
            "dataset_codes": dataset_codes[part.dataset_codes],
            "sequence_codes": sequence_codes[part.sequence_codes],
            "offsets": part.offsets[1:] + num_boxes,
        }
        for name, column in columns.items():
            column.append(recoded.get(name, getattr(part, name)))
        num_boxes += len(part.boxes)
        settings |= dict(zip(part.datasets, zip(part.supervision, part.min_visibility, strict=True), strict=True))
        for name, found in part.findings.items():
            findings[name] = findings[name].merged(found) if name in findings else found
    joined: dict[str, Any] = {name: np.concatenate(column) for name, column in columns.items()}
    return FrameIndex(
        **joined,
        datasets=tuple(datasets),
        sequence_names=tuple(name for _, name in sequences),
        supervision=tuple(settings[name][0] for name in datasets),
        min_visibility=tuple(settings[name][1] for name in datasets),
        class_names=class_names,
        findings=findings,
    )


def _order(index: FrameIndex) -> IntArray:
    """Sort frames by dataset, sequence and frame number; single images keep their place after the sequences' ones."""
    single = index.sequence_codes < 0
    frame_numbers = np.where(single, 0, index.frame_numbers)
    sequence_codes = np.where(single, len(index.sequence_names), index.sequence_codes)
    return np.lexsort((frame_numbers, sequence_codes, index.dataset_codes))


def _refuse_duplicates(index: FrameIndex) -> None:
    same_sequence = (index.sequence_codes[1:] == index.sequence_codes[:-1]) & (index.sequence_codes[1:] >= 0)
    twice = np.flatnonzero(same_sequence & (index.frame_numbers[1:] == index.frame_numbers[:-1]))
    if len(twice):
        frame = index.frame(int(twice[0]))
        msg = (
            f"{frame.image_path}: frame {frame.frame} of sequence {frame.sequence!r} of dataset {frame.dataset!r} is "
            "read twice; remove the second reader or give it another name"
        )
        raise InputError(msg)
