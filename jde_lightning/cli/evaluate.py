"""``jde-lightning evaluate``: score result files against ground truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from jde_lightning.cli.options import HALF_HELP

HELP = "score MOTChallenge result files with HOTA, MOTA, IDF1 (equal to TrackEval)"

_EPILOG = """examples:
  jde-lightning evaluate --gt MOT17/train --results runs/track --sequences "*-FRCNN" \\
      --split val_half --json scores.json
  jde-lightning evaluate --gt traffic/val --results runs/track --benchmark none --class-names person car
  jde-lightning evaluate --gt MOT17/train --results runs/track --switches runs/switches

The table shows percentages, the JSON file fractions: {"combined": {...}, "sequences": {SEQ: {...}}}, with several
classes also "class_averaged": {...} and "classes": {NAME: {"combined": ..., "sequences": ...}}; docs/evaluation.md."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb.

    Args:
        parser: the verb's own parser.
    """
    from jde_lightning.metrics.sequences import BENCHMARKS, HALF_CONVENTIONS, SPLITS

    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--gt",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of ground truth: SEQ/gt/gt.txt with SEQ/seqinfo.ini, one such SEQ, or flat SEQ.txt files",
    )
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of SEQ.txt or data/SEQ.txt, as `track` writes them",
    )
    parser.add_argument(
        "--benchmark",
        choices=BENCHMARKS,
        default="mot17",
        help="whose rules for distractors and classes hold; none: every row with mark 1 counts (default: %(default)s)",
    )
    parser.add_argument("--split", choices=SPLITS, default="all", help="part of each sequence (default: %(default)s)")
    parser.add_argument(
        "--half-convention",
        choices=HALF_CONVENTIONS,
        default="centertrack",
        help=f"{HALF_HELP} (default: %(default)s)",
    )
    parser.add_argument("--sequences", nargs="+", metavar="NAME", help='names or patterns, e.g. "MOT17-*-FRCNN"')
    parser.add_argument(
        "--classes",
        nargs="+",
        type=int,
        metavar="N",
        help="evaluate several classes, by their numbers in column 8; needs --benchmark none",
    )
    parser.add_argument(
        "--class-names", nargs="+", metavar="NAME", help="names of --classes; without those, of the classes 1, 2, ..."
    )
    group = parser.add_argument_group("identity switches")
    group.add_argument(
        "--switches",
        type=Path,
        metavar="DIR",
        help="write a page with pictures of every identity switch; with SEQ.npz beside SEQ.txt (written by"
        " `track --explain`) also how alike the tracks look and what decided",
    )
    group.add_argument(
        "--images", type=Path, metavar="DIR", help="SEQ/img1 or SEQ with images (default: SEQ/img1 beside gt)"
    )
    group.add_argument(
        "--max-switches", type=int, default=200, metavar="N", help="most switches with pictures (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all scores as JSON, fractions of 1")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, write the JSON file.

    Args:
        args: the parsed options.

    Returns:
        The exit code.
    """
    from jde_lightning.errors import UsageError
    from jde_lightning.files import written_whole
    from jde_lightning.metrics.classes import named_classes
    from jde_lightning.metrics.folders import evaluate_folder
    from jde_lightning.metrics.tracking_table import tracking_table

    if args.max_switches < 0:
        msg = f"--max-switches must be at least 0, got {args.max_switches}"
        raise UsageError(msg)
    if args.images and not args.switches:
        msg = "--images is for the pictures of --switches DIR, which is missing"
        raise UsageError(msg)
    classes = named_classes(args.classes, args.class_names)
    chosen = (args.benchmark, args.split, args.half_convention, args.sequences)
    scores = evaluate_folder(args.gt, args.results, *chosen, progress=True, classes=classes)
    print(tracking_table(scores))
    if args.json:
        with written_whole(args.json) as temporary:
            temporary.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    if args.switches:
        from jde_lightning.inference.switch_report import write_switch_report

        report = write_switch_report(
            args.switches,
            args.gt,
            args.results,
            *chosen,
            classes=classes,
            images=args.images,
            limit=args.max_switches,
            progress=True,
        )
        print(f"\n{report.switches} identity switches, {report.drawn} of them with pictures: {report.page}")
    return 0
