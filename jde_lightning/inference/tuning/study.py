"""The search: Optuna proposes parameters, workers score them, poor ones are given up before the last sequence."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning.evaluation import TrackerChoice
from jde_lightning.inference.tuning.search_space import (
    Choice,
    SearchSpace,
    arguments_of,
    distributions,
    space_as_json,
)
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.inference.tuning.storage import TrialStore, import_optuna
from jde_lightning.inference.tuning.workers import Workers
from jde_lightning.metrics.scores import Counts, scores_from_counts, summed

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

Objective = Literal["hota", "idf1", "mix"]
OBJECTIVES: tuple[Objective, ...] = ("hota", "idf1", "mix")

_RANDOM_TRIALS = 10  # before the search starts to learn, and before anything is given up
_FEWEST_FOR_IMPORTANCE = 10
_SCORES, _ARGUMENTS, _SECONDS = "scores", "arguments", "seconds"  # what is kept of a trial beside Optuna's own


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One set of parameters that was tried.

    Attributes:
        arguments: of the tracker, those that were searched.
        value: of the objective, in 0..1; of a trial that was given up that on the sequences it had seen.
        pruned: whether it was given up.
        scores: HOTA, MOTA, IDF1 and the others on all sequences; empty if it was given up.
        seconds: how long it took.
    """

    arguments: dict[str, Any]
    value: float
    pruned: bool
    scores: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What a search found.

    Attributes:
        before: the tracker that it began with.
        after: the best tracker; ``before`` itself where nothing was better.
        value_before: objective of ``before`` on the sequences of the search, in 0..1.
        value_after: the same of ``after``.
        trials: all that was tried, in the order in which it was finished.
        importance: share of each parameter in the variance of the objective, largest first; empty where there are too
            few trials to tell.
        new_trials: how many of the trials this run has made.
        seconds: duration of this run.
    """

    before: TrackerChoice
    after: TrackerChoice
    value_before: float
    value_after: float
    trials: list[TrialRecord] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)
    new_trials: int = 0
    seconds: float = 0.0


def objective_value(counts: Sequence[Counts], objective: Objective) -> float:
    """Return the objective over sequences, in 0..1.

    Args:
        counts: of each sequence; they are added, as in a combined score.
        objective: HOTA, IDF1, or ``mix``, the mean of the two.
    """
    return objective_of(scores_from_counts(summed(counts)), objective)


def objective_of(scores: Mapping[str, float], objective: Objective) -> float:
    """Return the objective of scores, in 0..1; see :func:`objective_value`."""
    names = {"hota": ("HOTA",), "idf1": ("IDF1",), "mix": ("HOTA", "IDF1")}[objective]
    return float(sum(scores[name] for name in names) / len(names))


def search(
    workers: Workers,
    sequences: Sequence[TuningSequence],
    before: TrackerChoice,
    space: SearchSpace,
    store: Path,
    trials: int = 100,
    objective: Objective = "hota",
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    progress: bool = False,
    title: str = "tune",
) -> StudyResult:
    """Search the parameters of a tracker.

    Optuna's TPE proposes; the parameters of ``before`` are the first trial, as far as they lie in the space. A trial
    visits the sequences from few to many detections, and ends early if its objective so far is below the median of
    the others at that point. With one process and an equal seed, the search is reproducible.

    Args:
        workers: made for (at least) these sequences.
        sequences: what the objective is measured on.
        before: the tracker; parameters outside of the space stay as they are.
        space: what may be tried.
        store: SQLite file of finished trials, from which a search goes on.
        trials: number of trials in the end, those in the file included.
        objective: what to maximise.
        seed: of the proposals.
        settings: what else must be equal for the search to go on, see :class:`TrialStore`.
        progress: show a progress bar on stderr.
        title: of the progress bar.

    Raises:
        InputError: if optuna is missing, the file is of another search, or the tracker refuses parameters of the space.
    """
    started = time.perf_counter()
    order = sorted(sequences, key=lambda sequence: (sequence.detections.boxes, sequence.name))
    kept = TrialStore(store, {**_settings(order, before, space, objective), **(settings or {})})
    finished = kept.trials()
    study = _study(finished, seed)
    if not finished:
        study.enqueue_trial(_inside(space, before.arguments))
    value_before = objective_value(list(workers.counts(order, before).values()), objective)
    done = len(finished)
    hidden = None if progress else True
    with tqdm(total=max(trials, done), initial=done, desc=title, unit="trial", disable=hidden) as bar:
        running: dict[Future[Counts], _Run] = {}
        while running or done < trials:
            while len(running) < workers.jobs and done + len(running) < trials:
                _begin(study, space, before, order, workers, objective).enter(running)
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                run = running.pop(future)
                trial = run.advance(future)
                if trial is None:
                    run.enter(running)
                    continue
                kept.add(trial)
                done += 1
                bar.set_postfix_str(f"{objective} {100 * _best_value(study, value_before):.2f}", refresh=False)
                bar.update()
    best = _best(study)
    better = best is not None and _value(best) > value_before
    return StudyResult(
        before=before,
        after=before.updated(best.user_attrs[_ARGUMENTS]) if best is not None and better else before,
        value_before=value_before,
        value_after=_value(best) if best is not None and better else value_before,
        trials=[_record(trial) for trial in study.get_trials(deepcopy=False) if trial.values],
        importance=_importance(study, seed),
        new_trials=done - len(finished),
        seconds=time.perf_counter() - started,
    )


class _Run:
    """A trial on its way through the sequences."""

    def __init__(
        self,
        study: Study,
        trial: Trial,
        choice: TrackerChoice,
        arguments: dict[str, Any],
        order: Sequence[TuningSequence],
        workers: Workers,
        objective: Objective,
    ) -> None:
        self._study, self._trial, self._choice = study, trial, choice
        self._arguments, self._order = arguments, order
        self._workers, self._objective = workers, objective
        self._counts: list[Counts] = []
        self._started = time.perf_counter()

    def enter(self, running: dict[Future[Counts], _Run]) -> None:
        """Let the next sequence be scored."""
        try:
            running[self._workers.submit(self._order[len(self._counts)], self._choice)] = self
        except InputError as error:
            raise self._refused(error) from error

    def advance(self, future: Future[Counts]) -> FrozenTrial | None:
        """Take in the score of a sequence; return the trial if it is finished with that."""
        try:
            self._counts.append(future.result())
        except InputError as error:
            raise self._refused(error) from error
        value = objective_value(self._counts, self._objective)
        left = len(self._order) - len(self._counts)
        if left:
            self._trial.report(value, step=len(self._counts))
            if not self._trial.should_prune():
                return None
        self._trial.set_user_attr(_ARGUMENTS, self._arguments)
        self._trial.set_user_attr(_SECONDS, round(time.perf_counter() - self._started, 3))
        if left:
            return self._study.tell(self._trial, state=import_optuna().trial.TrialState.PRUNED)
        self._trial.set_user_attr(_SCORES, scores_from_counts(summed(self._counts)))
        return self._study.tell(self._trial, value)

    def _refused(self, error: InputError) -> InputError:
        """Say which parameters the tracker has refused."""
        return InputError(f"the tracker refuses parameters of the search space ({error}): {self._arguments}")


def _begin(
    study: Study,
    space: SearchSpace,
    before: TrackerChoice,
    order: Sequence[TuningSequence],
    workers: Workers,
    objective: Objective,
) -> _Run:
    """Ask for parameters to try."""
    trial = study.ask(distributions(space))
    arguments = arguments_of(space, trial.params)
    return _Run(study, trial, before.updated(arguments), arguments, order, workers, objective)


def _study(finished: Sequence[FrozenTrial], seed: int) -> Study:
    """Make the study in memory that proposes and gives up, with all that is known already."""
    optuna = import_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            # Looks at all parameters together; running trials count as poor, so that several jobs differ.
            multivariate=True,
            constant_liar=True,
            n_startup_trials=_RANDOM_TRIALS,
            # A search that goes on must not repeat the random trials that it began with.
            seed=seed + len(finished),
        )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_RANDOM_TRIALS)
    study: Study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.add_trials(finished)
    return study


def _settings(
    order: Sequence[TuningSequence], before: TrackerChoice, space: SearchSpace, objective: Objective
) -> dict[str, Any]:
    """What must be equal for two trials to be comparable."""
    return {
        "tracker": before.tracker.__name__,
        "arguments": before.arguments,
        "objective": objective,
        "space": space_as_json(space),
        "sequences": [
            [s.name, int(s.detections.frames[0]), int(s.detections.frames[-1]), s.detections.boxes] for s in order
        ],
    }


def _inside(space: SearchSpace, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that lie in the space; Optuna would complain of others."""
    inside: dict[str, Any] = {}
    for name, entry in space.items():
        value = arguments.get(name)
        if isinstance(entry, Choice):
            if any(value is known or (value == known and type(value) is type(known)) for known in entry.values):
                inside[name] = value
        elif isinstance(value, int | float) and entry.low <= value <= entry.high:
            steps = (value - entry.low) / entry.step if entry.step else 0.0
            if abs(steps - round(steps)) < 1e-6:
                inside[name] = value
    return inside


def _best(study: Study) -> FrozenTrial | None:
    """The best finished trial."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return max(complete, key=_value, default=None)


def _value(trial: FrozenTrial) -> float:
    """What a finished trial reached."""
    return float(trial.values[0])


def _best_value(study: Study, before: float) -> float:
    """The best value so far, that before the search included."""
    best = _best(study)
    return before if best is None else max(before, _value(best))


def _record(trial: FrozenTrial) -> TrialRecord:
    """What is told about a trial."""
    attributes = trial.user_attrs
    return TrialRecord(
        arguments=attributes.get(_ARGUMENTS, dict(trial.params)),
        value=float(trial.values[0]),
        pruned=trial.state.name == "PRUNED",
        scores=attributes.get(_SCORES, {}),
        seconds=float(attributes.get(_SECONDS, 0.0)),
    )


def _importance(study: Study, seed: int) -> dict[str, float]:
    """Share of each parameter in the variance of the objective, by fANOVA."""
    optuna = import_optuna()
    complete = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(complete) < _FEWEST_FOR_IMPORTANCE or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
