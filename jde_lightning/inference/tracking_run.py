"""The loop of the ``track`` verb: frames in, detections, tracks, files out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.files import written_whole
from jde_lightning.inference.drawing import Trails, draw_tracks
from jde_lightning.inference.sources import Frame, FrameSource
from jde_lightning.inference.tracker_config import TrackerFactory
from jde_lightning.inference.video import VideoWriter
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.structures import Detections, Tracks

_LOG = logging.getLogger(__name__)


class DetectorLike(Protocol):
    """What finds objects in a batch of images; see :class:`jde_lightning.inference.predictor.Predictor`."""

    class_names: list[str]

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Detections of each image, in its own pixels."""


@dataclass
class TrackingSummary:
    """What a run over one source has done.

    Attributes:
        name: of the source.
        result: the MOTChallenge result file.
        video: the annotated video, if one was wanted.
        pictures: the folder of annotated frames, if they were wanted.
        frames: number of frames.
        boxes: number of boxes over all frames.
        identities: number of different identities.
        highest_score: confidence of the surest detection; 0 where nothing was detected.
        seconds: time spent in each stage: read, detect, track, draw, write.
    """

    name: str
    result: Path
    video: Path | None = None
    pictures: Path | None = None
    frames: int = 0
    boxes: int = 0
    identities: int = 0
    highest_score: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames per second of all stages together; 0 where nothing was done."""
        total = sum(self.seconds.values())
        return self.frames / total if total > 0 else 0.0

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds per frame of each stage."""
        return {stage: 1000 * seconds / max(self.frames, 1) for stage, seconds in self.seconds.items()}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def track_sources(
    sources: Sequence[FrameSource],
    detector: DetectorLike,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 8,
    video: bool = False,
    pictures: bool = False,
) -> Iterator[TrackingSummary]:
    """Track in one source after the other; arguments as for :func:`track_source`.

    Yields:
        The summary of each source when its files are written.
    """
    for source in sources:
        yield track_source(source, detector, make_tracker, output, batch_size, video, pictures)


def track_source(
    source: FrameSource,
    detector: DetectorLike,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 8,
    video: bool = False,
    pictures: bool = False,
) -> TrackingSummary:
    """Track in one source and write ``NAME.txt``, and if wanted ``NAME.mp4`` and the folder ``NAME`` of pictures.

    Files are written whole. An interrupt (Ctrl-C) is how a camera or stream is ended, so its files are completed;
    of anything else no result and no video is left, because one that stops early would pass for a bad tracker.

    Args:
        source: the frames.
        detector: finds objects in a batch of images.
        make_tracker: makes a fresh tracker for the frame rate of the source.
        output: folder for the files.
        batch_size: frames that are detected at once; live sources go frame by frame, for the sake of delay.
        video: whether to write an annotated video.
        pictures: whether to write annotated frames as JPEG files.

    Returns:
        Counts, times and paths.

    Raises:
        InputError: if a frame cannot be read.
    """
    summary = TrackingSummary(source.name, output / f"{source.name}.txt")
    results: dict[int, Tracks] = {}
    with ExitStack() as files:
        painter = _Painter(source, detector.class_names, summary, output, files, video, pictures)
        bar = files.enter_context(tqdm(total=source.length, desc=source.name, unit="frame", disable=None))
        tracker = make_tracker(source.frame_rate)
        try:
            for frame, detections in _detected(source, detector, batch_size, summary):
                with summary.timed("track"):
                    tracks = tracker.update(detections, image=frame.image)
                results[frame.number] = tracks
                summary.highest_score = max(summary.highest_score, float(detections.scores.max(initial=0)))
                painter.paint(frame, tracks)
                summary.frames += 1
                bar.set_postfix_str(", ".join(f"{k} {v:.1f} ms" for k, v in summary.milliseconds().items()), False)
                bar.update()
        except KeyboardInterrupt:
            if not source.live:
                raise
            _LOG.info("%s: ended after %d frames", source.name, summary.frames)
        write_results(summary.result, list(results), list(results.values()), len(detector.class_names))
    summary.boxes = sum(map(len, results.values()))
    summary.identities = len({int(i) for tracks in results.values() for i in tracks.ids})
    if summary.frames and not summary.boxes:
        _LOG.warning(
            "%s: nobody was tracked; the surest detection has a confidence of %.2f, and a tracker starts tracks only "
            "above its own threshold (new_track_thresh in the file of --tracker, 0.6 by default). A network that was "
            "trained for minutes wants a lower one: begin with a copy of configs/trackers/short_training.yaml",
            summary.name,
            summary.highest_score,
        )
    return summary


def _detected(
    source: FrameSource, detector: DetectorLike, batch_size: int, summary: TrackingSummary
) -> Iterator[tuple[Frame, Detections]]:
    """Yield the frames of a source with their detections, in order."""
    frames = iter(source)
    size = 1 if source.live else batch_size
    while True:
        with summary.timed("read"):
            batch = list(islice(frames, size))
        if not batch:
            return
        with summary.timed("detect"):
            found = detector.detect([frame.image for frame in batch])
        yield from zip(batch, found, strict=True)


class _Painter:
    """Draws the tracks of each frame into the video and the pictures that were asked for."""

    def __init__(
        self,
        source: FrameSource,
        class_names: Sequence[str],
        summary: TrackingSummary,
        output: Path,
        files: ExitStack,
        video: bool,
        pictures: bool,
    ) -> None:
        self._class_names = class_names
        self._summary = summary
        self._trails = Trails(length=max(2, round(source.frame_rate)))
        self._video: VideoWriter | None = None
        if video:
            summary.video = output / f"{source.name}.mp4"
            self._video = files.enter_context(VideoWriter(summary.video, source.frame_rate))
        if pictures:
            summary.pictures = output / source.name

    def paint(self, frame: Frame, tracks: Tracks) -> None:
        """Draw one frame, and write it."""
        if self._video is None and self._summary.pictures is None:
            return
        with self._summary.timed("draw"):
            self._trails.update(tracks)
            drawn = draw_tracks(frame.image, tracks, self._trails, frame.number, self._class_names)
        with self._summary.timed("write"):
            if self._video is not None:
                self._video.write(drawn)
            if self._summary.pictures is not None:
                with written_whole(self._summary.pictures / f"{frame.number:06d}.jpg") as path:
                    path.write_bytes(cv2.imencode(".jpg", drawn)[1].tobytes())
