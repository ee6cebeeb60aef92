"""Which images make which batch: mosaics for training, whole sequences for validation.

Both samplers yield lists and are ``DistributedSampler`` by type, because Lightning wraps every other sampler in its own
and deals out single items. Pass them as ``DataLoader(dataset, sampler=..., batch_size=None, collate_fn=...)``: then
Lightning calls ``set_epoch`` and replaces nothing, with any number of processes, in fitting, validation and prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from torch.utils.data.distributed import DistributedSampler

from jde_lightning.data.frame_mix import FrameMix
from jde_lightning.data.images import letterbox_shape
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.errors import InputError
from jde_lightning.structures import IntArray

# Last elements of the seeds, so that no two kinds of draws share a stream. Seeds of samples have three elements, which
# numpy reads as ending in 0.
_ORDER, _TILES, _OWN_TILES, _MIXUP = 1, 2, 3, 4


class MosaicBatchSampler(DistributedSampler[Any]):
    """Batches of :class:`~jde_lightning.data.samples.MosaicRequest`: the tiles and the seed of every sample.

    Everything follows from (``seed``, epoch, position): neither workers nor what was drawn before matter.

    ``buffer``, the paper's way: each image once per epoch as first tile; the other three come from a queue of the
    images that were first tiles last, which at the start of an epoch is filled by the epoch before.
    ``paired``: every image of a batch appears in exactly ``views`` of its mosaics, so that each has cross-view
    positives, and an epoch shows each image four times, as ``buffer`` does on average.

    For MixUp each request carries the tiles of a second mosaic: in ``buffer`` from the queue, in ``paired`` those of
    another mosaic of the batch, rearranged. They are images that are in use anyway, so that nothing more is decoded,
    and the first four tiles are the same with and without.

    Args:
        frames: the training images, or their number if each is shown once in a pass.
        batch_size: mosaics in a batch, per process.
        mode: ``buffer`` or ``paired``.
        buffer_size: length of the queue, per process; ``None`` is eight batches. The image itself is part of it.
        views: ``paired``: how often an image appears in a batch: 1, 2 or 4.
        repeats: how often an epoch goes through the images.
        seed: not negative.
        drop_last: leave out the images of an epoch's order that do not fill a batch on every process; else the last
            batch is filled up with images from the beginning of the order.
        rank: number of this process.
        world_size: number of processes.
        buffer_lanes: ``buffer``: number of queues; batch ``b`` uses queue ``b % buffer_lanes``. With as many as there
            are workers each decodes only what it queued itself, as in Ultralytics, where every worker has a queue of
            its own; a queue then reaches further back.
        mixup: whether requests carry a second mosaic.
    """

    def __init__(
        self,
        frames: FrameMix | int,
        batch_size: int,
        mode: Literal["buffer", "paired"] = "buffer",
        buffer_size: int | None = None,
        views: int = 2,
        repeats: int = 1,
        seed: int = 0,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        buffer_lanes: int = 1,
        mixup: bool = False,
    ) -> None:
        self.mix = FrameMix([np.arange(frames)]) if isinstance(frames, int) else frames
        num_images = len(self.mix)
        super().__init__(range(num_images), world_size, rank, shuffle=True, seed=seed, drop_last=drop_last)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.mode = mode
        self.buffer_size = buffer_size or 8 * batch_size
        self.views = views
        self.repeats = repeats
        self.buffer_lanes = buffer_lanes
        self.mixup = mixup
        per_batch = batch_size * world_size
        self.num_batches = num_images * repeats // per_batch if drop_last else -(-num_images * repeats // per_batch)
        self._first_batch = 0
        self._check()

    def _check(self) -> None:
        msg = ""
        if self.num_batches == 0:
            msg = (
                f"{len(self.mix)} training images do not fill one batch of {self.batch_size} on {self.num_replicas} "
                "processes; lower data.batch_size or raise data.epoch_repeats"
            )
        elif self.mode == "paired" and self.views not in (1, 2, 4):
            msg = f"data.views is {self.views}, expected 1, 2 or 4: a batch has four tiles per mosaic to share out"
        elif self.mode == "paired" and self.batch_size < self.views:
            msg = f"data.batch_size {self.batch_size} must be at least data.views {self.views} for paired mosaics"
        elif self.seed < 0:
            msg = f"data.seed is {self.seed}, expected 0 or more"
        if msg:
            raise InputError(msg)

    def __len__(self) -> int:
        """Number of batches of this process in an epoch; the same on every process."""
        return self.num_batches

    def start_at(self, batch: int) -> None:
        """Let the next iteration, and only that, begin at a batch of the epoch, where a run was interrupted."""
        self._first_batch = batch

    def __iter__(self) -> Iterator[list[MosaicRequest]]:
        """Yield the batches of the epoch that ``set_epoch`` said."""
        # When the first one is wanted, not before: a loader with workers asks twice and throws the first away.
        first, self._first_batch = self._first_batch, 0
        yield from self._requests(self.epoch, first)

    def _requests(self, epoch: int, first_batch: int) -> Iterator[list[MosaicRequest]]:
        """The batches of an epoch from ``first_batch`` on."""
        batches = self._buffer_batches(epoch) if self.mode == "buffer" else self._paired_batches(epoch)
        for number, (tiles, mixed) in enumerate(batches):
            if number < first_batch:  # drawn all the same: the draws that follow depend on it
                continue
            first = (number * self.num_replicas + self.rank) * self.batch_size
            second: list[list[int] | None] = [None] * self.batch_size if mixed is None else mixed.tolist()
            yield [
                MosaicRequest(_four(four), (self.seed, epoch, first + i), None if other is None else _four(other))
                for i, (four, other) in enumerate(zip(tiles.tolist(), second, strict=True))
            ]

    def _order(self, epoch: int) -> IntArray:
        """This process's first tiles of an epoch, ``(num_batches, batch_size)``; epochs count from -1."""
        rng = np.random.default_rng((self.seed, epoch + 1, 0, _ORDER))
        needed = self.num_batches * self.batch_size * self.num_replicas
        passes = -(-needed // len(self.mix))
        shown = [self.mix.images(epoch * passes + number) for number in range(passes)]
        order = np.concatenate([images[rng.permutation(len(images))] for images in shown])
        return order[:needed][self.rank :: self.num_replicas].reshape(self.num_batches, self.batch_size)

    def _buffer_batches(self, epoch: int) -> Iterator[tuple[IntArray, IntArray | None]]:
        """``(batch_size, 4)`` tiles of each batch, three of them from the queue, and those for MixUp."""
        previous, current = self._order(epoch - 1), self._order(epoch)
        rng = np.random.default_rng((self.seed, epoch, self.rank, _TILES))
        mixup_rng = np.random.default_rng((self.seed, epoch, self.rank, _MIXUP))
        lanes = min(self.buffer_lanes, self.num_batches)
        queues = [np.concatenate([previous[lane::lanes], current[lane::lanes]]).reshape(-1) for lane in range(lanes)]
        for number, first in enumerate(current):
            queue, batch_of_lane = queues[number % lanes], number // lanes
            ends = len(queue) // 2 + batch_of_lane * self.batch_size + np.arange(self.batch_size)
            oldest = min(self.buffer_size, len(queue) // 2 + 1)
            age = rng.integers(0, oldest, (self.batch_size, 3))
            mixed = queue[ends[:, None] - mixup_rng.integers(0, oldest, (self.batch_size, 4))] if self.mixup else None
            yield np.concatenate([first[:, None], queue[ends[:, None] - age]], axis=1), mixed

    def _paired_batches(self, epoch: int) -> Iterator[tuple[IntArray, IntArray | None]]:
        """``(batch_size, 4)`` tiles of each batch, each image ``views`` times in different mosaics, and for MixUp."""
        images_per_batch = 4 * self.batch_size // self.views
        own = np.random.default_rng((self.seed, epoch, self.rank, _OWN_TILES))
        mixup_rng = np.random.default_rng((self.seed, epoch, self.rank, _MIXUP))
        stream = self._distinct(epoch, images_per_batch * self.num_replicas)
        for _ in range(self.num_batches):
            images = next(stream)[self.rank :: self.num_replicas]
            columns = images.reshape(4 // self.views, self.batch_size)
            # One appearance of a column is one tile for every mosaic; different shifts never meet in one mosaic.
            tiles = np.stack(
                [
                    np.roll(column, shift)
                    for column in columns
                    for shift in own.choice(self.batch_size, self.views, replace=False).tolist()
                ],
                axis=1,
            )
            mixed = None
            if self.mixup:
                shift = mixup_rng.integers(1, max(self.batch_size, 2))
                mixed = mixup_rng.permuted(np.roll(tiles, shift, axis=0), axis=1)
            yield own.permuted(tiles, axis=1), mixed

    def _distinct(self, epoch: int, count: int) -> Iterator[IntArray]:
        """Yield ``count`` images again and again, no image twice in one yield if that is possible."""
        rng = np.random.default_rng((self.seed, epoch, 0, _TILES))
        passes = -(-self.num_batches * count // len(self.mix))
        pool = np.zeros(0, np.int64)
        for number in range(epoch * passes, epoch * passes + passes):
            images = self.mix.images(number)
            images = images[rng.permutation(len(images))]
            pool = np.concatenate([pool, images])
            few = len(np.unique(images)) < count
            if not few:
                # Equal images side by side, dealt out like cards: they land in different hands.
                place = np.empty(pool.max() + 1, np.int64)
                place[pool] = np.arange(len(pool))
                pool = pool[np.argsort(place[pool], kind="stable")]
            hands = len(pool) // count
            dealt, pool = pool[: hands * count], pool[hands * count :]
            yield from dealt.reshape(hands, count) if few else dealt.reshape(count, hands).T[rng.permutation(hands)]


class SequenceBatchSampler(DistributedSampler[Any]):
    """Batches of frame positions for validation: whole sequences in order, each on one process, no frame twice.

    A batch never crosses a sequence and holds images of one shape. Sequences are dealt out longest first to the
    process that has the fewest frames so far, so processes get different numbers of batches, possibly none: nothing may
    be exchanged between them inside a validation step.

    Args:
        index: the frames.
        batch_size: largest number of frames in a batch.
        rank: number of this process.
        world_size: number of processes.
        image_size: long side of the network's input, by which single images of different sizes can share a batch;
            ``None`` batches images of equal size only.
        stride: see :func:`~jde_lightning.data.images.letterbox`.
    """

    def __init__(
        self,
        index: FrameIndex,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        image_size: int | None = None,
        stride: int = 32,
    ) -> None:
        super().__init__(range(max(len(index), 1)), world_size, rank, shuffle=False)  # type: ignore[arg-type]
        shapes = _shapes(index, image_size, stride)
        units = [_batches(positions, shapes, batch_size) for positions in index.sequences.values()]
        units += [[batch] for batch in _single_batches(index, shapes, batch_size)]
        owners = _deal([sum(map(len, batches)) for batches in units], world_size)
        self.batches = [
            batch for owner, batches in zip(owners, units, strict=True) if owner == rank for batch in batches
        ]

    def __len__(self) -> int:
        """Number of batches of this process."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield lists of positions in the index."""
        return iter(self.batches)


def _shapes(index: FrameIndex, image_size: int | None, stride: int) -> IntArray:
    """``(F,)`` a number for each frame, equal for frames that can share a batch."""
    sizes, which = np.unique(index.sizes, axis=0, return_inverse=True)
    if image_size is None:
        return which.reshape(-1)
    shapes = [letterbox_shape(width, height, image_size, stride) for width, height in sizes.tolist()]
    shape_of_size = {shape: number for number, shape in enumerate(dict.fromkeys(shapes))}
    return np.array([shape_of_size[shape] for shape in shapes], dtype=np.int64)[which.reshape(-1)]


def _batches(positions: IntArray, shapes: IntArray, batch_size: int) -> list[list[int]]:
    """Cut positions into batches, in order, also wherever the shape changes."""
    runs = np.split(positions, np.flatnonzero(np.diff(shapes[positions])) + 1)
    return [run[i : i + batch_size].tolist() for run in runs for i in range(0, len(run), batch_size)]


def _single_batches(index: FrameIndex, shapes: IntArray, batch_size: int) -> list[list[int]]:
    """Batches of images that belong to no sequence, of one dataset and one shape each."""
    batches = []
    single = np.flatnonzero(index.sequence_codes < 0)
    for dataset in range(len(index.datasets)):
        positions = single[index.dataset_codes[single] == dataset]
        batches += _batches(positions[np.argsort(shapes[positions], kind="stable")], shapes, batch_size)
    return batches


def _deal(lengths: list[int], world_size: int) -> list[int]:
    """Give each unit an owner: the longest first, to whoever has the least."""
    owners, loads = [0] * len(lengths), [0] * world_size
    for unit in sorted(range(len(lengths)), key=lambda u: (-lengths[u], u)):
        owners[unit] = loads.index(min(loads))
        loads[owners[unit]] += lengths[unit]
    return owners


def _four(tiles: Sequence[int]) -> tuple[int, int, int, int]:
    """The tiles of one mosaic."""
    a, b, c, d = tiles
    return a, b, c, d
