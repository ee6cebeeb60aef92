import http.server
import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference import live_source
from jde_lightning.inference.live_source import FrameClock, LiveSource
from jde_lightning.inference.sources import open_source

LONG = 20.0


class FakeCapture:
    """A camera over connections of so many frames each; a connection of ``None`` does not open."""

    connections = ()
    opened = 0
    released = 0

    def __init__(self, source, *limits):
        number = FakeCapture.opened
        FakeCapture.opened += 1
        self.left = self.connections[number] if number < len(self.connections) else None

    def isOpened(self):  # noqa: N802
        return self.left is not None

    def get(self, key):
        return 0.0

    def read(self):
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.zeros((4, 4, 3), np.uint8)

    def release(self):
        FakeCapture.released += 1


@pytest.fixture
def connections(monkeypatch):
    def be(*lengths):
        monkeypatch.setattr(FakeCapture, "connections", lengths)
        monkeypatch.setattr(FakeCapture, "opened", 0)
        monkeypatch.setattr(FakeCapture, "released", 0)
        monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)

    return be


def test_clock_numbers_by_time():
    clock = FrameClock(10.0)
    # Half the frames are dropped; then nothing comes for a second; then ten frames a second.
    assert [clock.number(t) for t in (5.0, 5.2, 5.4, 6.4, 6.5, 6.6)] == [1, 3, 5, 15, 16, 17]


def test_clock_counts_what_comes_in_bursts():
    clock = FrameClock(10.0)
    times = [0.0, *[0.5] * 5, *[1.0] * 5, *[1.5] * 5]
    assert [clock.number(t) for t in times] == [1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]


def test_clock_notices_a_gap_although_more_frames_come_than_the_rate_says():
    clock = FrameClock(20.0, window=1.0)
    for i in range(200):  # 25 frames per second
        last = clock.number(i / 25)
    assert last == 200
    gap = clock.number(199 / 25 + 10.0) - last
    assert 200 - 2 * 5 <= gap <= 200  # two windows of five frames too many


def test_dropped_connection_is_opened_again_and_numbers_tell_for_how_long_it_was_lost(connections, caplog):
    connections(3, None, 2, 0, 0)
    source = LiveSource(0, "camera0", frame_rate=100.0, reconnects=2, first_wait=0.1)
    numbers = [frame.number for frame in source]
    assert len(numbers) == 5
    assert all(a < b for a, b in itertools.pairwise(numbers))
    assert numbers[3] - numbers[2] >= 15  # waited for 0.1 s and 0.2 s, less what a busy machine was late before
    assert FakeCapture.opened == FakeCapture.released == 5
    messages = [record.getMessage() for record in caplog.records]
    lost, again = numbers[2], numbers[4]
    assert messages == [
        f"camera0: no more frames after frame {lost}; try 1 of 2 to open it again in 0.1 s",
        f"camera0: no more frames after frame {lost}; try 2 of 2 to open it again in 0.2 s",
        f"camera0: no more frames after frame {again}; try 1 of 2 to open it again in 0.1 s",
        f"camera0: no more frames after frame {again}; try 2 of 2 to open it again in 0.2 s",
        f"camera0: ended after frame {again} and 2 tries to open it again",
    ]


def test_without_tries_the_first_drop_is_the_end(connections, caplog):
    connections(3, 3)
    assert len(list(LiveSource(0, "camera0", 30.0, reconnects=0))) == 3
    assert [record.getMessage()[:21] for record in caplog.records] == ["camera0: ended after "]


def test_source_that_never_opens_or_never_delivers(connections):
    connections()
    with pytest.raises(InputError, match=r"camera 7: cannot be opened; is it connected"):
        list(LiveSource(7, "camera7", 30.0))
    connections()
    with pytest.raises(InputError, match=r"rtsp://x/y: cannot be opened as a video; does the address answer"):
        list(LiveSource("rtsp://x/y", "y", 30.0))
    connections(0, 5)
    with pytest.raises(InputError, match="7: opens, but no frame of it can be decoded"):
        list(LiveSource(7, "camera7", 30.0))


def test_stop_ends_the_wait_for_a_connection(connections):
    connections(1)
    source = LiveSource(0, "camera0", 30.0, first_wait=1000.0)
    frames = iter(source)
    assert next(frames).number == 1
    threading.Timer(0.05, source.stop).start()
    began = time.monotonic()
    assert next(frames, None) is None
    assert time.monotonic() - began < LONG


def test_leaving_releases_the_camera(connections):
    connections(5)
    frames = iter(LiveSource(0, "camera0", 30.0))
    next(frames)
    frames.close()
    assert FakeCapture.released == 1


class MotionJPEG(http.server.BaseHTTPRequestHandler):
    """Delivers ten pictures and closes the connection."""

    served = 0

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        MotionJPEG.served += 1
        for value in range(10):
            jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 20 * value, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:  # the reader has seen enough
                return
            time.sleep(0.01)

    def log_message(self, *args):
        pass


def test_motion_jpeg_over_http_reconnects(monkeypatch, caplog):
    """The real thing, with a server of our own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MotionJPEG)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/hall/camera.mjpg"
    try:
        capture = cv2.VideoCapture(address)
        readable = capture.read()[0]
        capture.release()
        if not readable:
            pytest.skip("this OpenCV does not read MJPEG over HTTP")
        source = open_source(address)
        assert (source.name, source.live) == ("camera", True)
        assert isinstance(source, live_source.LiveSource)
        source.first_wait = 0.01
        numbers = []
        for frame in source:
            numbers.append(frame.number)
            assert frame.image.shape == (48, 64, 3)
            if len(numbers) == 25:
                source.stop()
    finally:
        server.shutdown()
        server.server_close()
    assert numbers == sorted(set(numbers))
    assert "try 1 of 5 to open it again in 0.01 s" in caplog.text
    assert MotionJPEG.served >= 4
