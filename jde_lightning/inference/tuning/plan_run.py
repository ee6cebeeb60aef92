"""A search with its folds, and what it gained on the data that it saw and on the data that it did not see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jde_lightning.inference.tuning.evaluation import TrackerChoice, scores_by_name
from jde_lightning.inference.tuning.holdout import Plan
from jde_lightning.inference.tuning.search_space import SearchSpace
from jde_lightning.inference.tuning.study import Objective, StudyResult, objective_of, search
from jde_lightning.inference.tuning.workers import Workers
from jde_lightning.metrics.folders import FolderScores
from jde_lightning.metrics.scores import Counts

STORE = "study.db"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores before and after a search.

    Attributes:
        before: of the tracker that the search began with.
        after: of the tracker that it found.
    """

    before: FolderScores
    after: FolderScores

    def gain(self, objective: Objective) -> float:
        """Combined objective after minus before, in fractions."""
        before, after = (objective_of(scores["combined"], objective) for scores in (self.before, self.after))
        return after - before


@dataclass(frozen=True, slots=True)
class TuningOutcome:
    """What came out of a plan.

    Attributes:
        plan: the arrangement.
        study: the search that gave the result.
        tuning: scores on the sequences of that search; too good.
        held_out: scores on sequences that the search (each fold's own) did not see; ``None`` if none were held out.
    """

    plan: Plan
    study: StudyResult
    tuning: Comparison
    held_out: Comparison | None


def run_plan(
    plan: Plan,
    workers: Workers,
    before: TrackerChoice,
    space: SearchSpace,
    output: Path,
    trials: int = 100,
    objective: Objective = "hota",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    progress: bool = False,
    title: str = "tune",
) -> TuningOutcome:
    """Search as planned; arguments as for :func:`jde_lightning.inference.tuning.study.search`.

    Args:
        plan: what is tuned on, and what is held out.
        workers: made for all sequences of the plan.
        before: the tracker to begin with.
        space: what may be tried.
        output: folder for ``study.db``, and ``fold1`` and so on with one each where there are several folds.
        trials: number of trials of each search.
        objective: what to maximise.
        seed: of the proposals.
        settings: what else must be equal for a search to go on.
        progress: show progress bars on stderr.
        title: of the progress bars.
    """

    def searched(sequences: list[Any], folder: Path, name: str) -> StudyResult:
        return search(
            workers, sequences, before, space, folder / STORE, trials, objective, seed, settings, progress, name
        )

    held_before: dict[str, Counts] = {}
    held_after: dict[str, Counts] = {}
    result = searched(plan.tuning, output, title)
    for number, fold in enumerate(plan.folds, start=1):
        found = result if plan.is_single else searched(fold.tuning, output / f"fold{number}", f"{title}, fold {number}")
        held_before |= workers.counts(fold.held_out, before)
        held_after |= workers.counts(fold.held_out, found.after)
    tuning = Comparison(
        scores_by_name(workers.counts(plan.tuning, before)), scores_by_name(workers.counts(plan.tuning, result.after))
    )
    held_out = Comparison(scores_by_name(held_before), scores_by_name(held_after)) if plan.folds else None
    return TuningOutcome(plan, result, tuning, held_out)
