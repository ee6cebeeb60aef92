"""Which identities are well apart from the others, and who each is closest to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.embeddings import cosine_sums, silhouettes_of_rows, to_gallery, why_undefined
from jde_lightning.metrics.usable import usable_rows
from jde_lightning.structures import NO_IDENTITY


class IdentitySilhouettes(NamedTuple):
    """The silhouettes of ``K`` identities, by cosine distance.

    Attributes:
        identities: ``(K,)`` int64, increasing.
        counts: ``(K,)`` int64 embeddings of each.
        silhouettes: ``(K,)`` float64 mean silhouette of its embeddings, in -1..1; 0 for an identity with one.
        closest: ``(K,)`` int64 the other identity whose embeddings are closest in the mean; -1 if there is no other.
        rows: ``(N,)`` float64 silhouette of each row that was given; NaN where the row was left out.
        note: what is undefined or was left out; empty if there is nothing to say.
    """

    identities: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    silhouettes: npt.NDArray[np.float64]
    closest: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float64]
    note: str


def identity_silhouettes(embeddings: Any, identities: Any, block_size: int = 1024) -> IdentitySilhouettes:
    """Compute the silhouette of each identity; the mean of ``rows`` is the silhouette of ``embedding_metrics``.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        block_size: number of rows that are compared with all identities at a time.

    Raises:
        ValueError: if shapes do not fit.
    """
    given, note = usable_rows(embeddings, identities)
    embeddings, identities = np.asarray(embeddings), np.asarray(identities)
    gallery = to_gallery(embeddings[given], identities[given])
    count = len(gallery.counts)
    silhouettes = np.full(len(embeddings), np.nan)
    between = np.zeros((count, count))
    for start in range(0, len(gallery.vectors), block_size):
        block = slice(start, start + block_size)
        own = gallery.groups[block]
        means = cosine_sums(gallery, block).astype(np.float64)
        silhouettes[given[gallery.rows[block]]] = silhouettes_of_rows(means, own, gallery.counts)
        np.add.at(between, own, means)
    names = identities[given][gallery.rows[gallery.starts]].astype(np.int64)
    per_identity = np.bincount(gallery.groups, silhouettes[given[gallery.rows]], minlength=count) / gallery.counts
    closest = names[between.argmin(axis=1)] if count > 1 else np.full(count, NO_IDENTITY)
    undefined = why_undefined(identities[given])
    return IdentitySilhouettes(names, gallery.counts, per_identity, closest, silhouettes, undefined or note)
