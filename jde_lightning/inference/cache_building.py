"""The network's detections of whole sequences, for a cache."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.cache import CachedSequence, CacheOrigin, file_sha256
from jde_lightning.inference.frames import FrameSource
from jde_lightning.structures import Detections

if TYPE_CHECKING:
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.predictor import Predictor


def origin_of_network(predictor: Predictor | OnnxPredictor, weights: Path) -> CacheOrigin:
    """Describe what makes detections different from those of another network.

    Args:
        predictor: that will detect.
        weights: the file that it was made from.
    """
    settings: dict[str, Any] = {
        "image_size": predictor.image_size,
        "conf": predictor.conf,
        "iou": predictor.iou,
        "max_det": predictor.max_det,
        "precision": predictor.precision,
        "class_names": predictor.class_names,
    }
    if predictor.backend != "torch":  # the runtimes of exported networks round differently
        settings["backend"] = predictor.backend
    return CacheOrigin(weights.name, file_sha256([weights]), settings)


def detect_sequences(
    sources: Sequence[FrameSource], predictor: Predictor | OnnxPredictor, batch_size: int = 8, progress: bool = False
) -> list[CachedSequence]:
    """Run the network once over all frames.

    Args:
        sources: recordings; a camera has no end.
        predictor: detects and embeds.
        batch_size: frames that are detected at once; as in ``track``, whose detections are equal with an equal batch.
        progress: show a progress bar on stderr.

    Returns:
        A sequence per source.

    Raises:
        InputError: if a source is live, or a frame cannot be read.
    """
    live = next((source.name for source in sources if source.live), None)
    if live is not None:
        msg = f"{live}: a camera or stream has no end and cannot be cached; record it, and cache the video file"
        raise InputError(msg)
    lengths = [source.length for source in sources]
    total = None if None in lengths else sum(length or 0 for length in lengths)
    with tqdm(total=total, desc="cache", unit="frame", disable=None if progress else True) as bar:
        return [_detect(source, predictor, batch_size, bar) for source in sources]


def _detect(source: FrameSource, predictor: Predictor | OnnxPredictor, batch_size: int, bar: tqdm) -> CachedSequence:
    """Run the network over one source."""
    bar.set_postfix_str(source.name)
    numbers: list[int] = []
    found: list[Detections] = []
    size = (0, 0)
    frames = iter(source)
    while batch := list(islice(frames, batch_size)):
        found += predictor.detect([frame.image for frame in batch])
        numbers += [frame.number for frame in batch]
        size = batch[0].image.shape[1], batch[0].image.shape[0]
        bar.update(len(batch))
    return CachedSequence(source.name, float(source.frame_rate), *size, np.array(numbers, np.int64), found)
