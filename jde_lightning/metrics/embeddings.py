"""How well embeddings tell identities apart: silhouettes, mean distances, retrieval. Exact, in blocks of rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.structures import NO_IDENTITY

_LOG = logging.getLogger(__name__)

Floats = npt.NDArray[Any]

_MAX_THREADS = 8
"""More would be limited by memory bandwidth."""


class Gallery(NamedTuple):
    """Normalised embeddings, sorted by identity.

    Attributes:
        vectors: ``(N, D)`` unit norm, float32 (float64 if given so).
        groups: ``(N,)`` identity as 0..K-1, never decreasing.
        starts: ``(K,)`` first row of each identity.
        counts: ``(K,)`` rows of each identity.
        sums: ``(K, D)`` sum of the vectors of each identity.
        rows: ``(N,)`` row of each vector among those that were given.
    """

    vectors: Floats
    groups: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    sums: Floats
    rows: npt.NDArray[np.int64]


def embedding_metrics(
    embeddings: Any,
    identities: Any,
    block_size: int = 128,
    separation: bool = True,
    retrieval: bool = True,
    warn: bool = True,
) -> dict[str, float]:
    """Measure how well embeddings tell identities apart.

    Everything is exact; N x N distances never exist at once. Embeddings are normalised first. Rows without identity
    (-1) are left out. Identities must be unique over all sequences.

    * Silhouette (Rousseeuw, 1987): mean over rows of (b - a) / max(a, b), a the mean distance to the row's own
      identity, b the smallest mean distance to another one; 0 for an identity with one row. Equal to scikit-learn's.
    * Retrieval: each row whose identity has another row is a query among all other rows. ``retrieval_map`` is the mean
      average precision, ``rank1`` and ``rank5`` the share of queries with a right answer among the first 1 and 5. A
      wrong answer as close as a right one comes first, so that collapsed embeddings do not look perfect.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor.
        block_size: number of rows that are compared with all N at a time; two blocks of N columns are in memory for
            each thread.
        separation: compute silhouettes and mean distances.
        retrieval: compute ``retrieval_map``, ``rank1``, ``rank5``.
        warn: say why something is left out.

    Returns:
        ``silhouette_cosine``, ``silhouette_euclidean``, ``mean_positive_cosine``, ``mean_negative_cosine``,
        ``mean_positive_euclidean``, ``mean_negative_euclidean`` (distances between two different rows of the same and
        of different identities), ``retrieval_map``, ``rank1``, ``rank5``. What is undefined is left out, and a warning
        says why.

    Raises:
        ValueError: if shapes do not fit, or an embedding is not finite.
    """
    gallery = to_gallery(embeddings, identities)
    several = len(gallery.counts) > 1
    pairs = bool((gallery.counts > 1).any())
    if warn and not (several and pairs):
        _LOG.warning("%s", why_undefined(identities))
    retrieval = retrieval and several and pairs

    def measure(gallery: Gallery, block: slice, similarity: Floats) -> Floats:
        sums = np.zeros((3, 3))
        if separation:
            sums[:2] = _separation_sums(gallery, block, similarity)
        if retrieval:
            sums[2] = _retrieval_sums(gallery, block, similarity)
        return sums

    sums = map_blocks(gallery, block_size, measure, np.zeros((3, 3)))
    values = _separation(gallery, sums[:2], several, pairs) if separation else {}
    if retrieval:
        queries = int(gallery.counts[gallery.counts > 1].sum())
        values |= dict(zip(("retrieval_map", "rank1", "rank5"), (sums[2] / queries).tolist(), strict=True))
    return values


def why_undefined(identities: Any) -> str:
    """Say what :func:`embedding_metrics` leaves out and why; empty if it leaves out nothing.

    Args:
        identities: ``(N,)`` integer array or tensor.
    """
    values = _to_numpy(identities)
    counts = np.unique(values[values != NO_IDENTITY], return_counts=True)[1]
    if not len(counts):
        return "no embedding has an identity: no embedding metric is defined"
    if len(counts) == 1:
        return "all embeddings have the same identity: silhouettes, negative distances and retrieval are undefined"
    if counts.max() == 1:
        return "no identity has two embeddings: silhouettes, positive distances and retrieval are undefined"
    return ""


def _to_numpy(values: Any) -> npt.NDArray[Any]:
    """Return an array; a tensor comes from its device and loses its gradient."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def to_gallery(embeddings: Any, identities: Any) -> Gallery:
    """Check, leave out what has no identity, normalise, sort by identity.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor.

    Raises:
        ValueError: if shapes do not fit, or an embedding is not finite.
    """
    embeddings, identities = _to_numpy(embeddings), _to_numpy(identities).astype(np.int64, copy=False)
    if embeddings.ndim != 2 or identities.shape != embeddings.shape[:1]:
        msg = f"expected embeddings (N, D) and identities (N,), got {embeddings.shape} and {identities.shape}"
        raise ValueError(msg)
    known = np.flatnonzero(identities != NO_IDENTITY)
    order = known[np.argsort(identities[known], kind="stable")]
    dtype = np.float64 if embeddings.dtype == np.float64 else np.float32
    vectors = embeddings[order].astype(dtype, copy=False)
    if not np.isfinite(vectors).all():
        msg = "embeddings must be finite, got NaN or infinity"
        raise ValueError(msg)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(norms > 0, norms, 1)
    _, starts, groups, counts = np.unique(identities[order], return_index=True, return_inverse=True, return_counts=True)
    sums = np.add.reduceat(vectors, starts, axis=0) if len(starts) else vectors[:0]
    return Gallery(vectors, groups.reshape(-1), starts, counts, sums, order)


