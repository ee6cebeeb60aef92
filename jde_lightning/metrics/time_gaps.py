"""How far apart the embeddings of one person are after a while: cosine distance by the time between two boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.usable import to_array, usable_rows

TIME_GAPS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Edges of the bands in seconds: trackers bridge gaps of up to some seconds."""

_BINS = 2000
"""Distances are counted in bins of a thousandth."""


class TimeGapDistances(NamedTuple):
    """The distances of pairs of one sequence, in ``B`` bands of the time between their boxes.

    Attributes:
        edges: ``(B + 1,)`` float64 seconds; a band holds its lower edge, not its upper one.
        quantiles: ``(Q,)`` float64 in 0..1.
        same: ``(B, Q)`` float64 quantiles of the cosine distance of pairs of the same identity; NaN without pairs.
        different: ``(B, Q)`` float64, of different identities.
        same_counts: ``(B,)`` int64 number of pairs.
        different_counts: ``(B,)`` int64 number of pairs.
        note: what is undefined or was left out; empty if there is nothing to say.
    """

    edges: npt.NDArray[np.float64]
    quantiles: npt.NDArray[np.float64]
    same: npt.NDArray[np.float64]
    different: npt.NDArray[np.float64]
    same_counts: npt.NDArray[np.int64]
    different_counts: npt.NDArray[np.int64]
    note: str


def distances_by_time_gap(
    embeddings: Any,
    identities: Any,
    sequences: Any,
    times: Any,
    edges: Any = TIME_GAPS,
    quantiles: Any = (0.1, 0.5, 0.9),
    max_rows: int = 10_000,
    block_size: int = 256,
    seed: int = 0,
) -> TimeGapDistances:
    """Sort all pairs of two boxes of one sequence by the time between them.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`), or have no time, are left out, and so
    are bands at the end that no pair falls into.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array, unique over all sequences; -1 where there is none.
        sequences: ``(N,)`` names or numbers.
        times: ``(N,)`` seconds within the sequence, NaN for single images.
        edges: ``(B + 1,)`` increasing seconds.
        quantiles: ``(Q,)`` in 0..1.
        max_rows: a sequence with more rows is represented by so many, drawn by chance.
        block_size: rows that are compared with the rest of their sequence at a time.
        seed: of that choice.

    Raises:
        ValueError: if shapes do not fit, or edges do not increase.
    """
    vectors, known, times = to_array(embeddings), to_array(identities), np.asarray(times, np.float64)
    names, edges, quantiles = np.asarray(sequences), np.asarray(edges, np.float64), np.asarray(quantiles, np.float64)
    rows, note = usable_rows(vectors, known)
    if names.shape != known.shape or times.shape != known.shape:
        msg = f"expected sequences and times (N,) as identities {known.shape}, got {names.shape} and {times.shape}"
        raise ValueError(msg)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        msg = f"edges must be at least two increasing times in seconds, got {edges.tolist()}"
        raise ValueError(msg)
    timed = rows[np.isfinite(times[rows])]
    rng = np.random.default_rng(seed)
    counts = np.zeros((2, len(edges) - 1, _BINS), np.int64)
    for name in np.unique(names[timed]).tolist():
        members = timed[names[timed] == name]
        if len(members) > max_rows:
            members = np.sort(rng.choice(members, max_rows, replace=False))
            note = "; ".join(filter(None, [note, f"{name}: {max_rows} embeddings, drawn by chance"]))
        unit = vectors[members] / np.linalg.norm(vectors[members], axis=1, keepdims=True)
        counts += _count_pairs(unit, known[members], times[members], edges, block_size)
    filled = np.flatnonzero(counts.sum(axis=(0, 2)))
    bands = filled[-1] + 1 if len(filled) else 0
    counts = counts[:, :bands]
    if not len(rows):
        note = "no embedding has an identity"
    elif not len(timed):
        note = "single images: no two embeddings are of one sequence"
    elif not counts[0].sum():
        note = "no identity has two embeddings in a sequence"
    same, different = (_quantiles(of_kind, quantiles) for of_kind in counts)
    of_same, of_different = counts.sum(axis=2)
    return TimeGapDistances(edges[: bands + 1], quantiles, same, different, of_same, of_different, note)


def _count_pairs(
    unit: npt.NDArray[Any],
    identities: npt.NDArray[Any],
    times: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    block_size: int,
) -> npt.NDArray[np.int64]:
    """Count pairs of a sequence, of the same and of different identities: ``(2, B, _BINS)``, by band and distance."""
    bands = len(edges) - 1
    counts = np.zeros(2 * bands * _BINS, np.int64)
    for start in range(0, len(unit), block_size):
        rows = np.arange(start, min(start + block_size, len(unit)))
        columns = np.arange(start, len(unit))
        band = np.searchsorted(edges, np.abs(times[rows, None] - times[columns]), side="right") - 1
        wanted = (columns > rows[:, None]) & (band >= 0) & (band < bands)
        distances = 1 - unit[rows] @ unit[columns].T
        bins = np.clip(distances[wanted] * (_BINS / 2), 0, _BINS - 1).astype(np.int64)
        different = identities[rows, None] != identities[columns]
        counts += np.bincount((different[wanted] * bands + band[wanted]) * _BINS + bins, minlength=len(counts))
    return counts.reshape(2, bands, _BINS)


def _quantiles(counts: npt.NDArray[np.int64], quantiles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The quantiles of each band, ``(B, Q)``, from the middle of their bins."""
    below = np.cumsum(counts, axis=1)
    found = np.full((len(counts), len(quantiles)), np.nan)
    for row, values in zip(found, below, strict=True):
        if len(values) and values[-1]:
            bins = np.searchsorted(values, np.maximum(quantiles * values[-1], 1), side="left")
            row[:] = (bins + 0.5) * (2 / _BINS)
    return found
