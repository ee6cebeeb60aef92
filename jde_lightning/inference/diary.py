"""The track diary: what a result file does not say about tracks, in ``SEQ.npz`` beside ``SEQ.txt``.

A NumPy archive without pickled objects. N rows, one for each box of the result file, in its order:

==================  ======================  =====================================================================
``diary_version``   int64 scalar            1
``frames``          ``(N,)`` int32          frame number, as in the result file
``track_ids``       ``(N,)`` int32          id, as in the result file
``detections``      ``(N,)`` int32          row of the matched detection in its frame, -1 where none was matched
``embeddings``      ``(N, D)`` float16      its embedding, unit norm; NaN where none was matched. Missing without Re-ID
==================  ======================  =====================================================================

Where the tracker explained itself, P rows more, one for each pair of track and detection that it considered:

============================  =================  ==================================================================
``pair_frames``               ``(P,)`` int32     frame number
``pair_track_ids``            ``(P,)`` int32     id of the track, which may never have come into the result file
``pair_detection_indices``    ``(P,)`` int32     row of the detection in its frame
``pair_stage``                ``(P,)`` int8      stage of the association, from 1
``pair_decisions``            ``(P,)`` int8      outcome, an index into ``decision_names``
``decision_names``            ``(K,)`` text      what the outcomes are called; ``matched`` is one of them
``pair_<term>``               ``(P,)`` float32   any number of terms: ``iou_distance``, ``cost``, ``limit``, ...;
                                                 NaN where a stage does not use the term
============================  =================  ==================================================================

A stage with ``pair_iou_distance`` lists every pair of its tracks and detections whose boxes overlap, and one with
``pair_motion_distance`` every pair within the motion gate as well.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.structures import Detections, Tracks

DIARY_VERSION = 1

MATCHED = "matched"
"""The outcome of a pair that became a match."""

_PREFIX = "pair_"
_PAIR_INTEGERS = {
    "frames": np.int32,
    "track_ids": np.int32,
    "detection_indices": np.int32,
    "stage": np.int8,
    "decisions": np.int8,
}

Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class ConsideredPairs:
    """The pairs of track and detection that a tracker considered; see the module for the columns.

    Attributes:
        frames: ``(P,)`` frame number.
        track_ids: ``(P,)`` id of the track.
        detection_indices: ``(P,)`` row of the detection in its frame.
        stage: ``(P,)`` stage of the association.
        decisions: ``(P,)`` outcome, an index into ``decision_names``.
        decision_names: what the outcomes are called.
        terms: ``(P,)`` float32 each, by name, in the order in which they were recorded.
    """

    frames: Integers
    track_ids: Integers
    detection_indices: Integers
    stage: Integers
    decisions: Integers
    decision_names: tuple[str, ...]
    terms: dict[str, npt.NDArray[np.float32]]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.frames)

    def outcome(self, row: int) -> str:
        """Name of the outcome of a pair."""
        return self.decision_names[int(self.decisions[row])]


@dataclass(frozen=True, slots=True)
class TrackDiary:
    """The diary of one sequence; see the module for the columns.

    Attributes:
        frames: ``(N,)`` frame number of each box.
        track_ids: ``(N,)`` its id.
        detections: ``(N,)`` row of its detection, -1 for none.
        embeddings: ``(N, D)`` float16, NaN where there is no detection; ``None`` without Re-ID.
        pairs: what the tracker considered; ``None`` if it did not explain itself.
    """

    frames: Integers
    track_ids: Integers
    detections: Integers
    embeddings: npt.NDArray[np.float16] | None = None
    pairs: ConsideredPairs | None = None


@dataclass
class DiaryWriter:
    """Collects a diary frame by frame.

    Args:
        decision_names: names of the outcomes that explanations hold as numbers, in order: ``[d.name.lower() for d in
            Decision]``. Empty for a tracker that does not explain itself.
    """

    decision_names: Sequence[str] = ()
    _rows: list[tuple[Integers, Integers, Integers]] = field(default_factory=list, init=False)
    _embeddings: list[npt.NDArray[np.float16] | None] = field(default_factory=list, init=False)
    _pairs: list[dict[str, npt.NDArray[Any]]] = field(default_factory=list, init=False)

    def add(self, frame: int, tracks: Tracks, detections: Detections, explanations: Any = None) -> None:
        """Add a frame.

        Args:
            frame: its number, as in the result file.
            tracks: what the tracker answered.
            detections: what the tracker was given; rows are what ``tracks.detection_indices`` and the explanations
                count.
            explanations: what the tracker considered: a dataclass of equally long arrays ``track_ids``,
                ``detection_indices``, ``stage`` and ``decisions``, all other fields being terms of the cost (such as
                :class:`jde_lightning.tracking.explain.AssociationRecord`); ``None`` if it does not say.
        """
        indices = tracks.detection_indices
        self._rows.append((np.full(len(tracks), frame), tracks.ids, indices))
        self._embeddings.append(None if detections.embeddings is None else _taken(detections.embeddings, indices))
        if explanations is not None:
            columns = {part.name: getattr(explanations, part.name) for part in fields(explanations)}
            self._pairs.append({"frames": np.full(len(columns["track_ids"]), frame), **columns})

    def write(self, path: Path) -> None:
        """Write the diary.

        Args:
            path: ``SEQ.npz`` in the folder of the result files; written whole.
        """
        arrays = self._arrays()
        with written_whole(path) as temporary, temporary.open("wb") as file:
            named: dict[str, Any] = arrays  # the other keywords of numpy's function have other types
            np.savez_compressed(file, **named)

    def diary(self) -> TrackDiary:
        """Return the diary, as it would be read from its file."""
        return _from_arrays(Path("diary"), self._arrays())

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the file."""
        names = ("frames", "track_ids", "detections")
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in names)
        arrays = {name: _joined(list(parts), np.int32) for name, parts in zip(names, columns, strict=True)}
        arrays |= {"diary_version": np.array(DIARY_VERSION)}
        # Frames in which nothing was detected may come without embeddings, or with embeddings of width 0.
        width = max((part.shape[1] for part in self._embeddings if part is not None), default=0)
        if width:
            unknown = (np.full((len(row[0]), width), np.nan, np.float16) for row in self._rows)
            parts = zip(self._embeddings, unknown, strict=True)
            arrays["embeddings"] = np.concatenate(
                [nan if part is None or not len(part) else part for part, nan in parts]
            )
        if self._pairs:
            arrays["decision_names"] = np.array(self.decision_names, dtype=np.str_)
            for name in self._pairs[0]:
                dtype = _PAIR_INTEGERS.get(name, np.float32)
                arrays[_PREFIX + name] = _joined([part[name] for part in self._pairs], dtype)
        return arrays


