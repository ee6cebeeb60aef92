"""Torch datasets: mosaics for training, letterboxed frames for validation and prediction.

Both are pure: what comes out depends on the request alone, never on the worker, on what was asked before, or on global
random state.
"""

from __future__ import annotations

import cv2
import numpy as np
from torch.utils.data import Dataset

from jde_lightning.boxes import area, clip
from jde_lightning.data import augment, mosaic
from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.images import (
    PADDING,
    ImageArray,
    TileCache,
    decode,
    letterbox,
    resize_long_side,
    tile_size,
    to_rgb_planes,
)
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.samples import FrameSample, MosaicRequest, TrainingSample
from jde_lightning.data.unreadable import UnreadableImages
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray, IntArray, Role

_LEARNED, _IGNORED, _UNUSED = 0, 1, 2


def one_thread_per_worker(worker_id: int) -> None:
    """Keep OpenCV to one thread in a worker process; for ``worker_init_fn`` of a data loader."""
    del worker_id
    cv2.setNumThreads(0)


class MosaicDataset(Dataset[TrainingSample]):
    """Training samples: four images in a mosaic, warped, recoloured, flipped.

    Boxes are first clipped to their own image: inside a mosaic the image ends where its neighbour begins, and a box
    must not reach into the neighbour. Ignored regions (role IGNORE, and positives that are not visible enough) go
    through the same warp. The geometry equals Ultralytics' for the same draws. What the warp cannot show is not
    decoded. An image that cannot be read is a grey tile without boxes.

    Args:
        index: the training frames.
        identities: ``(N,)`` int64 training identities aligned with ``index.boxes``.
        image_size: side of the square samples in pixels.
        augmentation: how strongly images are changed.
        cache_images: how many decoded tiles each worker keeps; a tile recurs in a batch or soon after, and decoding is
            the largest cost. One tile of 640 x 360 pixels takes 0.7 MB.
        reduced_decode: let the JPEG decoder deliver 1/2, 1/4 or 1/8 of the size where that is still large enough.
        scopes: ``(N,)`` int64 aligned with ``index.boxes``, see
            :func:`~jde_lightning.data.identities.ambiguity_scopes`; all identities are certain if omitted.
        amodal_boxes: teach whole boxes, also where they leave their image (the annotations of MOT17 and CrowdHuman
            are of whole bodies), instead of the part inside. What is kept is decided by the part inside either way.
    """

    def __init__(
        self,
        index: FrameIndex,
        identities: IntArray,
        image_size: int,
        augmentation: AugmentationConfig | None = None,
        cache_images: int = 64,
        reduced_decode: bool = True,
        scopes: IntArray | None = None,
        amodal_boxes: bool = False,
    ) -> None:
        if len(identities) != len(index.boxes):
            msg = f"identities must align with the index's boxes, got {len(identities)} for {len(index.boxes)}"
            raise ValueError(msg)
        self.index = index
        self.identities = identities
        # half the size of int64; every worker that is started, not forked, has a copy
        self._scopes = None if scopes is None else np.asarray(scopes, dtype=np.int32)
        self.image_size = image_size
        self.augmentation = augmentation or AugmentationConfig()
        self.reduced_decode = reduced_decode
        self.amodal_boxes = amodal_boxes
        self._cache = TileCache(cache_images)
        self._unreadable = UnreadableImages()
        self._canvas = np.empty((0, 0, 4), np.uint8)
        ignored = (index.roles == Role.IGNORE) | (index.roles == Role.POSITIVE)
        kinds = np.select([index.learnable, ignored], [_LEARNED, _IGNORED], _UNUSED)
        self._kinds = kinds.astype(np.int8)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.index)

    def __getitem__(self, request: MosaicRequest | list[MosaicRequest]) -> TrainingSample | list[TrainingSample]:
        """Build the sample of a request, or the samples of a batch of them.

        Raises:
            TypeError: if asked by number: a sample needs the draws of a
                :class:`~jde_lightning.data.samplers.MosaicBatchSampler`.
            InputError: if an image has another size than its annotations say, or hardly any can be read.
        """
        if isinstance(request, list):
            return [self._sample(one) for one in request]
        if not isinstance(request, MosaicRequest):
            msg = (
                f"expected a MosaicRequest from MosaicBatchSampler, got {type(request).__name__}; Lightning's "
                "overfit_batches replaces the sampler, use limit_train_batches instead"
            )
            raise TypeError(msg)
        return self._sample(request)

    def _sample(self, request: MosaicRequest) -> TrainingSample:
        rng = np.random.default_rng(request.seed)
        size, config = self.image_size, self.augmentation
        frames = np.array(request.frames if rng.random() < config.mosaic else request.frames[:1], dtype=np.int64)
        sizes = [tile_size(width, height, size) for width, height in self.index.sizes[frames].tolist()]
        if len(frames) > 1:
            placements = mosaic.place_tiles(mosaic.draw_center(size, rng), sizes, size)
            canvas = mosaic.Region(0, 0, 2 * size, 2 * size)
        else:
            canvas = mosaic.Region(0, 0, *sizes[0])
            placements = [mosaic.Placement(canvas, 0, 0)]
        draw = augment.draw_perspective(config, rng)
        matrix = augment.perspective_matrix(draw, (canvas.x2, canvas.y2), size)
        gains = augment.draw_hsv(config, rng)
        flip = rng.random() < config.fliplr

        image = augment.change_hsv(self._warped(frames, placements, canvas, matrix), gains)
        whole, boxes, rows = self._placed_boxes(frames, sizes, placements, canvas)
        warped = clip(augment.warp_boxes(boxes, matrix), size, size)
        learned = augment.warp_boxes(whole, matrix) if self.amodal_boxes else warped
        if flip:
            image, warped = cv2.flip(image, 1), augment.flip_boxes(warped, size)
            learned = augment.flip_boxes(learned, size) if self.amodal_boxes else warped
        kept, ignored = self._masks(boxes * np.float32(draw.scale), warped, rows)
        return TrainingSample(
            image=to_rgb_planes(image),
            boxes=learned[kept],
            labels=self.index.labels[rows[kept]],
            identities=self.identities[rows[kept]],
            ignore_boxes=warped[ignored],
            source_frames=np.searchsorted(self.index.offsets, rows[kept], side="right") - 1,
            scopes=self._scopes_of(rows[kept]),
        )

    def _masks(self, before: FloatArray, after: FloatArray, rows: IntArray) -> tuple[BoolArray, BoolArray]:
        """Masks of the boxes to learn and of the regions to ignore; any visible rest of a region counts."""
        kinds = self._kinds[rows]
        return (kinds == _LEARNED) & augment.keep_after_warp(before, after), (kinds == _IGNORED) & (area(after) > 0)

    def _scopes_of(self, rows: IntArray) -> IntArray:
        return np.full(len(rows), -1, np.int64) if self._scopes is None else self._scopes[rows].astype(np.int64)

    def _placed_boxes(
        self, frames: IntArray, sizes: list[tuple[int, int]], placements: list[mosaic.Placement], canvas: mosaic.Region
    ) -> tuple[FloatArray, FloatArray, IntArray]:
        """Boxes of all tiles on the canvas, ``(M, 4)`` float32, whole and inside their tile; rows in the index."""
        starts, ends = self.index.offsets[frames].tolist(), self.index.offsets[frames + 1].tolist()
        rows = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
        tile = np.repeat(np.arange(len(frames)), [end - start for start, end in zip(starts, ends, strict=True)])
        tile_sizes = np.array(sizes, dtype=np.float32)
        gains = (tile_sizes / self.index.sizes[frames]).astype(np.float32)
        corners = np.array([(place.left, place.top) for place in placements], dtype=np.float32)
        whole = self.index.boxes[rows].reshape(-1, 2, 2) * gains[tile, None]
        inside = np.clip(whole, 0, tile_sizes[tile, None]) + corners[tile, None]
        boxes = clip(inside.reshape(-1, 4), canvas.x2, canvas.y2)
        used = (area(boxes) > 0) & (self._kinds[rows] != _UNUSED)
        if self._unreadable.frames:  # tiles that can be seen were loaded before
            used &= ~np.isin(frames, list(self._unreadable.frames))[tile]
        return (whole + corners[tile, None]).reshape(-1, 4)[used], boxes[used], rows[used]

    def _warped(
        self,
        frames: IntArray,
        placements: list[mosaic.Placement],
        canvas: mosaic.Region,
        matrix: FloatArray,
    ) -> ImageArray:
        visible = mosaic.visible_region(matrix, self.image_size, canvas)
        if visible is None:
            return np.full((self.image_size, self.image_size, 4), PADDING, np.uint8)
        tiles = [
            self._tile(frame) if place.region.intersect(visible) is not None else None
            for frame, place in zip(frames.tolist(), placements, strict=True)
        ]
        if self._canvas.shape[:2] != (canvas.y2, canvas.x2):  # kept from sample to sample: allocating it takes longer
            self._canvas = np.empty((canvas.y2, canvas.x2, 4), np.uint8)
        mosaic.paint(self._canvas, tiles, placements, visible)
        return augment.warp_image(self._canvas, matrix, self.image_size)

    def _tile(self, frame: int) -> ImageArray:
        return self._cache.get(frame, lambda: self._load(frame))

    def _load(self, frame: int) -> ImageArray:
        width, height = self.index.sizes[frame].tolist()
        path = self.index.path(frame)
        limit = self.image_size if self.reduced_decode else None
        image = self._unreadable.read(frame, lambda: decode(path, limit, (width, height)))
        if image is None:
            return np.full((*tile_size(width, height, self.image_size)[::-1], 3), PADDING, np.uint8)
        tile = resize_long_side(image, self.image_size)
        if tile.shape[1::-1] != tile_size(width, height, self.image_size):
            found = f"{image.shape[1]}x{image.shape[0]}"
            msg = f"{path}: {found} pixels where the annotations say {width}x{height}"
            raise InputError(msg + _other_size(self.index))
        return tile