def map_blocks(
    gallery: Gallery, block_size: int, measure: Callable[[Gallery, slice, Floats], Floats], zero: Floats
) -> Floats:
    """Compare every row with every row, block by block; numpy works outside of the GIL, so threads help.

    Args:
        gallery: all rows.
        block_size: number of rows of a block.
        measure: from all rows, the rows of a block and their ``(B, N)`` cosines with all rows, which it may overwrite,
            to sums over the block.
        zero: what the sums begin with.

    Returns:
        The sums over all blocks.
    """

    def of_block(start: int) -> Floats:
        block = slice(start, min(start + block_size, n))
        return measure(gallery, block, gallery.vectors[block] @ gallery.vectors.T)

    n = len(gallery.vectors)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(min(cores, _MAX_THREADS)) as pool:
        return sum(pool.map(of_block, range(0, n, block_size)), zero)


def _separation_sums(gallery: Gallery, block: slice, similarity: Floats) -> Floats:
    """Sum silhouettes and distances of a block of rows.

    Args:
        gallery: all rows.
        block: the rows of the block.
        similarity: ``(B, N)`` cosines of the block with all rows.

    Returns:
        ``(2, 3)`` float64, for cosine and Euclidean distance: silhouettes, distances to the own identity, distances to
        all rows.
    """
    own = gallery.groups[block]
    rows = np.arange(len(own))
    cosine = cosine_sums(gallery, block)
    # |x - y|^2 = 2 - 2 x.y for unit vectors.
    euclidean = similarity * -2
    euclidean += 2
    np.maximum(euclidean, 0, out=euclidean)
    euclidean[rows, rows + block.start] = 0
    np.sqrt(euclidean, out=euclidean)
    euclidean = np.add.reduceat(euclidean, gallery.starts, axis=1)
    return np.array([_silhouettes(sums.astype(np.float64), own, gallery.counts) for sums in (cosine, euclidean)])


