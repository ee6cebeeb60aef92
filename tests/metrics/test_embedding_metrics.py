"""Silhouettes, mean distances and retrieval against scikit-learn, argsort and pytorch-metric-learning."""

import logging

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from sklearn.metrics import pairwise_distances, silhouette_score

from jde_lightning.metrics.embeddings import embedding_metrics

ALL = {
    *("silhouette_cosine", "silhouette_euclidean", "retrieval_map", "rank1", "rank5"),
    *("mean_positive_cosine", "mean_negative_cosine", "mean_positive_euclidean", "mean_negative_euclidean"),
}


def example(n=600, identities=40, dim=16, seed=0, dtype=np.float64):
    """Overlapping clusters of very different sizes, some of one row, in random order; not normalised."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, identities + 1)
    ids = rng.choice(identities, n, p=weights / weights.sum()) * 7 + 3
    ids[:3] = [1000, 1001, 1002]
    centres = rng.normal(size=(1100, dim))
    x = (centres[ids] + rng.normal(0, 1.3, (n, dim))) * rng.uniform(0.1, 9, (n, 1))
    order = rng.permutation(n)
    return x[order].astype(dtype), ids[order]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def brute_force(x, ids):
    """Everything from N x N matrices and a sort per query."""
    values = {}
    same = ids[:, None] == ids
    off_diagonal = ~np.eye(len(x), dtype=bool)
    for name, metric in (("cosine", "cosine"), ("euclidean", "euclidean")):
        distances = pairwise_distances(unit(x), metric=metric)
        values[f"silhouette_{name}"] = silhouette_score(unit(x), ids, metric=metric)
        values[f"mean_positive_{name}"] = distances[same & off_diagonal].mean()
        values[f"mean_negative_{name}"] = distances[~same].mean()
    precision, rank1, rank5 = [], [], []
    for query in range(len(x)):
        others = np.flatnonzero(off_diagonal[query])
        right = same[query, others[np.argsort(distances[query, others], kind="stable")]]
        if right.any():
            ranks = np.flatnonzero(right) + 1
            precision.append((np.arange(1, len(ranks) + 1) / ranks).mean())
            rank1.append(ranks[0] <= 1)
            rank5.append(ranks[0] <= 5)
    return values | {"retrieval_map": np.mean(precision), "rank1": np.mean(rank1), "rank5": np.mean(rank5)}


@pytest.mark.parametrize("block_size", [1, 37, 128, 5000])
def test_float64_equals_brute_force(block_size):
    x, ids = example(n=300 if block_size == 1 else 600)
    values, expected = embedding_metrics(x, ids, block_size=block_size), brute_force(x, ids)
    assert values.keys() == expected.keys() == ALL
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-12), name
    assert 0.05 < values["retrieval_map"] < 0.95  # neither trivial
    assert values["rank1"] < values["rank5"] < 1


def test_float32_is_close():
    x, ids = example(dtype=np.float32)
    expected = brute_force(x.astype(np.float64), ids)
    for name, value in embedding_metrics(x, ids).items():
        assert value == pytest.approx(expected[name], abs=2e-6), name


def test_retrieval_equals_pytorch_metric_learning():
    x, ids = example(n=400)
    calculator = AccuracyCalculator(
        include=("mean_average_precision", "precision_at_1"),
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    )
    expected = calculator.get_accuracy(torch.from_numpy(unit(x)), torch.from_numpy(ids))
    values = embedding_metrics(x, ids)
    assert values["retrieval_map"] == pytest.approx(expected["mean_average_precision"], abs=1e-6)
    assert values["rank1"] == pytest.approx(expected["precision_at_1"], abs=1e-6)


def test_rows_without_identity_are_left_out():
    x, ids = example(n=200)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(50, x.shape[1]))
    mixed, mixed_ids = np.concatenate([noise, x]), np.concatenate([np.full(50, -1), ids])
    assert embedding_metrics(mixed, mixed_ids) == embedding_metrics(x, ids)


def test_tensors_and_half_precision():
    x, ids = example(n=100, dtype=np.float32)
    tensors = embedding_metrics(torch.from_numpy(x).requires_grad_(), torch.from_numpy(ids))
    assert tensors == embedding_metrics(x, ids)
    half = embedding_metrics(torch.from_numpy(x).half(), torch.from_numpy(ids))
    assert half["retrieval_map"] == pytest.approx(tensors["retrieval_map"], abs=1e-2)


def test_order_of_rows_does_not_matter():
    x, ids = example(n=150)
    order = np.random.default_rng(0).permutation(len(x))
    first, second = embedding_metrics(x, ids), embedding_metrics(x[order], ids[order])
    assert first == pytest.approx(second, abs=1e-12)


def test_separation_and_retrieval_alone():
    x, ids = example(n=100)
    both = embedding_metrics(x, ids)
    separation = embedding_metrics(x, ids, retrieval=False)
    retrieval = embedding_metrics(x, ids, separation=False)
    assert separation | retrieval == both
    assert set(retrieval) == {"retrieval_map", "rank1", "rank5"}


def test_perfect_embeddings():
    values = embedding_metrics(np.eye(3)[[0, 0, 1, 1, 1, 2]], [4, 4, 0, 0, 0, 9])
    assert values["retrieval_map"] == values["rank1"] == values["rank5"] == 1
    assert values["mean_positive_cosine"] == values["mean_positive_euclidean"] == 0
    assert values["mean_negative_cosine"] == 1
    assert values["mean_negative_euclidean"] == pytest.approx(np.sqrt(2))
    assert values["silhouette_cosine"] == pytest.approx(5 / 6)  # the single row counts as 0


def test_collapsed_embeddings_do_not_look_perfect():
    values = embedding_metrics(np.ones((40, 4)) / 2, np.repeat(np.arange(10), 4))  # norm exactly 1
    assert values["rank1"] == values["rank5"] == 0
    assert values["retrieval_map"] == pytest.approx((1 + 2 + 3) / 3 / 39 * 3 / 2, abs=0.03)
    assert values["silhouette_cosine"] == values["silhouette_euclidean"] == 0


def test_zero_vector_is_not_nan():
    x, ids = example(n=50)
    x[10] = 0
    assert all(np.isfinite(value) for value in embedding_metrics(x, ids).values())


POSITIVE = {"mean_positive_cosine", "mean_positive_euclidean"}
NEGATIVE = {"mean_negative_cosine", "mean_negative_euclidean"}


@pytest.mark.parametrize(
    ("ids", "defined", "reason"),
    [
        ([], set(), "no embedding has an identity"),
        ([-1, -1, -1], set(), "no embedding has an identity"),
        ([5, 5, 5, -1], POSITIVE, "all embeddings have the same identity"),
        ([5], set(), "all embeddings have the same identity"),
        ([1, 2, 3, -1], NEGATIVE, "no identity has two embeddings"),
    ],
)
def test_what_is_undefined_is_left_out_with_one_warning(ids, defined, reason, caplog):
    x = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        values = embedding_metrics(x, np.array(ids, np.int64))
    assert set(values) == defined
    assert len(caplog.records) == 1
    assert reason in caplog.text


def test_defined_metrics_do_not_warn(caplog):
    embedding_metrics(*example(n=50))
    assert not caplog.records


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"expected embeddings \(N, D\) .*, got \(3, 2\) and \(4,\)"):
        embedding_metrics(np.ones((3, 2)), np.zeros(4))
    with pytest.raises(ValueError, match="embeddings must be finite"):
        embedding_metrics(np.array([[1.0, np.nan]]), [0])


def test_collapsed_embeddings_keep_silhouettes_and_distances_in_range():
    rng = np.random.default_rng(0)
    point = rng.normal(size=128).astype(np.float32)
    embeddings = point + rng.normal(scale=1e-6, size=(600, 128)).astype(np.float32)
    values = embedding_metrics(embeddings, np.arange(600) % 30)
    for name in ("silhouette_cosine", "silhouette_euclidean"):
        assert -1 <= values[name] <= 1
    for name in ("mean_positive_cosine", "mean_negative_cosine"):
        assert 0 <= values[name] < 1e-4
