"""What the network finds in the validation data of a run: once, and kept in the run's folder for the next report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import PADDING, decode
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.unreadable import UnreadableImages
from jde_lightning.errors import InputError
from jde_lightning.inference.cache import CachedSequence, CacheOrigin, DetectionCache, read_cache, write_cache
from jde_lightning.inference.cache_building import detect_sequences, origin_of_network
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.report.run import Run
from jde_lightning.structures import Detections, FrameAnnotations

_FILE = "detections.npz"


@dataclass
class Observed:
    """Validation data with what the network found in it.

    Attributes:
        index: the frames.
        groups: positions of the frames of each sequence by its name, and the single images of each dataset.
        found: detections of each of the groups, in the same order.
        origin: which network found them.
    """

    index: FrameIndex
    groups: dict[str, npt.NDArray[np.int64]]
    found: list[CachedSequence]
    origin: CacheOrigin

    def pairs(self) -> Iterator[tuple[str, list[FrameAnnotations], list[Detections]]]:
        """Yield the name, annotations and detections of each group."""
        for (name, positions), sequence in zip(self.groups.items(), self.found, strict=True):
            yield name, [self.index.frame(position) for position in positions.tolist()], sequence.detections

    def by_position(self) -> dict[int, Detections]:
        """Detections by the position of their frame in the index."""
        return {
            position: found
            for positions, sequence in zip(self.groups.values(), self.found, strict=True)
            for position, found in zip(positions.tolist(), sequence.detections, strict=True)
        }


class IndexedFrames(FrameSource):
    """Frames of an index as a source; an image that cannot be read is grey, as in validation.

    Args:
        name: of the sequence, or of the dataset whose single images these are.
        index: the frames.
        positions: ``(F,)`` which of them, in order.
        unreadable: collects the images that cannot be read.
    """

    def __init__(
        self, name: str, index: FrameIndex, positions: npt.NDArray[np.int64], unreadable: UnreadableImages
    ) -> None:
        self.name = name
        self.frame_rate = float(index.frame_rates[positions[0]])
        self.length: int | None = len(positions)
        self._index, self._positions, self._unreadable = index, positions, unreadable

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, numbered as :func:`frame_numbers` does."""
        numbers = frame_numbers(self._index, self._positions)
        for position, number in zip(self._positions.tolist(), numbers.tolist(), strict=True):
            path = self._index.path(position)
            image = self._unreadable.read(position, lambda path=path: decode(path))  # type: ignore[misc]
            if image is None:
                width, height = self._index.sizes[position].tolist()
                image = np.full((height, width, 3), PADDING, np.uint8)
            yield Frame(number, image)


def frame_groups(index: FrameIndex) -> dict[str, npt.NDArray[np.int64]]:
    """Positions of the frames of each sequence, and of the single images of each dataset as a group of their own."""
    groups = dict(index.sequences)
    single = index.sequence_codes < 0
    for code, name in enumerate(index.datasets):
        positions = np.flatnonzero(single & (index.dataset_codes == code))
        if len(positions):
            groups[f"images of {name}"] = positions
    return groups


def frame_numbers(index: FrameIndex, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers of the frames of a group: those of a sequence as annotated, single images counted from 1."""
    if index.sequence_codes[positions[0]] >= 0:
        return np.asarray(index.frame_numbers[positions], np.int64)
    return np.arange(1, len(positions) + 1)


def network_settings(run: Run) -> dict[str, Any]:
    """How the network of a run is used: as its validation did, in the words of :class:`Predictor`."""
    chosen = {name: run.setting("model", name) for name in ("conf", "iou", "max_det")}
    settings = {name: value for name, value in chosen.items() if isinstance(value, (int, float))}
    half = str(run.setting("trainer", "precision") or "").startswith("bf16")
    return {"conf": 0.001, **settings, "precision": "bf16" if half else "fp32"}


def observe(
    run: Run,
    index: FrameIndex,
    batch_size: int = 8,
    device: str = "auto",
    network: bool = True,
    progress: bool = False,
) -> Observed | None:
    """Take the detections of an earlier report if they fit, else run the network over all frames and keep them.

    Args:
        run: whose checkpoint; its notes get what went wrong.
        index: the validation data.
        batch_size: frames that are detected at once; that of validation gives the very same numbers.
        device: as for :class:`~jde_lightning.inference.predictor.Predictor`.
        network: ``False`` never runs the network.
        progress: show a progress bar on stderr.

    Returns:
        What was found; ``None`` if nothing fits and the network did not run.
    """
    groups = frame_groups(index)
    path = run.report_folder / _FILE
    settings = network_settings(run)
    try:
        kept = _kept(run, settings, index, groups)
        if kept is not None:
            return Observed(index, groups, kept.sequences, kept.origin)
        if run.checkpoint is None:
            return None
        if not network:
            run.notes.append("The network was not to be run (--no-network), and no earlier report has left detections.")
            return None
        # as validation computes: other ways are faster, and round differently
        predictor = Predictor.from_checkpoint(run.checkpoint, device=device, **settings, embeddings="dense", fold=False)
        unreadable = UnreadableImages()
        sources = [IndexedFrames(name, index, positions, unreadable) for name, positions in groups.items()]
        found = detect_sequences(sources, predictor, batch_size, progress)
    except InputError as error:
        run.notes.append(f"The network could not go over the validation data: {error}.")
        return None
    if unreadable.frames:
        run.notes.append(
            f"{len(unreadable.frames)} of {len(index)} images cannot be read, and were grey to the network."
        )
    origin = origin_of_network(predictor, run.checkpoint)
    if not unreadable.frames:  # next time they may be there
        write_cache(path, DetectionCache(found, origin))
    return Observed(index, groups, found, origin)


def _kept(
    run: Run, settings: dict[str, Any], index: FrameIndex, groups: dict[str, npt.NDArray[np.int64]]
) -> DetectionCache | None:
    """The detections of an earlier report; ``None`` if there are none, or of another network or data."""
    path = run.report_folder / _FILE
    if not path.is_file():
        return None
    try:
        # of weights that are gone, what is left is all there is
        cache = read_cache(path, run.checkpoint, settings if run.checkpoint is not None else None)
    except InputError:
        return None
    fits = [sequence.name for sequence in cache.sequences] == list(groups) and all(
        np.array_equal(sequence.frames, frame_numbers(index, positions))
        for sequence, positions in zip(cache.sequences, groups.values(), strict=True)
    )
    return cache if fits else None
