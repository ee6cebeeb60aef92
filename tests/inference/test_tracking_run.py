from typing import ClassVar

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.sources import Frame, FrameSource, open_sources
from jde_lightning.inference.tracking_run import track_source, track_sources
from jde_lightning.structures import Detections, Tracks


class Source(FrameSource):
    """``length`` dark frames; raises ``error`` instead of frame ``fails_at``."""

    def __init__(self, name="walk", length=5, first=1, live=False, fails_at=None, error=KeyboardInterrupt):
        self.name, self.length, self.first, self.live = name, length, first, live
        self.frame_rate = 25.0
        self.fails_at, self.error = fails_at, error

    def __iter__(self):
        for number in range(self.first, self.first + self.length):
            if number == self.fails_at:
                raise self.error
            yield Frame(number, np.full((48, 64, 3), number, np.uint8))


class Detector:
    """Finds one box that moves with the frame's grey value; remembers the sizes of its batches."""

    class_names = ("person",)

    def __init__(self):
        self.batches = []

    def detect(self, images):
        self.batches.append(len(images))
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
    detector = Detector()
    track_source(Source(length=3, live=True), detector, Tracker, tmp_path, batch_size=8)
    assert detector.batches == [1, 1, 1]


def test_summary_times_every_stage(tmp_path):
    summary = track_source(Source(), Detector(), Tracker, tmp_path, video=True)
    assert set(summary.seconds) == {"read", "detect", "track", "draw", "write"}
    assert all(value > 0 for value in summary.seconds.values())
    assert summary.milliseconds()["read"] == pytest.approx(1000 * summary.seconds["read"] / 5)
    assert summary.frames_per_second == pytest.approx(5 / sum(summary.seconds.values()))


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
    assert "new_track_thresh in the file of --tracker" in caplog.text


def test_video_and_pictures(tmp_path):
    summary = track_source(Source(first=100), Detector(), Tracker, tmp_path, video=True, pictures=True)
    assert names(tmp_path) == ["walk.mp4", "walk.txt", *(f"walk/{n:06d}.jpg" for n in range(100, 105))]
    capture = cv2.VideoCapture(str(summary.video))
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 5
    assert cv2.imread(str(summary.pictures / "000100.jpg")).max() > 150  # something is drawn


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("damaged image")])
def test_interrupted_run_leaves_no_file_of_its_source_and_keeps_the_others(tmp_path, error):
    sources = [Source("a"), Source("b", fails_at=4, error=error)]
    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind):
        list(track_sources(sources, Detector(), Tracker, tmp_path, batch_size=2, video=True))
    assert names(tmp_path) == ["a.mp4", "a.txt"]


def test_interrupt_ends_a_camera_with_whole_files(tmp_path):
    source = Source("camera0", live=True, fails_at=4)
    summary = track_source(source, Detector(), Tracker, tmp_path, video=True)
    assert summary.frames == 3
    assert len(summary.result.read_text().splitlines()) == 3
    capture = cv2.VideoCapture(str(summary.video))
    assert sum(1 for _ in iter(lambda: capture.read()[0], False)) == 3


def test_error_of_a_camera_is_not_swallowed(tmp_path):
    with pytest.raises(RuntimeError):
        track_source(Source(live=True, fails_at=2, error=RuntimeError), Detector(), Tracker, tmp_path, video=True)
    assert names(tmp_path) == []
