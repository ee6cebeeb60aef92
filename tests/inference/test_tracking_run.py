import signal
import threading
import time
from typing import ClassVar

import cv2
import numpy as np
import pytest
from tqdm import TMonitor

from jde_lightning.errors import InputError
from jde_lightning.inference import tracking_run
from jde_lightning.inference.diary import read_diary
from jde_lightning.inference.drawing import Trails, draw_tracks
from jde_lightning.inference.sources import Frame, FrameSource, open_sources
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.tracking_run import track_source, track_sources
from jde_lightning.metrics.in_memory import format_results
from jde_lightning.metrics.mot_challenge import read_results
from jde_lightning.structures import Detections, Tracks

LONG = 20.0
"""Seconds after which a test that waits for a thread gives up."""


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert not [t for t in threading.enumerate() if t not in before and not isinstance(t, TMonitor)]


class Source(FrameSource):
    """``length`` dark frames; raises ``error`` instead of frame ``fails_at``.

    A live one delivers a frame for each release of ``pace``, of which there is one to begin with.
    """

    def __init__(self, name="walk", length=5, first=1, live=False, fails_at=None, error=KeyboardInterrupt):
        self.name, self.length, self.first, self.live = name, length, first, live
        self.frame_rate = 25.0
        self.fails_at, self.error = fails_at, error
        self.pace = threading.Semaphore(1)

    def __iter__(self):
        for number in range(self.first, self.first + self.length):
            if self.live:
                assert self.pace.acquire(timeout=LONG)
            if number == self.fails_at:
                raise self.error
            yield Frame(number, np.full((48, 64, 3), number, np.uint8))


class Detector:
    """Finds one box that moves with the frame's grey value; remembers the sizes of its batches, and keeps the pace."""

    class_names = ("person",)

    def __init__(self, source=None):
        self.batches = []
        self.source = source

    def detect(self, images):
        self.batches.append(len(images))
        if self.source is not None:
            self.source.pace.release()
        return [Detections([[int(i[0, 0, 0]), 10, int(i[0, 0, 0]) + 8, 30]], [0.9]) for i in images]


class Tracker:
    """Gives the n-th detection of a frame the identity n + 1; remembers what it saw."""

    made: ClassVar[list] = []

    def __init__(self, frame_rate):
        self.frame_rate = frame_rate
        self.seen = []
        Tracker.made.append(self)

    def update(self, detections, image=None):
        self.seen.append((float(detections.boxes[0, 0]), int(image[0, 0, 0])))
        n = len(detections)
        return Tracks(detections.boxes, np.arange(1, n + 1), detections.scores, detections.labels, np.arange(n))


@pytest.fixture(autouse=True)
def _fresh():
    Tracker.made = []


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_result_file_counts_from_one(tmp_path):
    summary = track_source(Source(length=2), Detector(), Tracker, tmp_path)
    assert summary.result == tmp_path / "walk.txt"
    rows = [line.split(",") for line in summary.result.read_text().splitlines()]
    # The box of frame 1 spans x 1..9, y 10..30, counted from 0.
    assert [float(v) for v in rows[0]] == pytest.approx([1, 1, 2, 11, 8, 20, 0.9, -1, -1, -1])
    assert [float(v) for v in rows[1][:3]] == pytest.approx([2, 1, 3])
    assert names(tmp_path) == ["walk.txt"]


def test_frames_reach_the_tracker_in_order_whatever_the_batch(tmp_path):
    detector = Detector()
    summary = track_source(Source(length=7), detector, Tracker, tmp_path, batch_size=3)
    assert detector.batches == [3, 3, 1]
    assert Tracker.made[0].seen == [(float(n), n) for n in range(1, 8)]
    assert (summary.frames, summary.boxes, summary.identities) == (7, 7, 1)


def test_live_sources_do_not_wait_for_a_batch(tmp_path):
    source = Source(length=3, live=True)
    detector = Detector(source)
    summary = track_source(source, detector, Tracker, tmp_path, batch_size=8)
    assert detector.batches == [1, 1, 1]
    assert (summary.frames, summary.dropped) == (3, 0)


@pytest.mark.parametrize("knows", [True, False])
def test_live_frames_that_come_while_the_network_is_busy_are_dropped_except_for_the_latest(tmp_path, knows):
    all_there = threading.Event()

    class Camera(Source):
        def __iter__(self):
            yield from super().__iter__()
            all_there.set()

    class Busy(Detector):
        def detect(self, images):
            source.pace.release(10)
            assert all_there.wait(LONG)
            return super().detect(images)

    class Respectful(Tracker):
        def update(self, detections, image=None, elapsed_frames=1):
            self.seen.append(elapsed_frames)
            return Tracks.empty()

    source = Camera("camera0", length=10, live=True)
    tracker = Respectful if knows else Tracker
    summary = track_source(source, Busy(), tracker, tmp_path, video=True)
    assert (summary.frames, summary.dropped) == (2, 8)
    assert Tracker.made[0].seen == ([1, 9] if knows else [(1, 1), (10, 10)])
    pytest.importorskip("av")  # OpenCV writes a constant frame rate
    # In the video the second picture comes after as much time as there was between the two.
    capture = cv2.VideoCapture(str(summary.video))
    assert capture.read()[0]
    assert capture.read()[0]
    assert capture.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(1000 * 9 / 25)


