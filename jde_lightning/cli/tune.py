"""``jde-lightning tune``: search a tracker's parameters on a cache of detections, without a network."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jde_lightning.cli.early_checks import check_paths
from jde_lightning.cli.options import HALF_HELP, TRACKERS

if TYPE_CHECKING:
    from jde_lightning.inference.cache import DetectionCache
    from jde_lightning.inference.tuning.evaluation import TrackerChoice
    from jde_lightning.inference.tuning.holdout import Plan
    from jde_lightning.inference.tuning.plan_run import TuningOutcome
    from jde_lightning.inference.tuning.search_space import SearchSpace
    from jde_lightning.inference.tuning.workers import Workers

HELP = "search a tracker's parameters on the detections of `cache`, and say honestly what they gain"

_EPILOG = """\
examples:
  jde-lightning cache MOT17/train --weights last.ckpt --output mot17.npz
  jde-lightning tune mot17.npz --gt MOT17/train --tracker yolo11_jde --output runs/tune --trials 200 --jobs 4
  jde-lightning tune mot17.npz --gt MOT17/train --holdout half --output runs/half     (first halves tune)
  jde-lightning tune mot17.npz --gt MOT17/train --table7 --output runs/table7         (Table 7 of the paper)
  jde-lightning track MOT17/test --weights last.ckpt --conf 0.05 --tracker runs/tune/best.yaml --output results

--output gets best.yaml (for `track --tracker`), scores.json, trials.csv, history.png, importance.png and study.db. The
same command goes on where it was interrupted; a larger --trials goes on from what there is. What is held out judges the
result and chooses nothing: see docs/tuning.md. Needs optuna: pip install "jde-lightning[tune]".

A search space (--space FILE) is YAML:
  track_high_thresh: {low: 0.1, high: 0.7, step: 0.05}
  track_low_thresh: {low: 0.1, high: 0.7, step: 0.05, at_most: track_high_thresh}
  first_fuse: [true, false]
"""
_CONFIDENCES = ("track_low_thresh", "conf_thresh")
_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    from jde_lightning.metrics.sequences import BENCHMARKS, HALF_CONVENTIONS, SPLITS

    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("cache", type=Path, metavar="CACHE", help="file of `jde-lightning cache`")
    add(
        "--gt",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of ground truth: SEQ/gt/gt.txt with SEQ/seqinfo.ini, or flat SEQ.txt",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder for the results: best.yaml, scores.json, ...")
    add("--tracker", metavar="NAME", help=f"to begin with: {TRACKERS} (default: yolo11_jde)")
    add("--no-appearance", action="store_true", help="track by motion only")
    add("--table7", action="store_true", help="tune both trackers and write the paper's Table 7, published beside")
    add("--weights", type=Path, metavar="FILE", help="refuse a cache that is not of these weights")
    group = parser.add_argument_group("search")
    add = group.add_argument
    add(
        "--trials",
        type=int,
        default=100,
        metavar="N",
        help="trials in the end, those of before included (default: 100)",
    )
    add(
        "--objective",
        choices=("hota", "idf1", "mix"),
        default="hota",
        help="mix: mean of HOTA and IDF1 (default: hota)",
    )
    add("--space", type=Path, metavar="FILE", help="YAML of what may be tried (default: that of the tracker's authors)")
    add("--jobs", type=int, default=1, metavar="N", help="processes that track and score (default: 1)")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="with one process, an equal seed gives equal results (default: 0)",
    )
    group = parser.add_argument_group("data")
    add = group.add_argument
    add(
        "--holdout",
        nargs="+",
        metavar="SEQ",
        help="names or patterns of sequences that only judge; or half: first halves tune, second halves judge; or none"
        " (default: every third sequence; of a single one, the second half)",
    )
    add("--folds", type=int, metavar="K", help="instead of --holdout: K+1 searches, every sequence judges once")
    add("--split", choices=SPLITS, default="all", help="part of each sequence that takes part at all (default: all)")
    add(
        "--half-convention", choices=HALF_CONVENTIONS, default="centertrack", help=f"{HALF_HELP} (default: centertrack)"
    )
    add("--benchmark", choices=BENCHMARKS, default="mot17", help="whose rules hold, as in evaluate (default: mot17)")


def run(args: argparse.Namespace) -> int:
    """Search, write the results and print the scores before and after.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if a file or value cannot be used.
    """
    _check_usage(args)
    check_paths(gt=args.gt, space=args.space, weights=args.weights)

    from jde_lightning.inference.cache import read_cache
    from jde_lightning.inference.tuning.holdout import plan_holdout
    from jde_lightning.inference.tuning.sequences import tuning_sequences
    from jde_lightning.inference.tuning.storage import import_optuna
    from jde_lightning.inference.tuning.workers import Workers

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    import_optuna()
    cache = read_cache(args.cache, args.weights)
    sequences = tuning_sequences(cache, args.gt, args.benchmark, args.split, args.half_convention)
    plan = plan_holdout(sequences, args.holdout, args.folds, args.half_convention)
    _LOG.info("tuned on: %s", ", ".join(sequence.label for sequence in plan.tuning))
    _LOG.info("%s", plan.description)
    appearance = cache.embed_dim is not None and not args.no_appearance
    if cache.embed_dim is None:
        _LOG.info("%s holds no embeddings: tracking by motion only", args.cache)
    searches = _searches(args, appearance)
    try:
        with Workers([*plan.tuning, *plan.held_out], args.jobs, args.benchmark) as workers:
            outcomes = [_search(args, cache, plan, workers, *search) for search in searches]
    except KeyboardInterrupt:
        _LOG.info("finished trials are kept in %s; the same command goes on from them", args.output)
        raise
    if args.table7:
        from jde_lightning.inference.tuning.table7 import table7_markdown, table7_rows, write_table7

        rows = table7_rows(*outcomes)
        sys.stdout.write(table7_markdown(rows, plan.description))
        for path in write_table7(rows, plan.description, args.output):
            sys.stdout.write(f"  {path}\n")
    return 0


def _check_usage(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other or make no sense."""
    from jde_lightning.errors import UsageError

    for name in ("trials", "jobs"):
        if getattr(args, name) < 1:
            msg = f"--{name} must be at least 1, got {getattr(args, name)}"
            raise UsageError(msg)
    if args.table7 and (args.tracker or args.space):
        msg = "--table7 has its own two trackers; leave --tracker and --space out"
        raise UsageError(msg)
    if args.folds is not None and args.holdout is not None:
        msg = "--folds and --holdout exclude each other"
        raise UsageError(msg)