def _silhouettes(
    sums: npt.NDArray[np.float64], own: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[float, float, float]:
    """Sum the silhouettes of some rows, their distances to their own identity, and to all rows.

    Args:
        sums: ``(B, K)`` sum of the distances of each row to each identity; overwritten.
        own: ``(B,)`` identity of each row.
        counts: ``(K,)`` rows of each identity.
    """
    total = sums.sum()
    within = sums[np.arange(len(own)), own].sum()
    return float(silhouettes_of_rows(sums, own, counts).sum()), float(within), float(total)


def silhouettes_of_rows(
    sums: npt.NDArray[np.float64], own: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Compute the silhouette of each row.

    Args:
        sums: ``(B, K)`` sum of the distances of each row to each identity. It becomes the mean distance to each other
            identity, and infinity for the own one.
        own: ``(B,)`` identity of each row.
        counts: ``(K,)`` rows of each identity.

    Returns:
        ``(B,)`` in -1..1; 0 for an identity with one row, or where there is no other.
    """
    rows = np.arange(len(own))
    inner = sums[rows, own] / np.maximum(counts[own] - 1, 1)
    sums /= counts
    sums[rows, own] = np.inf
    outer = sums.min(axis=1)
    larger = np.maximum(inner, outer)
    defined = (counts[own] > 1) & (larger > 0) & np.isfinite(outer)
    return np.asarray(np.divide(outer - inner, larger, out=np.zeros_like(inner), where=defined))


def cosine_sums(gallery: Gallery, block: slice) -> Floats:
    """Sum up the cosine distances of a block of rows to each identity; no row needs to be visited.

    Args:
        gallery: all rows.
        block: the rows of the block.

    Returns:
        ``(B, K)``; a row's distance to itself is zero, not what rounding leaves of it.
    """
    vectors, own = gallery.vectors[block], gallery.groups[block]
    # The distances to an identity sum up to n - x.S.
    cosine = gallery.counts - vectors @ gallery.sums.T
    cosine[np.arange(len(vectors)), own] -= 1 - np.einsum("nd,nd->n", vectors, vectors)
    # Embeddings that have collapsed to a point are as far apart as rounding makes them, but never less than nothing.
    return np.asarray(np.maximum(cosine, 0, out=cosine))


def _separation(gallery: Gallery, sums: Floats, several: bool, pairs: bool) -> dict[str, float]:
    """Turn the sums over all rows into means."""
    n = len(gallery.vectors)
    same = int((gallery.counts * (gallery.counts - 1)).sum())
    different = n * n - int((gallery.counts**2).sum())
    values = {}
    for name, (silhouette, within, total) in zip(("cosine", "euclidean"), sums.tolist(), strict=True):
        if several and pairs:
            values[f"silhouette_{name}"] = silhouette / n
        if pairs:
            values[f"mean_positive_{name}"] = within / same
        if several:
            values[f"mean_negative_{name}"] = (total - within) / different
    return values


def _retrieval_sums(gallery: Gallery, block: slice, similarity: Floats) -> Floats:
    """Search a block of rows among all rows.

    Args:
        gallery: all rows.
        block: the rows of the block.
        similarity: ``(B, N)`` cosines of the block with all rows; overwritten.

    Returns:
        ``(3,)`` float64: sum of average precisions, queries answered at rank 1, within rank 5.
    """
    n = similarity.shape[1]
    own = gallery.groups[block]
    # The row itself is no answer: below every cosine, it comes last.
    similarity[np.arange(len(own)), np.arange(block.start, block.stop)] = -3
    starts = gallery.starts[own]
    stops = starts + gallery.counts[own]
    answers = [np.sort(row[start:stop])[1:] for row, start, stop in zip(similarity, starts, stops, strict=True)]
    similarity.sort(axis=1)
    hits = np.zeros(3)
    for row, right in zip(similarity, answers, strict=True):
        if not len(right):
            continue
        among_all = n - np.searchsorted(row, right)
        among_right = len(right) - np.searchsorted(right, right)
        before_first = among_all[-1] - among_right[-1]
        hits += ((among_right / among_all).mean(), before_first < 1, before_first < 5)
    return hits
