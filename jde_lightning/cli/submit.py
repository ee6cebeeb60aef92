"""``jde-lightning submit``: check result files as MOTChallenge's server does, and pack them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "check result files as the MOTChallenge server does and pack them into a zip"

_EPILOG = """examples:
  jde-lightning track MOT17/train --weights last.ckpt --output results
  jde-lightning track MOT17/test --weights last.ckpt --output results
  jde-lightning submit --benchmark mot17 --results results --output mot17.zip

MOT17 wants 42 files (7 training and 7 test sequences for each of DPM, FRCNN and SDP), MOT20 wants 8. A sequence of
MOT17 that has one result is packed under all three names. More in docs/submission.md."""

_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--benchmark", choices=("mot17", "mot20"), required=True, help="whose sequences and rules")
    add(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of SEQ.txt or data/SEQ.txt of every sequence, as `track` writes them",
    )
    add("--output", type=Path, required=True, metavar="ZIP", help="the archive to write")


def run(args: argparse.Namespace) -> int:
    """Check, list every problem on stderr, or write the archive and print what it holds.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if anything is wrong with the results.
    """
    from jde_lightning.errors import InputError
    from jde_lightning.metrics.submission import check_submission, write_submission

    submission = check_submission(args.results, args.benchmark)
    for remark in submission.remarks:
        sys.stderr.write(f"note: {remark}\n")
    if submission.problems:
        count = len(submission.problems)
        for problem in submission.problems[:_SHOWN]:
            sys.stderr.write(f"problem: {problem}\n")
        if count > _SHOWN:
            sys.stderr.write(f"problem: ... and {count - _SHOWN} more\n")
        msg = f"{args.results}: {count} problem{'s' if count > 1 else ''}, so {args.output} is not written"
        raise InputError(msg)
    write_submission(submission, args.output)
    sys.stdout.write(f"{'file':<22} {'frames':>6} {'with boxes':>12} {'boxes':>8} {'ids':>6}\n")
    for result in submission.results:
        covered = f"{result.first}-{result.last}"
        for name in result.names:
            sys.stdout.write(f"{name:<22} {result.length:>6} {covered:>12} {result.rows:>8} {result.identities:>6}\n")
    size = args.output.stat().st_size / 1e6
    sys.stdout.write(f"{args.output}: {len(submission.file_names)} files, {size:.1f} MB\n")
    return 0
