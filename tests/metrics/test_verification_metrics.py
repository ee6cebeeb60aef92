"""ROC over pairs against scikit-learn on the explicit list of pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from jde_lightning.metrics import verification_metrics


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
