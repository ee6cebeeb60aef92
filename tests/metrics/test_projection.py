"""Embeddings in the plane: PCA against scikit-learn, neighbourhoods kept, and what is too little."""

import builtins
import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA

from jde_lightning.errors import InputError
from jde_lightning.metrics import project_embeddings


def clusters(n=90, count=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.arange(n) % count
    return rng.normal(size=(count, 16))[ids] + 0.1 * rng.normal(size=(n, 16)), ids


def test_pca_equals_scikit_learn():
    x, _ = clusters()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = PCA(2).fit_transform(unit)
    found = project_embeddings(5 * x, "pca")
    assert np.abs(found.points) == pytest.approx(np.abs(expected), abs=1e-5)
    assert (found.method, found.note) == ("pca", "")


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.slow
def test_neighbours_stay_neighbours_and_a_seed_decides(method):
    if method == "umap":
        pytest.importorskip("umap")
    x, ids = clusters()
    x[5] = np.nan
    found = project_embeddings(x, method, perplexity=10)
    assert np.isnan(found.points[5]).all()
    assert np.isfinite(np.delete(found.points, 5, axis=0)).all()
    points, of = np.delete(found.points, 5, axis=0), np.delete(ids, 5)
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(len(points)) * 1e9
    assert (of[distances.argmin(axis=1)] == of).all()
    assert (found.method, "1 of 90" in found.note) == (method, True)
    assert project_embeddings(x, method, perplexity=10).points == pytest.approx(found.points, nan_ok=True)


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_few_points_fall_back_to_pca(method, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = project_embeddings(np.eye(n, 8), method)
    assert found.points.shape == (n, 2)
    assert np.isfinite(found.points).all()
    assert found.method == "pca"
    assert ("too few" in found.note) == (method != "pca")


@pytest.mark.parametrize("n", [5, 6, 20])
@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])  # it is compiled first
def test_perplexity_is_cut_to_the_number_of_points(method, n):
    if method == "umap":
        pytest.importorskip("umap")
    found = project_embeddings(clusters(n)[0], method)
    assert np.isfinite(found.points).all()
    assert found.method == method
    assert found.note == f"perplexity {(n - 1) / 3:.0f} instead of 30, for there are {n} points"


def test_collapsed_and_broken_embeddings():
    found = project_embeddings(np.ones((20, 4)), "tsne")
    assert (found.method, found.note) == ("pca", "all embeddings are the same")
    assert found.points == pytest.approx(np.zeros((20, 2)), abs=1e-6)
    found = project_embeddings(np.full((20, 4), np.nan), "tsne")
    assert np.isnan(found.points).all()
    assert "20 of 20" in found.note


def test_one_dimension_is_enough():
    assert np.isfinite(project_embeddings(np.random.default_rng(0).normal(size=(30, 1)), "tsne").points).all()


def test_an_unknown_method_and_missing_umap(monkeypatch):
    with pytest.raises(InputError, match="choose one of pca, tsne, umap"):
        project_embeddings(np.ones((9, 2)), "mds")

    def no_umap(name, *args, **kwargs):
        if name.split(".")[0] == "umap":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_umap)
    with pytest.raises(InputError, match=r"pip install 'jde-lightning\[explore\]'"):
        project_embeddings(clusters(9)[0], "umap")
