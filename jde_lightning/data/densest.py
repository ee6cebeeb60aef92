"""The batch with the most boxes that training can meet, to try out what memory it takes before training begins.

What memory a step takes follows from the size of the images and from the boxes: the assigner holds a few numbers for
each image, box of the fullest image, and anchor; mining compares all foreground anchors with each other. What the
pixels show does not matter, so no image is read and the pixels are noise.
"""

from __future__ import annotations

import numpy as np

from jde_lightning.data.collate import collate_training
from jde_lightning.data.datasets import MosaicDataset
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.structures import Batch, IntArray

_TRIES = 24  # draws of the warp for each mosaic, of which the one that keeps most boxes is taken
_EPOCH = 1 << 40  # of the draws' seeds: no training has so many


def densest_requests(
    dataset: MosaicDataset, images: IntArray, batch_size: int, views: int = 1, seed: int = 0
) -> list[MosaicRequest]:
    """Choose the tiles of the densest batch, and draws that leave most of their boxes in the picture.

    The images with the most boxes to learn are shared out over the batch, each in ``views`` of its mosaics, and the
    first mosaic has the fullest of them. (A mosaic may also show one image several times, but not in all its tiles
    often enough to reckon with.)

    Args:
        dataset: the training data.
        images: ``(K,)`` int64 positions in the index that training shows.
        batch_size: number of mosaics.
        views: in how many mosaics of a batch an image appears at most; the batch has ``4 * batch_size / views`` images,
            or as many as there are.
        seed: not negative.

    Returns:
        The requests, the densest first.
    """
    index = dataset.index
    counts = np.bincount(index.box_frames[index.learnable], minlength=len(index))[images]
    ranked = images[np.argsort(-counts, kind="stable")]
    wanted = max(4 * batch_size // views, 1)
    # Where there are too few, they come round again. Rank r goes to column r % columns, so that each column begins with
    # full images, and what mosaic m shows of a column are its rows m, m - 1, ... as in paired mosaics.
    ranked = np.resize(ranked, wanted)
    columns = 4 // views
    rows = np.arange(batch_size)
    tiles = np.stack(
        [
            ranked[((rows - shift) % batch_size) * columns + column]
            for column in range(columns)
            for shift in range(views)
        ],
        axis=1,
    )
    requests = [_fullest(dataset, tiles, number, seed) for number in range(batch_size)]
    return sorted(requests, key=dataset.count_boxes, reverse=True)


def densest_batch(dataset: MosaicDataset, images: IntArray, batch_size: int, views: int = 1, seed: int = 0) -> Batch:
    """Build the densest batch, with the boxes and shapes of a real one and noise for pixels.

    Args:
        dataset: see :func:`densest_requests`.
        images: see there.
        batch_size: see there.
        views: see there.
        seed: see there.
    """
    rng = np.random.default_rng(seed)
    size = dataset.image_size
    noise = rng.integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
    requests = densest_requests(dataset, images, batch_size, views, seed)
    return collate_training([dataset.blank_sample(one, image) for one, image in zip(requests, noise, strict=True)])


def _fullest(dataset: MosaicDataset, tiles: IntArray, number: int, seed: int) -> MosaicRequest:
    """Try draws for one mosaic and keep the one that shows most boxes; with MixUp the next mosaic is blended in."""
    mixup = tuple(tiles[(number + 1) % len(tiles)].tolist()) if dataset.augmentation.mixup else None
    frames = tuple(tiles[number].tolist())
    tried = [MosaicRequest(frames, (seed, _EPOCH, number * _TRIES + i), mixup) for i in range(_TRIES)]
    return max(tried, key=dataset.count_boxes)
