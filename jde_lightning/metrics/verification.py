"""Whether two embeddings show the same identity, decided by their cosine: ROC over all pairs, in blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.embeddings import Gallery, map_blocks, to_gallery

_BINS = 1 << 16
"""Cosines are sorted into bins of 2 / 65536; pairs of one bin count as equally similar."""
_FALSE_POSITIVE_RATES = {"tpr_at_fpr_1e-2": 1e-2, "tpr_at_fpr_1e-3": 1e-3}


def verification_metrics(embeddings: Any, identities: Any, block_size: int = 128) -> dict[str, float]:
    """Measure how well a threshold on the cosine tells pairs of the same identity from pairs of different ones.

    Over all pairs of two different rows. Cosines are counted in a histogram whose bins are 3e-5 wide, so that memory
    does not grow with the number of pairs. Embeddings are normalised first; rows without identity (-1) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        block_size: number of rows that are compared with all N at a time.

    Returns:
        ``roc_auc``: probability that a pair of the same identity is more similar than one of different identities,
        equal pairs counted half. ``tpr_at_fpr_1e-2``, ``tpr_at_fpr_1e-3``: share of the pairs of the same identity
        that are found by the lowest threshold which at most 1 % (0.1 %) of the different pairs reach. Empty where
        there are no two rows of one identity, or no two identities.

    Raises:
        ValueError: if shapes do not fit, or an embedding is not finite.
    """
    gallery = to_gallery(embeddings, identities)
    if len(gallery.counts) < 2 or gallery.counts.max() < 2:
        return {}
    same, different = map_blocks(gallery, block_size, _histograms, np.zeros((2, _BINS), np.int64))
    # Share of the pairs at or above each bin, from the most similar one down.
    found = np.append(0, np.cumsum(same[::-1]) / same.sum())
    mistaken = np.append(0, np.cumsum(different[::-1]) / different.sum())
    values = {"roc_auc": float((np.diff(mistaken) * (found[1:] + found[:-1])).sum() / 2)}
    for name, rate in _FALSE_POSITIVE_RATES.items():
        values[name] = float(found[np.searchsorted(mistaken, rate, side="right") - 1])
    return values


def _histograms(gallery: Gallery, block: slice, similarity: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count the cosines of a block of rows with all other rows.

    Args:
        gallery: all rows.
        block: the rows of the block.
        similarity: ``(B, N)`` cosines of the block with all rows; overwritten.

    Returns:
        ``(2, _BINS)`` pairs of the same and of different identities by cosine.
    """
    np.clip(similarity, -1, 1, out=similarity)
    similarity += 1
    similarity *= (_BINS - 1) / 2
    bins = np.rint(similarity).astype(np.int32)
    every = np.bincount(bins.ravel(), minlength=_BINS)
    rows = np.arange(block.start, block.stop)
    own = gallery.groups[block]
    starts, stops = gallery.starts[own], gallery.starts[own] + gallery.counts[own]
    segments = [bins[row - block.start, start:stop] for row, start, stop in zip(rows, starts, stops, strict=True)]
    within = np.bincount(np.concatenate(segments), minlength=_BINS)
    itself = np.bincount(bins[rows - block.start, rows], minlength=_BINS)
    return np.stack([within - itself, every - within])
