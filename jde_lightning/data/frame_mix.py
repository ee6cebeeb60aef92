"""How often each image is shown: weights of datasets, and images without people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from jde_lightning.data.index import FrameIndex
from jde_lightning.errors import InputError
from jde_lightning.structures import IntArray


class FrameMix:
    """The images of a pass through the training data, some of them more than once.

    A dataset of ``n`` images and weight ``w`` is shown ``round(w * n)`` times in every pass: each image ``floor(w)``
    times, and a part of them once more. That part moves on from pass to pass, so that after a while all have been shown
    equally often.

    Args:
        groups: positions of the images of each dataset in the index.
        weights: how often each dataset is shown, 1 for all if omitted.
        seed: decides which images are shown once more first.
    """

    def __init__(self, groups: Sequence[IntArray], weights: Sequence[float] | None = None, seed: int = 0) -> None:
        rng = np.random.default_rng((seed, len(groups)))
        self._parts: list[tuple[IntArray, IntArray, int]] = []
        for group, weight in zip(groups, weights or [1.0] * len(groups), strict=True):
            times, shown = math.floor(weight), round(weight * len(group))
            always = np.repeat(np.asarray(group, dtype=np.int64), times)
            self._parts.append((always, rng.permutation(group).astype(np.int64), shown - len(always)))
        self.num_images = sum(len(always) + extra for always, _, extra in self._parts)

    @classmethod
    def of_index(
        cls,
        index: FrameIndex,
        weights: Mapping[str, float] | None = None,
        keep_background: bool = True,
        seed: int = 0,
    ) -> FrameMix:
        """Mix the datasets of an index.

        Args:
            index: the training images.
            weights: by dataset name, 1 where omitted.
            keep_background: whether images without a box to learn are shown.
            seed: see the class.

        Raises:
            InputError: if a name is unknown, a weight is not above 0, or no image is left.
        """
        weights = weights or {}
        for name, weight in weights.items():
            if name not in index.datasets:
                msg = f"data.mix names {name!r}, but the training data are of {', '.join(map(repr, index.datasets))}"
                raise InputError(msg)
            if not 0 < weight < math.inf:
                msg = f"data.mix.{name} is {weight}, expected a number above 0; remove its reader to leave it out"
                raise InputError(msg)
        shown = np.ones(len(index), bool)
        if not keep_background:
            shown = np.bincount(index.box_frames[index.learnable], minlength=len(index)) > 0
        groups = [np.flatnonzero(shown & (index.dataset_codes == code)) for code in range(len(index.datasets))]
        mix = cls(groups, [weights.get(name, 1.0) for name in index.datasets], seed)
        if mix.num_images == 0 and len(index) > 0:
            msg = (
                f"none of the {len(index)} training images is shown: none has a box to learn and "
                "data.keep_background is false, or the weights in data.mix are too small"
            )
            raise InputError(msg)
        return mix

    def __len__(self) -> int:
        """Number of images of a pass, those shown twice counted twice."""
        return self.num_images

    @property
    def all_images(self) -> IntArray:
        """``(K,)`` int64 positions in the index that any pass shows, each once, in ascending order."""
        shown = [np.concatenate([always, order if extra else order[:0]]) for always, order, extra in self._parts]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *shown]))

    def images(self, number: int) -> IntArray:
        """``(len(self),)`` int64 positions in the index that pass ``number`` shows, not shuffled."""
        shown = []
        for always, order, extra in self._parts:
            turn = (number * extra + np.arange(extra)) % max(len(order), 1)
            shown += [always, order[turn]]
        return np.concatenate([np.zeros(0, np.int64), *shown])
