"""Distances against dense loops, the sparse assignment against SciPy on the whole matrix."""

import numpy as np
import pytest
from plain_tracker import overlap, solve

from jde_lightning import boxes as box_functions
from jde_lightning.tracking.association import (
    all_pairs,
    assign,
    fuse_score,
    normalise,
    overlapping_pairs,
    paired_cosine_distance,
)


def random_boxes(rng, n):
    corner = rng.uniform(0, 200, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 80, (n, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize(("n", "m"), [(30, 40), (1, 1), (0, 5), (5, 0), (0, 0)])
def test_overlapping_pairs_are_all_that_overlap(n, m):
    rng = np.random.default_rng(n + m)
    a, b = random_boxes(rng, n), random_boxes(rng, m)
    rows, columns, distance = overlapping_pairs(a, b)
    dense = np.ones((n, m))
    dense[rows, columns] = distance
    np.testing.assert_allclose(1 - dense, box_functions.iou(a, b), atol=1e-6)
    np.testing.assert_allclose(1 - dense, [[overlap(p, q) for q in b] for p in a] or dense, atol=1e-5)
    assert (distance < 1).all()
    assert distance.dtype == np.float32


def test_overlapping_pairs_of_strange_boxes_are_finite_and_in_range():
    strange = np.array(
        [[0, 0, 10, 10], [5, 5, 5, 5], [5, 0, 5, 10], [0, 5, 10, 5], [8, 8, 2, 2], [8, 2, 2, 8], [0, 0, 10, 10]],
        np.float32,
    )
    rows, columns, distance = overlapping_pairs(strange, strange)
    assert np.isfinite(distance).all()
    assert ((distance >= 0) & (distance <= 1)).all()
    perfect = {(r, c) for r, c, d in zip(rows, columns, distance, strict=True) if d == 0}
    assert perfect == {(0, 0), (0, 6), (6, 0), (6, 6)}


def test_fuse_score_weighs_the_overlap():
    np.testing.assert_allclose(fuse_score(np.float32([0.2, 1.0, 0.0]), np.float32([0.5, 0.9, 1.0])), [0.6, 1.0, 0.0])


def test_all_pairs_lists_the_whole_matrix():
    rows, columns, distance = all_pairs((2, 3), np.array([1]), np.array([2]), np.float32([0.25]))
    assert list(zip(rows, columns, strict=True)) == [(i, j) for i in range(2) for j in range(3)]
    assert distance.tolist() == [1, 1, 1, 1, 1, 0.25]
    assert [len(x) for x in all_pairs((0, 3), rows[:0], columns[:0], distance[:0])] == [0, 0, 0]
    assert [len(x) for x in all_pairs((3, 0), rows[:0], columns[:0], distance[:0])] == [0, 0, 0]


def test_normalise_gives_unit_rows_of_a_copy_and_keeps_zeros():
    embeddings = np.float32([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1]])
    kept = embeddings.copy()
    unit = normalise(embeddings)
    np.testing.assert_allclose(unit[:2], [[0.6, 0.8], [0, 0]])
    assert np.isnan(unit[2:]).all()
    np.testing.assert_array_equal(embeddings, kept)


def test_cosine_distance_of_pairs():
    rng = np.random.default_rng(0)
    a, b = normalise(rng.normal(size=(4, 8)).astype(np.float32)), normalise(rng.normal(size=(3, 8)).astype(np.float32))
    b[0] = a[0]
    rows, columns = np.divmod(np.arange(12), 3)
    distance = paired_cosine_distance(a, b, rows, columns)
    np.testing.assert_allclose(distance, [1 - a[i] @ b[j] for i, j in zip(rows, columns, strict=True)], atol=1e-6)
    assert distance.min() >= 0


@pytest.mark.parametrize("seed", range(20))
def test_assignment_equals_scipy_on_the_whole_matrix(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 25, 2)
    cost = rng.uniform(0, 3, (n, m))
    cost[rng.random((n, m)) < 0.3] = np.inf
    limit = rng.uniform(0.1, 2)
    rows, columns = np.nonzero(np.isfinite(cost))
    shuffled = rng.permutation(len(rows))
    rows, columns = rows[shuffled], columns[shuffled]
    got = assign(rows, columns, cost[rows, columns], limit)
    assert list(zip(*got, strict=True)) == sorted(solve(cost, limit))


def test_only_costs_below_the_limit_match():
    rows, columns, cost = np.array([0, 1]), np.array([0, 1]), np.array([0.5, 0.49])
    assert [x.tolist() for x in assign(rows, columns, cost, 0.5)] == [[1], [1]]
    assert [x.tolist() for x in assign(rows, columns, cost, 0.0)] == [[], []]
    assert [x.tolist() for x in assign(rows[:0], columns[:0], cost[:0], 0.5)] == [[], []]


def test_leaving_a_pair_out_can_be_cheaper_than_taking_the_best_one():
    # Both cheap edges compete for column 0; taking (0, 1) and (1, 0) together beats (0, 0) alone.
    rows, columns, cost = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.1, 0.3, 0.2])
    assert [x.tolist() for x in assign(rows, columns, cost, 0.5)] == [[0, 1], [1, 0]]