class FrameDataset(Dataset[FrameSample]):
    """Whole images for validation and prediction, letterboxed, with their annotations.

    Images are decoded at full size, so that validation sees what a deployed tracker sees. One that cannot be read is
    grey and keeps its annotations: leaving it out would change what the metrics measure.

    Args:
        index: the frames.
        image_size: long side of the network's input in pixels, a multiple of ``stride``.
        stride: the sides of the input are multiples of it.
        square: pad to a square instead of the smallest rectangle.
    """

    def __init__(self, index: FrameIndex, image_size: int, stride: int = 32, square: bool = False) -> None:
        self.index = index
        self.image_size = image_size
        self.stride = stride
        self.square = square
        self._unreadable = UnreadableImages()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.index)

    def __getitem__(self, position: int | list[int]) -> FrameSample | list[FrameSample]:
        """Return the frame at a position of the index, or the frames of a batch of positions.

        Raises:
            InputError: if an image has another size than its annotations say, or hardly any can be read.
        """
        if isinstance(position, list):
            return [self._sample(one) for one in position]
        return self._sample(position)

    def _sample(self, position: int) -> FrameSample:
        frame = self.index.frame(position)
        image = self._unreadable.read(position, lambda: decode(frame.image_path))
        if image is None:
            image = np.full((frame.height, frame.width, 3), PADDING, np.uint8)
        if image.shape[:2] != (frame.height, frame.width):
            msg = (
                f"{frame.image_path}: {image.shape[1]}x{image.shape[0]} pixels where the annotations say "
                f"{frame.width}x{frame.height}"
            )
            raise InputError(msg + _other_size(self.index))
        padded, fit = letterbox(image, self.image_size, self.stride, self.square)
        learned, ignored = frame.positive, frame.ignore
        inside = fit.to_network(clip(frame.boxes, frame.width, frame.height))
        learned = learned & (area(inside) > 0)
        return FrameSample(
            image=to_rgb_planes(padded),
            boxes=inside[learned],
            labels=frame.labels[learned],
            identities=frame.identities[learned],
            ignore_boxes=inside[ignored & (area(inside) > 0)],
            frame=frame,
            letterbox=fit,
        )


def _other_size(index: FrameIndex) -> str:
    """What may be the reason of an image that is not as the index says."""
    if index.folder is None:
        return "; another copy of the dataset?"
    return f"; another copy of the dataset? If images were replaced in place, delete {index.folder.parent}"
