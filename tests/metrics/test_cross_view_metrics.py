"""Retrieval over two views against scikit-learn, loops and closed forms."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from jde_lightning.metrics.cross_view import cross_view_metrics


def example(n=150, dim=8, images=20, noise=0.6, seed=0):
    """Boxes of images of very different sizes, some of videos; the second view is a noisy copy of the first."""
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, images, n))
    scope = rng.integers(-1, 4, images)[image]
    first = rng.normal(size=(n, dim))
    return first * 3, first + rng.normal(0, noise, (n, dim)), image, scope


def brute_force(first, second, images, scopes):
    """Pair by pair, with scikit-learn's average precision."""
    n = len(first)
    cosine = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second] for a in first])
    precision, hits, different = [], [], []
    for q in range(n):
        answers = [j for j in range(n) if j == q or images[j] == images[q] or scopes[j] != scopes[q] or scopes[j] == -1]
        different += [cosine[q, j] for j in range(n) if j != q and images[j] == images[q]]
        if len(answers) > 1:
            precision.append(average_precision_score(np.array(answers) == q, cosine[q, answers]))
            hits.append(answers[int(np.argmax(cosine[q, answers]))] == q)
    return {
        "map": np.mean(precision),
        "rank1": np.mean(hits),
        "cosine_gap": np.mean(np.diag(cosine)) - np.mean(different),
    }


@pytest.mark.parametrize("block_size", [1, 7, 1000])
def test_equals_brute_force_and_scikit_learn(block_size):
    data = example()
    values, expected = cross_view_metrics(*data, block_size=block_size), brute_force(*data)
    assert values == pytest.approx(expected, abs=1e-12)
    assert 0.2 < values["rank1"] < values["map"] < 0.95  # not trivial


def test_scopes_and_images_decide_who_is_certainly_somebody_else():
    first, second, images, scopes = example()
    alone, together = np.full_like(scopes, -1), np.zeros_like(scopes)
    everybody = cross_view_metrics(first, second, images, alone)
    assert everybody == pytest.approx(cross_view_metrics(first, second, images, images), abs=1e-12)
    within = cross_view_metrics(first, second, images, together)  # only boxes of the same image
    assert within["rank1"] > everybody["rank1"]
    assert within["cosine_gap"] == pytest.approx(everybody["cosine_gap"], abs=1e-12)
    assert within == pytest.approx(brute_force(first, second, images, together), abs=1e-12)


def test_same_views_are_perfect():
    first, _, images, scopes = example()
    values = cross_view_metrics(first, first * 2, images, scopes)
    assert values["map"] == values["rank1"] == 1
    cosine = (first / np.linalg.norm(first, axis=1, keepdims=True)) @ (
        first / np.linalg.norm(first, axis=1, keepdims=True)
    ).T
    other = (images[:, None] == images) & ~np.eye(len(images), dtype=bool)
    assert values["cosine_gap"] == pytest.approx(1 - cosine[other].mean())


def test_random_embeddings_guess():
    rng = np.random.default_rng(0)
    n, alone = 50, np.full(50, -1)
    repeats = [cross_view_metrics(*rng.normal(size=(2, n, 32)), np.arange(n) // 5, alone) for _ in range(200)]
    mean = {name: np.mean([values[name] for values in repeats]) for name in repeats[0]}
    assert mean["rank1"] == pytest.approx(1 / n, abs=0.004)
    assert mean["map"] == pytest.approx((1 / np.arange(1, n + 1)).sum() / n, abs=0.006)
    assert mean["cosine_gap"] == pytest.approx(0, abs=0.01)


def test_collapsed_embeddings_do_not_look_perfect():
    images = np.arange(40) // 4
    values = cross_view_metrics(np.ones((40, 4), np.float32), np.ones((40, 4), np.float32), images, images)
    assert values == {"map": pytest.approx(1 / 40), "rank1": 0, "cosine_gap": pytest.approx(0, abs=1e-6)}


def test_what_is_undefined_is_left_out():
    def measured(images, scopes):
        n = len(images)
        return cross_view_metrics(np.eye(4)[:n], np.eye(4)[:n], np.array(images, int), np.array(scopes, int))

    assert measured([], []) == {}
    assert measured([0], [-1]) == {}
    assert measured([0, 1, 2], [5, 5, 5]) == {}  # one person in each frame of one video: all may be the same
    assert set(measured([0, 1], [-1, -1])) == {"map", "rank1"}
    assert set(measured([0, 0, 1], [5, 5, 5])) == {"map", "rank1", "cosine_gap"}


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"expected embeddings \(N, D\) twice, .* got \(3, 2\), \(3, 2\), \(3,\) and"):
        cross_view_metrics(np.ones((3, 2)), np.ones((3, 2)), np.zeros(3, int), np.zeros(2, int))
    with pytest.raises(ValueError, match="embeddings must be finite"):
        cross_view_metrics(np.full((1, 2), np.nan), np.ones((1, 2)), np.zeros(1, int), np.zeros(1, int))
