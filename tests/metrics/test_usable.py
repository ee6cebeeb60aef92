"""Rows that can be compared, and balanced samples of them."""

import numpy as np
import pytest
import torch

from jde_lightning.metrics import balanced_sample, usable_rows


def test_broken_embeddings_are_left_out_and_counted():
    x = np.ones((6, 3), np.float32)
    x[1, 2], x[2], x[4, 0] = np.nan, 0, -np.inf
    rows, note = usable_rows(x, [0, 0, 0, -1, 0, 5])
    assert rows.tolist() == [0, 5]
    assert note == "3 of 6 embeddings are not finite or zero, and are left out"
    assert usable_rows(torch.ones(2, 3, requires_grad=True)) == (pytest.approx([0, 1]), "")


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"expected embeddings \(N, D\), got \(3,\)"):
        usable_rows(np.ones(3))
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(4,\)"):
        usable_rows(np.ones((3, 2)), np.zeros(4))


@pytest.mark.parametrize("count", [0, 1, 3, 10, 24, 60, 99])
def test_a_sample_is_as_fair_as_can_be(count):
    sizes = [1, 3, 8, 20, 40]
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(5) * 7, sizes))
    rows = balanced_sample(ids, count)
    assert len(rows) == min(count, 72)
    assert (np.diff(rows) > 0).all()
    taken = np.array([(ids[rows] == 7 * k).sum() for k in range(5)])
    # whoever has fewer than the others has all of theirs in the sample, or one less by chance
    assert all(n == size or n >= taken.max() - 1 for n, size in zip(taken.tolist(), sizes, strict=True))
    assert balanced_sample(ids, count).tolist() == rows.tolist()


def test_a_sample_spreads_over_an_identity_and_fills_up_with_strangers():
    ids = np.array([-1] * 50 + [4] * 100)
    rows = balanced_sample(ids, 10)
    assert rows.tolist() == list(range(55, 150, 10))
    rows = balanced_sample(np.append(ids[:50], [1, 2]), 12)
    assert rows[-2:].tolist() == [50, 51]
    assert (rows[:-2] < 50).all()
    assert len(rows) == 12
