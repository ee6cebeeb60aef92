"""Which embeddings of a table can be compared: those that are finite, have a direction, and show somebody known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.structures import NO_IDENTITY


class UsableRows(NamedTuple):
    """The rows of a table that can be compared.

    Attributes:
        rows: ``(K,)`` int64, increasing.
        note: what was left out and why, for a person; empty if nothing was.
    """

    rows: npt.NDArray[np.int64]
    note: str


def usable_rows(embeddings: Any, identities: Any = None) -> UsableRows:
    """Find the rows whose embedding is finite and not zero, and, where identities are given, that have one.

    That a row has no identity is no fault, and not noted.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, -1 where there is none; all rows count if omitted.

    Raises:
        ValueError: if shapes do not fit.
    """
    vectors = to_array(embeddings)
    if vectors.ndim != 2:
        msg = f"expected embeddings (N, D), got {vectors.shape}"
        raise ValueError(msg)
    fine = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    broken = int((~fine).sum())
    note = f"{broken} of {len(vectors)} embeddings are not finite or zero, and are left out" if broken else ""
    if identities is not None:
        known = to_array(identities)
        if known.shape != (len(vectors),):
            msg = f"expected embeddings (N, D) and identities (N,), got {vectors.shape} and {known.shape}"
            raise ValueError(msg)
        fine &= known != NO_IDENTITY
    return UsableRows(np.flatnonzero(fine), note)


def usable(embeddings: Any, identities: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64], str]:
    """Return what :func:`usable_rows` finds: the embeddings, their identities, and what was left out.

    Raises:
        ValueError: if shapes do not fit.
    """
    rows, note = usable_rows(embeddings, identities)
    return to_array(embeddings)[rows], to_array(identities)[rows].astype(np.int64, copy=False), note


def balanced_sample(identities: Any, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Choose rows for a picture that cannot show all: as many of each identity as there is room for.

    Rows without identity fill up what is left. Within an identity the rows are spread evenly over its rows.

    Args:
        identities: ``(N,)`` integer array or tensor, -1 where there is none.
        count: most rows.
        seed: of the choice of identities where there is not even one row for each, and of rows without identity.

    Returns:
        ``(K,)`` int64 rows, increasing; all rows if there are not more than ``count``.
    """
    values = to_array(identities).astype(np.int64, copy=False)
    if len(values) <= count:
        return np.arange(len(values))
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(values != NO_IDENTITY)
    order = known[np.argsort(values[known], kind="stable")]
    counts = np.unique(values[order], return_counts=True)[1]
    quota = _fair_share(counts, min(count, len(order)), rng)
    starts = np.cumsum(counts) - counts
    spread = [
        start + (np.arange(share) * (2 * n) + n) // (2 * share)
        for start, n, share in zip(starts.tolist(), counts.tolist(), quota.tolist(), strict=True)
        if share
    ]
    chosen = order[np.concatenate(spread)] if spread else order[:0]
    others = np.flatnonzero(values == NO_IDENTITY)
    filling = rng.choice(others, min(count - len(chosen), len(others)), replace=False)
    return np.sort(np.concatenate([chosen, filling]).astype(np.int64))


def _fair_share(counts: npt.NDArray[np.int64], total: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Split ``total`` so that nobody gets more than they have, and nobody less than others who have as much."""
    share = np.zeros(len(counts), np.int64)
    while total > 0:
        wanting = np.flatnonzero(share < counts)
        each = total // len(wanting)
        if each == 0:
            share[rng.choice(wanting, total, replace=False)] += 1
            break
        given = np.minimum(counts[wanting] - share[wanting], each)
        share[wanting] += given
        total -= int(given.sum())
    return share


def to_array(values: Any) -> npt.NDArray[Any]:
    """Return an array; a tensor comes from its device and loses its gradient."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
