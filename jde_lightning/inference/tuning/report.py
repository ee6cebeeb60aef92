"""The files and the table that a search leaves: parameters, trials, plots, scores before and after."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from jde_lightning.files import written_whole
from jde_lightning.inference.cache import DetectionCache
from jde_lightning.inference.tuning.evaluation import TrackerChoice
from jde_lightning.inference.tuning.plan_run import Comparison, TuningOutcome
from jde_lightning.inference.tuning.study import Objective, StudyResult
from jde_lightning.metrics.folders import FolderScores

_SHOWN = ("HOTA", "MOTA", "IDF1", "DetA", "AssA", "IDSW")
_TRACK_OPTIONS = {
    "image_size": "--imgsz",
    "conf": "--conf",
    "iou": "--iou",
    "max_det": "--max-det",
    "precision": "--precision",
}
_COUNTS = ("IDSW",)
_OBJECTIVE_NAMES = {"hota": "HOTA", "idf1": "IDF1", "mix": "the mean of HOTA and IDF1"}


def write_report(outcome: TuningOutcome, cache: DetectionCache, objective: Objective, output: Path) -> list[Path]:
    """Write ``best.yaml``, ``scores.json``, ``trials.csv``, ``history.png`` and ``importance.png``.

    Args:
        outcome: what the search gave.
        cache: its detections.
        objective: what it maximised.
        output: folder for the files.

    Returns:
        The files.
    """
    paths = [output / name for name in ("best.yaml", "scores.json", "trials.csv", "history.png", "importance.png")]
    _write_text(paths[0], tracker_yaml(outcome, cache, objective, paths[0]))
    _write_text(paths[1], json.dumps(scores_as_json(outcome, objective), indent=2) + "\n")
    write_trials(paths[2], outcome.study)
    _write_plots(outcome.study, objective, paths[3], paths[4])
    return paths


def comparison_table(outcome: TuningOutcome) -> str:
    """Lay out the scores before and after, in percent: combined over held-out sequences first, since those count."""
    blocks = []
    if outcome.held_out is not None:
        blocks.append(_block(f"held out: {_labels(outcome, held_out=True)}", outcome.held_out))
    blocks.append(_block(f"tuned on: {_labels(outcome, held_out=False)}", outcome.tuning))
    return "\n\n".join([*blocks, outcome.plan.description])


def scores_as_json(outcome: TuningOutcome, objective: Objective) -> dict[str, Any]:
    """Return all scores (fractions in 0..1 and counts) and parameters as values that JSON can hold."""

    def both(comparison: Comparison | None) -> dict[str, FolderScores] | None:
        return None if comparison is None else {"before": comparison.before, "after": comparison.after}

    study = outcome.study
    return {
        "tracker": study.before.tracker.__name__,
        "objective": objective,
        "holdout": outcome.plan.description,
        "held_out": both(outcome.held_out),
        "tuning": both(outcome.tuning),
        "parameters": {"before": study.before.arguments, "after": study.after.arguments},
        "importance": study.importance,
        "trials": len(study.trials),
        "pruned": sum(trial.pruned for trial in study.trials),
    }


def tracker_yaml(outcome: TuningOutcome, cache: DetectionCache, objective: Objective, path: Path) -> str:
    """Return the tracker as the text of a file for ``track --tracker``; two lines of comment say where it is from.

    Args:
        outcome: what the search gave.
        cache: its detections; ``track`` must make them with the same settings.
        objective: what was maximised.
        path: of the file, for the command in the comment.
    """
    compared = outcome.held_out or outcome.tuning
    where = "held out" if outcome.held_out else "on the data it was tuned on"
    shown = ("IDF1", "HOTA") if objective == "idf1" else ("HOTA", "IDF1") if objective == "mix" else ("HOTA",)
    both = compared.before["combined"], compared.after["combined"]
    gain = ", ".join(f"{name} " + " -> ".join(f"{100 * scores[name]:.2f}" for scores in both) for name in shown)
    tracker, goal = outcome.study.after.tracker.__name__, _OBJECTIVE_NAMES[objective]
    settings = cache.origin.settings
    options = [f"{option} {settings[key]} " for key, option in _TRACK_OPTIONS.items() if "image_size" in settings]
    head = [
        f"# {tracker} tuned for {goal} on {_labels(outcome, held_out=False)}; {where}: {gain}",
        f"# jde-lightning track SOURCE --weights FILE {''.join(options)}--tracker {path.name} --output results",
    ]
    return "\n".join([*head, choice_yaml(outcome.study.after)])


def choice_yaml(choice: TrackerChoice) -> str:
    """Return class and arguments of a tracker as YAML."""
    content = {"class_path": f"jde_lightning.tracking.{choice.tracker.__name__}", "init_args": choice.arguments}
    return yaml.safe_dump(content, sort_keys=False)


def write_trials(path: Path, study: StudyResult) -> None:
    """Write one line per trial, counted from 1 as in the plot: fractions in 0..1, seconds, and the parameters.

    Args:
        path: the CSV file.
        study: the search.
    """
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.arguments))
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["trial", "state", "objective", *_SHOWN, "seconds", *names])
        writer.writeheader()
        for number, trial in enumerate(study.trials, start=1):
            scores = {
                name: trial.scores[name] if name in _COUNTS else f"{trial.scores[name]:.6f}"
                for name in _SHOWN
                if name in trial.scores
            }
            head = {"trial": number, "state": "pruned" if trial.pruned else "complete"}
            numbers = {"objective": f"{trial.value:.6f}", "seconds": f"{trial.seconds:.3f}"}
            writer.writerow({**head, **numbers, **scores, **trial.arguments})


def _write_plots(study: StudyResult, objective: Objective, history: Path, importance: Path) -> None:
    """Draw the course of the search and the importance of the parameters."""
    from jde_lightning.plots.tuning import plot_parameter_importance, plot_tuning_history  # matplotlib is slow

    name = {"hota": "HOTA", "idf1": "IDF1", "mix": "mean of HOTA and IDF1"}[objective]
    values = [trial.value for trial in study.trials]
    figure = plot_tuning_history(values, [trial.pruned for trial in study.trials], study.value_before, name)
    with written_whole(history) as path:
        figure.savefig(path, dpi=110)
    figure = plot_parameter_importance(list(study.importance), list(study.importance.values()), name)
    with written_whole(importance) as path:
        figure.savefig(path, dpi=110)


def _write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _labels(outcome: TuningOutcome, *, held_out: bool) -> str:
    """Names and parts of the sequences."""
    return ", ".join(s.label for s in (outcome.plan.held_out if held_out else outcome.plan.tuning))


def _block(title: str, comparison: Comparison) -> str:
    """Lay out combined scores, and those of each sequence where there are several."""
    lines = [["", *_SHOWN]]
    before, after = comparison.before["combined"], comparison.after["combined"]
    lines.append(["before", *(_cell(name, before[name]) for name in _SHOWN)])
    lines.append(["after", *(_cell(name, after[name]) for name in _SHOWN)])
    lines.append(["gain", *(_cell(name, after[name] - before[name], sign="+") for name in _SHOWN)])
    if len(comparison.before["sequences"]) > 1:
        for sequence, scores in comparison.before["sequences"].items():
            changed = comparison.after["sequences"][sequence]
            lines.append([sequence, *(f"{_cell(n, scores[n])} > {_cell(n, changed[n])}" for n in _SHOWN)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    return "\n".join([title, *rows])


def _cell(name: str, value: float, sign: str = "") -> str:
    """Print a count as it is and a fraction as a percentage."""
    return f"{value:{sign}d}" if name in _COUNTS else f"{100 * value:{sign}.2f}"
