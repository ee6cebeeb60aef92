"""Where an embedding fails: least alike pairs of one person, most alike pairs of two, nearest neighbours."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.metrics.embeddings import Gallery, to_gallery
from jde_lightning.metrics.usable import to_array, usable_rows


class HardPairs(NamedTuple):
    """Pairs of rows, the hardest first.

    Attributes:
        first: ``(K,)`` int64 rows of those that were given.
        second: ``(K,)`` int64 rows.
        distances: ``(K,)`` float64 cosine distance of the two, 0 to 2.
        note: why there is none, or what was left out; empty if there is nothing to say.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    note: str


class Neighbours(NamedTuple):
    """The rows that are most alike to one row.

    Attributes:
        rows: ``(K,)`` int64, the nearest first, without the row itself.
        distances: ``(K,)`` float64 cosine distance, 0 to 2.
    """

    rows: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]


def hardest_positives(embeddings: Any, identities: Any, count: int = 12, block_size: int = 512) -> HardPairs:
    """Find the pairs of one identity that are farthest apart, one pair of each identity. Exact, in blocks of rows.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        count: most pairs.
        block_size: rows of an identity that are compared with all its rows at a time.

    Raises:
        ValueError: if shapes do not fit.
    """
    gallery, given, note = _gallery(embeddings, identities)
    found = []
    for start, size in zip(gallery.starts.tolist(), gallery.counts.tolist(), strict=True):
        if size < 2:
            continue
        own = gallery.vectors[start : start + size]
        best = (np.inf, 0, 0)
        for first in range(0, size, block_size):
            cosines = own[first : first + block_size] @ own.T
            row, column = np.unravel_index(cosines.argmin(), cosines.shape)
            best = min(best, (float(cosines[row, column]), start + first + int(row), start + int(column)))
        found.append(best)
    if not found:
        note = "no identity has two embeddings" if len(given) else "no embedding has an identity"
    return _pairs(sorted(found)[:count], gallery, given, note)


def hardest_negatives(embeddings: Any, identities: Any, count: int = 12, block_size: int = 512) -> HardPairs:
    """Find the pairs of different identities that are most alike, one of each two identities. Exact, in blocks of rows.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        count: most pairs.
        block_size: rows of an identity that are compared with all N at a time.

    Raises:
        ValueError: if shapes do not fit.
    """
    gallery, given, note = _gallery(embeddings, identities)
    best: list[tuple[float, int, int]] = []  # cosine, and the positions of two identities
    for identity, (start, size) in enumerate(zip(gallery.starts.tolist(), gallery.counts.tolist(), strict=True)):
        end = start + size
        if end == len(gallery.vectors):
            break
        later = gallery.vectors[end:]
        nearest = np.full(len(later), -np.inf)
        for first in range(start, end, block_size):
            block = gallery.vectors[first : min(first + block_size, end)]
            np.maximum(nearest, (block @ later.T).max(axis=0), out=nearest)
        cosines = np.maximum.reduceat(nearest, gallery.starts[identity + 1 :] - end)
        top = np.argsort(-cosines, kind="stable")[:count]
        best += [(-float(cosines[other]), identity, identity + 1 + int(other)) for other in top]
        best = sorted(best)[:count]
    found = [_most_alike(gallery, one, other) for _, one, other in best]
    if not found:
        note = "all embeddings have the same identity" if len(given) else "no embedding has an identity"
    return _pairs(found, gallery, given, note)


def nearest_neighbours(embeddings: Any, row: int, count: int = 12, hidden: Any = None) -> Neighbours:
    """Find the rows that are most alike to one row.

    Args:
        embeddings: ``(N, D)`` array or tensor; rows that are not finite, or zero, are never found.
        row: whose neighbours are wanted.
        count: most neighbours.
        hidden: ``(N,)`` bool, rows that are not to be found, such as those of the same frame; none if omitted.

    Raises:
        InputError: if there is no such row, or its embedding is not finite.
        ValueError: if shapes do not fit.
    """
    vectors = to_array(embeddings)
    rows, _ = usable_rows(vectors)
    if not 0 <= row < len(vectors):
        msg = f"row {row}: the table has the rows 0 to {len(vectors) - 1}" if len(vectors) else "the table is empty"
        raise InputError(msg)
    if row not in rows:
        msg = f"row {row}: its embedding is not finite or zero, and so has no neighbours"
        raise InputError(msg)
    allowed = rows != row
    if hidden is not None:
        allowed &= ~np.asarray(hidden, bool)[rows]
    rows = rows[allowed]
    norms = np.linalg.norm(vectors[rows], axis=1) * np.linalg.norm(vectors[row])
    distances = 1 - (vectors[rows] @ vectors[row]) / norms
    order = np.argsort(distances, kind="stable")[:count]
    return Neighbours(rows[order], distances[order].astype(np.float64))


def _gallery(embeddings: Any, identities: Any) -> tuple[Gallery, npt.NDArray[np.int64], str]:
    """The usable rows, normalised and sorted by identity; which they are; what was left out."""
    given, note = usable_rows(embeddings, identities)
    return to_gallery(to_array(embeddings)[given], to_array(identities)[given]), given, note


def _most_alike(gallery: Gallery, one: int, other: int) -> tuple[float, int, int]:
    """The most alike pair of two identities: its cosine and its two positions in the gallery."""
    first, second = (slice(gallery.starts[i], gallery.starts[i] + gallery.counts[i]) for i in (one, other))
    cosines = gallery.vectors[first] @ gallery.vectors[second].T
    row, column = np.unravel_index(cosines.argmax(), cosines.shape)
    return float(cosines[row, column]), int(first.start + row), int(second.start + column)


def _pairs(found: list[tuple[float, int, int]], gallery: Gallery, given: npt.NDArray[np.int64], note: str) -> HardPairs:
    """Name the pairs by the rows that were given."""
    rows = given[gallery.rows]
    first, second = (rows[np.array([pair[k] for pair in found], np.int64)] for k in (1, 2))
    return HardPairs(first, second, 1 - np.array([pair[0] for pair in found], np.float64), note)
