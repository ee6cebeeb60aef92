"""Whether two embeddings show the same identity, decided by their cosine: ROC over all pairs, in blocks of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.embeddings import Gallery, map_blocks, to_gallery, why_undefined
from jde_lightning.metrics.usable import usable

_BINS = 1 << 16
"""Cosines are sorted into bins of 2 / 65536; pairs of one bin count as equally similar."""
_FALSE_POSITIVE_RATES = {"tpr_at_fpr_1e-2": 1e-2, "tpr_at_fpr_1e-3": 1e-3}


class VerificationCurve(NamedTuple):
    """The share of pairs of the same identity that a threshold finds, against that of different ones it mistakes.

    Attributes:
        false_positive_rates: ``(T,)`` float64, never decreasing, from 0 to 1; empty where undefined.
        true_positive_rates: ``(T,)`` float64, never decreasing, from 0 to 1.
        values: what :func:`verification_metrics` returns.
        note: why the curve is undefined, or what was left out; empty if there is nothing to say.
    """

    false_positive_rates: npt.NDArray[np.float64]
    true_positive_rates: npt.NDArray[np.float64]
    values: dict[str, float]
    note: str


class PairHistograms(NamedTuple):
    """How far apart the pairs of the same and of different identities are.

    Attributes:
        edges: ``(B + 1,)`` float64 edges of the bins, cosine distance from 0 to 2.
        same: ``(B,)`` int64 number of pairs of the same identity.
        different: ``(B,)`` int64 number of pairs of different identities.
        note: what is undefined or was left out; empty if there is nothing to say.
    """

    edges: npt.NDArray[np.float64]
    same: npt.NDArray[np.int64]
    different: npt.NDArray[np.int64]
    note: str


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
    return _values(*_rates(_count_pairs(gallery, block_size)))


def verification_curve(embeddings: Any, identities: Any, block_size: int = 128) -> VerificationCurve:
    """Trace the ROC of :func:`verification_metrics`.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        block_size: number of rows that are compared with all N at a time.

    Raises:
        ValueError: if shapes do not fit.
    """
    embeddings, identities, note = usable(embeddings, identities)
    undefined = why_undefined(identities)
    if undefined:
        nothing = np.zeros(0)
        return VerificationCurve(nothing, nothing, {}, undefined)
    mistaken, found = _rates(_count_pairs(to_gallery(embeddings, identities), block_size))
    values = _values(mistaken, found)
    # most of the 65537 thresholds lie between two pairs and change nothing
    corner = np.append(True, (np.diff(mistaken) > 0) | (np.diff(found) > 0))
    return VerificationCurve(mistaken[corner], found[corner], values, note)


def pair_histograms(embeddings: Any, identities: Any, bins: int = 128, block_size: int = 128) -> PairHistograms:
    """Count all pairs of rows by their cosine distance, those of the same identity and those of different ones.

    Rows that cannot be used (:func:`~jde_lightning.metrics.usable.usable_rows`) are left out.

    Args:
        embeddings: ``(N, D)`` array or tensor.
        identities: ``(N,)`` integer array or tensor, unique over all sequences.
        bins: number of bins between the distances 0 and 2.
        block_size: number of rows that are compared with all N at a time.

    Raises:
        ValueError: if shapes do not fit.
    """
    embeddings, identities, note = usable(embeddings, identities)
    gallery = to_gallery(embeddings, identities)
    counts = _count_pairs(gallery, block_size)
    distances = np.linspace(2, 0, _BINS)
    coarse = np.minimum((distances * (bins / 2)).astype(np.int64), bins - 1)
    same, different = (np.bincount(coarse, fine, minlength=bins).astype(np.int64) for fine in counts)
    return PairHistograms(np.linspace(0, 2, bins + 1), same, different, why_undefined(identities) or note)


def _count_pairs(gallery: Gallery, block_size: int) -> npt.NDArray[np.int64]:
    """Count each pair of two rows once, by its cosine: ``(2, _BINS)`` of the same and of different identities.

    The bins begin with a cosine of -1 and end with 1.
    """
    return np.asarray(map_blocks(gallery, block_size, _histograms, np.zeros((2, _BINS), np.int64)))


def _rates(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shares of the different and of the same pairs at or above each threshold, from the highest one down."""
    same, different = counts
    found = np.append(0, np.cumsum(same[::-1]) / same.sum())
    mistaken = np.append(0, np.cumsum(different[::-1]) / different.sum())
    return mistaken, found


def _values(mistaken: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> dict[str, float]:
    """Area under the curve, and the points of it that matter."""
    values = {"roc_auc": float((np.diff(mistaken) * (found[1:] + found[:-1])).sum() / 2)}
    for name, rate in _FALSE_POSITIVE_RATES.items():
        values[name] = float(found[np.searchsorted(mistaken, rate, side="right") - 1])
    return values


def _histograms(gallery: Gallery, block: slice, similarity: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Count the cosines of a block of rows with all rows after them, so that every pair is counted from one side only.

    Counting it from both sides and halving would lose pairs: the two products of a pair may differ in the last bit and
    fall into neighbouring bins.

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
    rows = np.arange(block.start, block.stop)
    inside = bins[:, block][np.triu_indices(len(rows), 1)]
    every = np.bincount(inside, minlength=_BINS) + np.bincount(bins[:, block.stop :].ravel(), minlength=_BINS)
    own = gallery.groups[block]
    stops = gallery.starts[own] + gallery.counts[own]
    segments = [bins[row - block.start, row + 1 : stop] for row, stop in zip(rows, stops, strict=True)]
    within = np.bincount(np.concatenate(segments), minlength=_BINS)
    return np.stack([within, every - within])