def test_stages_overlap(tmp_path, monkeypatch):
    """Drawing frame 1 waits for the network to begin with frame 2, and the network for frame 3 to be read."""
    second_in_network, third_read = threading.Event(), threading.Event()

    class Watched(Source):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.number == 3:
                    third_read.set()
                yield frame

    class Network(Detector):
        def detect(self, images):
            if len(self.batches) == 1:
                second_in_network.set()
                assert third_read.wait(LONG)
            return super().detect(images)

    paint = tracking_run.Painter.paint

    def wait_and_paint(self, frame, tracks):
        assert second_in_network.wait(LONG)
        paint(self, frame, tracks)

    monkeypatch.setattr(tracking_run.Painter, "paint", wait_and_paint)
    assert track_source(Watched(), Network(), Tracker, tmp_path, batch_size=1).frames == 5


def test_overlapping_changes_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = [cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (96, 64)) for _ in range(23)]
    found = [
        Detections(np.c_[xy, xy + rng.uniform(5, 30, xy.shape)], rng.uniform(0.5, 1, len(xy)))
        for xy in (rng.uniform(0, 60, (rng.integers(0, 6), 2)) for _ in images)
    ]

    class Recorded(Source):
        def __iter__(self):
            for number, image in enumerate(images, start=4):
                time.sleep(rng.uniform(0, 0.003))
                yield Frame(number, image)

    class Replay(Detector):
        def detect(self, given):
            time.sleep(rng.uniform(0, 0.003))
            indices = [next(i for i, image in enumerate(images) if image is one) for one in given]
            return [found[i] for i in indices]

    class Slow(Tracker):
        def update(self, detections, image=None):
            time.sleep(rng.uniform(0, 0.003))
            n = len(detections)
            ids = len(self.seen) + np.arange(1, n + 1)
            self.seen.append(image)
            return Tracks(detections.boxes, ids, detections.scores, detections.labels, np.arange(n))

    serial, trails, expected, drawn = Slow(25.0), Trails(length=50), [], []
    for number, (image, detections) in enumerate(zip(images, found, strict=True), start=4):
        expected.append(serial.update(detections, image=image))
        trails.update(expected[-1])
        drawn.append(draw_tracks(image, expected[-1], trails, number, ["person"]))

    written = []
    real = tracking_run.Painter

    class Watched(real):
        def __init__(self, *args):
            super().__init__(*args)
            write = self._video.write
            self._video.write = lambda picture, position: (written.append(picture), write(picture, position))

    monkeypatch.setattr(tracking_run, "Painter", Watched)
    summary = track_source(Recorded(length=23), Replay(), Slow, tmp_path, batch_size=4, video=True)
    assert summary.result.read_text() == format_results(list(range(4, 27)), expected)
    assert len(written) == 23
    assert all(np.array_equal(a, b) for a, b in zip(written, drawn, strict=True))


def test_summary_times_every_stage(tmp_path):
    summary = track_source(Source(), Detector(), Tracker, tmp_path, video=True)
    assert set(summary.seconds) == {"read", "detect", "track", "draw", "write"}
    assert all(value > 0 for value in summary.seconds.values())
    assert summary.milliseconds()["read"] == pytest.approx(1000 * summary.seconds["read"] / 5)
    assert list(summary.milliseconds()) == ["read", "detect", "track", "draw", "write"]
    assert summary.frames_per_second == pytest.approx(5 / summary.elapsed)
    assert summary.elapsed > max(summary.seconds.values())


def test_original_frame_numbers_of_the_second_half(tmp_path):
    folder = tmp_path / "data" / "MOT17-99"
    (folder / "img1").mkdir(parents=True)
    for number in range(1, 9):
        cv2.imwrite(str(folder / "img1" / f"{number:06d}.png"), np.full((48, 64, 3), number, np.uint8))
    (folder / "seqinfo.ini").write_text("[Sequence]\nframeRate=14\nseqLength=8\n")
    summaries = list(track_sources(open_sources(str(folder), "val_half"), Detector(), Tracker, tmp_path / "out"))
    assert [s.result for s in summaries] == [tmp_path / "out" / "MOT17-99.txt"]
    rows = np.loadtxt(summaries[0].result, delimiter=",")
    assert rows[:, 0].tolist() == [6, 7, 8]
    assert rows[:, 2].tolist() == [7, 8, 9]  # 1-based
    assert Tracker.made[0].frame_rate == 14


