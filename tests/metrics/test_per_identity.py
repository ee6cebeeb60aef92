"""Silhouettes of identities against scikit-learn's of their rows."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from sklearn.metrics.pairwise import cosine_distances

from jde_lightning.metrics import embedding_metrics, identity_silhouettes


@pytest.mark.parametrize("block_size", [1, 10, 1024])
def test_equals_scikit_learn(block_size):
    rng = np.random.default_rng(0)
    ids = np.append(rng.integers(3, 9, size=100) * 10, [500])  # 500 has one embedding
    x = rng.normal(size=(600, 8))[ids] + rng.normal(size=(101, 8))
    strangers = np.concatenate([np.full(20, -1), ids])
    given = np.concatenate([rng.normal(size=(20, 8)), x])
    given[25] = np.nan  # row 5 of x
    found = identity_silhouettes(given, strangers, block_size)
    kept = np.arange(101) != 5
    samples = silhouette_samples(cosine_distances(x[kept]), ids[kept], metric="precomputed")
    assert np.isnan(found.rows[:20]).all()
    assert np.isnan(found.rows[25])
    assert found.rows[20:][kept] == pytest.approx(samples, abs=1e-9)
    assert found.identities.tolist() == sorted(set(ids.tolist()))
    assert found.counts.tolist() == [int((ids[kept] == i).sum()) for i in found.identities]
    assert found.silhouettes == pytest.approx([samples[ids[kept] == i].mean() for i in found.identities], abs=1e-9)
    mean = embedding_metrics(x[kept], ids[kept])["silhouette_cosine"]
    assert np.nanmean(found.rows) == pytest.approx(mean, abs=1e-6)
    between = cosine_distances(x[kept])
    for i, other in zip(found.identities.tolist(), found.closest.tolist(), strict=True):
        means = {k: between[np.ix_(ids[kept] == i, ids[kept] == k)].mean() for k in set(ids.tolist()) - {i}}
        assert other == min(means, key=means.get)


@pytest.mark.parametrize(("ids", "closest"), [([], []), ([-1, -1], []), ([7, 7], [-1]), ([7, 8], [8, 7])])
def test_what_is_undefined_says_why(ids, closest):
    found = identity_silhouettes(np.eye(len(ids), 4), np.array(ids, np.int64))
    assert found.closest.tolist() == closest
    assert found.silhouettes.tolist() == [0] * len(closest)
    assert found.note
