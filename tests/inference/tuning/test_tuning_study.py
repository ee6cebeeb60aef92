"""The search: what it tries, what it gives up, how it goes on, and that it finds what is better."""

import sqlite3
import subprocess
import sys

import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning import storage
from jde_lightning.inference.tuning.evaluation import TrackerChoice, evaluate_sequences
from jde_lightning.inference.tuning.search_space import Choice, Range, default_space
from jde_lightning.inference.tuning.study import objective_value, search
from jde_lightning.inference.tuning.workers import Workers
from jde_lightning.metrics.scores import scores_from_counts, summed

optuna = pytest.importorskip("optuna")

POOR = {"new_track_thresh": 0.95}  # hardly anybody is tracked


@pytest.fixture
def before():
    return TrackerChoice.load("yolo11_jde").updated(POOR)


def searched(sequences, before, store, trials=15, space=None, jobs=1, **options):
    space = space or default_space(before.tracker)
    with Workers(sequences, jobs) as workers:
        return search(workers, sequences, before, space, store, trials, **options)


def told(result):
    return [(trial.arguments, trial.value, trial.pruned, trial.scores) for trial in result.trials]


def test_it_finds_what_is_better_and_says_by_how_much(tmp_path, sequences, before):
    result = searched(sequences, before, tmp_path / "study.db")
    assert len(result.trials) == result.new_trials == 15
    assert result.value_after > result.value_before + 0.1
    # the numbers are those of the trackers that it names
    assert evaluate_sequences(sequences, before)["combined"]["HOTA"] == result.value_before
    assert evaluate_sequences(sequences, result.after)["combined"]["HOTA"] == result.value_after
    assert result.value_after == max(trial.value for trial in result.trials if not trial.pruned)
    assert result.after.arguments["appearance"] is True  # what is not searched stays


def test_the_first_trial_is_the_tracker_that_it_began_with(tmp_path, sequences, before):
    result = searched(sequences, before, tmp_path / "study.db", trials=1)
    assert result.trials[0].arguments.items() <= before.arguments.items()
    assert result.trials[0].value == result.value_before
    assert result.after == before


def test_equal_seeds_give_equal_searches(tmp_path, sequences, before):
    one, same, other = (
        searched(sequences[:2], before, tmp_path / name, 12, seed=seed) for name, seed in (("1", 0), ("2", 0), ("3", 1))
    )
    assert told(one) == told(same)
    assert told(one) != told(other)


def test_it_goes_on_where_it_was(tmp_path, sequences, before):
    first = searched(sequences, before, tmp_path / "study.db", trials=6)
    more = searched(sequences, before, tmp_path / "study.db", trials=14)
    assert told(more)[:6] == told(first)
    assert (len(more.trials), more.new_trials) == (14, 8)
    # random trials must not be repeated
    assert all(trial.arguments != old.arguments for trial in more.trials[6:] for old in first.trials)
    nothing = searched(sequences, before, tmp_path / "study.db", trials=5)
    assert (told(nothing), nothing.new_trials) == (told(more), 0)
    assert nothing.after == more.after