def test_every_source_gets_a_fresh_tracker(tmp_path):
    list(track_sources([Source("a"), Source("b")], Detector(), Tracker, tmp_path))
    assert len(Tracker.made) == 2
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_no_tracks_give_an_empty_file_and_a_hint(tmp_path, caplog):
    class Nothing(Tracker):
        def update(self, detections, image=None):
            return Tracks.empty()

    summary = track_source(Source(), Detector(), Nothing, tmp_path, video=True)
    assert summary.result.read_text() == ""
    assert (summary.boxes, summary.identities) == (0, 0)
    assert summary.highest_score == pytest.approx(0.9)
    assert "nobody was tracked; the surest detection has a confidence of 0.90" in caplog.text


@pytest.mark.parametrize(
    ("text", "score", "expected"),
    [
        (
            "YOLO11JDETracker\ninit_args: {new_track_thresh: 0.55}",
            0.31,
            "0.31, and this tracker starts tracks from 0.55 on",
        ),
        ("FairMOTTracker", 0.31, "0.31, and this tracker starts tracks from 0.35 on (conf_thresh)"),
        ("YOLO11JDETracker", 0.9, "0.90, above the 0.6 from which this tracker starts tracks (new_track_thresh), but"),
    ],
)
def test_hint_names_the_threshold_in_use(tmp_path, caplog, text, score, expected):
    class Jumping(Detector):
        """Never two frames in a row on one place, and nobody in the first."""

        def detect(self, images):
            found = super().detect(images)
            xs = [400 * int(image[0, 0, 0]) for image in images]
            boxes = [Detections([[x, 10, x + 8, 30]], [score]) for x in xs]
            return [b if x > 400 else Detections.empty() for b, x, _ in zip(boxes, xs, found, strict=True)]

    (tmp_path / "short_training.yaml").write_text(f"class_path: {text}\n")
    factory = load_tracker_factory(tmp_path / "short_training.yaml", appearance=False)
    track_source(Source(), Jumping(), factory, tmp_path / "out")
    assert expected in caplog.text


def test_video_and_pictures(tmp_path):
    summary = track_source(Source(first=100), Detector(), Tracker, tmp_path, video=True, pictures=True)
    assert names(tmp_path) == ["walk.mp4", "walk.txt", *(f"walk/{n:06d}.jpg" for n in range(100, 105))]
    capture = cv2.VideoCapture(str(summary.video))
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 5
    assert cv2.imread(str(summary.pictures / "000100.jpg")).max() > 150  # something is drawn


class LookingDetector(Detector):
    """The box has an embedding, too."""

    def detect(self, images):
        look = np.array([[0.6, 0.8]], np.float32)
        return [Detections(d.boxes, d.scores, d.labels, look) for d in super().detect(images)]


def test_diary_has_the_rows_of_the_result_file_and_why_they_were_matched(tmp_path):
    factory = load_tracker_factory("yolo11_jde", explain=True)
    summary = track_source(Source(), LookingDetector(), factory, tmp_path, explain=True)
    assert names(tmp_path) == ["walk.npz", "walk.txt"]
    rows, diary = read_results(summary.result), read_diary(summary.diary)
    assert (diary.frames.tolist(), diary.track_ids.tolist()) == (rows.frames.tolist(), rows.ids.tolist())
    assert diary.frames.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(diary.embeddings, np.tile([0.6, 0.8], (5, 1)), atol=1e-3)
    assert [diary.pairs.outcome(row) for row in range(len(diary.pairs))] == ["matched"] * 4  # the first one is new
    assert (diary.pairs.terms["cost"] < diary.pairs.terms["limit"]).all()


def test_diary_of_a_tracker_that_does_not_explain_itself_has_no_pairs(tmp_path):
    summary = track_source(Source(), Detector(), Tracker, tmp_path, explain=True)
    diary = read_diary(summary.diary)
    assert (len(diary.frames), diary.embeddings, diary.pairs) == (5, None, None)


def test_diary_of_an_interrupted_run_is_kept_up_to_there_and_named_so(tmp_path, caplog):
    factory = load_tracker_factory("yolo11_jde", explain=True)
    with pytest.raises(KeyboardInterrupt):
        track_source(Source(fails_at=4), LookingDetector(), factory, tmp_path, explain=True)
    assert names(tmp_path) == ["walk.partial.npz", "walk.partial.txt"]
    assert "walk.partial.txt and walk.partial.npz in" in caplog.text
    diary = read_diary(tmp_path / "walk.partial.npz")
    assert diary.frames.tolist() == [1, 2, 3]
    assert diary.pairs.frames.tolist() == [2, 3]
    track_source(Source(), LookingDetector(), factory, tmp_path, explain=True)
    assert names(tmp_path) == ["walk.npz", "walk.txt"]


