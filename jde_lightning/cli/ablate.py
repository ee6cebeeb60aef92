"""``jde-lightning ablate``: train the rows of an ablation, and set what came out beside what was published."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jde_lightning.cli.ablation_rows import AblationRow
    from jde_lightning.cli.ablation_runs import Run
    from jde_lightning.cli.ablation_table import RowResult

HELP = "train rows of an ablation one after the other, and write the table as CSV and Markdown"

TAKES_FIT_ARGUMENTS = True
"""The words after ``--`` go to ``fit``."""

_EPILOG = """\
examples:
  jde-lightning ablate configs/ablations/table2 -- --data.root DATASETS --model.weights yolo11s.pt
  jde-lightning ablate configs/ablations --print-commands -- --data.root DATASETS      (one job per line, for a cluster)
  jde-lightning ablate configs/ablations --report-only -- --data.root DATASETS --model.weights yolo11s.pt
  jde-lightning ablate configs/studies/supervision --base configs/quickstart.yaml --seeds 0 1 2       (mean and spread)

A row is `fit --config BASE --config ROW` with the arguments after --, in a process of its own; one that fails is noted
and the next begins. A row whose run is finished is not trained again, one that was interrupted goes on from its last
checkpoint: start the same command again after Ctrl-C. Finished: metrics.csv of a run below the row's
trainer.default_root_dir holds the validation of the last epoch, and its config.yaml has the row's settings (devices,
folders and workers aside). So --report-only wants the same arguments after -- as the training.
A table that has numbers is never replaced by one that has none. Exit code 1 where a row failed, or where --report-only
finds no finished run.
"""
_BASE = Path("experiments/paper_ablation")
_TABLE = Path("runs/ablations")  # below --runs: beside the folders runs/table1 and so on of the rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.usage = "%(prog)s ROW [ROW ...] [options] [-- arguments of fit]"
    add = parser.add_argument
    add("rows", nargs="+", type=Path, metavar="ROW", help="YAML of a row, a folder of such, or a packaged name")
    add(
        "--base",
        action="append",
        type=Path,
        metavar="FILE",
        help=f"what rows are laid over; may repeat (default: {_BASE})",
    )
    add("--runs", type=Path, default=Path(), metavar="DIR", help="where the run folders of the rows go (default: here)")
    add(
        "--table",
        type=Path,
        metavar="DIR",
        help=f"folder for ablations.csv, ablations.md and pictures (default: {_TABLE} below --runs)",
    )
    add(
        "--epoch",
        choices=("last", "best"),
        default="last",
        help="validation to report; best: by HOTA (default: %(default)s)",
    )
    add("--seeds", type=int, nargs="+", metavar="N", help="train each row with each; table of mean and spread")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--report-only", action="store_true", help="train nothing, collect what is finished")
    what.add_argument("--print-commands", action="store_true", help="print the fit commands of what is not finished")


def run(args: argparse.Namespace) -> int:
    """Train what is not finished, write the tables and print them.

    Args:
        args: the parsed arguments of :func:`add_arguments`, and ``fit``: the words after ``--``.

    Returns:
        0; 1 if a row failed, or ``--report-only`` found no finished run. Some that it finds unfinished are no failure.

    Raises:
        InputError: if rows, base or arguments cannot be used.
        KeyboardInterrupt: after Ctrl-C; the tables are written, unless empty ones would replace filled ones.
    """
    from jde_lightning.cli.ablation_rows import load_rows
    from jde_lightning.cli.ablation_table import markdown

    rows = load_rows(args.rows, args.base or [_BASE], args.runs, args.fit, tuple(dict.fromkeys(args.seeds or [None])))
    folder = args.table or args.runs / _TABLE
    if args.print_commands:
        _print_commands(rows)
        return 0
    if args.report_only and not _finished(rows):
        _tell_that_nothing_is_finished(rows, _collect(rows, args.epoch, {}), folder)
        return 1
    failures: dict[tuple[Path, int | None], str] = {}
    try:
        if not args.report_only:
            for place, row in enumerate(rows, 1):
                failed = [failures[other.key] for other in _same_run(row, rows) if other.key in failures]
                failure = failed[0] if failed else _train(row, f"[{place}/{len(rows)}]")
                if failure:
                    failures[row.key] = failure
                _write(rows, _collect(rows, args.epoch, failures), folder)
    finally:
        results = _collect(rows, args.epoch, failures)
        written = _write(rows, results, folder)
    sys.stdout.write("\n".join([markdown(results), *map(str, written), ""]))
    finished = sum(not result.note for result in results)
    sys.stderr.write(f"{finished} of {len(results)} rows are finished, {len(failures)} runs failed\n")
    if not written:
        sys.stderr.write(f"{folder}: the table of other runs is left as it was, since none of these is finished\n")
    return int(bool(failures))


def _finished(rows: list[AblationRow]) -> bool:
    """Whether any row has a finished run."""
    from jde_lightning.cli.ablation_runs import find_run

    return any(run is not None and run.finished for run, _ in map(find_run, rows))


def _write(rows: list[AblationRow], results: list[RowResult], folder: Path) -> list[Path]:
    """Write the tables, unless they are empty and would replace some that are not.

    Returns:
        The files; none where the earlier ones are left.
    """
    from jde_lightning.cli.ablation_table import has_numbers, write_tables

    return write_tables(results, folder) if _finished(rows) or not has_numbers(folder) else []


def _tell_that_nothing_is_finished(rows: list[AblationRow], results: list[RowResult], folder: Path) -> None:
    """Print what there is, write nothing, and say what was looked for and where."""
    from jde_lightning.cli.ablation_table import markdown

    sys.stdout.write(markdown(results))
    places = f"{rows[0].root}" + (f" and {len(rows) - 1} more folders" if len(rows) > 1 else "")
    sys.stderr.write(
        f"no finished run of these settings in {places}; nothing is written to {folder}. "
        "Repeat the arguments after -- (and --runs, --base, --seeds) with which the rows were trained\n"
    )


def _print_commands(rows: list[AblationRow]) -> None:
    """Print a command for each run that is not finished; rows that share a run are one."""
    import shlex

    from jde_lightning.cli.ablation_runs import find_run

    for row in rows:
        done, _ = find_run(row)
        if _same_run(row, rows)[0] is row and not (done and done.finished):
            sys.stdout.write(shlex.join(["jde-lightning", *row.words, *_go_on(done)]) + "\n")


def _same_run(row: AblationRow, rows: list[AblationRow]) -> list[AblationRow]:
    """The rows, this one among them, that one run serves: the base is a row of most tables."""
    return [other for other in rows if other.settings == row.settings and other.root == row.root]


def _train(row: AblationRow, place: str) -> str:
    """Train a row that is not finished.

    Returns:
        Why it failed; empty if it did not.
    """
    from jde_lightning.cli.ablation_runs import find_run
    from jde_lightning.cli.child import run_command

    title = f"{place} {row.path}" + ("" if row.seed is None else f", seed {row.seed}")
    done, _ = find_run(row)
    if done is not None and done.finished:
        sys.stderr.write(f"{title}: finished in {done.folder}\n")
        return ""
    goes_on = _go_on(done)
    sys.stderr.write(f"{title}: {f'goes on from {goes_on[1]}' if goes_on else f'trains in {row.root}'}\n")
    code, last_line = run_command([sys.executable, "-m", "jde_lightning", *row.words, *goes_on])
    done, _ = find_run(row)
    if code == 0 and done is not None and done.finished:
        sys.stderr.write(f"{title}: finished in {done.folder}\n")
        return ""
    reason = f"exit code {code}: {last_line}" if code else "fit ended without the last validation"
    sys.stderr.write(f"{title}: failed, {reason}\n")
    return f"failed, {reason}"


def _go_on(run: Run | None) -> list[str]:
    """Words that let an unfinished run go on, in its own folder."""
    return ["--ckpt_path", str(run.folder)] if run is not None and run.checkpoint is not None else []


def _collect(rows: list[AblationRow], epoch: str, failures: dict[tuple[Path, int | None], str]) -> list[RowResult]:
    """The lines of the table, from what lies on disk; the runs of one row with several seeds are one line."""
    from jde_lightning.cli.ablation_table import of_seeds

    results: dict[Path, list[tuple[int | None, RowResult]]] = {}
    for row in rows:
        results.setdefault(row.path, []).append((row.seed, _result(row, epoch, failures.get(row.key, ""))))
    return [of_seeds(runs) for runs in results.values()]


def _result(row: AblationRow, epoch: str, failure: str) -> RowResult:
    """What lies on disk of one row with one seed."""
    from jde_lightning.cli.ablation_notes import deviations
    from jde_lightning.cli.ablation_runs import find_run
    from jde_lightning.cli.ablation_table import RowResult

    done, note = find_run(row, "best" if epoch == "best" else "last")
    if done is None:
        return RowResult(row.table, row.name, row.published, note=failure or note)
    if not done.finished:
        note = failure or f"unfinished, epoch {done.epochs} of {row.epochs}"
    elif "hota" not in done.measured:
        note = "no tracking metrics: no validation sequence has identities"
    measured = done.measured if done.finished else {}
    return RowResult(
        row.table,
        row.name,
        row.published,
        measured,
        done.epochs,
        done.seconds,
        done.folder,
        note=note,
        deviations=deviations(row),
    )
