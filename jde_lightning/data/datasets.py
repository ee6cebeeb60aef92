"""Torch datasets: mosaics for training, letterboxed frames for validation and prediction.

Both are pure: what comes out depends on the request alone, never on the worker, on what was asked before, or on global
random state.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from jde_lightning.boxes import area, clip
from jde_lightning.data import augment, erasing, mosaic
from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.batch_memory import BatchMemory
from jde_lightning.data.color import ColorChanger
from jde_lightning.data.decoding import Decoder
from jde_lightning.data.fused import FusedPainter
from jde_lightning.data.images import (
    PADDING,
    ImageArray,
    TileCache,
    decode,
    image_size,
    letterbox,
    reduction,
    resize_long_side,
    tile_size,
    to_rgb_planes,
)
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.mosaic import Region
from jde_lightning.data.painting import Decoded, Painting, UnfusedPainter
from jde_lightning.data.samples import FrameSample, MosaicRequest, TrainingSample
from jde_lightning.data.shared_cache import SharedTileCache
from jde_lightning.data.unreadable import UnreadableImages
from jde_lightning.errors import InputError
from jde_lightning.structures import BoolArray, FloatArray, IntArray, Role

_LEARNED, _IGNORED, _UNUSED = 0, 1, 2


class _Boxes(NamedTuple):
    """Boxes in a sample.

    Attributes:
        whole: ``(M, 4)`` float32 xyxy pixels, also where they leave their image; equal to ``visible`` if nobody asks.
        visible: ``(M, 4)`` float32 xyxy pixels, inside their image and the sample.
        rows: ``(M,)`` int64 where they are in the index.
        learned: ``(M,)`` bool: boxes to learn.
        ignored: ``(M,)`` bool: regions to ignore.
    """

    whole: FloatArray
    visible: FloatArray
    rows: IntArray
    learned: BoolArray
    ignored: BoolArray

    @classmethod
    def concatenate(cls, parts: list[_Boxes]) -> _Boxes:
        """Put boxes together in the order given."""
        return parts[0] if len(parts) == 1 else cls(*map(np.concatenate, zip(*parts, strict=True)))


class _Draws(NamedTuple):
    """What chance decided for a sample.

    Attributes:
        views: the mosaic, and the one to blend in where there is one.
        gains: ``(3,)`` relative changes of hue, saturation and brightness.
        flip: whether the sample is mirrored.
        share: share of the first mosaic in the blend.
    """

    views: list[mosaic.MosaicView]
    gains: npt.NDArray[np.float64]
    flip: bool
    share: float


class MosaicDataset(Dataset[TrainingSample]):
    """Training samples: four images in a mosaic, warped, blended with a second one, recoloured, flipped, erased.

    Boxes are first clipped to their own image: inside a mosaic the image ends where its neighbour begins, and a box
    must not reach into the neighbour. Ignored regions (role IGNORE, and positives that are not visible enough) go
    through the same warp. The geometry equals Ultralytics' for the same draws, and so do the pixels if not ``fused``.
    What the warp cannot show is not decoded. An image that cannot be read is a grey tile without boxes.

    Args:
        index: the training frames.
        identities: ``(N,)`` int64 training identities aligned with ``index.boxes``.
        image_size: side of the square samples in pixels.
        augmentation: how strongly images are changed.
        cache: keeps decoded images, of which each recurs in a batch or soon after: decoding is the largest cost. The
            last 64 if omitted. What is kept changes no result.
        reduced_decode: let the JPEG decoder deliver 1/2, 1/4 or 1/8 of the size where that is still large enough.
        scopes: ``(N,)`` int64 aligned with ``index.boxes``, see
            :func:`~jde_lightning.data.identities.ambiguity_scopes`; all identities are certain if omitted.
        amodal_boxes: teach whole boxes, also where they leave their image (the annotations of MOT17 and CrowdHuman
            are of whole bodies), instead of the part inside. What is kept is decided by the part inside either way.
        fused: warp each image straight into the sample (:mod:`~jde_lightning.data.fused`) instead of resizing, pasting
            and warping as Ultralytics does (:mod:`~jde_lightning.data.painting`): faster, one interpolation less, the
            same boxes.
    """

    def __init__(
        self,
        index: FrameIndex,
        identities: IntArray,
        image_size: int,
        augmentation: AugmentationConfig | None = None,
        cache: TileCache | SharedTileCache | None = None,
        reduced_decode: bool = True,
        scopes: IntArray | None = None,
        amodal_boxes: bool = False,
        fused: bool = True,
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
        self._cache = TileCache(64) if cache is None else cache
        self.fused = fused
        self._painter = FusedPainter(image_size) if fused else UnfusedPainter(image_size)
        self._colors = ColorChanger()
        self._unreadable = UnreadableImages(len(index))
        self._memory = BatchMemory()
        self._decoder = Decoder()
        ignored = (index.roles == Role.IGNORE) | (index.roles == Role.POSITIVE)
        kinds = np.select([index.learnable, ignored], [_LEARNED, _IGNORED], _UNUSED)
        self._kinds = kinds.astype(np.int8)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.index)

    def __getitem__(  # type: ignore[override]  # a batch at once, as its sampler asks
        self, request: MosaicRequest | list[MosaicRequest]
    ) -> TrainingSample | list[TrainingSample]:
        """Build the sample of a request, or the samples of a batch of them.

        Raises:
            TypeError: if asked by number: a sample needs the draws of a
                :class:`~jde_lightning.data.samplers.MosaicBatchSampler`.
            InputError: if an image has another size than its annotations say, or hardly any can be read.
        """
        if isinstance(request, list):
            images = self._memory.take((len(request), self.image_size, self.image_size, 3))
            return [self._sample(one, image) for one, image in zip(request, images, strict=True)]
        if not isinstance(request, MosaicRequest):
            msg = (
                f"expected a MosaicRequest from MosaicBatchSampler, got {type(request).__name__}; Lightning's "
                "overfit_batches replaces the sampler, use limit_train_batches instead"
            )
            raise TypeError(msg)
        return self._sample(request, np.empty((self.image_size, self.image_size, 3), np.uint8))

    def blank_sample(self, request: MosaicRequest, image: ImageArray) -> TrainingSample:
        """Build the sample of a request without reading an image: boxes as they would be, pixels as they are given.

        Args:
            request: what to build.
            image: ``(S, S, 3)`` uint8 to take in place of the mosaic.
        """
        draws = self._draw(request, np.random.default_rng(request.seed))
        return self._finish(image, _Boxes.concatenate([self._boxes(view, draws.flip) for view in draws.views]))

    def count_boxes(self, request: MosaicRequest) -> int:
        """Return how many boxes to learn the sample of a request has, without reading an image."""
        draws = self._draw(request, np.random.default_rng(request.seed))
        return sum(int(self._boxes(view, draws.flip).learned.sum()) for view in draws.views)

    def _draw(self, request: MosaicRequest, rng: np.random.Generator) -> _Draws:
        """Draw what decides where boxes are; the patches to erase, which need the boxes, come after."""
        size, config = self.image_size, self.augmentation
        views = [mosaic.draw_view(request.frames, self.index.sizes, size, config, rng)]
        gains = augment.draw_hsv(config, rng)
        flip = rng.random() < config.fliplr
        share = 1.0
        if request.mixup is not None and rng.random() < config.mixup:
            share = augment.draw_mixup(rng)
            views.append(mosaic.draw_view(request.mixup, self.index.sizes, size, config, rng))
        return _Draws(views, gains, flip, share)

    def _sample(self, request: MosaicRequest, image: ImageArray) -> TrainingSample:
        """Build a sample, its pixels in ``image``, ``(S, S, 3)`` RGB."""
        rng = np.random.default_rng(request.seed)
        size, config = self.image_size, self.augmentation
        views, gains, flip, share = self._draw(request, rng)
        painting = self._painter.paint(views[0], flip, self._tile)
        if len(views) > 1:
            first = painting.whole().copy()
            second = self._painter.paint(views[1], flip, self._tile).whole()
            painting = Painting(self._painter.blend(first, second, share), Region(0, 0, size, size))
        self._colors.write(painting.image, painting.region, gains, image)

        boxes = _Boxes.concatenate([self._boxes(view, flip) for view in views])
        if config.erase:
            patches = erasing.draw_patches(boxes.visible[boxes.learned], size, config, rng)
            erasing.erase(image, patches, config, rng)
        return self._finish(image, boxes)

    def _finish(self, image: ImageArray, boxes: _Boxes) -> TrainingSample:
        """Put pixels and boxes into a sample."""
        rows = boxes.rows[boxes.learned]
        return TrainingSample(
            image=image.transpose(2, 0, 1),
            boxes=(boxes.whole if self.amodal_boxes else boxes.visible)[boxes.learned],
            labels=self.index.labels[rows],
            identities=self.identities[rows],
            ignore_boxes=boxes.visible[boxes.ignored],
            source_frames=np.searchsorted(self.index.offsets, rows, side="right") - 1,
            scopes=self._scopes_of(rows),
        )

    def _boxes(self, view: mosaic.MosaicView, flip: bool) -> _Boxes:
        """The boxes of a mosaic where the sample shows them."""
        size = self.image_size
        whole, inside, rows = self._placed_boxes(view)
        visible = clip(augment.warp_boxes(inside, view.matrix), size, size)
        whole = augment.warp_boxes(whole, view.matrix) if self.amodal_boxes else visible
        kinds = self._kinds[rows]
        # of a region to ignore, any visible rest counts
        return _Boxes(
            whole=augment.flip_boxes(whole, size) if flip else whole,
            visible=augment.flip_boxes(visible, size) if flip else visible,
            rows=rows,
            learned=(kinds == _LEARNED) & augment.keep_after_warp(inside * np.float32(view.draw.scale), visible),
            ignored=(kinds == _IGNORED) & (area(visible) > 0),
        )

    def _scopes_of(self, rows: IntArray) -> IntArray:
        return np.full(len(rows), -1, np.int64) if self._scopes is None else self._scopes[rows].astype(np.int64)

    def _placed_boxes(self, view: mosaic.MosaicView) -> tuple[FloatArray, FloatArray, IntArray]:
        """Boxes of all tiles on the canvas, ``(M, 4)`` float32, whole and inside their tile; rows in the index."""
        starts, ends = self.index.offsets[view.frames], self.index.offsets[view.frames + 1]
        rows = np.concatenate([np.arange(*span) for span in zip(starts.tolist(), ends.tolist(), strict=True)])
        tile = np.repeat(np.arange(len(starts)), ends - starts)
        tile_sizes = np.array(view.tile_sizes, dtype=np.float32)
        gains = (tile_sizes / view.image_sizes).astype(np.float32)
        corners = np.array([(place.left, place.top) for place in view.placements], dtype=np.float32)[tile, None]
        whole = self.index.boxes[rows].reshape(-1, 2, 2) * gains[tile, None]
        inside = np.minimum(np.maximum(whole, 0), tile_sizes[tile, None]) + corners
        boxes = clip(inside.reshape(-1, 4), view.canvas.x2, view.canvas.y2)
        used = (area(boxes) > 0) & (self._kinds[rows] != _UNUSED)
        if self._unreadable.frames:  # tiles that can be seen were loaded before
            used &= ~np.isin(view.frames, list(self._unreadable.frames))[tile]
        return (whole + corners).reshape(-1, 4)[used], boxes[used], rows[used]

    def _tile(self, frame: int) -> Decoded:
        """The image of a frame, grey if it cannot be read; grey is not kept, for other processes to learn from."""
        width, height = self.index.sizes[frame].tolist()
        factor = self._factor(frame)
        size = (-(-width // factor), -(-height // factor)) if self.fused else tile_size(width, height, self.image_size)
        tile = self._unreadable.read(frame, lambda: self._cache.get(frame, lambda spare: self._load(frame, spare)))
        if tile is None:
            tile = np.full((*size[::-1], 4 if self.fused else 3), PADDING, np.uint8)
        if tile.shape[1::-1] != size:
            found = "x".join(map(str, image_size(self.index.path(frame))))
            msg = f"{self.index.path(frame)}: {found} pixels where the annotations say {width}x{height}"
            raise InputError(msg + _other_size(self.index))
        return Decoded(tile, factor)

    def _factor(self, frame: int) -> int:
        """How many times smaller than in its file the image of a frame is decoded."""
        width, height = self.index.sizes[frame].tolist()
        return reduction(width, height, self.image_size) if self.reduced_decode else 1

    def _load(self, frame: int, spare: ImageArray | None = None) -> ImageArray:
        """Decode the image of a frame for the painter, into the memory of a spare one if it fits."""
        width, height = self.index.sizes[frame].tolist()
        path = self.index.path(frame)
        if self.fused:
            image = self._decoder.decode(path, self._factor(frame), (width, height))
            # OpenCV warps four channels more than twice as fast as three.
            return cv2.cvtColor(image, cv2.COLOR_BGR2BGRA, dst=spare)
        image = decode(path, self.image_size if self.reduced_decode else None, (width, height))
        return resize_long_side(image, self.image_size)


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
        self._unreadable = UnreadableImages(len(index))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.index)

    def __getitem__(  # type: ignore[override]  # a batch at once, as its sampler asks
        self, position: int | list[int]
    ) -> FrameSample | list[FrameSample]:
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
