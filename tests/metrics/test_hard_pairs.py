"""Hardest pairs and nearest neighbours against a loop over all pairs."""

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.metrics import hardest_negatives, hardest_positives, nearest_neighbours


@pytest.fixture(params=[0, 1])
def example(request):
    rng = np.random.default_rng(request.param)
    ids = rng.integers(-1, 9, size=120)
    x = rng.normal(size=(10, 6))[ids] + rng.normal(size=(120, 6))
    x[7, 2] = np.nan
    ids[7] = 3
    return x.astype(np.float32), ids


def all_pairs(x, ids, same):
    """Cosine distance and rows of the hardest pair of each identity, or of each two of them, by a loop."""
    best = {}
    for i in range(len(x)):
        for j in range(i):
            if min(ids[i], ids[j]) < 0 or (ids[i] == ids[j]) != same or not np.isfinite(x[[i, j]]).all():
                continue
            a, b = x[i].astype(float), x[j].astype(float)
            distance = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            key = tuple(sorted((int(ids[i]), int(ids[j]))))
            kept = best.get(key, (-np.inf if same else np.inf,))
            if (distance > kept[0]) if same else (distance < kept[0]):
                best[key] = (distance, {i, j})
    return sorted(best.values(), key=lambda pair: -pair[0] if same else pair[0])


@pytest.mark.parametrize("block_size", [1, 3, 512])
@pytest.mark.parametrize(("find", "same"), [(hardest_positives, True), (hardest_negatives, False)])
def test_equals_a_loop(example, find, same, block_size):
    expected = all_pairs(*example, same)
    for count in (1, 5, 100):
        found = find(*example, count, block_size)
        wanted = expected[:count]
        assert found.distances == pytest.approx([distance for distance, _ in wanted], abs=1e-6)
        assert [{a, b} for a, b in zip(found.first, found.second, strict=True)] == [rows for _, rows in wanted]
        assert found.note == "1 of 120 embeddings are not finite or zero, and are left out"


@pytest.mark.parametrize(
    ("ids", "positives", "negatives"),
    [
        ([], "no embedding has an identity", "no embedding has an identity"),
        ([-1, -1], "no embedding has an identity", "no embedding has an identity"),
        ([4, 4], "", "all embeddings have the same identity"),
        ([4, 5], "no identity has two embeddings", ""),
    ],
)
def test_what_is_undefined_says_why(ids, positives, negatives):
    x = np.eye(len(ids), 3, dtype=np.float32)
    for found, note in ((hardest_positives(x, ids), positives), (hardest_negatives(x, ids), negatives)):
        assert found.note == note
        assert len(found.first) == len(found.second) == len(found.distances) == (not note)


def test_nearest_neighbours_equal_a_sort(example):
    x, _ = example
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances = 1 - unit @ unit[20]
    hidden = np.arange(120) % 2 == 0
    order = [row for row in np.argsort(distances, kind="stable").tolist() if row not in (7, 20)]
    found = nearest_neighbours(x, 20, 15)
    assert found.rows.tolist() == order[:15]
    assert found.distances == pytest.approx(distances[order[:15]], abs=1e-6)
    assert nearest_neighbours(x, 20, 15, hidden).rows.tolist() == [row for row in order if row % 2][:15]
    assert len(nearest_neighbours(x[:1], 0).rows) == 0


def test_a_row_without_direction_has_no_neighbours(example):
    with pytest.raises(InputError, match="row 7: its embedding is not finite"):
        nearest_neighbours(example[0], 7)
    with pytest.raises(InputError, match="row 120: the table has the rows 0 to 119"):
        nearest_neighbours(example[0], 120)
    with pytest.raises(InputError, match="the table is empty"):
        nearest_neighbours(np.zeros((0, 3)), 0)
