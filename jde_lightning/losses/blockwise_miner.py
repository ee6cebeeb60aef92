"""Easy, semi-hard and hard pairs, without the matrix of all distances."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pytorch_metric_learning.miners import BaseMiner

from jde_lightning.errors import InputError
from jde_lightning.losses.block_search import Block, BlockSearch, Forbidden, Found, full_precision
from jde_lightning.losses.mining import Pairs

_POSITIVE = ("easy", "semihard", "hard", "all")
_NEGATIVE = ("easy", "semihard", "hard")


class BlockwiseEasyHardMiner(BaseMiner):  # type: ignore[misc]  # it comes without types
    """Choose for each anchor a positive and a negative, as pytorch-metric-learning's ``BatchEasyHardMiner`` does.

    The pairs are the same, but for ties within float32 rounding. The memory grows with ``block_size * N`` instead of
    ``N * N``, and no loop runs over the anchors. Distances are Euclidean, between embeddings of unit norm, in float32
    whatever the dtype of the input. Anchors without a positive or without a negative give nothing.

    Args:
        pos_strategy: ``hard``: the farthest positive; ``easy``: the nearest; ``semihard``: the farthest of those that
            are nearer than the negative; ``all``: every positive, as pairs of their own.
        neg_strategy: ``hard``: the nearest negative; ``easy``: the farthest; ``semihard``: the nearest of those that
            are farther away than the positive. However far away: nothing is left out for being beyond a margin.
        block_size: anchors that are compared with all others at a time. ``None`` is 128 on a CPU, where the block then
            stays in its cache, and 2048 on other devices.

    Raises:
        InputError: if a strategy is unknown, if each of two semi-hard strategies would wait for the other, if
            ``semihard`` negatives meet ``all`` positives, or if ``block_size`` is below 1. All negatives are as many as
            the matrix that this miner avoids, so there is no such strategy: use
            :class:`~jde_lightning.losses.mining.AllPairs`.
    """

    def __init__(
        self,
        pos_strategy: Literal["easy", "semihard", "hard", "all"] = "hard",
        neg_strategy: Literal["easy", "semihard", "hard"] = "semihard",
        block_size: int | None = None,
    ) -> None:
        super().__init__()
        if pos_strategy not in _POSITIVE:
            msg = f"pos_strategy must be one of {', '.join(_POSITIVE)}, got {pos_strategy!r}"
            raise InputError(msg)
        if neg_strategy not in _NEGATIVE:
            hint = "; the miner AllPairs compares with all" if str(neg_strategy) == "all" else ""
            msg = f"neg_strategy must be one of {', '.join(_NEGATIVE)}, got {neg_strategy!r}{hint}"
            raise InputError(msg)
        if neg_strategy == "semihard" and pos_strategy in ("semihard", "all"):
            msg = f"pos_strategy {pos_strategy!r} goes with neg_strategy easy or hard, got 'semihard'"
            raise InputError(msg)
        if block_size is not None and (not isinstance(block_size, int) or block_size < 1):
            msg = f"block_size must be a whole number of at least 1, got {block_size!r}"
            raise InputError(msg)
        self.pos_strategy = pos_strategy
        self.neg_strategy = neg_strategy
        self.block_size = block_size

    def mine(self, embeddings: torch.Tensor, labels: torch.Tensor, ref_emb: Any, ref_labels: Any) -> Pairs:
        """Choose pairs; called by the base class, without gradients.

        Args:
            embeddings: ``(N, D)`` anchors.
            labels: ``(N,)`` int64.
            ref_emb: ``(M, D)`` among which positives and negatives are looked for; may be the anchors themselves.
            ref_labels: ``(M,)`` int64. If these are the labels themselves, no row is its own positive.

        Returns:
            Anchors, positives, anchors, negatives, ``(T,)`` int64 each. With ``all`` positives there are more positive
            pairs than negative ones.
        """
        if ref_labels is labels:
            search = BlockSearch(embeddings, labels, block_size=self.block_size)
        else:
            search = BlockSearch(embeddings, labels, ref_emb, ref_labels, self.block_size)
        return self._mine(search)

    @torch.no_grad()
    def mine_allowed(self, embeddings: torch.Tensor, labels: torch.Tensor, forbidden: Forbidden) -> Pairs:
        """Choose pairs among the negatives that are not forbidden; else as a call of the miner.

        Args:
            embeddings: ``(N, D)``.
            labels: ``(N,)`` int64.
            forbidden: which pairs are no negatives although their labels differ; asked for a tile at a time.
        """
        return self._mine(BlockSearch(embeddings, labels, block_size=self.block_size, forbidden=forbidden))

    def _mine(self, search: BlockSearch) -> Pairs:
        """Go through all blocks and bring the pairs to the order of the anchors."""
        empty = torch.zeros((4, 0), dtype=torch.int64, device=search.device)
        negative_pairs, positive_pairs = [empty], [empty[:2]]
        with full_precision(), torch.autocast(search.device.type, enabled=False):
            for block in search.blocks():
                rows = search.rows(block)
                positives, negatives = self._choose(search, block)
                if positives is None:
                    positive_pairs.append(search.positive_pairs(block))
                    positives, kept = negatives, negatives.exist
                else:
                    kept = positives.exist & negatives.exist
                chosen = torch.stack([rows, positives.references, rows, negatives.references])
                negative_pairs.append(chosen[:, kept])
        anchors, positive, _, negative = _by_anchor(torch.cat(negative_pairs, dim=1))
        if self.pos_strategy == "all":
            first, second = _by_anchor(torch.cat(positive_pairs, dim=1))
            return first, second, anchors, negative
        return anchors, positive, anchors, negative

    def _choose(self, search: BlockSearch, block: Block) -> tuple[Found | None, Found]:
        """Find the positives (none here if all are taken) and the negatives of a block."""
        if self.neg_strategy == "semihard":
            positives = search.positives(block, nearest=self.pos_strategy == "easy")
            return positives, search.negatives(block, nearest=True, farther_than=positives.similarities)
        negatives = search.negatives(block, nearest=self.neg_strategy == "hard")
        if self.pos_strategy == "all":
            return None, negatives
        if self.pos_strategy == "semihard":
            return search.positives(block, nearest=False, nearer_than=negatives.similarities), negatives
        return search.positives(block, nearest=self.pos_strategy == "easy"), negatives


def _by_anchor(pairs: torch.Tensor) -> torch.Tensor:
    """Sort ``(K, T)`` columns by their first row, and where it is equal by their second."""
    pairs = pairs[:, pairs[1].argsort(stable=True)]
    return pairs[:, pairs[0].argsort(stable=True)]
