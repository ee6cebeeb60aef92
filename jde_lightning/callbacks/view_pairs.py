"""The boxes of an image in two augmented views, and what the detector makes of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from jde_lightning.boxes import area
from jde_lightning.data.views import View, ViewAugmentation, draw_view
from jde_lightning.metrics.box_matching import match_one_to_one
from jde_lightning.structures import Detections, FloatArray, FrameAnnotations, IntArray, Letterbox


@dataclass(frozen=True)
class ViewedBoxes:
    """The boxes of an image that are seen in two views.

    Attributes:
        views: the two views.
        boxes: in each view ``(N, 4)`` float32 xyxy pixels, clipped to what is seen; rows belong together.
        windows: in each view ``(4,)`` float32 xyxy pixels: the part that shows the image, not its padding.
    """

    views: tuple[View, View]
    boxes: tuple[FloatArray, FloatArray]
    windows: tuple[FloatArray, FloatArray]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.boxes[0])

    def found(self, view: int, detections: Detections, conf: float, iou: float) -> IntArray:
        """Find the detection of each box in a view.

        Args:
            view: 0 or 1.
            detections: in pixels of the view.
            conf: lowest confidence of a detection.
            iou: lowest overlap of a box and its detection. Both are compared as far as they are seen, so that a
                detector of whole boxes and one of their visible part are measured alike.

        Returns:
            ``(N,)`` row of ``detections``, -1 where there is none.
        """
        matched = np.full(len(self), -1, np.int64)
        sure = np.flatnonzero(detections.scores >= conf)
        rows, columns = match_one_to_one(_clip(detections.boxes[sure], self.windows[view]), self.boxes[view], iou)
        matched[columns] = sure[rows]
        return matched


@dataclass(frozen=True)
class PairedEmbeddings:
    """Embeddings of the boxes of one image that were found in both views.

    Attributes:
        key: the image, see :attr:`~jde_lightning.structures.FrameAnnotations.key`.
        seen: number of boxes that can be seen in both views.
        first: ``(N, D)`` float32 embeddings in the first view.
        second: ``(N, D)`` float32 embeddings in the second view.
    """

    key: tuple[str, str, int, str]
    seen: int
    first: FloatArray = field(repr=False)
    second: FloatArray = field(repr=False)


def image_generator(frame: FrameAnnotations, seed: int) -> np.random.Generator:
    """Random numbers that depend on the image's name and the seed only: not on epoch, batch, process or machine."""
    # the last two parts: the folders above may differ from machine to machine
    name = "/".join([frame.dataset, frame.sequence or "", str(frame.frame), *frame.image_path.parts[-2:]])
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "little")])


def view_boxes(
    boxes: FloatArray,
    frame: FrameAnnotations,
    letterbox: Letterbox,
    shape: tuple[int, int],
    augmentation: ViewAugmentation,
    min_visible: float,
    rng: np.random.Generator,
) -> ViewedBoxes:
    """Draw two views of an image and keep the boxes that can be seen in both.

    Args:
        boxes: ``(N, 4)`` xyxy pixels of the original image.
        frame: the image.
        letterbox: how the image was fitted into the network's input.
        shape: height and width of the network's input, and of the views, in pixels.
        augmentation: how much the views may differ.
        min_visible: smallest share of a box's part inside the image that each view must show.
        rng: what the views are drawn with.
    """
    whole = letterbox.to_network(np.array([[0, 0, frame.width, frame.height]], np.float32))
    inside = _clip(letterbox.to_network(boxes), whole[0])
    kept = area(inside) > 0
    views, seen, windows = [], [], []
    for _ in range(2):
        view = draw_view(augmentation, shape[1], shape[0], rng)
        window = _clip(view.warp_boxes(whole), np.array([0, 0, shape[1], shape[0]], np.float32))[0]
        warped = view.warp_boxes(inside)
        clipped = _clip(warped, window)
        kept &= area(clipped) >= np.maximum(min_visible * area(warped), 1)  # a box below a pixel cannot be found
        views.append(view)
        seen.append(clipped)
        windows.append(window)
    return ViewedBoxes((views[0], views[1]), (seen[0][kept], seen[1][kept]), (windows[0], windows[1]))


def _clip(boxes: FloatArray, window: FloatArray) -> FloatArray:
    """Clip ``(N, 4)`` boxes to a ``(4,)`` window; boxes outside collapse to zero area."""
    return np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
