"""How fast a network and a tracker are here: each stage alone, and all of them together.

Alone means one after the other, so that a stage is charged for nothing but its own work. Together is the run of the
``track`` verb, whose stages overlap; its frames per second are what a user gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.painting import Painter
from jde_lightning.inference.stopwatch import Stopwatch
from jde_lightning.inference.tracker_config import TrackerFactory
from jde_lightning.inference.tracking_run import DetectorLike, track_source
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.structures import Detections, Tracks

STAGES = ("decode", "prepare", "forward", "select", "track", "draw", "encode", "write")
"""In the order in which a frame passes them; ``select`` is thresholds, boxes, suppression, embeddings of the kept."""

T = TypeVar("T")


class SteppedDetector(DetectorLike, Protocol):
    """A detector whose three steps can be timed; see :class:`jde_lightning.inference.predictor.Predictor`."""

    def prepare(self, images: Sequence[npt.NDArray[np.uint8]]) -> Any:
        """Fit images into the network's input."""

    def forward(self, batch: Any) -> Any:
        """Run the network on one of the prepared batches."""

    def postprocess(self, maps: Sequence[Any], prepared: Any) -> list[Detections]:
        """Find the detections."""


class FirstFrames(FrameSource):
    """The first frames of another source.

    Args:
        source: the whole.
        count: how many frames, at most.
    """

    def __init__(self, source: FrameSource, count: int) -> None:
        self.source = source
        self.name, self.frame_rate, self.live = source.name, source.frame_rate, source.live
        self.length: int | None = count if source.length is None else min(count, source.length)
        self._count = count

    def __iter__(self) -> Iterator[Frame]:
        """Yield them."""
        return islice(iter(self.source), self._count)

    def stop(self) -> None:
        """End the source."""
        self.source.stop()


@dataclass
class Speed:
    """What was measured on one source.

    Attributes:
        frames: number of frames that were measured, without those that warmed up.
        people: mean number of detections per frame.
        milliseconds: per stage the ``(frames,)`` milliseconds of each frame; stages that work on batches share their
            time out over the frames.
        repeats: frames per second of the whole run, in which stages overlap, each time that it was measured.
    """

    frames: int
    people: float
    milliseconds: dict[str, npt.NDArray[np.float64]]
    repeats: list[float] = field(default_factory=list)

    def percentile(self, stage: str, percent: float) -> float:
        """Milliseconds that this share of the frames stays within, in percent, in one stage."""
        return float(np.percentile(self.milliseconds[stage], percent))

    @property
    def end_to_end(self) -> float:
        """Frames per second of the whole run: the median of the repeats; 0 if it was not measured."""
        return float(np.median(self.repeats)) if self.repeats else 0.0

    @property
    def forward_alone(self) -> float:
        """Frames per second of the network's forward pass, if there were nothing else to do."""
        return 1000 / float(self.milliseconds["forward"].mean())

    def as_json(self) -> dict[str, Any]:
        """The numbers, rounded to what a clock can tell."""
        stages = {
            name: {
                "p50_ms": round(self.percentile(name, 50), 3),
                "p95_ms": round(self.percentile(name, 95), 3),
                "mean_ms": round(float(values.mean()), 3),
            }
            for name, values in self.milliseconds.items()
        }
        return {
            "frames": self.frames,
            "detections_per_frame": round(self.people, 1),
            "stages": stages,
            "forward_alone_fps": round(self.forward_alone, 2),
            "end_to_end_fps": round(self.end_to_end, 2),
            "end_to_end_fps_of_each_repeat": [round(value, 2) for value in self.repeats],
        }


def measure_stages(
    source: FrameSource,
    detector: SteppedDetector,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 1,
    warm_up: int = 3,
    video: bool = False,
    synchronize: Callable[[], None] = lambda: None,
) -> Speed:
    """Measure each stage alone, one after the other.

    Args:
        source: frames to work on.
        detector: the network.
        make_tracker: makes the tracker for the source's frame rate.
        output: folder for the files that are written on the way.
        batch_size: frames that go through the network at once.
        warm_up: number of batches whose times are thrown away: first passes allocate, choose kernels or compile.
        video: whether an annotated video is drawn and encoded.
        synchronize: waits until the device has done what it was given; needed where it works behind Python's back.

    Returns:
        The times. Where there are no more frames than those that warm up, all count.

    Raises:
        InputError: if there are no frames.
    """
    clock = _StageClock(synchronize)
    tracker: Any = make_tracker(source.frame_rate)
    images = clock.iterate("decode", source)
    numbers: list[int] = []
    results: list[Tracks] = []
    people = 0
    painted = Stopwatch()
    bar = tqdm(total=source.length, desc="stages", unit="frame", disable=None, leave=False)
    with bar, Painter(source, detector.class_names, painted, output / "stages.mp4" if video else None) as painter:
        while batch := list(islice(images, batch_size)):
            with clock.stage("prepare", len(batch)):
                prepared = detector.prepare([frame.image for frame in batch])
            with clock.stage("forward", len(batch)):
                maps = [detector.forward(each) for each in prepared.batches]
            with clock.stage("select", len(batch)):
                found = detector.postprocess(maps, prepared)
            people += sum(map(len, found))
            for frame, detections in zip(batch, found, strict=True):
                with clock.stage("track"):
                    tracks = tracker.update(detections, image=frame.image)
                numbers.append(frame.number)
                results.append(tracks)
                painter.paint(frame, tracks)
                for stage, mine in (("draw", "draw"), ("write", "encode")) if video else ():
                    clock.add(mine, painted.seconds.pop(stage))
            bar.update(len(batch))
    frames = len(numbers)
    if not frames:
        msg = f"{source.name}: has no frames, so there is nothing to measure"
        raise InputError(msg)
    with clock.stage("write", frames):
        write_results(output / "stages.txt", numbers, results, len(detector.class_names))
    skipped = warm_up * batch_size if frames > warm_up * batch_size else 0
    times = {name: 1000 * np.array(clock.seconds[name][skipped:]) for name in STAGES if name in clock.seconds}
    return Speed(frames - skipped, people / frames, times)


def measure_end_to_end(
    source: FrameSource,
    detector: DetectorLike,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 1,
    video: bool = False,
) -> float:
    """Run the whole, with stages that overlap, as the ``track`` verb does.

    Args:
        source: frames to work on.
        detector: the network, warm.
        make_tracker: makes the tracker for the source's frame rate.
        output: folder for the files that are written.
        batch_size: frames that go through the network at once.
        video: whether an annotated video is drawn and encoded.

    Returns:
        Frames per second, from the first frame read to the last one written.
    """
    return track_source(source, detector, make_tracker, output, batch_size, video).frames_per_second


class _StageClock:
    """Seconds of each frame in each stage."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._synchronize = synchronize

    def add(self, name: str, seconds: float, frames: int = 1) -> None:
        """Share time out over the frames that it was spent on."""
        self.seconds.setdefault(name, []).extend([seconds / frames] * frames)

    @contextmanager
    def stage(self, name: str, frames: int = 1) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self._synchronize()
        self.add(name, time.perf_counter() - start, frames)

    def iterate(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and time how long each takes to come."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.add(name, time.perf_counter() - start)
            yield item
