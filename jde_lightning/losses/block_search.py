"""For each row its nearest or farthest row of the same or of another label, without the matrix of all pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

Forbidden = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``(rows (R,), references (C,)) -> (R, C)`` bool: which pairs, numbered as they were given, are no negatives."""

_GROUP = 64
_CPU_TILE = (256, 4096)
_GPU_TILE = (2048, 32768)


class Block(NamedTuple):
    """Rows that are compared with all references at a time.

    Attributes:
        first: first row, counted in the order of labels.
        last: one past the last row.
        same_first: first reference, in the order of labels, that has the label of one of the rows.
        same_last: one past the last.
    """

    first: int
    last: int
    same_first: int
    same_last: int


class Found(NamedTuple):
    """What was found for the ``R`` rows of a block.

    Attributes:
        similarities: ``(R,)`` float32 cosine of the pair; infinite where there is none.
        references: ``(R,)`` int64 reference, numbered as it was given; of no meaning where there is none.
        exist: ``(R,)`` bool: whether there is one.
    """

    similarities: torch.Tensor
    references: torch.Tensor
    exist: torch.Tensor


class BlockSearch:
    """Unit-norm rows in the order of their labels, compared in tiles that stay in the cache.

    On unit-norm rows the largest Euclidean distance is the smallest cosine, which is a matrix product. In the order of
    labels the references of one label lie side by side, so a tile of negatives needs a mask at few columns, or at none.
    Memory grows with ``block_size * columns + N * D``.

    Args:
        embeddings: ``(N, D)`` of any floating dtype and norm.
        labels: ``(N,)`` int64.
        references: ``(M, D)``; the embeddings themselves if omitted, and then no row is its own positive.
        reference_labels: ``(M,)`` int64.
        block_size: rows that are compared at a time; if omitted, as many as suit the device.
        forbidden: which pairs are no negatives although their labels differ; none if omitted.
    """

    def __init__(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        references: torch.Tensor | None = None,
        reference_labels: torch.Tensor | None = None,
        block_size: int | None = None,
        forbidden: Forbidden | None = None,
    ) -> None:
        self.device = device = embeddings.device
        self._to_itself = references is None or reference_labels is None
        rows, columns = _CPU_TILE if device.type == "cpu" else _GPU_TILE
        self._rows = rows if block_size is None else block_size
        if references is None or reference_labels is None:
            _, codes = torch.unique(labels, return_inverse=True)
            self._codes, self._order, self._queries = _sorted_rows(embeddings, codes)
            self._reference_codes, self._reference_order, sorted_references = self._codes, self._order, self._queries
        else:
            _, codes = torch.unique(torch.cat([labels, reference_labels]), return_inverse=True)
            self._codes, self._order, self._queries = _sorted_rows(embeddings, codes[: len(labels)])
            found = _sorted_rows(references, codes[len(labels) :])
            self._reference_codes, self._reference_order, sorted_references = found
        self._references = sorted_references.T.contiguous()  # (D, M + 64): row-major matrices are multiplied faster
        self._count, self._reference_count = len(self._order), len(self._reference_order)
        self._columns = min(columns, max(_in_groups(self._reference_count), _GROUP))
        self._forbidden = forbidden
        self._tile = self._queries.new_empty(min(self._rows, self._count) * self._columns)

    def blocks(self) -> Iterator[Block]:
        """Return all rows, block by block."""
        firsts = range(0, self._count, self._rows)
        lasts = [min(first + self._rows, self._count) for first in firsts]
        codes, references = self._codes[: self._count], self._reference_codes[: self._reference_count]
        # all borders at once: each value that leaves a GPU waits for it
        same_firsts = torch.searchsorted(references, codes[list(firsts)]).tolist()
        same_lasts = torch.searchsorted(references, codes[[last - 1 for last in lasts]], right=True).tolist()
        return map(Block, firsts, lasts, same_firsts, same_lasts)

    def rows(self, block: Block) -> torch.Tensor:
        """Return the ``(R,)`` int64 rows of a block, numbered as they were given."""
        return self._order[block.first : block.last]

    def positives(self, block: Block, nearest: bool, nearer_than: torch.Tensor | None = None) -> Found:
        """Find a reference of the same label for each row, but not the row itself.

        Args:
            block: the rows.
            nearest: the nearest, else the farthest.
            nearer_than: ``(R,)`` float32 cosines; only references that are strictly nearer than them are looked at.
        """
        span = (block.same_first, block.same_last)
        return self._search(block, span, nearest, nearer_than, self._hide_all_but_positives)

    def negatives(self, block: Block, nearest: bool, farther_than: torch.Tensor | None = None) -> Found:
        """Find a reference of another label for each row.

        Args:
            block: the rows.
            nearest: the nearest, else the farthest.
            farther_than: ``(R,)`` float32 cosines; only references that are strictly farther than them are looked at.
        """
        return self._search(block, (0, self._reference_count), nearest, farther_than, self._hide_all_but_negatives)

    def positive_pairs(self, block: Block) -> torch.Tensor:
        """Return all ``(2, P)`` int64 rows and references of the same label, numbered as they were given."""
        rows = self.rows(block)
        pairs = [rows.new_zeros((2, 0))]
        for first in range(block.same_first, block.same_last, self._columns):
            last = min(first + self._columns, block.same_last)
            row, reference = (~self._not_positive(block, first, last)).nonzero(as_tuple=True)
            pairs.append(torch.stack([rows[row], self._reference_order[first:last][reference]]))
        return torch.cat(pairs, dim=1)

    def _search(
        self,
        block: Block,
        span: tuple[int, int],
        nearest: bool,
        bound: torch.Tensor | None,
        hide: Callable[[torch.Tensor, Block, int], None],
    ) -> Found:
        """Find the reference with the smallest key: minus the cosine, the cosine, or its distance to a bound.

        With a bound the key is the difference of cosine and bound, with a sign that makes it negative on the allowed
        side; the best is the negative number closest to 0. Read as integers, negative floats are ordered the other way
        round and all below the positive ones, so that one is the smallest integer, and needs no mask. What equals the
        bound gives exactly +0.
        """
        sign = 1.0 if nearest == (bound is not None) else -1.0
        count = block.last - block.first
        queries = sign * self._queries[block.first : block.last]
        each = torch.arange(count, device=queries.device)
        best = queries.new_full((count,), torch.inf)
        if bound is not None:
            best = best.view(torch.int32)
        chosen = torch.zeros_like(each)
        for first in range(*span, self._columns):
            width = _in_groups(min(self._columns, span[1] - first))
            tile = self._tile[: count * width].view(count, width)
            torch.mm(queries, self._references[:, first : first + width], out=tile)
            if bound is not None:
                tile -= sign * bound[:, None]
            hide(tile, block, first)
            tile[:, span[1] - first :] = torch.inf  # columns that only fill up the last group
            keys = tile if bound is None else tile.view(torch.int32)
            # The position of a minimum is slow to find, so it is looked for in the best group only.
            groups = keys.view(count, -1, _GROUP)
            smallest, group = groups.amin(dim=2).min(dim=1)
            position = group * _GROUP + groups[each, group].argmin(dim=1)
            better = smallest < best
            best = torch.where(better, smallest, best)
            chosen = torch.where(better, position + first, chosen)
        references = self._reference_order[chosen] if self._reference_count else chosen
        if bound is None:
            return Found(sign * best, references, best < torch.inf)
        return Found(bound + sign * best.view(torch.float32), references, best < 0)

    def _not_positive(self, block: Block, first: int, last: int) -> torch.Tensor:
        """Return the ``(R, last - first)`` pairs that are of different labels or a row with itself."""
        mask = self._codes[block.first : block.last, None] != self._reference_codes[first:last]
        if self._to_itself:
            row = torch.arange(block.first, block.last, device=mask.device)
            mask |= row[:, None] == torch.arange(first, last, device=mask.device)
        return mask

    def _hide_all_but_positives(self, tile: torch.Tensor, block: Block, first: int) -> None:
        """Overwrite what is no positive."""
        tile.masked_fill_(self._not_positive(block, first, first + tile.shape[1]), torch.inf)

    def _hide_all_but_negatives(self, tile: torch.Tensor, block: Block, first: int) -> None:
        """Overwrite what is no negative."""
        last = min(first + tile.shape[1], self._reference_count)
        low, high = max(first, block.same_first), min(last, block.same_last)
        if low < high:
            same = self._codes[block.first : block.last, None] == self._reference_codes[low:high]
            tile[:, low - first : high - first].masked_fill_(same, torch.inf)
        if self._forbidden is not None:
            forbidden = self._forbidden(self.rows(block), self._reference_order[first:last])
            tile[:, : last - first].masked_fill_(forbidden, torch.inf)


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in float32: rounded to TF32 or bfloat16, other negatives would be the nearest."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
    if not all(hasattr(backend, "fp32_precision") for backend in backends):  # torch before 2.9
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    precisions = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, precisions, strict=True):
            backend.fp32_precision = precision


def _sorted_rows(rows: torch.Tensor, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sort rows by code, bring them to unit norm, and add one empty group, so that every tile is full.

    Returns:
        Codes ``(N + 64,)`` int32, -1 for the added; the order ``(N,)`` int64; the rows ``(N + 64, D)`` float32.
    """
    codes, order = torch.sort(codes.int(), stable=True)
    unit = rows.new_zeros((len(rows) + _GROUP, rows.shape[1]), dtype=torch.float32)
    torch.index_select(F.normalize(rows.float()), 0, order, out=unit[: len(rows)])
    return F.pad(codes, (0, _GROUP), value=-1), order, unit


def _in_groups(columns: int) -> int:
    """Return the next multiple of the group."""
    return -(-columns // _GROUP) * _GROUP
