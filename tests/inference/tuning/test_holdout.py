import pytest

from jde_lightning.errors import InputError, UsageError
from jde_lightning.inference.tuning.holdout import plan_holdout


def labels(sequences):
    return [sequence.label for sequence in sequences]


@pytest.mark.parametrize(
    ("holdout", "tuning", "held_out"),
    [
        (None, ["a", "c"], ["b"]),
        (["c"], ["a", "b"], ["c"]),
        (["[bc]"], ["a"], ["b", "c"]),
        (["a", "b"], ["c"], ["a", "b"]),
        (
            ["half"],
            ["a (first half)", "b (first half)", "c (first half)"],
            ["a (second half)", "b (second half)", "c (second half)"],
        ),
        (["none"], ["a", "b", "c"], []),
    ],
)
def test_who_tunes_and_who_judges(sequences, holdout, tuning, held_out):
    plan = plan_holdout(sequences, holdout)
    assert labels(plan.tuning) == tuning
    assert labels(plan.held_out) == held_out
    assert plan.is_single


def test_a_single_sequence_is_cut_in_time_and_that_is_said(sequences):
    plan = plan_holdout(sequences[:1])
    assert (labels(plan.tuning), labels(plan.held_out)) == (["a (first half)"], ["a (second half)"])
    assert plan.description.startswith("a is the only sequence, so it is cut in time")


def test_without_held_out_data_the_plan_says_that_the_gain_is_too_good(sequences):
    assert "too good" in plan_holdout(sequences, ["none"]).description


@pytest.mark.parametrize("count", [2, 3])
def test_folds_judge_every_sequence_once_and_never_on_itself(sequences, count):
    plan = plan_holdout(sequences, folds=count)
    assert len(plan.folds) == count
    assert not plan.is_single
    assert labels(plan.tuning) == ["a", "b", "c"]
    assert sorted(labels(plan.held_out)) == ["a", "b", "c"]
    for fold in plan.folds:
        assert sorted(labels(fold.tuning) + labels(fold.held_out)) == ["a", "b", "c"]


def test_wrong_plans(sequences):
    with pytest.raises(InputError, match="--holdout MOT17: no such sequence in the cache, which has a, b, c"):
        plan_holdout(sequences, ["a", "MOT17"])
    with pytest.raises(InputError, match="all 3 sequences are held out"):
        plan_holdout(sequences, ["*"])
    with pytest.raises(InputError, match="--folds 4: expected 2 to 3"):
        plan_holdout(sequences, folds=4)
    with pytest.raises(InputError, match="--folds 2: the cache has one sequence only; use --holdout half"):
        plan_holdout(sequences[:1], folds=2)
    with pytest.raises(UsageError, match="exclude each other"):
        plan_holdout(sequences, ["a"], folds=2)
