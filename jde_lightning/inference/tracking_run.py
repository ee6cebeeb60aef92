"""The run of the ``track`` verb: frames in, detections, tracks, files out.

A thread reads ahead, this one runs the network on batches, a thread tracks in order, a thread draws and encodes.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.diary import DiaryWriter
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.painting import Painter
from jde_lightning.inference.pipeline import ReadAhead, Stage
from jde_lightning.inference.stopwatch import Stopwatch
from jde_lightning.inference.tracker_config import TrackerFactory, TrackerLike
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.structures import Detections, Tracks
from jde_lightning.tracking.explain import Decision

_LOG = logging.getLogger(__name__)

_STARTING_THRESHOLDS = ("new_track_thresh", "conf_thresh")  # of YOLO11-JDE's tracker and of FairMOT's
_STAGES = ("read", "detect", "track", "draw", "write")


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
        diary: the track diary, if it was wanted.
        frames: number of frames.
        dropped: number of frames of a live source that came while the network was busy, and were left out.
        boxes: number of boxes over all frames.
        identities: number of different identities.
        highest_score: confidence of the surest detection; 0 where nothing was detected.
        elapsed: seconds from the first frame read to the last one written.
        seconds: time spent in each stage: read, detect, track, draw, write. Stages overlap, so that the sum may be
            more than ``elapsed``.
    """

    name: str
    result: Path
    video: Path | None = None
    pictures: Path | None = None
    diary: Path | None = None
    frames: int = 0
    dropped: int = 0
    boxes: int = 0
    identities: int = 0
    highest_score: float = 0.0
    elapsed: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float:
        """Frames per second from end to end; 0 where nothing was done."""
        return self.frames / self.elapsed if self.elapsed > 0 else 0.0

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds per frame of each stage."""
        return {name: 1000 * self.seconds[name] / max(self.frames, 1) for name in _STAGES if name in self.seconds}


def track_sources(
    sources: Sequence[FrameSource],
    detector: DetectorLike,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 8,
    video: bool = False,
    pictures: bool = False,
    explain: bool = False,
) -> Iterator[TrackingSummary]:
    """Track in one source after the other; arguments as for :func:`track_source`.

    Yields:
        The summary of each source when its files are written.
    """
    for source in sources:
        yield track_source(source, detector, make_tracker, output, batch_size, video, pictures, explain)


def track_source(
    source: FrameSource,
    detector: DetectorLike,
    make_tracker: TrackerFactory,
    output: Path,
    batch_size: int = 8,
    video: bool = False,
    pictures: bool = False,
    explain: bool = False,
) -> TrackingSummary:
    """Track in one source and write ``NAME.txt``, and if wanted ``NAME.mp4`` and the folder ``NAME`` of pictures.

    Files are written whole. An interrupt (Ctrl-C) is how a camera or stream is ended, so it completes the files. If
    anything else is interrupted, or one of its frames cannot be read, the files hold all frames up to there and are
    called ``NAME.partial.txt``, ``NAME.partial.mp4`` and ``NAME.partial.npz``: under the usual name, results that stop
    early would pass for a bad tracker. After any other error there are none.

    Args:
        source: the frames.
        detector: finds objects in a batch of images.
        make_tracker: makes a fresh tracker for the frame rate of the source.
        output: folder for the files.
        batch_size: frames that are detected at once; as many more wait before each stage. Live sources go frame by
            frame, and what comes while the network is busy is dropped except for the latest, both for the sake of
            delay.
        video: whether to write an annotated video.
        pictures: whether to write annotated frames as JPEG files.
        explain: whether to write ``NAME.npz``, the track diary (:mod:`jde_lightning.inference.diary`): embeddings, and
            what the tracker considered where it was made with ``explain=True``.

    Returns:
        Counts, times and paths.

    Raises:
        InputError: if a frame cannot be read.
    """
    tracker = make_tracker(source.frame_rate)
    size = 1 if source.live else batch_size
    cut_short: BaseException | None = None
    with ExitStack() as stack:
        run = _Run(stack, source, tracker, detector.class_names, output, video, pictures, explain)
        paint = stack.enter_context(Stage(run.paint, size, "paint"))
        track: Stage[Any] = stack.enter_context(Stage(lambda found: paint.put(run.track(*found)), size, "track"))
        ahead = stack.enter_context(ReadAhead(run.times.iterate("read", source), size, source.live, source.stop))
        try:
            while batch := ahead.take(size):
                with run.times.stage("detect"):
                    found = detector.detect([frame.image for frame in batch])
                for item in zip(batch, found, strict=True):
                    track.put(item)
            track.finish()
            paint.finish()
        except (KeyboardInterrupt, InputError) as reason:
            # What has been detected by now is tracked and written; if one of these stages is the reason, it says so.
            track.finish()
            paint.finish()
            cut_short = reason
        run.summary.dropped = ahead.dropped
    if isinstance(cut_short, KeyboardInterrupt) and source.live:
        cut_short = None
    run.write_files(complete=cut_short is None)
    if cut_short is not None:
        raise cut_short
    return run.summary


class _Run:
    """One tracker on its way through one source, and the files that come of it."""

    def __init__(
        self,
        stack: ExitStack,
        source: FrameSource,
        tracker: TrackerLike,
        class_names: Sequence[str],
        output: Path,
        video: bool,
        pictures: bool,
        explain: bool,
    ) -> None:
        self.source = source
        self.times = Stopwatch()
        self.summary = TrackingSummary(
            source.name,
            result=output / f"{source.name}.txt",
            video=output / f"{source.name}.mp4" if video else None,
            pictures=output / source.name if pictures else None,
            diary=output / f"{source.name}.npz" if explain else None,
            seconds=self.times.seconds,
        )
        self._tracker: Any = tracker  # whose update may or may not know of elapsed frames
        self._knows_elapsed = "elapsed_frames" in inspect.signature(tracker.update).parameters
        self._num_classes = len(class_names)
        self._results: dict[int, Tracks] = {}
        self._diary = DiaryWriter([decision.name.lower() for decision in Decision]) if explain else None
        self._last_number: int | None = None
        self._bar = stack.enter_context(tqdm(total=source.length, desc=source.name, unit="frame", disable=None))
        # Until the end is reached, a video is a partial one.
        path = _partial(self.summary.video) if self.summary.video is not None else None
        self._painter = stack.enter_context(Painter(source, class_names, self.times, path, self.summary.pictures))

    def track(self, frame: Frame, detections: Detections) -> tuple[Frame, Tracks]:
        """Track in the next frame."""
        elapsed = 1 if self._last_number is None else frame.number - self._last_number
        # Trackers of others need not know that frames can be missing.
        more = {"elapsed_frames": elapsed} if elapsed > 1 and self._knows_elapsed else {}
        with self.times.stage("track"):
            tracks = self._tracker.update(detections, image=frame.image, **more)
        self._last_number = frame.number
        self._results[frame.number] = tracks
        if self._diary is not None:
            self._diary.add(frame.number, tracks, detections, getattr(self._tracker, "explanations", None))
        self.summary.highest_score = max(self.summary.highest_score, float(detections.scores.max(initial=0)))
        return frame, tracks

    def paint(self, tracked: tuple[Frame, Tracks]) -> None:
        """Draw and write the next frame, with which it is done."""
        self._painter.paint(*tracked)
        self.summary.frames += 1
        self.summary.elapsed = self.times.elapsed
        if not self._bar.disable:
            stages = ", ".join(f"{k} {v:.1f}" for k, v in self.summary.milliseconds().items())
            rate = self.summary.frames_per_second
            self._bar.set_postfix_str(f"{rate:.1f} frames/s; ms per frame: {stages}", refresh=False)
            self._bar.update()

    def write_files(self, complete: bool) -> None:
        """Write the result file, give the video its name, and count.

        Args:
            complete: whether the source was read to its end.
        """
        summary, tracks = self.summary, list(self._results.values())
        result, video = summary.result, summary.video
        if complete or summary.frames:
            to = result if complete else _partial(result)
            write_results(to, list(self._results), tracks, self._num_classes)
            if self._diary is not None and summary.diary is not None:
                self._diary.write(summary.diary if complete else _partial(summary.diary))
        if complete:
            for old in (result, result.with_suffix(".npz")):  # of an earlier run
                _partial(old).unlink(missing_ok=True)
            if video is not None and _partial(video).exists():
                _partial(video).replace(video)
        elif summary.frames:
            *names, last = [_partial(path).name for path in (result, video, summary.diary) if path is not None]
            listed = f"{', '.join(names)} and {last}" if names else last
            of = f" of {self.source.length}" if self.source.length is not None else ""
            _LOG.warning(
                "%s: ended early; %s in %s: %d%s frames, up to frame %d",
                *(summary.name, listed, result.parent, summary.frames, of, self._last_number),
            )
        summary.boxes = sum(map(len, tracks))
        summary.identities = len({int(i) for each in tracks for i in each.ids})
        if summary.frames and not summary.boxes:
            _warn_of_nobody(summary, self._tracker)


def _partial(path: Path) -> Path:
    """Name of a file about a source that was not read to its end."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def _warn_of_nobody(summary: TrackingSummary, tracker: Any) -> None:
    """Say why there may be no track at all."""
    score = summary.highest_score
    if not score:
        why = "the network found nothing: was it trained for long enough, and on images like these?"
        _LOG.warning("%s: nobody was tracked; %s", summary.name, why)
        return
    known = ((name, getattr(tracker, name, None)) for name in _STARTING_THRESHOLDS)
    name, threshold = next(((name, value) for name, value in known if value is not None), ("", None))
    if threshold is None:
        why = "does the tracker start tracks at such a confidence?"
    elif score < threshold:
        why = (
            f"and this tracker starts tracks from {threshold:g} on ({name}). A network that was trained for minutes "
            "wants a lower value: --tracker short_training, or a YAML file with yours (`jde-lightning configs` lists "
            "the packaged ones, and prints one to copy)"
        )
    else:
        why = f"above the {threshold:g} from which this tracker starts tracks ({name}), but in no two frames in a row"
    text = "%s: nobody was tracked; the surest detection has a confidence of %.2f, %s"
    _LOG.warning(text, summary.name, score, why)
