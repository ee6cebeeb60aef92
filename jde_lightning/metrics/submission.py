"""Check a folder of result files as MOTChallenge's server does, and pack them as it wants them.

The server takes few submissions, and answers a wrong one with one line. Here every problem is found at once.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from jde_lightning.errors import InputError, UsageError
from jde_lightning.files import written_whole
from jde_lightning.metrics.mot_challenge import PARTIAL, MOTRows, parse_results, partial_hint

SubmissionBenchmark = Literal["mot17", "mot20"]

SEQUENCE_LENGTHS: dict[str, dict[str, int]] = {
    "mot17": {
        **{"MOT17-01": 450, "MOT17-02": 600, "MOT17-03": 1500, "MOT17-04": 1050, "MOT17-05": 837, "MOT17-06": 1194},
        **{"MOT17-07": 500, "MOT17-08": 625, "MOT17-09": 525, "MOT17-10": 654, "MOT17-11": 900, "MOT17-12": 900},
        **{"MOT17-13": 750, "MOT17-14": 750},
    },
    "mot20": {
        **{"MOT20-01": 429, "MOT20-02": 2782, "MOT20-03": 2405, "MOT20-04": 2080, "MOT20-05": 3315},
        **{"MOT20-06": 1008, "MOT20-07": 585, "MOT20-08": 806},
    },
}
"""Frames of the official sequences, training and test, as their ``seqinfo.ini`` says."""

_DETECTORS = {"mot17": ("DPM", "FRCNN", "SDP"), "mot20": ()}
_COLUMNS = 10
_GROUND_TRUTH_COLUMNS = 9
_PROBLEMS_PER_FILE = 10
_COVERED = 0.9
"""A result that begins or ends farther from the ends of its sequence is probably one of half a sequence."""


@dataclass(frozen=True, slots=True)
class SequenceResult:
    """The result of one sequence, checked.

    Attributes:
        path: the file that was found.
        names: the files that it becomes in the archive.
        length: number of frames of the sequence.
        rows: number of boxes.
        identities: number of different ids.
        first: first frame with a box; 0 where there is none.
        last: last frame with a box; 0 where there is none.
        text: the rows as they are packed: no byte order mark, no blank lines, Unix line ends.
    """

    path: Path
    names: tuple[str, ...]
    length: int
    rows: int
    identities: int
    first: int
    last: int
    text: str


@dataclass(slots=True)
class Submission:
    """What a folder of results would be as a submission.

    Attributes:
        benchmark: whose rules were checked.
        results: what was found, in the order of the sequences.
        problems: one line each, with file and line; with any of them the server would refuse the submission.
        remarks: one line each; nothing that the server refuses, but worth a look.
    """

    benchmark: SubmissionBenchmark
    results: list[SequenceResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def file_names(self) -> list[str]:
        """Names of the files in the archive, sorted."""
        return sorted(name for result in self.results for name in result.names)


def check_submission(results_dir: Path, benchmark: SubmissionBenchmark) -> Submission:
    """Check every result file of a benchmark.

    Args:
        results_dir: folder with ``SEQ.txt`` files, or with ``data/SEQ.txt`` as TrackEval keeps them. A sequence of
            MOT17 may have one file (``MOT17-01.txt`` or with any of the three detectors' names), which then stands
            for all three, as for a tracker with a detector of its own; or all three.
        benchmark: whose sequences are expected.

    Returns:
        The results, and everything that is wrong with them.

    Raises:
        InputError: if there is no such folder.
    """
    if not results_dir.is_dir():
        msg = f"{results_dir}: no such folder; expected one with result files such as {benchmark.upper()}-01.txt"
        raise InputError(msg)
    paths = _text_files(results_dir / "data") or _text_files(results_dir)
    found = {path.name: path for path in paths}
    submission = Submission(benchmark)
    for sequence, length in SEQUENCE_LENGTHS[benchmark].items():
        for path, names in _files_of(sequence, found, results_dir, submission):
            result = _check_file(path, names, length, submission)
            if result is not None:
                submission.results.append(result)
    copied = [result.path.name for result in submission.results if len(result.names) > 1]
    if copied:
        detectors = ", ".join(_DETECTORS[benchmark])
        submission.remarks.append(f"one file each stands for {detectors}, {len(copied)} in all: {', '.join(copied)}")
    for name, path in found.items():  # what is left
        if path.stem.endswith(PARTIAL) and path.stem.removesuffix(PARTIAL) in _stems(benchmark):
            submission.problems.append(f"{path}: {partial_hint(path.stem.removesuffix(PARTIAL))}")
        elif name.lower().startswith(benchmark):
            hint = "names are case-sensitive, such as"
            msg = f"{path}: no sequence of {benchmark.upper()} is called so; {hint} {_examples(benchmark)}"
            submission.problems.append(msg)
        else:
            submission.remarks.append(f"{path}: not part of {benchmark.upper()}, left out")
    return submission


def write_submission(submission: Submission, path: Path) -> None:
    """Pack a checked submission: all files in the root of one archive. The same results give the same bytes.

    Args:
        submission: without problems.
        path: of the archive, ``.zip``; written whole.

    Raises:
        InputError: if the submission has problems, or the name is no ``.zip``.
    """
    if submission.problems:
        first = submission.problems[0]
        msg = f"{len(submission.problems)} problems, so no {path.name} is written; the first one: {first}"
        raise InputError(msg)
    if path.suffix.lower() != ".zip":
        msg = f"{path}: the server takes .zip files only; call it {path.stem}.zip"
        raise UsageError(msg)
    texts = {name: result.text for result in submission.results for name in result.names}
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in submission.file_names:
            # Without a date, an owner and a system of its own.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, texts[name].encode("ascii"), zipfile.ZIP_DEFLATED, compresslevel=9)


def _text_files(folder: Path) -> list[Path]:
    """What is called ``.txt`` in a folder, in any case, sorted; nothing where there is no such folder."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() == ".txt")


def _stems(benchmark: SubmissionBenchmark) -> set[str]:
    """Names that files may have, without ``.txt``."""
    endings = ("", *(f"-{detector}" for detector in _DETECTORS[benchmark]))
    return {f"{sequence}{ending}" for sequence in SEQUENCE_LENGTHS[benchmark] for ending in endings}


def _examples(benchmark: SubmissionBenchmark) -> str:
    """Names that files may have."""
    return "MOT17-01.txt or MOT17-01-FRCNN.txt" if _DETECTORS[benchmark] else "MOT20-01.txt"


def _files_of(
    sequence: str, found: dict[str, Path], folder: Path, submission: Submission
) -> list[tuple[Path, tuple[str, ...]]]:
    """Take the files of one sequence out of those found, each with the names that it gets in the archive."""
    names = tuple(f"{sequence}-{detector}.txt" for detector in _DETECTORS[submission.benchmark])
    plain = f"{sequence}.txt"
    there = [name for name in (plain, *names) if name in found]
    paths = {name: found.pop(name) for name in there}
    if there == list(names or (plain,)):
        return [(paths[name], (name,)) for name in there]
    if len(there) == 1:
        return [(paths[there[0]], names)]
    if not there:
        similar = [name for name in found if name.lower() in {n.lower() for n in (plain, *names)}]
        other = f"; {found.pop(similar[0]).name} differs in case" if similar else ""
        msg = f"{folder}: no result of {sequence}, expected {plain}"
        msg += f" or {', '.join(names)}" if names else ""
        submission.problems.append(f"{msg}; an empty file if nothing was found{other}")
    elif plain in there:
        msg = f"{folder}: both {plain} and {', '.join(there[1:])}; keep one file for all three detectors, or three"
        submission.problems.append(msg)
    else:
        missing = ", ".join(name for name in names if name not in there)
        submission.problems.append(f"{folder}: {', '.join(there)}, but no {missing}; give all three, or one for all")
    return []


def _check_file(path: Path, names: tuple[str, ...], length: int, submission: Submission) -> SequenceResult | None:
    """Check one file; ``None`` if it cannot be packed."""
    if not path.is_file():
        submission.problems.append(f"{path}: a folder, expected a file of {_COLUMNS} numbers a line")
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        submission.problems.append(f"{path}: not a text file ({error.reason}); expected {_COLUMNS} numbers a line")
        return None
    lines = text.splitlines()
    rows, problems = _parse_all(lines, path)
    problems += _row_problems(rows, lines, path, length)
    if problems:
        # By line, whichever check found them.
        submission.problems += sorted(problems, key=_line_number)[:_PROBLEMS_PER_FILE]
        if len(problems) > _PROBLEMS_PER_FILE:
            submission.problems.append(f"{path}: and more; these were the first {_PROBLEMS_PER_FILE}")
        return None
    frames = rows.frames
    first, last = (int(frames.min()), int(frames.max())) if len(rows) else (0, 0)
    if not len(rows):
        submission.remarks.append(f"{path}: empty, so the tracker found nobody in {length} frames")
    elif first > length * (1 - _COVERED) or last < length * _COVERED:
        where = f"boxes in frames {first} to {last} of {length} only"
        submission.remarks.append(f"{path}: {where}; was the whole sequence tracked (track --split all)?")
    packed = "".join(f"{line.strip()}\n" for line in lines if line.strip())
    return SequenceResult(path, names, length, len(rows), len(np.unique(rows.ids)), first, last, packed)


def _parse_all(lines: list[str], path: Path) -> tuple[MOTRows, list[str]]:
    """Parse the rows that can be, and collect what is wrong with the others.

    The parser stops at the first problem, so the line that it names is taken out (``lines`` changes) and it begins
    again.
    """
    problems: list[str] = []
    for index, line in enumerate(lines):
        columns = line.count(",") + 1
        if not line.strip():
            continue
        if columns != _COLUMNS:
            hint = "; is it ground truth?" if columns == _GROUND_TRUTH_COLUMNS else ""
            problems.append(f"{path}, line {index + 1}: {columns} columns, expected {_COLUMNS}{hint}")
        elif not line.isascii():  # digits of other scripts are numbers for Python, but not for the server
            problems.append(f"{path}, line {index + 1}: {line[:40]!r} holds other characters than plain numbers")
        else:
            continue
        lines[index] = ""
    while len(problems) <= _PROBLEMS_PER_FILE:
        try:
            return parse_results("\n".join(lines), str(path)), problems
        except InputError as error:
            problems.append(str(error))
            number = _line_number(str(error))
            if not number:
                break
            lines[number - 1] = ""
    return parse_results(""), problems


def _row_problems(rows: MOTRows, lines: list[str], path: Path, length: int) -> list[str]:
    """What is wrong with rows that can be parsed."""
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    problems = []
    for row in np.flatnonzero((rows.frames < 1) | (rows.frames > length)):
        problems.append(f"{path}, line {numbers[row]}: frame {rows.frames[row]}, expected 1 to {length}")
    for row in np.flatnonzero((rows.boxes_ltwh[:, 2:] <= 0).any(axis=1)):
        width, height = rows.boxes_ltwh[row, 2:]
        problems.append(f"{path}, line {numbers[row]}: a box of {width:g} x {height:g} pixels, expected above 0")
    return problems


def _line_number(problem: str) -> int:
    """The line that a message names; 0 where it names none."""
    match = re.search(r", line (\d+): ", problem)
    return int(match[1]) if match else 0
