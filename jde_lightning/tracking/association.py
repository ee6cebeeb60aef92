"""Distances between tracklets and detections, and the assignment of one to the other under a cost limit."""

from __future__ import annotations

import math

import lap
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

_TINY = np.finfo(np.float32).tiny


def overlapping_pairs(a: FloatArray, b: FloatArray) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Find the pairs of boxes that overlap, and their IoU distance; of all other pairs the distance is 1.

    In a crowd a few per cent of all pairs overlap, so finding them by comparisons and computing the overlap of those
    alone is several times faster than the whole matrix.

    Args:
        a: ``(N, 4)`` xyxy pixels.
        b: ``(M, 4)`` xyxy pixels.

    Returns:
        ``(P,)`` rows of ``a``, ``(P,)`` rows of ``b``, ``(P,)`` float32 one minus intersection over union, in 0..1.
    """
    if not len(a) or not len(b):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32)
    # Coordinates lie in rows from here on: numpy is fastest along contiguous memory.
    a, b = a.T.copy(), b.T.copy()
    ax1, ay1, ax2, ay2 = a[:, :, None]
    bx1, by1, bx2, by2 = b
    touch = ax1 < bx2
    touch &= ax2 > bx1
    touch &= ay1 < by2
    touch &= ay2 > by1
    flat = touch.ravel().nonzero()[0]
    rows = flat // b.shape[1]
    columns = flat - rows * b.shape[1]
    first, second = a.take(rows, axis=1), b.take(columns, axis=1)
    side = np.minimum(first[2:], second[2:])
    side -= np.maximum(first[:2], second[:2])
    np.maximum(side, 0, out=side)  # boxes with swapped corners pass the comparisons
    overlap = side[0] * side[1]
    first, second = first[2:] - first[:2], second[2:] - second[:2]
    union = first[0] * first[1]
    union += second[0] * second[1]
    union -= overlap
    overlap /= np.maximum(union, _TINY, out=union)
    return rows, columns, np.subtract(1, overlap, out=overlap)


def fuse_score(distance: FloatArray, scores: FloatArray) -> FloatArray:
    """Weigh the overlap by the detector's confidence: ``1 - (1 - distance) * score``.

    Args:
        distance: ``(P,)`` IoU distances; not changed.
        scores: ``(P,)`` of the detections, in 0..1.

    Returns:
        ``(P,)`` float32 in 0..1.
    """
    return 1 - (1 - distance) * scores


def normalise(embeddings: FloatArray) -> FloatArray:
    """Embeddings ``(N, D)`` as a new array of unit rows; zero rows stay, rows with NaN or infinity turn NaN."""
    norm = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    if not math.isfinite(norm.sum()):
        norm[~np.isfinite(norm)] = np.nan
    return embeddings / np.maximum(norm, _TINY)[:, None]


def paired_cosine_distance(a: FloatArray, b: FloatArray, rows: IndexArray, columns: IndexArray) -> FloatArray:
    """Cosine distance of chosen pairs of unit vectors, floored at 0 against rounding.

    Args:
        a: ``(N, D)`` unit rows.
        b: ``(M, D)`` unit rows.
        rows: ``(P,)`` row of ``a`` of each pair.
        columns: ``(P,)`` row of ``b`` of each pair.

    Returns:
        ``(P,)`` in 0..2.
    """
    similarity = np.einsum("pd,pd->p", a.take(rows, axis=0), b.take(columns, axis=0))
    return np.maximum(1 - similarity, 0)


def cosine_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cosine distances ``(N, M)`` of all unit rows ``(N, D)`` and ``(M, D)``, floored at 0 against rounding."""
    distance = a @ b.T
    np.subtract(1, distance, out=distance)
    return np.maximum(distance, 0, out=distance)


def all_pairs(
    shape: tuple[int, int], rows: IndexArray, columns: IndexArray, distance: FloatArray
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """List every pair of a matrix of ``shape``, with distance 1 where :func:`overlapping_pairs` gave none."""
    every = np.ones(shape, np.float32)
    every[rows, columns] = distance
    return *np.divmod(np.arange(every.size), max(shape[1], 1)), every.ravel()


def assign(
    rows: IndexArray, columns: IndexArray, cost: npt.NDArray[np.floating], limit: float
) -> tuple[IndexArray, IndexArray]:
    """Find the assignment with the least total cost, where leaving a row and a column alone costs ``limit``.

    Only pairs below the limit can be part of it. So a pair whose row and column occur in no other such pair is taken
    at once, and the Jonker-Volgenant solver sees only what competes.

    Args:
        rows: ``(P,)`` row of each candidate pair; pairs that are not listed cannot match.
        columns: ``(P,)`` column of each candidate pair.
        cost: ``(P,)`` cost of each candidate pair.
        limit: pairs must cost less than this.

    Returns:
        Rows and columns of the matches, by ascending row.
    """
    below = cost < limit
    rows, columns, cost = rows[below], columns[below], cost[below]
    if not len(rows):
        return rows, columns
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    if alone.all():
        order = np.argsort(rows)
        return rows[order], columns[order]
    contested = ~alone
    solved_rows, solved_columns = _solve(rows[contested], columns[contested], cost[contested], limit)
    rows = np.concatenate((rows[alone], solved_rows))
    columns = np.concatenate((columns[alone], solved_columns))
    order = np.argsort(rows)
    return rows[order], columns[order]


def _solve(
    rows: IndexArray, columns: IndexArray, cost: npt.NDArray[np.floating], limit: float
) -> tuple[IndexArray, IndexArray]:
    """Solve the assignment of candidate pairs, all below ``limit``, as one dense problem."""
    row_names, column_names = np.bincount(rows).nonzero()[0], np.bincount(columns).nonzero()[0]
    row_index, column_index = np.searchsorted(row_names, rows), np.searchsorted(column_names, columns)
    dense = np.full((len(row_names), len(column_names)), 2 * limit + 1)
    dense[row_index, column_index] = cost
    _, column_of_row, _ = lap.lapjv(dense, extend_cost=True, cost_limit=limit)
    matched = np.flatnonzero(column_of_row >= 0)
    return row_names[matched], column_names[column_of_row[matched]]
