"""Whether a box is recognised in another view of its image, without annotated identities. Exact, in blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.structures import IntArray

Floats = npt.NDArray[Any]


def cross_view_metrics(
    first: Floats, second: Floats, images: IntArray, scopes: IntArray, block_size: int = 256
) -> dict[str, float]:
    """Measure how well boxes of one view are recognised in another view of the same images.

    Each box of the first view is a query. Its one right answer is the same box in the second view; wrong answers are
    the other boxes of the second view that certainly show somebody else: those of its own image, and those of images
    outside of its scope. With one right answer, average precision is the reciprocal of its rank, so ``map`` is the mean
    reciprocal rank. A wrong answer as close as the right one comes first, so that collapsed embeddings do not look
    perfect. Guessing among ``n`` answers gives ``rank1 = 1 / n`` and ``map = (1 + 1/2 + ... + 1/n) / n``.

    ``cosine_gap`` is the mean cosine similarity of a box and itself in the other view, less that of two different boxes
    of one image: who is in one image is certainly not the same, whatever is known about the images. All pairs weigh the
    same.

    Args:
        first: ``(N, D)`` embeddings in the first view; normalised here.
        second: ``(N, D)`` embeddings of the same boxes in the second view.
        images: ``(N,)`` image of each box.
        scopes: ``(N,)`` images of one scope, such as a video, may show the same object; -1: no other image does.
        block_size: number of rows that are compared with all N at a time.

    Returns:
        ``map``, ``rank1`` (both over the queries that have a wrong answer) and ``cosine_gap``; what is undefined is
        left out.

    Raises:
        ValueError: if shapes do not fit, or an embedding is not finite.
    """
    n = len(first)
    if first.ndim != 2 or second.shape != first.shape or images.shape != (n,) or scopes.shape != (n,):
        msg = "expected embeddings (N, D) twice, images (N,) and scopes (N,), got "
        raise ValueError(msg + f"{first.shape}, {second.shape}, {images.shape} and {scopes.shape}")
    first, second = _normalised(first), _normalised(second)
    # queries, reciprocal ranks, hits; same pairs: cosines; pairs of one image: number, cosines
    sums = np.zeros(6)
    for start in range(0, n, block_size):
        block = slice(start, min(start + block_size, n))
        sums += _block_sums(first[block] @ second.T, start, images, scopes)
    queries, reciprocal, hits, same, pairs, different = sums.tolist()
    values: dict[str, float] = {}
    if queries:
        values |= {"map": reciprocal / queries, "rank1": hits / queries}
    if pairs:
        values["cosine_gap"] = same / n - different / pairs
    return values


def _normalised(embeddings: Floats) -> Floats:
    """Rows of unit norm; a row of zeros stays."""
    if not np.isfinite(embeddings).all():
        msg = "embeddings must be finite, got NaN or infinity"
        raise ValueError(msg)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(norms > 0, norms, 1)


def _block_sums(similarity: Floats, start: int, images: IntArray, scopes: IntArray) -> npt.NDArray[np.float64]:
    """Sums over a block of queries.

    Args:
        similarity: ``(B, N)`` cosines of the block with all answers.
        start: row of the first query.
        images: ``(N,)`` image of each box.
        scopes: ``(N,)`` scope of each box.

    Returns:
        ``(6,)``: queries with a wrong answer, their reciprocal ranks, how many have rank 1; cosines with the right
        answers; pairs of different boxes of one image, and their cosines.
    """
    rows = np.arange(len(similarity))
    block = slice(start, start + len(rows))
    right = similarity[rows, start + rows]
    one_image = images[block, None] == images
    one_scope = (scopes[block, None] == scopes) & (scopes >= 0)
    wrong = one_image | ~one_scope
    one_image[rows, start + rows] = wrong[rows, start + rows] = False
    asked = wrong.any(axis=1)
    ranks = 1 + (wrong & (similarity >= right[:, None])).sum(axis=1)[asked]
    different = similarity[one_image]
    return np.array(
        [
            asked.sum(),
            (1 / ranks).sum(),
            (ranks == 1).sum(),
            right.sum(dtype=np.float64),
            len(different),
            different.sum(dtype=np.float64),
        ]
    )
