"""Images with what is annotated in them, one at a time, of a source of ``track`` or of the data module's index."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import decode
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers.mot import MOTChallenge
from jde_lightning.errors import InputError
from jde_lightning.inference.frames import FrameSource
from jde_lightning.inference.sources import ImageFolder, MOTSequence
from jde_lightning.structures import FrameAnnotations

_LOG = logging.getLogger(__name__)


class AnnotatedFrame(NamedTuple):
    """An image and what is known about it.

    Attributes:
        image: ``(H, W, 3)`` uint8 BGR.
        annotations: of the image, in its pixels; without boxes where nothing is annotated.
        image_path: file of the image; empty for a frame of a video.
    """

    image: npt.NDArray[np.uint8]
    annotations: FrameAnnotations
    image_path: str


def frames_of_sources(sources: Sequence[FrameSource], every: int = 1) -> Iterator[AnnotatedFrame]:
    """Go through sources of :func:`~jde_lightning.inference.sources.open_sources`.

    A MOTChallenge sequence with ``gt/gt.txt`` comes with its ground truth, read as validation reads it.

    Args:
        sources: recordings; a camera has no end.
        every: take only every n-th frame of each source, from the first on.

    Yields:
        The frames, source by source, in order. The sequence is the name of the source.

    Raises:
        InputError: if a source is live, or a frame or ground truth cannot be read.
    """
    live = next((source.name for source in sources if source.live), None)
    if live is not None:
        msg = f"{live}: a camera or stream has no end and cannot be embedded; record it, and embed the video file"
        raise InputError(msg)
    for source in sources:
        truth = _ground_truth(source)
        files = [str(path) for _, path in source.files] if isinstance(source, ImageFolder) else []
        for position, frame in enumerate(source):
            if position % every:
                continue
            path = files[position] if files else ""
            annotations = truth.get(frame.number) or _nothing(frame.image, path, source, frame.number)
            annotations.sequence = source.name
            yield AnnotatedFrame(frame.image, annotations, path)


def frames_of_index(index: FrameIndex, every: int = 1) -> Iterator[AnnotatedFrame]:
    """Go through the frames of a data module, ``data.frame_index("val")``.

    Args:
        index: the frames.
        every: take only every n-th frame of each sequence, from the first on, and every n-th single image.

    Yields:
        The frames in their order. An image that cannot be read is left out, with a warning.

    Raises:
        InputError: if an image has another size than its annotations say.
    """
    for position in every_nth(index, every).tolist():
        annotations = index.frame(position)
        try:
            image = decode(annotations.image_path)
        except InputError as error:
            _LOG.warning("%s: left out", error)
            continue
        if image.shape[:2] != (annotations.height, annotations.width):
            msg = (
                f"{annotations.image_path}: {image.shape[1]}x{image.shape[0]} pixels where the annotations say "
                f"{annotations.width}x{annotations.height}; another copy of the dataset?"
            )
            raise InputError(msg)
        yield AnnotatedFrame(image, annotations, str(annotations.image_path))


def every_nth(index: FrameIndex, every: int) -> npt.NDArray[np.int64]:
    """Positions of every n-th frame of each sequence, from its first on, and of every n-th single image, in order."""
    if every == 1:
        return np.arange(len(index))
    # sequences stand together, so that the place in a sequence is the distance to its first frame
    key = index.dataset_codes.astype(np.int64) << 32 | (index.sequence_codes.astype(np.int64) + 1)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    place = np.arange(len(index)) - first[which.reshape(-1)]
    return np.flatnonzero(place % every == 0)


def _ground_truth(source: FrameSource) -> dict[int, FrameAnnotations]:
    """What is annotated in a MOTChallenge sequence, by the number of the frame; empty where nothing is."""
    if not isinstance(source, MOTSequence) or not (source.folder / "gt" / "gt.txt").is_file():
        return {}
    folder = source.folder.resolve()
    reader = MOTChallenge(path=".", frame_rate=source.frame_rate)
    frames = {frame.frame: frame for frame in reader.frames(folder)}
    by_file = {frame.image_path.name: frame for frame in frames.values()}
    # the number in a file's name is the source's, which may count otherwise than gt.txt does
    return {number: by_file[path.name] for number, path in source.files if path.name in by_file}


def _nothing(image: npt.NDArray[np.uint8], path: str, source: FrameSource, number: int) -> FrameAnnotations:
    """A frame in which nothing is annotated."""
    height, width = image.shape[:2]
    return FrameAnnotations(
        image_path=Path(path),
        width=width,
        height=height,
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        identities=np.zeros(0, np.int64),
        roles=np.zeros(0, np.int8),
        visibility=np.zeros(0, np.float32),
        sequence=source.name,
        frame=number,
        frame_rate=source.frame_rate,
    )