def _searches(args: argparse.Namespace, appearance: bool) -> list[tuple[TrackerChoice, SearchSpace, Path]]:
    """The trackers to tune, with what may be tried and where the results go."""
    from jde_lightning.inference.tuning.evaluation import TrackerChoice
    from jde_lightning.inference.tuning.search_space import default_space, read_space
    from jde_lightning.inference.tuning.table7 import table7_trackers

    if args.table7:
        return [
            (choice, default_space(choice.tracker, choice.appearance), args.output / name.lower().replace("-", "_"))
            for name, choice in table7_trackers(appearance).items()
        ]
    choice = TrackerChoice.load(args.tracker or "yolo11_jde", appearance)
    space = (
        read_space(args.space, choice.tracker, choice.arguments)
        if args.space
        else default_space(choice.tracker, choice.appearance)
    )
    return [(choice, space, args.output)]


def _search(
    args: argparse.Namespace,
    cache: DetectionCache,
    plan: Plan,
    workers: Workers,
    choice: TrackerChoice,
    space: SearchSpace,
    folder: Path,
) -> TuningOutcome:
    """Tune one tracker, write its files and print its scores."""
    from jde_lightning.inference.tuning.evaluation import check_embeddings
    from jde_lightning.inference.tuning.plan_run import run_plan
    from jde_lightning.inference.tuning.report import comparison_table, write_report
    from jde_lightning.inference.tuning.search_space import Range

    check_embeddings(plan.tuning, choice)
    conf = cache.origin.settings.get("conf", 0.0)
    for name in _CONFIDENCES:
        entry = space.get(name)
        if isinstance(entry, Range) and entry.low < conf:
            _LOG.warning("%s is tried from %g on, but the cache holds detections from %g on", name, entry.low, conf)
    outcome = run_plan(
        plan,
        workers,
        choice,
        space,
        folder,
        trials=args.trials,
        objective=args.objective,
        seed=args.seed,
        settings={"benchmark": args.benchmark, "detections": cache.origin.sha256, "detector": cache.origin.settings},
        progress=True,
        title=choice.tracker.__name__,
    )
    paths = write_report(outcome, cache, args.objective, folder)
    study = outcome.study
    if study.new_trials:
        rate = 60 * study.new_trials / study.seconds
        _LOG.info("%d trials in %.0f s, %.0f a minute", study.new_trials, study.seconds, rate)
    sys.stdout.write(f"{choice.tracker.__name__}, {len(study.trials)} trials\n\n{comparison_table(outcome)}\n\n")
    if study.after == study.before:
        sys.stdout.write("No trial was better than the parameters that the search began with.\n")
    elif outcome.held_out is not None and outcome.held_out.gain(args.objective) < 0:
        sys.stdout.write(
            "The gain does not carry over: on what was held out the tuned parameters are worse. Keep the old ones, or "
            "tune on more sequences.\n"
        )
    for path in paths:
        sys.stdout.write(f"  {path}\n")
    sys.stdout.flush()
    return outcome
