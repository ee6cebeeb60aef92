"""Evaluate a folder of result files against a folder of ground truth, as MOTChallenge does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypedDict

from jde_lightning.errors import InputError, UsageError
from jde_lightning.metrics.classes import class_averaged, rows_by_class
from jde_lightning.metrics.mot_challenge import (
    PARTIAL,
    MOTRows,
    check_in_frames,
    partial_hint,
    read_ground_truth,
    read_results,
)
from jde_lightning.metrics.scores import Counts, Scores, scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.sequences import Benchmark, HalfConvention, Split, read_seqinfo, split_frames

_LOG = logging.getLogger(__name__)
_FEWEST_FRAMES = 20
"""Shorter sequences may well have nothing in one half."""


class ClassScores(TypedDict):
    """Scores of one class, or of all together.

    Keys:
        combined: scores of all sequences together, from their summed counts.
        sequences: scores by name of the sequence.
    """

    combined: Scores
    sequences: dict[str, Scores]


class FolderScores(ClassScores, total=False):
    """What :func:`evaluate_folder` returns. With several classes, the scores of the base are of all boxes alike.

    Keys:
        class_averaged: several classes only, the combined scores in which each class has the same weight.
        classes: several classes only, the scores of each by its name.
    """

    class_averaged: Scores
    classes: dict[str, ClassScores]


class SequenceFiles(NamedTuple):
    """The two files of one sequence.

    Attributes:
        name: of the sequence.
        gt: its ground truth.
        result: what the tracker found.
    """

    name: str
    gt: Path
    result: Path

    @property
    def folder(self) -> Path | None:
        """The folder of the sequence, ``None`` where ground truth is a flat file."""
        return self.gt.parent.parent if self.gt.name == "gt.txt" else None

    @property
    def seqinfo(self) -> Path | None:
        """The file ``seqinfo.ini``, ``None`` where there is none."""
        path = self.folder / "seqinfo.ini" if self.folder else None
        return path if path is not None and path.is_file() else None


def evaluate_folder(
    gt_dir: Path | str,
    results_dir: Path | str,
    benchmark: Benchmark = "mot17",
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
    sequences: Sequence[str] | None = None,
    progress: bool = False,
    classes: Mapping[str, int] | None = None,
) -> FolderScores:
    """Evaluate result files with HOTA, CLEAR MOT and the identity metrics.

    Ground truth: ``SEQ/gt/gt.txt`` with ``SEQ/seqinfo.ini`` beside ``gt``; or the folder of a single sequence; or flat
    files ``SEQ.txt``. Without ``seqinfo.ini`` the last annotated frame is the last frame. Results: ``SEQ.txt``, or
    ``data/SEQ.txt`` as TrackEval keeps them. Every sequence with ground truth needs a result file, an empty one if the
    tracker found nothing, and the other way round.

    Args:
        gt_dir: folder of ground truth.
        results_dir: folder of result files.
        benchmark: whose rules hold, see :func:`jde_lightning.metrics.matching.sequence_pairs`.
        split: the whole sequences, or one half, with the frame numbers of the whole sequence.
        half_convention: where the first half ends, see :func:`jde_lightning.metrics.sequences.split_frames`.
        sequences: names or patterns (``MOT17-*-FRCNN``) of the sequences to evaluate; all if ``None``.
        progress: show a progress bar on stderr.
        classes: number in column 8 of each class, by its name; ``None`` if all boxes are of one class. A box is only
            ever compared with boxes of its own class.

    Returns:
        ``{"combined": scores, "sequences": {name: scores}}``, see
        :func:`jde_lightning.metrics.scores.scores_from_counts`; with ``classes`` also ``"class_averaged": scores`` and
        ``"classes": {name: {"combined": ..., "sequences": ...}}``.

    Raises:
        InputError: if a folder, file or row is missing or wrong, or classes are asked of a benchmark of one class.
    """
    found = find_sequences(gt_dir, results_dir, sequences)
    if progress:
        from tqdm import tqdm

        found = tqdm(found, desc="evaluate", unit="sequence", leave=False)
    counts: dict[str, dict[str, Counts]] = {}  # class, sequence
    halves: list[str] = []
    for files in found:
        gt, result = load_sequence(files, benchmark, split, half_convention, classes)
        if split == "all" and (half := _half_hint(files, gt, result)):
            halves.append(half)
        parts = [("", (gt, result))] if classes is None else rows_by_class(gt, result, classes)
        for name, rows in parts:
            counts.setdefault(name, {})[files.name] = sequence_counts(*rows, benchmark)
    if halves:
        more = f" (and {len(halves) - 1} more)" if len(halves) > 1 else ""
        _LOG.warning("%s%s; the other half is counted as missed", halves[0], more)
    if classes is None:
        single = _scores(counts[""])
        return {"combined": single["combined"], "sequences": single["sequences"]}
    of_class = {name: _scores(of_sequence) for name, of_sequence in counts.items()}
    together = {name: summed(part[name] for part in counts.values()) for name in next(iter(counts.values()))}
    return {
        **_scores(together),
        "class_averaged": class_averaged(scores["combined"] for scores in of_class.values()),
        "classes": of_class,
    }


def _scores(counts: Mapping[str, Counts]) -> ClassScores:
    """Scores of each sequence, and of all."""
    return {
        "combined": scores_from_counts(summed(counts.values())),
        "sequences": {name: scores_from_counts(count) for name, count in counts.items()},
    }


def _half_hint(files: SequenceFiles, gt: MOTRows, result: MOTRows) -> str:
    """Name the half that all results of a sequence lie in, where ground truth lies in both; empty if they do not."""
    length = read_seqinfo(files.seqinfo).length if files.seqinfo else None
    if length is None:
        length = int(gt.frames.max(initial=0))
    if length < _FEWEST_FRAMES or not len(result):
        return ""
    first, last = int(result.frames.min()), int(result.frames.max())
    middle = length // 2 + 1  # of the first half or of the second, as the convention has it
    if first >= middle and (gt.frames < middle).any():
        option = "--split val_half" + (" --half-convention fairmot" if first == middle else "")
    elif last <= middle and (gt.frames > middle).any():
        option = "--split train_half"
    else:
        return ""
    return f"{files.result}: all lines lie in frames {first} to {last} of {length}; {option} evaluates that half alone"


def find_sequences(
    gt_dir: Path | str, results_dir: Path | str, sequences: Sequence[str] | None = None
) -> list[SequenceFiles]:
    """Find the files of each sequence, sorted by name; arguments and errors as for :func:`evaluate_folder`."""
    gt_files = _chosen(ground_truth_files(Path(gt_dir)), sequences, Path(gt_dir))
    result_files = _result_files(Path(results_dir))
    if sequences is None:
        _refuse_unknown_results(result_files, gt_files, Path(gt_dir))
    missing = [name for name in gt_files if name not in result_files]
    if missing:
        msg = (
            f"{results_dir}: no result file for {_listed(missing)}; "
            "write an empty file where the tracker found nothing, or choose with --sequences"
        )
        raise InputError(msg)
    return [SequenceFiles(name, path, result_files[name]) for name, path in gt_files.items()]


def load_sequence(
    files: SequenceFiles,
    benchmark: Benchmark = "mot17",
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
    classes: Mapping[str, int] | None = None,
) -> tuple[MOTRows, MOTRows]:
    """Read ground truth and results of one sequence, restricted to the split; arguments as for :func:`evaluate_folder`.

    Raises:
        InputError: if a row is wrong or outside of the split, naming file and line; or if classes are asked of a
            benchmark of one class.
    """
    if classes is not None and benchmark != "none":
        msg = f"--classes needs --benchmark none: the rules of {benchmark.upper()} know pedestrians only"
        raise UsageError(msg)
    numbers = None if classes is None else list(classes.values())
    length = read_seqinfo(files.seqinfo).length if files.seqinfo else None
    gt = read_ground_truth(files.gt, benchmark, length, numbers)
    result = read_results(files.result, length, numbers)
    if length is None:
        length = int((gt if len(gt) else result).frames.max(initial=0))
        what = f"the annotated frames of {files.gt}, and no seqinfo.ini gives a seqLength"
        check_in_frames(result, range(1, length + 1), files.result, what)
    frames = split_frames(length, split, half_convention)
    if split != "all":
        check_in_frames(result, frames, files.result, f"{split} ({half_convention})")
        gt = gt[(gt.frames >= frames.start) & (gt.frames < frames.stop)]
    return gt, result


def ground_truth_files(folder: Path) -> dict[str, Path]:
    """Find the ground truth of each sequence, by name, sorted.

    Args:
        folder: holds ``SEQ/gt/gt.txt``, or ``gt/gt.txt`` of a single sequence, or flat ``SEQ.txt``.

    Raises:
        InputError: if it is no folder, or holds none of these.
    """
    _require_folder(folder, "ground truth")
    own = folder / "gt" / "gt.txt"
    if own.is_file():
        return {folder.resolve().name: own}
    files = {path.parent.parent.name: path for path in sorted(folder.glob("*/gt/gt.txt"))}
    files = files or {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if not files:
        msg = f"{folder}: no ground truth found, expected SEQ/gt/gt.txt or SEQ.txt"
        raise InputError(msg)
    return files


def _result_files(folder: Path) -> dict[str, Path]:
    """Find the result file of each sequence, by name, sorted."""
    _require_folder(folder, "results")
    files = {path.stem: path for path in sorted(folder.glob("data/*.txt")) or sorted(folder.glob("*.txt"))}
    if not files:
        msg = f"{folder}: no result file found, expected SEQ.txt or data/SEQ.txt"
        raise InputError(msg)
    return files


def _require_folder(folder: Path, what: str) -> None:
    """Refuse what is not a folder."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "not found"
        msg = f"{folder}: {found}, expected a folder of {what}"
        raise InputError(msg)


def _chosen(files: dict[str, Path], patterns: Sequence[str] | None, folder: Path) -> dict[str, Path]:
    """Keep the sequences that match a pattern; every pattern must match one."""
    if patterns is None:
        return files
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in files):
            msg = f"{folder}: no sequence is called {pattern!r}, found {_listed(list(files))}"
            raise InputError(msg)
    return {name: path for name, path in files.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def _refuse_unknown_results(result_files: dict[str, Path], gt_files: dict[str, Path], gt_dir: Path) -> None:
    """Refuse a result file without ground truth: most often its name is misspelt."""
    for name, path in result_files.items():
        if name.endswith(PARTIAL) and name.removesuffix(PARTIAL) in gt_files:
            msg = f"{path}: {partial_hint(name.removesuffix(PARTIAL))}"
            raise InputError(msg)
        if name not in gt_files:
            msg = f"{path}: no ground truth for it in {gt_dir}, which has {_listed(list(gt_files))}"
            raise InputError(msg)


def _listed(names: list[str]) -> str:
    """Join names, at most ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