def test_an_interrupt_keeps_what_is_finished(tmp_path, sequences, before, monkeypatch):
    calls = iter(range(1000))
    real = Workers.submit

    def interrupted(self, sequence, choice):
        if next(calls) == 10:
            raise KeyboardInterrupt
        return real(self, sequence, choice)

    monkeypatch.setattr(Workers, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searched(sequences, before, tmp_path / "study.db")
    monkeypatch.undo()
    # three counts before the search, then three a trial: two trials were finished, one was on its way
    states = [state for (state,) in sqlite3.connect(tmp_path / "study.db").execute("select state from trials")]
    assert states == ["COMPLETE"] * 2
    assert len(searched(sequences, before, tmp_path / "study.db", trials=5).trials) == 5


def test_poor_trials_are_given_up_before_the_largest_sequence(tmp_path, sequences, before):
    seen = []

    class Counting(Workers):
        def submit(self, sequence, choice):
            seen.append(sequence.name)
            return super().submit(sequence, choice)

    with Counting(sequences) as workers:
        result = search(workers, sequences, before, default_space(before.tracker), tmp_path / "s.db", 30)
    pruned = [trial for trial in result.trials if trial.pruned]
    assert len(pruned) >= 3
    assert not any(trial.pruned for trial in result.trials[:10])
    assert all(trial.scores == {} for trial in pruned)
    assert seen[:3] == ["b", "c", "a"]  # from few to many detections
    assert len(seen) < 3 * 31
    assert seen.count("a") == 1 + len(result.trials) - len(pruned)


@pytest.mark.slow
def test_several_processes(tmp_path, sequences, before):
    result = searched(sequences, before, tmp_path / "study.db", trials=20, jobs=2)
    assert len(result.trials) == 20
    assert evaluate_sequences(sequences, result.after)["combined"]["HOTA"] == result.value_after
    assert result.value_after > result.value_before
    rows = sqlite3.connect(tmp_path / "study.db").execute("select state from trials").fetchall()
    assert len(rows) == 20


@pytest.mark.slow
def test_errors_come_out_of_the_processes(tmp_path, sequences, before):
    space = {"track_low_thresh": Choice((0.5,))}
    with pytest.raises(InputError, match="the tracker refuses parameters of the search space .*track_low_thresh"):
        searched(sequences, before, tmp_path / "study.db", space=space, jobs=2)


def test_parameters_that_the_tracker_refuses(tmp_path, sequences, before):
    space = {"track_low_thresh": Range(0.5, 0.6, 0.05)}
    message = r"refuses parameters of the search space \(track_low_thresh must be .*\): {'track_low_thresh': 0.\d+}"
    with pytest.raises(InputError, match=message):
        searched(sequences, before, tmp_path / "study.db", space=space)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [("hota", lambda s: s["HOTA"]), ("idf1", lambda s: s["IDF1"]), ("mix", lambda s: (s["HOTA"] + s["IDF1"]) / 2)],
)
def test_objectives(sequences, objective, expected):
    with Workers(sequences) as workers:
        counts = list(workers.counts(sequences, TrackerChoice.load("fairmot")).values())
    assert objective_value(counts, objective) == expected(scores_from_counts(summed(counts)))


def test_another_search_in_the_same_file_is_refused(tmp_path, sequences, before):
    store = tmp_path / "study.db"
    searched(sequences, before, store, trials=1)
    with pytest.raises(InputError, match=r'study.db: holds a search with objective "hota", not "idf1"; give another'):
        searched(sequences, before, store, trials=1, objective="idf1")
    with pytest.raises(InputError, match="holds a search with sequences"):
        searched(sequences[:2], before, store, trials=1)
    with pytest.raises(InputError, match='with tracker "YOLO11JDETracker", not "FairMOTTracker"'):
        searched(sequences, TrackerChoice.load("fairmot"), store, trials=1)
    with pytest.raises(InputError, match="with arguments"):
        searched(sequences, before.updated({"track_buffer": 3}), store, trials=1)
    with pytest.raises(InputError, match='with detections null, not "abc"'):
        searched(sequences, before, store, trials=1, settings={"detections": "abc"})


def test_a_file_that_is_no_store(tmp_path, sequences, before):
    (tmp_path / "study.db").write_text("hello, this is not a database, however long it is" * 20)
    with pytest.raises(InputError, match=r"study.db: cannot be used as the store of trials .*not a database"):
        searched(sequences, before, tmp_path / "study.db")


def test_importance_is_of_the_parameter_that_matters(tmp_path, sequences, before):
    space = {"new_track_thresh": Range(0.5, 1.0, 0.05), "track_buffer": Range(0, 100, 10)}
    result = searched(sequences, before, tmp_path / "study.db", trials=25, space=space)
    assert next(iter(result.importance)) == "new_track_thresh"
    assert sum(result.importance.values()) == pytest.approx(1)
    assert searched(sequences, before, tmp_path / "few.db", trials=5, space=space).importance == {}
    equal = {"track_buffer": Choice((40,))}
    assert searched(sequences, before, tmp_path / "equal.db", trials=12, space=equal).importance == {}


def test_without_optuna_the_command_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(storage.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"tune needs the package optuna.*pip install \"jde-lightning\[tune\]\""):
        storage.import_optuna()


def test_a_worker_process_imports_nothing_heavy():
    code = (
        "import sys, jde_lightning.inference.tuning.workers;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'cv2', 'optuna', 'matplotlib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
