"""All frames of all datasets as a few flat arrays: small, quick to pickle, shared by worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray, FrameAnnotations, IntArray, Role


@dataclass(frozen=True)
class FrameIndex:
    """``F`` frames with ``N`` boxes; boxes of frame ``i`` are rows ``offsets[i]`` to ``offsets[i + 1]``.

    Frames of a sequence stand together, ordered by frame number; sequences and datasets keep the order in which the
    readers delivered them.

    Attributes:
        paths: ``(F,)`` image paths as bytes in the file system's encoding.
        sizes: ``(F, 2)`` int32 width and height in pixels.
        frame_numbers: ``(F,)`` int64 as the dataset counts.
        frame_rates: ``(F,)`` float32 frames per second.
        dataset_codes: ``(F,)`` int32 row of ``datasets``.
        sequence_codes: ``(F,)`` int32 row of ``sequence_names``, -1 for single images.
        offsets: ``(F + 1,)`` int64.
        boxes: ``(N, 4)`` float32 xyxy pixels of the original image, 0-based, unclipped.
        labels: ``(N,)`` int64.
        identities: ``(N,)`` int64 as annotated.
        roles: ``(N,)`` int8, see :class:`~jde_lightning.structures.Role`.
        visibility: ``(N,)`` float32 in 0..1.
        datasets: names of the datasets.
        sequence_names: names of the sequences as annotated; two datasets may use the same name.
        supervision: how training uses the identities, one per dataset.
        min_visibility: below it training ignores a box, one per dataset.
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
    min_visibility: tuple[float, ...] = field(default=())

    @classmethod
    def from_readers(cls, readers: Sequence[Reader], root: Path) -> FrameIndex:
        """Read everything that ``readers`` find below ``root``.

        Raises:
            InputError: from a reader; or if two readers of one name differ in supervision or visibility limit.
        """
        settings: dict[str, Reader] = {}
        for reader in readers:
            first = settings.setdefault(reader.name, reader)
            if (first.supervision, first.min_visibility) != (reader.supervision, reader.min_visibility):
                msg = f"two readers named {reader.name!r} differ in supervision or min_visibility; make them equal"
                raise InputError(msg + " or give one another name")
        frames = (frame for reader in readers for frame in reader.read(root))
        return cls.from_frames(
            frames,
            supervision={name: reader.supervision for name, reader in settings.items()},
            min_visibility={name: reader.min_visibility for name, reader in settings.items()},
        )

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
        columns = _Columns()
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
        per_frame = ("paths", "sizes", "frame_numbers", "frame_rates", "dataset_codes", "sequence_codes")
        per_box = ("boxes", "labels", "identities", "roles", "visibility")
        return FrameIndex(
            **{name: getattr(self, name)[positions] for name in per_frame},
            **{name: getattr(self, name)[rows] for name in per_box},
            offsets=offsets,
            datasets=self.datasets,
            sequence_names=self.sequence_names,
            supervision=self.supervision,
            min_visibility=self.min_visibility,
        )

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

    def summary(self) -> str:
        """Describe each dataset in one line: images, sequences, boxes, identities, ignored boxes."""
        codes, learnable, box_frames = self.dataset_codes, self.learnable, self.box_frames
        lines = []
        for code, name in enumerate(self.datasets):
            rows = codes[box_frames] == code
            positive = rows & (self.roles == Role.POSITIVE)
            known = positive & (self.identities >= 0)
            keys = np.stack([self.sequence_codes[box_frames[known]], self.identities[known]], axis=1)
            sequences = np.unique(self.sequence_codes[(codes == code) & (self.sequence_codes >= 0)])
            lines.append(
                f"{name}: {np.count_nonzero(codes == code)} images, {len(sequences)} sequences, "
                f"{np.count_nonzero(positive)} boxes, {len(np.unique(keys, axis=0))} annotated identities, "
                f"{np.count_nonzero(rows & (self.roles == Role.IGNORE))} ignored, "
                f"{np.count_nonzero(positive & ~learnable)} not visible enough for training "
                f"(supervision {self.supervision[code]})"
            )
        return "\n".join(lines) if lines else "no images"


class _Columns:
    """Lists that grow frame by frame and become the arrays of a :class:`FrameIndex`."""

    def __init__(self) -> None:
        self.datasets: dict[str, int] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self._frames: list[tuple[bytes, int, int, int, int, int, int]] = []
        self._frame_rates: list[float] = []
        self._boxes: list[FloatArray] = [np.zeros((0, 4), np.float32)]
        self._labels: list[IntArray] = [np.zeros(0, np.int64)]
        self._identities: list[IntArray] = [np.zeros(0, np.int64)]
        self._roles: list[npt.NDArray[np.int8]] = [np.zeros(0, np.int8)]
        self._visibility: list[FloatArray] = [np.zeros(0, np.float32)]

    def append(self, frame: FrameAnnotations) -> None:
        dataset = self.datasets.setdefault(frame.dataset, len(self.datasets))
        sequence = -1
        if frame.sequence is not None:
            sequence = self.sequences.setdefault((frame.dataset, frame.sequence), len(self.sequences))
        path = os.fsencode(frame.image_path)
        self._frames.append((path, frame.width, frame.height, frame.frame, dataset, sequence, len(frame)))
        self._frame_rates.append(frame.frame_rate)
        self._boxes.append(frame.boxes)
        self._labels.append(frame.labels)
        self._identities.append(frame.identities)
        self._roles.append(frame.roles)
        self._visibility.append(frame.visibility)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        paths = np.array([row[0] for row in self._frames], dtype=np.bytes_)
        numbers = np.array([row[1:] for row in self._frames], dtype=np.int64).reshape(-1, 6)
        return {
            "paths": paths,
            "sizes": numbers[:, :2].astype(np.int32),
            "frame_numbers": numbers[:, 2].copy(),
            "frame_rates": np.array(self._frame_rates, dtype=np.float32),
            "dataset_codes": numbers[:, 3].astype(np.int32),
            "sequence_codes": numbers[:, 4].astype(np.int32),
            "offsets": np.concatenate([[0], np.cumsum(numbers[:, 5])]),
            "boxes": np.concatenate(self._boxes),
            "labels": np.concatenate(self._labels),
            "identities": np.concatenate(self._identities),
            "roles": np.concatenate(self._roles),
            "visibility": np.concatenate(self._visibility),
        }


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
