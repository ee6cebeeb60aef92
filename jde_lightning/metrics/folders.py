"""Evaluate a folder of result files against a folder of ground truth, as MOTChallenge does."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict

from jde_lightning.errors import InputError
from jde_lightning.metrics.mot_challenge import MOTRows, check_in_frames, read_ground_truth, read_results
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.sequences import Benchmark, HalfConvention, Split, read_seqinfo, split_frames

Scores = dict[str, "float | int"]


class FolderScores(TypedDict):
    """What :func:`evaluate_folder` returns.

    Keys:
        combined: scores of all sequences together, from their summed counts.
        sequences: scores by name of the sequence.
    """

    combined: Scores
    sequences: dict[str, Scores]


def evaluate_folder(
    gt_dir: Path | str,
    results_dir: Path | str,
    benchmark: Benchmark = "mot17",
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
    sequences: Sequence[str] | None = None,
    progress: bool = False,
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

    Returns:
        ``{"combined": scores, "sequences": {name: scores}}``, see
        :func:`jde_lightning.metrics.scores.scores_from_counts`.

    Raises:
        InputError: if a folder, file or row is missing or wrong.
    """
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
    names = list(gt_files)
    if progress:
        from tqdm import tqdm

        names = tqdm(names, desc="evaluate", unit="sequence", leave=False)
    counts = {
        name: sequence_counts(*_load(gt_files[name], result_files[name], benchmark, split, half_convention), benchmark)
        for name in names
    }
    return {
        "combined": scores_from_counts(summed(counts.values())),
        "sequences": {name: scores_from_counts(count) for name, count in counts.items()},
    }


def _load(
    gt_file: Path, result_file: Path, benchmark: Benchmark, split: Split, half_convention: HalfConvention
) -> tuple[MOTRows, MOTRows]:
    """Read ground truth and results of one sequence, restricted to the split."""
    seqinfo = gt_file.parent.parent / "seqinfo.ini"
    length = read_seqinfo(seqinfo).length if gt_file.name == "gt.txt" and seqinfo.is_file() else None
    gt = read_ground_truth(gt_file, benchmark, length)
    result = read_results(result_file, length)
    if length is None:
        length = int((gt if len(gt) else result).frames.max(initial=0))
        what = f"the annotated frames of {gt_file}, and no seqinfo.ini gives a seqLength"
        check_in_frames(result, range(1, length + 1), result_file, what)
    frames = split_frames(length, split, half_convention)
    if split != "all":
        check_in_frames(result, frames, result_file, f"{split} ({half_convention})")
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
        if name not in gt_files:
            msg = f"{path}: no ground truth for it in {gt_dir}, which has {_listed(list(gt_files))}"
            raise InputError(msg)


def _listed(names: list[str]) -> str:
    """Join names, at most ten of them."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
