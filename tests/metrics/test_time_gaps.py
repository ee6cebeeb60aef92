"""Distances by time gap against a loop over all pairs."""

import numpy as np
import pytest

from jde_lightning.metrics import distances_by_time_gap
from jde_lightning.metrics.time_gaps import TIME_GAPS


def example(seed=0, n=150):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 6, size=n)
    sequences = np.array(["a", "b"], object)[rng.integers(2, size=n)]
    times = rng.integers(0, 60, size=n) / 10
    x = rng.normal(size=(7, 5))[ids] + 0.5 * rng.normal(size=(n, 5)) + times[:, None] / 5
    return x.astype(np.float32), ids, sequences, times


@pytest.mark.parametrize("block_size", [1, 16, 1000])
def test_equals_a_loop(block_size):
    x, ids, sequences, times = example()
    x[3], times[5] = np.nan, np.nan
    found = distances_by_time_gap(x, ids, sequences, times, block_size=block_size)
    pairs = {}
    for i in range(len(x)):
        for j in range(i):
            gap = abs(times[i] - times[j])
            if min(ids[i], ids[j]) < 0 or sequences[i] != sequences[j] or 3 in (i, j) or 5 in (i, j):
                continue
            band = max(k for k, edge in enumerate(TIME_GAPS) if edge <= gap)
            distance = 1 - x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])
            pairs.setdefault((ids[i] == ids[j], band), []).append(distance)
    last = max(band for _, band in pairs)
    assert found.edges.tolist() == list(TIME_GAPS[: last + 2])
    of_same, of_different = (found.same, found.same_counts), (found.different, found.different_counts)
    for same, (values, counts) in ((True, of_same), (False, of_different)):
        assert counts.tolist() == [len(pairs.get((same, band), [])) for band in range(last + 1)]
        for band in range(last + 1):
            if counts[band]:
                # from bins of a thousandth, and without interpolation between two pairs
                exact = np.quantile(pairs[same, band], found.quantiles, method="inverted_cdf")
                assert values[band] == pytest.approx(exact, abs=1.1e-3)
            else:
                assert np.isnan(values[band]).all()
    assert "1 of 150" in found.note


def test_a_long_sequence_is_represented_by_a_sample():
    x, ids, sequences, times = example(n=400)
    found = distances_by_time_gap(x, ids, sequences, times, max_rows=50)
    assert found.same_counts.sum() + found.different_counts.sum() == 2 * 50 * 49 // 2
    assert found.note == "a: 50 embeddings, drawn by chance; b: 50 embeddings, drawn by chance"
    again = distances_by_time_gap(x, ids, sequences, times, max_rows=50)
    assert again.same_counts.tolist() == found.same_counts.tolist()


@pytest.mark.parametrize(
    ("ids", "times", "note"),
    [
        ([], [], "no embedding has an identity"),
        ([-1, -1], [0, 1], "no embedding has an identity"),
        ([1, 1], [np.nan, np.nan], "single images: no two embeddings are of one sequence"),
        ([1, 2], [0, 1], "no identity has two embeddings in a sequence"),
    ],
)
def test_what_is_undefined_says_why(ids, times, note):
    found = distances_by_time_gap(np.ones((len(ids), 2)), ids, ["s"] * len(ids), times)
    assert found.note == note
    assert found.same_counts.sum() == 0


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="increasing times in seconds"):
        distances_by_time_gap(np.ones((2, 2)), [1, 1], ["s", "s"], [0, 1], edges=[0, 0])
    with pytest.raises(ValueError, match=r"expected sequences and times \(N,\)"):
        distances_by_time_gap(np.ones((2, 2)), [1, 1], ["s"], [0, 1])
