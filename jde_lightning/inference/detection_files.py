"""Detections of other detectors, from the files in which they are passed around.

Text: rows of MOTChallenge, ``frame, id, left, top, width, height, score, ...``; ids are not read. NumPy: an ``.npz``
with the arrays ``frame``, ``tlwh``, ``score`` and, if the detector or another network embeds, ``embedding``. Both count
frames and pixels from 1.
"""

from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.errors import InputError
from jde_lightning.inference.cache import CachedSequence, CacheOrigin, file_sha256
from jde_lightning.metrics.sequences import HalfConvention, SequenceInfo, Split, read_seqinfo, split_frames
from jde_lightning.structures import Detections

_LOG = logging.getLogger(__name__)

_DEFAULT_FRAME_RATE = 30.0
_TEXT_COLUMNS = 7
_NPZ_ARRAYS = ("frame", "tlwh", "score")

Columns = dict[str, npt.NDArray[Any]]


def read_detection_files(
    sequences: Path,
    detections: Path,
    conf: float = 0.0,
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
) -> tuple[list[CachedSequence], CacheOrigin]:
    """Read the detections of sequences whose ``seqinfo.ini`` tells length, frame rate and size; no image is needed.

    Args:
        sequences: folder with ``seqinfo.ini``, or a folder of such folders.
        detections: the file of a single sequence; or a folder with ``SEQ.txt``, ``SEQ.npz`` or ``SEQ/det/det.txt``,
            where ``SEQ`` is the name of the sequence, of which the detector's name (``-FRCNN``) may be missing.
            Sequences without a file are left out.
        conf: detections below this score are left out.
        split: the whole sequences, or one half of each.
        half_convention: where the halves part, see :func:`jde_lightning.metrics.sequences.split_frames`.

    Returns:
        The sequences, by name; and the fingerprint of the files.

    Raises:
        InputError: if a file is missing, is of no sequence, or holds something else.
    """
    folders = _sequence_folders(sequences)
    pairs = _pairs(folders, sequences, detections)
    left_out = [name for name in folders if name not in pairs]
    if left_out:
        _LOG.warning("%s: no detections of %s: left out", detections, ", ".join(left_out))
    origin = CacheOrigin(detections.name, file_sha256(list(pairs.values())), {"conf": conf})
    read = [_read(name, folders[name], path, conf, split, half_convention) for name, path in pairs.items()]
    return read, origin


def _sequence_folders(path: Path) -> dict[str, Path]:
    """The folders with a ``seqinfo.ini``, by name."""
    if (path / "seqinfo.ini").is_file():
        return {path.resolve().name: path}
    found = {info.parent.name: info.parent for info in sorted(path.glob("*/seqinfo.ini"))}
    if not found:
        msg = f"{path}: no seqinfo.ini in it or in a folder of it; it tells the length and frame rate of a sequence"
        raise InputError(msg)
    return found


def _pairs(folders: dict[str, Path], sequences: Path, detections: Path) -> dict[str, Path]:
    """The file of detections of each sequence that has one, in the order of the sequences."""
    if detections.is_file():
        if len(folders) == 1:
            return dict.fromkeys(folders, detections)  # whatever the file is called
        files = {detections.stem: detections}
    elif detections.is_dir():
        listed = [p for p in sorted(detections.iterdir()) if p.suffix in (".txt", ".npz")]
        files = {path.parent.parent.name: path for path in sorted(detections.glob("*/det/det.txt"))}
        for path in listed:
            if path.stem in files:
                msg = f"{path}: second file of {path.stem} beside {files[path.stem]}; keep one of the two"
                raise InputError(msg)
            files[path.stem] = path
    else:
        msg = f"{detections}: no such file or folder of detections"
        raise InputError(msg)
    if not files:
        msg = f"{detections}: no detections in it, expected SEQ.txt, SEQ.npz or SEQ/det/det.txt"
        raise InputError(msg)
    pairs: dict[str, Path] = {}
    for name, path in files.items():
        matching = [name] if name in folders else [folder for folder in folders if folder.startswith(f"{name}-")]
        if len(matching) != 1:
            there = ", ".join(matching or folders)
            what = "of several sequences" if matching else "of no sequence"
            msg = f"{path}: {name} is the name {what} in {sequences} ({there}); call the file as its sequence"
            raise InputError(msg)
        pairs[matching[0]] = path
    return {name: pairs[name] for name in folders if name in pairs}