def read_diary(path: Path) -> TrackDiary:
    """Read a diary.

    Args:
        path: the file.

    Raises:
        InputError: if the file is missing, no diary, of another version, or its columns do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        msg = f"{path}: not a track diary ({error}); expected the .npz that tracking writes beside a result file"
        raise InputError(msg) from error
    return _from_arrays(path, arrays)


def _from_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> TrackDiary:
    """Check the arrays of a file, and name them."""
    missing = [name for name in ("diary_version", "frames", "track_ids", "detections") if name not in arrays]
    if missing:
        msg = (
            f"{path}: not a track diary, no array {missing[0]!r}; expected what tracking writes beside its result file"
        )
        raise InputError(msg)
    if int(arrays["diary_version"]) != DIARY_VERSION:
        msg = f"{path}: version {arrays['diary_version']} of the track diary, expected {DIARY_VERSION}; track again"
        raise InputError(msg)
    embeddings = arrays.get("embeddings")
    rows = [arrays[name] for name in ("frames", "track_ids", "detections")]
    _check_lengths(path, {"frames": rows[0], "track_ids": rows[1], "detections": rows[2], "embeddings": embeddings})
    return TrackDiary(rows[0], rows[1], rows[2], embeddings=embeddings, pairs=_pairs(path, arrays))


def _pairs(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> ConsideredPairs | None:
    """The considered pairs of a diary, if it has them."""
    columns = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
    if not columns:
        return None
    missing = [name for name in _PAIR_INTEGERS if name not in columns]
    if missing:
        msg = f"{path}: pairs without the array {_PREFIX + missing[0]!r}; was the diary written by this version?"
        raise InputError(msg)
    _check_lengths(path, {**columns})
    names = tuple(map(str, arrays.get("decision_names", ())))
    decisions = columns["decisions"]
    if len(decisions) and not (decisions.min() >= 0 and decisions.max() < len(names)):
        msg = f"{path}: decision {decisions.max()}, but decision_names has {len(names)} names"
        raise InputError(msg)
    terms = {name: array for name, array in columns.items() if name not in _PAIR_INTEGERS}
    return ConsideredPairs(**{name: columns[name] for name in _PAIR_INTEGERS}, decision_names=names, terms=terms)


def _check_lengths(path: Path, columns: dict[str, npt.NDArray[Any] | None]) -> None:
    """Refuse columns of different lengths."""
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    if len(set(lengths.values())) > 1:
        msg = f"{path}: columns of different lengths {lengths}; the file is damaged, track again"
        raise InputError(msg)


def _taken(embeddings: npt.NDArray[np.float32], indices: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
    """Embeddings of the matched detections, NaN where none was matched."""
    taken = np.full((len(indices), embeddings.shape[1]), np.nan, np.float16)
    matched = indices >= 0
    taken[matched] = embeddings[indices[matched]]
    return taken


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """One array of a dtype; empty if there are no parts."""
    return np.concatenate(parts).astype(dtype) if len(parts) else np.zeros(0, dtype)
