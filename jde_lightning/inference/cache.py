"""Detections on disk: the network runs once, and trackers run on what it found as often as one likes.

A cache is one ``.npz`` file. Boxes, scores and embeddings are float32, exactly as the network gave them: in float16 a
cache would take half the space, but a cost that lies close to a limit could fall on its other side, and tracking from
the cache would not equal ``track``.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning import __version__
from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.metrics.sequences import Split
from jde_lightning.structures import Detections

_FORMAT = "jde_lightning detections 1"
_ARRAYS = ("frames", "counts", "boxes", "scores", "labels")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError)
_ANOTHER = "; give the right one, or write another cache with `jde-lightning cache`"
_RAW_DETECTIONS = {"frame", "tlwh", "score"}


@dataclass(frozen=True, slots=True)
class CachedSequence:
    """The detections of one sequence.

    Attributes:
        name: of the sequence.
        frame_rate: frames per second.
        width: image width in pixels; 0 if unknown.
        height: image height in pixels; 0 if unknown.
        frames: ``(F,)`` int64 number of each frame, increasing; frames without detections count.
        detections: of each of the ``F`` frames, all with embeddings of one width, or all without.
    """

    name: str
    frame_rate: float
    width: int
    height: int
    frames: npt.NDArray[np.int64]
    detections: list[Detections]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def __getitem__(self, positions: slice) -> CachedSequence:
        """Return the part of the sequence that a slice of positions (not of frame numbers) selects."""
        return CachedSequence(
            self.name, self.frame_rate, self.width, self.height, self.frames[positions], self.detections[positions]
        )

    @property
    def boxes(self) -> int:
        """Number of detections in all frames."""
        return sum(map(len, self.detections))


@dataclass(frozen=True, slots=True)
class CacheOrigin:
    """What made the detections of a cache, so that nobody mixes those of two networks.

    Attributes:
        detector: name of the weights file, or of the file or folder of detections.
        sha256: of the content of the weights, or of the files of detections.
        settings: how they were used: image size, thresholds, precision, class names. Values that JSON can hold.
        version: of this package.
    """

    detector: str
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: str = __version__

    def difference(self, other: CacheOrigin) -> str | None:
        """Say what another origin has differently, or ``None`` if its detections are the same."""
        if self.sha256 != other.sha256:
            return f"it is of {self.detector} (sha256 {self.sha256[:12]}), not {other.detector} ({other.sha256[:12]})"
        for key in {**self.settings, **other.settings}:
            mine, theirs = self.settings.get(key), other.settings.get(key)
            if mine != theirs:
                return f"it was made with {key} {mine}, not {theirs}"
        if self.version != other.version:
            return f"it was made by version {self.version} of this package, not {other.version}"
        return None


@dataclass(frozen=True, slots=True)
class DetectionCache:
    """What a cache file holds.

    Attributes:
        sequences: one for each video or folder, all with embeddings of one width, or all without.
        origin: what made the detections.
        split: which frames of MOTChallenge sequences are there.

    Raises:
        InputError: if a name occurs twice, or sequences differ in the width of their embeddings.
    """

    sequences: list[CachedSequence]
    origin: CacheOrigin
    split: Split = "all"

    def __post_init__(self) -> None:
        """Check that the sequences can live in one file."""
        names = [sequence.name for sequence in self.sequences]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            msg = f"sequence {twice} occurs twice; a cache needs a name for each, so cache them into files of their own"
            raise InputError(msg)
        _common_width(found for sequence in self.sequences for found in sequence.detections)

    @property
    def embed_dim(self) -> int | None:
        """Width of the embeddings, ``None`` where there are none."""
        return _common_width(found for sequence in self.sequences for found in sequence.detections)


def write_cache(path: Path, cache: DetectionCache) -> None:
    """Write a cache file, whole or not at all.

    Args:
        path: ends with ``.npz``; its folder is created.
        cache: what to write.
    """
    found = [detections for sequence in cache.sequences for detections in sequence.detections]
    embed_dim = cache.embed_dim
    meta = {
        "format": _FORMAT,
        "origin": asdict(cache.origin),
        "split": cache.split,
        "embed_dim": embed_dim,
        "sequences": [
            {"name": s.name, "frame_rate": s.frame_rate, "width": s.width, "height": s.height, "frames": len(s)}
            for s in cache.sequences
        ],
    }
    empty = Detections.empty(embed_dim)
    arrays = {
        "frames": np.concatenate([np.zeros(0, np.int64), *(s.frames for s in cache.sequences)]),
        "counts": np.array([len(d) for d in found], np.int64),
        "boxes": np.concatenate([empty.boxes, *(d.boxes for d in found)]),
        "scores": np.concatenate([empty.scores, *(d.scores for d in found)]),
        "labels": np.concatenate([empty.labels, *(d.labels for d in found)]),
    }
    if empty.embeddings is not None:
        parts = (d.embeddings for d in found if len(d) and d.embeddings is not None)
        arrays["embeddings"] = np.concatenate([empty.embeddings, *parts])
    with written_whole(path) as temporary, temporary.open("wb") as file:
        named: dict[str, Any] = arrays  # the other keywords of numpy's function have other types
        np.savez(file, meta=np.array(json.dumps(meta)), **named)


def read_cache(path: Path, weights: Path | None = None, settings: Mapping[str, Any] | None = None) -> DetectionCache:
    """Read a cache file.

    Args:
        path: the file.
        weights: if given, the weights that the detections must be of.
        settings: if given, settings that they must have been made with, such as ``{"image_size": 640}``.

    Raises:
        InputError: if the file is missing, truncated, no cache, or of other weights or settings.
    """
    if not path.is_file():
        msg = f"{path}: no such cache; `jde-lightning cache` writes one"
        raise InputError(msg)
    try:
        with np.load(path, allow_pickle=False) as content:
            _refuse_raw_detections(path, content.files)
            meta = json.loads(str(content["meta"]))
            cache = _from_arrays(path, meta, {name: content[name] for name in content.files})
    except InputError:
        raise
    except _UNREADABLE as error:
        # numpy takes what is no archive for a pickle, and advises to load it unsafely
        reason = "no .npz file" if "pickle" in str(error) else " ".join(str(error).split())[:120]
        msg = f"{path}: truncated, or no cache of detections ({reason}); write it again with `jde-lightning cache`"
        raise InputError(msg) from error
    _check_origin(path, cache.origin, weights, settings or {})
    return cache


def file_sha256(paths: Sequence[Path]) -> str:
    """Fingerprint of the content of files; the names count too where there are several."""
    digest = hashlib.sha256()
    for path in paths:
        if len(paths) > 1:
            digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _check_origin(path: Path, origin: CacheOrigin, weights: Path | None, settings: Mapping[str, Any]) -> None:
    """Refuse a cache of other weights or settings than those that are expected."""
    expected = CacheOrigin(
        origin.detector if weights is None else weights.name,
        origin.sha256 if weights is None else file_sha256([weights]),
        {**origin.settings, **settings},
        origin.version,
    )
    difference = origin.difference(expected)
    if difference is not None:
        msg = f"{path}: {difference}{_ANOTHER}"
        raise InputError(msg)


def _refuse_raw_detections(path: Path, names: Sequence[str]) -> None:
    """Refuse the other kind of ``.npz``, that of a detector, and name the verb which makes a cache of it."""
    if "meta" not in names and set(names) >= _RAW_DETECTIONS:
        msg = (
            f"{path}: the detections of a detector (frame, tlwh, score), not a cache; make one of them with "
            f"`jde-lightning cache SEQUENCE --detections {path} --output FILE.npz`"
        )
        raise InputError(msg)


def _from_arrays(path: Path, meta: Any, arrays: dict[str, npt.NDArray[Any]]) -> DetectionCache:
    """Cut the arrays of a file into frames and sequences."""
    if not isinstance(meta, dict) or meta.get("format") != _FORMAT:
        found = meta.get("format") if isinstance(meta, dict) else meta
        msg = f"{path}: its format is {str(found)[:40]!r}, expected {_FORMAT!r}; write it again with this version"
        raise InputError(msg)
    frames, counts, boxes, scores, labels = (arrays[name] for name in _ARRAYS)
    embeddings = arrays["embeddings"] if meta["embed_dim"] is not None else None
    lengths = [int(entry["frames"]) for entry in meta["sequences"]]
    whole = Detections(boxes, scores, labels, embeddings)
    if sum(lengths) != len(frames) or len(counts) != len(frames) or counts.sum() != len(whole):
        msg = f"{path}: the lengths of its arrays contradict each other; write it again with `jde-lightning cache`"
        raise InputError(msg)
    ends = np.cumsum(counts).tolist()
    found = [whole[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
    sequences, first = [], 0
    for entry, length in zip(meta["sequences"], lengths, strict=True):
        part = slice(first, first + length)
        size = int(entry["width"]), int(entry["height"])
        sequences.append(
            CachedSequence(str(entry["name"]), float(entry["frame_rate"]), *size, frames[part], found[part])
        )
        first += length
    return DetectionCache(sequences, CacheOrigin(**meta["origin"]), meta["split"])


def _common_width(found: Iterable[Detections]) -> int | None:
    """Width of the embeddings of all frames; an empty frame without them says nothing.

    Raises:
        InputError: if frames differ.
    """
    widths = {
        None if d.embeddings is None else d.embeddings.shape[1] for d in found if len(d) or d.embeddings is not None
    }
    if len(widths) > 1:
        listed = ", ".join(sorted("none" if width is None else str(width) for width in widths))
        msg = f"embeddings of several widths in one cache: {listed}; expected one, or none at all"
        raise InputError(msg)
    return next(iter(widths), None)
