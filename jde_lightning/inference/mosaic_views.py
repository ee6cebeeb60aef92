"""What training's mosaic does to the embedding of one box."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from jde_lightning.data.augment import AugmentationConfig
from jde_lightning.data.datasets import MosaicDataset
from jde_lightning.data.images import decode
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.samples import MosaicRequest, TrainingSample
from jde_lightning.errors import InputError
from jde_lightning.inference.box_embeddings import embed_boxes
from jde_lightning.inference.predictor import Predictor
from jde_lightning.structures import FloatArray

_PATIENCE = 10  # mosaics that are drawn for each view that is wanted: some do not show the box


class MosaicViews(NamedTuple):
    """One box, in its image and in ``V`` mosaics.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR the plain image.
        box: ``(4,)`` float32 xyxy pixels of it.
        pictures: ``V`` mosaics, ``(S, S, 3)`` uint8 BGR.
        boxes: ``(V, 4)`` float32 xyxy pixels of the mosaics.
        embeddings: ``(1 + V, D)`` float32 of unit norm; the first is that of the plain image.
        distances: ``(V,)`` float32 cosine distance of each view to the plain image.
        stranger: cosine distance, in the plain image, to the most alike other box; NaN where there is no other.
        note: why there are fewer views than wanted; empty otherwise.
    """

    image: npt.NDArray[np.uint8]
    box: FloatArray
    pictures: list[npt.NDArray[np.uint8]]
    boxes: FloatArray
    embeddings: FloatArray
    distances: FloatArray
    stranger: float
    note: str


def embed_mosaic_views(
    predictor: Predictor,
    index: FrameIndex,
    box: int,
    count: int = 7,
    augmentation: AugmentationConfig | None = None,
    seed: int = 0,
) -> MosaicViews:
    """Show a box to the network in mosaics as training draws them, and embed it in each.

    Args:
        predictor: with the network; the mosaics have its image size.
        index: the frames, of which three at random surround that of the box.
        box: row of ``index.boxes``.
        count: number of mosaics.
        augmentation: what is done to the mosaics; the paper's values if omitted.
        seed: of the choice of frames and of all draws.

    Raises:
        InputError: if there is no such box, it is not to be learned, or no anchor describes it in its plain image.
    """
    if not 0 <= box < len(index.boxes) or not index.learnable[box]:
        there = f"the index has {int(index.learnable.sum())} boxes to learn"
        msg = f"box {box}: there is no such box, or it is none to learn ({there}: np.flatnonzero(index.learnable))"
        raise InputError(msg)
    frame = int(index.box_frames[box])
    annotations, image = index.frame(frame), decode(index.path(frame))
    own = box - int(index.offsets[frame])
    found, rows = embed_boxes(predictor, [image], [annotations.boxes])[0]
    looks = {int(row): vector for row, vector in zip(rows, _looks(found.embeddings), strict=True)}
    if own not in looks:
        msg = f"box {box}: no anchor of the network describes it in {annotations.image_path}; take another one"
        raise InputError(msg)
    plain = looks.pop(own)
    others = [looks[row] for row in looks if annotations.positive[row]]
    stranger = float(min((1 - other @ plain for other in others), default=math.nan))

    # each box is somebody of its own, so that it can be found again
    dataset = MosaicDataset(index, np.arange(len(index.boxes)), predictor.image_size, augmentation)
    rng = np.random.default_rng(seed)
    pictures, boxes, vectors = [], [], [plain]
    for attempt in range(_PATIENCE * count):
        tiles = rng.permutation([frame, *rng.integers(len(index), size=3).tolist()]).tolist()
        sample = cast("TrainingSample", dataset[MosaicRequest(tuple(tiles), (seed, attempt))])  # a list for a list
        shown = np.flatnonzero(sample.identities == box)
        if not len(shown):
            continue
        picture = np.ascontiguousarray(sample.image.transpose(1, 2, 0)[..., ::-1])
        described, _ = embed_boxes(predictor, [picture], [sample.boxes[shown[:1]]])[0]
        if len(described):
            pictures.append(picture)
            boxes.append(described.boxes[0])
            vectors.append(_looks(described.embeddings)[0])
        if len(pictures) == count:
            break
    embeddings = np.stack(vectors)
    note = "" if len(pictures) == count else f"only {len(pictures)} of {_PATIENCE * count} mosaics show the box"
    placed = np.stack(boxes) if boxes else np.zeros((0, 4), np.float32)
    distances = (1 - embeddings[1:] @ plain).astype(np.float32)
    return MosaicViews(image, annotations.boxes[own], pictures, placed, embeddings, distances, stranger, note)


def _looks(embeddings: FloatArray | None) -> FloatArray:
    """The embeddings of described boxes, which always have some."""
    return np.zeros((0, 1), np.float32) if embeddings is None else embeddings