def _read(
    name: str, folder: Path, path: Path, conf: float, split: Split, half_convention: HalfConvention
) -> CachedSequence:
    """Read the detections of one sequence."""
    info = read_seqinfo(folder / "seqinfo.ini")
    columns = _read_npz(path) if path.suffix == ".npz" else _read_text(path)
    _check(path, columns, info)
    length = info.length or int(columns["frame"].max(initial=0))
    if info.frame_rate is None:
        _LOG.warning("%s: no frameRate in seqinfo.ini; %g is assumed", folder, _DEFAULT_FRAME_RATE)
    frames = np.array(split_frames(length, split, half_convention), np.int64)
    kept = columns["score"] >= conf
    columns = {key: column[kept] for key, column in columns.items()}
    order = np.argsort(columns["frame"], kind="stable")
    boxes = columns["tlwh"].astype(np.float64)
    boxes[:, :2] -= 1  # files count pixels from 1
    whole = Detections(
        ltwh_to_xyxy(boxes)[order],
        columns["score"][order],
        embeddings=columns["embedding"][order] if "embedding" in columns else None,
    )
    sorted_frames = columns["frame"][order]
    starts, ends = (np.searchsorted(sorted_frames, frames, side).tolist() for side in ("left", "right"))
    found = [whole[start:end] for start, end in zip(starts, ends, strict=True)]
    rate = info.frame_rate or _DEFAULT_FRAME_RATE
    return CachedSequence(name, rate, info.width or 0, info.height or 0, frames, found)


def _read_text(path: Path) -> Columns:
    """Read MOTChallenge rows; ``line`` keeps the line of each, for errors."""
    rows, lines = [], []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: not a text file ({error.reason}); expected comma-separated MOTChallenge rows"
        raise InputError(msg) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split(",")
        try:
            rows.append([float(field) for field in fields[:_TEXT_COLUMNS]])
        except ValueError:
            rows.append([])
        if len(rows[-1]) < _TEXT_COLUMNS:
            msg = f"{path}, line {number}: {line[:60]!r}, expected frame, id, left, top, width, height, score, ..."
            raise InputError(msg)
        lines.append(number)
    table = np.array(rows, np.float64).reshape(-1, _TEXT_COLUMNS)
    return {"frame": table[:, 0], "tlwh": table[:, 2:6], "score": table[:, 6], "line": np.array(lines, np.int64)}


def _read_npz(path: Path) -> Columns:
    """Read arrays, with embeddings of unit norm in float32."""
    try:
        with np.load(path, allow_pickle=False) as content:
            columns = {name: content[name] for name in (*_NPZ_ARRAYS, "embedding") if name in content.files}
            there = ", ".join(content.files)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, AttributeError) as error:
        msg = f"{path}: truncated, or no .npz file ({' '.join(str(error).split())[:80]})"
        raise InputError(msg) from error
    missing = [name for name in _NPZ_ARRAYS if name not in columns]
    if missing:
        msg = f"{path}: no array {missing[0]!r}, found {there or 'none'}; expected {', '.join(_NPZ_ARRAYS)}, embedding"
        raise InputError(msg)
    n = len(columns["frame"]) if columns["frame"].ndim == 1 else -1
    for name, shape in (("frame", (n,)), ("tlwh", (n, 4)), ("score", (n,))):
        if columns[name].shape != shape or columns[name].dtype.kind not in "iuf":
            msg = f"{path}: {name} has shape {columns[name].shape}; expected (N,), and (N, 4) for tlwh, of numbers"
            raise InputError(msg)
    if "embedding" in columns:
        looks = columns["embedding"].astype(np.float32)
        if looks.ndim != 2 or len(looks) != n:
            msg = f"{path}: embedding has shape {looks.shape}, expected ({n}, D): a row for each of the {n} boxes"
            raise InputError(msg)
        norms = np.linalg.norm(looks, axis=1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            row = int(np.argmin((np.isfinite(norms) & (norms > 0))[:, 0]))
            msg = f"{path}, row {row}: the embedding is zero or not finite, and so has no direction"
            raise InputError(msg)
        columns["embedding"] = looks / norms
    return columns


def _check(path: Path, columns: Columns, info: SequenceInfo) -> None:
    """Refuse rows that no detector can mean."""
    frame, box, score = (columns[name].astype(np.float64) for name in _NPZ_ARRAYS)
    last = np.inf if info.length is None else info.length
    wrong_frame = (frame != np.rint(frame)) | (frame < 1) | (frame > last)
    expected_frame = f"a whole number from 1 to {info.length or 'the last frame'}"
    for wrong, what, values, expected in (
        (wrong_frame | ~np.isfinite(frame), "frame", frame, expected_frame),
        (~np.isfinite(box).all(axis=1), "box", box, "finite numbers"),
        (~(box[:, 2:] > 0).all(axis=1), "size", box[:, 2:], "a width and height above 0"),
        (~((score >= 0) & (score <= 1)), "score", score, "a confidence in 0..1"),
    ):
        if wrong.any():
            _refuse(path, columns, int(np.argmax(wrong)), what, values, expected)


def _refuse(
    path: Path, columns: Columns, row: int, what: str, values: npt.NDArray[np.float64], expected: str
) -> NoReturn:
    """Raise the error about one row."""
    place = f"line {columns['line'][row]}" if "line" in columns else f"row {row}"
    msg = f"{path}, {place}: {what} is {np.asarray(values[row]).tolist()}, expected {expected}"
    raise InputError(msg)
