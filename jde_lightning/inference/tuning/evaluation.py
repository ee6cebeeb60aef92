"""A tracker with certain parameters, its tracks on cached detections, and their scores, all in memory."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml
from jde_lightning.inference.cache import CachedSequence
from jde_lightning.inference.tracker_config import find_tracker, load_tracker_factory
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.metrics.folders import FolderScores
from jde_lightning.metrics.in_memory import result_rows
from jde_lightning.metrics.scores import Counts, scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.sequences import Benchmark
from jde_lightning.structures import Tracks


@dataclass(frozen=True, slots=True)
class TrackerChoice:
    """A tracker and the arguments of its constructor; can be sent to another process.

    Attributes:
        tracker: the class.
        arguments: by name; a ``frame_rate`` among them wins over that of the sequence.
    """

    tracker: type[Any]
    arguments: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, name_or_path: str | Path, appearance: bool = True) -> TrackerChoice:
        """Read which tracker is meant, with all its parameters, those that are not written included.

        Args:
            name_or_path: as for :func:`jde_lightning.inference.tracker_config.load_tracker_factory`.
            appearance: ``False`` makes the tracker ignore embeddings, whatever the file says.

        Raises:
            InputError: if name, file, class, key or value are not what they should be.
        """
        made = load_tracker_factory(name_or_path, appearance)(30.0)
        written = read_yaml(find_tracker(name_or_path), "a tracker").get("init_args") or {}
        arguments: dict[str, Any] = {}
        for name, parameter in inspect.signature(type(made)).parameters.items():
            if name == "frame_rate":
                continue  # of each sequence, unless the file says otherwise
            arguments[name] = getattr(made, name, written.get(name, parameter.default))
        if "frame_rate" in written:
            arguments["frame_rate"] = written["frame_rate"]
        return cls(type(made), arguments)

    @property
    def appearance(self) -> bool:
        """Whether embeddings are compared."""
        return bool(self.arguments.get("appearance", True))

    def updated(self, arguments: Mapping[str, Any]) -> TrackerChoice:
        """Return the same tracker with some arguments replaced."""
        return TrackerChoice(self.tracker, {**self.arguments, **arguments})

    def tracks(self, sequence: CachedSequence) -> list[Tracks]:
        """Run a fresh tracker over a sequence, as ``track`` does.

        Args:
            sequence: its detections. Where frame numbers leave a gap, a tracker that can be told is told.

        Returns:
            The tracks of each frame.
        """
        tracker = self.tracker(**{"frame_rate": float(sequence.frame_rate), **self.arguments})
        steps = [1, *np.diff(sequence.frames).tolist()]
        if max(steps) == 1 or "elapsed_frames" not in inspect.signature(tracker.update).parameters:
            return [tracker.update(found) for found in sequence.detections]
        pairs = zip(sequence.detections, steps, strict=True)
        return [tracker.update(found, elapsed_frames=step) for found, step in pairs]


def counts_of(sequence: TuningSequence, choice: TrackerChoice, benchmark: Benchmark = "mot17") -> Counts:
    """Track one sequence and evaluate it, up to the division.

    Args:
        sequence: detections and ground truth.
        choice: the tracker.
        benchmark: whose rules hold.

    Returns:
        Counts that add up, equal to those of the result file of ``track``.

    Raises:
        InputError: if the tracker refuses its arguments or the detections.
    """
    tracks = choice.tracks(sequence.detections)
    rows = result_rows(sequence.detections.frames.tolist(), tracks, sequence.name)
    return sequence_counts(sequence.ground_truth, rows, benchmark)


def evaluate_sequences(
    sequences: Iterable[TuningSequence], choice: TrackerChoice, benchmark: Benchmark = "mot17"
) -> FolderScores:
    """Score a tracker on sequences, each and all together.

    Args:
        sequences: detections and ground truth.
        choice: the tracker.
        benchmark: whose rules hold.

    Returns:
        As :func:`jde_lightning.metrics.folders.evaluate_folder` returns it for the files of ``track``.
    """
    return scores_by_name({sequence.name: counts_of(sequence, choice, benchmark) for sequence in sequences})


def scores_by_name(counts: Mapping[str, Counts]) -> FolderScores:
    """Turn the counts of sequences into scores of each and of all together."""
    return {
        "combined": scores_from_counts(summed(counts.values())),
        "sequences": {name: scores_from_counts(part) for name, part in counts.items()},
    }


def check_embeddings(sequences: Iterable[TuningSequence], choice: TrackerChoice) -> None:
    """Refuse to compare embeddings that are not there, before the search begins.

    Raises:
        InputError: if the tracker compares embeddings and a sequence has detections without.
    """
    if not choice.appearance:
        return
    for sequence in sequences:
        if any(len(found) and found.embeddings is None for found in sequence.detections.detections):
            msg = f"{sequence.name}: the cache holds no embeddings; track by motion alone with --no-appearance"
            raise InputError(msg)
