"""ROC over pairs against scikit-learn on the explicit list of pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from jde_lightning.metrics import pair_histograms, verification_curve, verification_metrics


def example(n=300, identities=15, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    ids = rng.integers(identities, size=n)
    return rng.normal(size=(identities, 16))[ids] + rng.normal(0, noise, (n, 16)), ids


def pairs(x, ids):
    """Every pair once: whether it is of one identity, and its cosine."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows, columns = np.triu_indices(len(x), 1)
    return ids[rows] == ids[columns], (unit @ unit.T)[rows, columns]


@pytest.mark.parametrize("block_size", [1, 7, 128, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_scikit_learn(block_size, dtype):
    x, ids = example()
    same, cosine = pairs(x, ids)
    values = verification_metrics(x.astype(dtype), ids, block_size)
    assert values["roc_auc"] == pytest.approx(roc_auc_score(same, cosine), abs=1e-5)
    mistaken, found, _ = roc_curve(same, cosine, drop_intermediate=False)
    for name, rate in (("tpr_at_fpr_1e-2", 1e-2), ("tpr_at_fpr_1e-3", 1e-3)):
        assert values[name] == pytest.approx(found[mistaken <= rate].max(), abs=2e-3)
    assert 0.8 < values["roc_auc"] < 0.99
    assert 0.05 < values["tpr_at_fpr_1e-3"] < values["tpr_at_fpr_1e-2"] < 0.9


def test_perfect_reversed_and_collapsed():
    axes = np.eye(4)
    assert verification_metrics(axes[[0, 0, 1, 1]], [5, 5, 9, 9]) == {
        "roc_auc": 1.0,
        "tpr_at_fpr_1e-2": 1.0,
        "tpr_at_fpr_1e-3": 1.0,
    }
    # Equal to one of the other identity, opposite to its own.
    swapped = np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0]])
    assert verification_metrics(swapped, [0, 0, 1, 1])["roc_auc"] == pytest.approx(0.25)
    collapsed = verification_metrics(np.ones((6, 3)), [0, 0, 0, 1, 1, 1])
    assert (collapsed["roc_auc"], collapsed["tpr_at_fpr_1e-2"]) == (0.5, 0.0)


def test_rows_without_identity_do_not_count():
    x, ids = example(60)
    with_strangers = verification_metrics(np.concatenate([x, x]), np.concatenate([ids, np.full(60, -1)]))
    assert with_strangers == verification_metrics(x, ids)


@pytest.mark.parametrize("ids", [[], [3], [1, 1, 1], [1, 2, 3], [-1, -1, -1]])
def test_undefined_is_empty(ids):
    assert verification_metrics(np.ones((len(ids), 4), np.float32), np.array(ids, np.int64)) == {}


def test_wrong_input():
    with pytest.raises(ValueError, match="expected embeddings"):
        verification_metrics(np.ones((3, 2)), [1, 2])
    with pytest.raises(ValueError, match="finite"):
        verification_metrics(np.full((2, 2), np.nan), [1, 1])


def test_the_curve_is_that_of_scikit_learn():
    x, ids = example()
    same, cosine = pairs(x, ids)
    curve = verification_curve(x, ids)
    mistaken, found, _ = roc_curve(same, cosine, drop_intermediate=False)
    for rate in (1e-3, 1e-2, 0.1, 0.5):
        at = np.searchsorted(curve.false_positive_rates, rate, side="right") - 1
        assert curve.true_positive_rates[at] == pytest.approx(found[mistaken <= rate].max(), abs=2e-3)
    assert curve.values == verification_metrics(x, ids)
    assert (curve.false_positive_rates[0], curve.true_positive_rates[-1]) == (0, 1)
    assert len(curve.false_positive_rates) < 45_000  # 65537 thresholds, of which those count that change something


@pytest.mark.parametrize("bins", [16, 100, 128])
def test_histograms_count_every_pair_once(bins):
    x, ids = example(120)
    same, cosine = pairs(x, ids)
    found = pair_histograms(x, ids, bins)
    for counts, of_kind in ((found.same, same), (found.different, ~same)):
        exact, edges = np.histogram(1 - cosine[of_kind], bins, (0, 2))
        assert counts.sum() == of_kind.sum()
        assert np.abs(counts - exact).sum() <= 20  # pairs that lie closer to an edge than the bins of the cosine
    assert found.edges == pytest.approx(edges)
    assert found.note == ""


@pytest.mark.parametrize(("rows", "block_size"), [(1211, 128), (1211, 100), (501, 1), (37, 1000)])
def test_no_pair_is_lost_to_rounding(rows, block_size):
    """The two products of a pair may differ in the last bit; the numbers of pairs, odd ones too, are whole anyway."""
    x, ids = example(rows, identities=23)
    x = x.astype(np.float32)
    same, _ = pairs(x, ids)
    found = pair_histograms(x, ids, block_size=block_size)
    assert found.same.sum() == same.sum()
    assert found.different.sum() == (~same).sum()
    assert found.same.sum() + found.different.sum() == rows * (rows - 1) // 2


def test_curve_and_histograms_leave_out_what_is_broken_and_say_so():
    x, ids = example(60)
    broken = x.copy()
    broken[4] = np.nan
    rest = np.arange(60) != 4
    curve, histograms = verification_curve(broken, ids), pair_histograms(broken, ids)
    assert curve.values == verification_metrics(x[rest], ids[rest])
    assert histograms.same.tolist() == pair_histograms(x[rest], ids[rest]).same.tolist()
    assert curve.note == histograms.note == "1 of 60 embeddings are not finite or zero, and are left out"


@pytest.mark.parametrize("ids", [[], [3], [1, 1, 1], [1, 2, 3], [-1, -1, -1]])
def test_undefined_curves_are_empty_and_say_why(ids):
    x = np.ones((len(ids), 4), np.float32)
    curve = verification_curve(x, np.array(ids, np.int64))
    assert len(curve.false_positive_rates) == 0
    assert curve.values == {}
    assert curve.note
    histograms = pair_histograms(x, np.array(ids, np.int64))
    assert histograms.note
    assert histograms.same.sum() == (3 if ids == [1, 1, 1] else 0)
    assert histograms.different.sum() == (3 if ids == [1, 2, 3] else 0)