def frames_of(video):
    capture = cv2.VideoCapture(str(video))
    return sum(1 for _ in iter(lambda: capture.read()[0], False))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InputError("damaged image")])
def test_what_ends_early_is_whole_up_to_there_and_named_so(tmp_path, caplog, error):
    sources = [Source("a"), Source("b", fails_at=4, error=error)]
    with pytest.raises(type(error)) as caught:
        list(track_sources(sources, Detector(), Tracker, tmp_path, batch_size=2, video=True))
    assert caught.value is error
    assert names(tmp_path) == ["a.mp4", "a.txt", "b.partial.mp4", "b.partial.txt"]
    assert np.loadtxt(tmp_path / "b.partial.txt", delimiter=",")[:, 0].tolist() == [1, 2, 3]
    assert frames_of(tmp_path / "b.partial.mp4") == 3
    expected = f"b: ended early; b.partial.txt and b.partial.mp4 in {tmp_path}: 3 of 5 frames, up to frame 3"
    assert expected in caplog.text


def test_whole_run_replaces_the_files_of_the_interrupted_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        track_source(Source(fails_at=3), Detector(), Tracker, tmp_path, video=True)
    track_source(Source(), Detector(), Tracker, tmp_path, video=True)
    assert names(tmp_path) == ["walk.mp4", "walk.txt"]
    assert frames_of(tmp_path / "walk.mp4") == 5


def test_interrupted_run_leaves_the_files_of_a_whole_one(tmp_path):
    track_source(Source(), Detector(), Tracker, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        track_source(Source(fails_at=3), Detector(), Tracker, tmp_path)
    assert len((tmp_path / "walk.txt").read_text().splitlines()) == 5
    assert len((tmp_path / "walk.partial.txt").read_text().splitlines()) == 2


def test_nothing_is_left_of_a_run_that_ends_before_its_first_frame(tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        track_source(Source(fails_at=1), Detector(), Tracker, tmp_path, video=True)
    assert names(tmp_path) == []
    assert not caplog.records


def test_ctrl_c_while_the_network_runs(tmp_path):
    """The batch in the network is given up; what was tracked before is written."""

    class Interrupted(Detector):
        def detect(self, images):
            if len(self.batches) == 2:
                signal.raise_signal(signal.SIGINT)
            return super().detect(images)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where the shell ignores it, Python does too
    try:
        with pytest.raises(KeyboardInterrupt):
            track_source(Source(length=9), Interrupted(), Tracker, tmp_path, batch_size=2, video=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len((tmp_path / "walk.partial.txt").read_text().splitlines()) == 4
    assert frames_of(tmp_path / "walk.partial.mp4") == 4


def test_interrupt_ends_a_camera_with_whole_files(tmp_path):
    source = Source("camera0", live=True, fails_at=4)
    summary = track_source(source, Detector(source), Tracker, tmp_path, video=True)
    assert summary.frames == 3
    assert len(summary.result.read_text().splitlines()) == 3
    assert names(tmp_path) == ["camera0.mp4", "camera0.txt"]
    assert frames_of(summary.video) == 3


def test_error_of_a_camera_is_not_swallowed(tmp_path):
    source = Source(live=True, fails_at=2, error=RuntimeError)
    with pytest.raises(RuntimeError):
        track_source(source, Detector(source), Tracker, tmp_path, video=True)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("detect", RuntimeError), ("track", RuntimeError), ("track", InputError), ("draw", OSError), ("write", OSError)],
)
def test_error_of_any_stage_ends_the_run_as_it_is_and_leaves_nothing(tmp_path, monkeypatch, stage, kind):
    error = kind(stage)
    calls = []

    def fail(*args, **kwargs):
        calls.append(stage)
        if len(calls) == 2:
            raise error
        return real(*args, **kwargs)

    owner, name = {
        "detect": (Detector, "detect"),
        "track": (Tracker, "update"),
        "draw": (tracking_run.Painter, "paint"),
        "write": (tracking_run.Painter, "_position"),
    }[stage]
    real = getattr(owner, name)
    # A function, unlike a partial, becomes a method.
    monkeypatch.setattr(owner, name, lambda self, *args, **kwargs: fail(self, *args, **kwargs))
    with pytest.raises(kind) as caught:
        track_source(Source(length=50), Detector(), Tracker, tmp_path, batch_size=2, video=True)
    assert caught.value is error
    assert names(tmp_path) == []
