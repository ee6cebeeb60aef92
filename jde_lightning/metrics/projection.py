"""Embeddings in the plane: PCA, t-SNE or UMAP, whatever the number of points allows."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.metrics.usable import to_array, usable_rows

ProjectionMethod = Literal["pca", "tsne", "umap"]
PROJECTION_METHODS: tuple[str, ...] = get_args(ProjectionMethod)

_LEAST_POINTS = 5
"""With fewer points neighbourhoods mean nothing, and PCA shows all there is to see."""


class Projection(NamedTuple):
    """Embeddings in the plane.

    Attributes:
        points: ``(N, 2)`` float32; NaN where the embedding is not finite, or zero.
        method: that was used, which may be another than the one asked for.
        note: why another method was used, or what was left out; empty if there is nothing to say.
    """

    points: npt.NDArray[np.float32]
    method: ProjectionMethod
    note: str


def project_embeddings(
    embeddings: Any, method: ProjectionMethod = "tsne", perplexity: float = 30.0, seed: int = 0
) -> Projection:
    """Project embeddings to the plane, so that those with a small cosine distance lie close together.

    Args:
        embeddings: ``(N, D)`` array or tensor. t-SNE takes about 10 s for 2,000 rows on two cores; show a
            :func:`~jde_lightning.metrics.usable.balanced_sample` of a larger table.
        method: ``pca`` keeps large distances, ``tsne`` and ``umap`` neighbourhoods; distances between clusters mean
            nothing with them. With fewer than 5 points all are ``pca``.
        perplexity: number of neighbours that count, of t-SNE and UMAP; at most a third of the points is taken.
        seed: of the random start.

    Raises:
        InputError: if the method is unknown, or UMAP is not installed.
        ValueError: if embeddings are not ``(N, D)``.
    """
    if method not in PROJECTION_METHODS:
        msg = f"unknown projection {method!r}; choose one of {', '.join(PROJECTION_METHODS)}"
        raise InputError(msg)
    vectors = to_array(embeddings)
    rows, note = usable_rows(vectors)
    points = np.full((len(vectors), 2), np.nan, np.float32)
    notes = [note] if note else []
    unit = vectors[rows].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    if method != "pca" and len(rows) < _LEAST_POINTS:
        notes.append(f"{len(rows)} points are too few for {method}: PCA is shown")
        method = "pca"
    if method != "pca" and np.ptp(unit, axis=0).max(initial=0) < 1e-6:
        notes.append("all embeddings are the same")
        method = "pca"
    if method == "pca":
        points[rows] = _pca(unit)
        return Projection(points, method, "; ".join(notes))
    limit = (len(rows) - 1) / 3
    if perplexity > limit:
        notes.append(f"perplexity {limit:.0f} instead of {perplexity:g}, for there are {len(rows)} points")
    points[rows] = (_tsne if method == "tsne" else _umap)(unit, min(perplexity, limit), seed)
    return Projection(points, method, "; ".join(notes))


def _pca(unit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The two directions in which the points differ most; zeros where there are none."""
    centred = unit - unit.mean(axis=0) if len(unit) else unit
    points = np.zeros((len(unit), 2))
    if centred.size:
        left, strength, _ = np.linalg.svd(centred, full_matrices=False)
        found = (left * strength)[:, :2]
        # the sign of a direction is arbitrary: the largest entry is positive, so that pictures do not flip
        found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])] + 1e-300)
        points[:, : found.shape[1]] = found
    return points


def _tsne(unit: npt.NDArray[np.float64], perplexity: float, seed: int) -> npt.NDArray[Any]:
    from sklearn.manifold import TSNE  # takes a second to import

    start = _pca(unit)
    start *= 1e-4 / max(float(start[:, 0].std()), 1e-12)
    # Of unit vectors, the squared Euclidean distance is twice the cosine distance.
    return np.asarray(TSNE(2, perplexity=max(perplexity, 1.0), init=start, random_state=seed).fit_transform(unit))


def _umap(unit: npt.NDArray[np.float64], neighbours: float, seed: int) -> npt.NDArray[Any]:
    try:
        from umap import UMAP  # optional, and takes seconds to import
    except ImportError as error:
        msg = "UMAP is not installed: pip install 'jde-lightning[explore]', or use tsne"
        raise InputError(msg) from error
    count = max(2, round(neighbours))
    # the spectral start needs more points than dimensions
    start = "spectral" if len(unit) > 15 else "random"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a seed costs it its threads
        return np.asarray(UMAP(n_neighbors=count, metric="cosine", init=start, random_state=seed).fit_transform(unit))
