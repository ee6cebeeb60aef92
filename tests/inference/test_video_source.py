import cv2
import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference import video_source
from jde_lightning.inference.video_source import VideoSource

FRAMES = 60


@pytest.fixture(scope="module")
def h264(tmp_path_factory):
    """60 frames of noise at 25 frames per second, the index in front, a key frame in every 12."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 160, 120, "yuv420p", {"g": "12"}
        for value in range(FRAMES):
            picture = np.full((120, 160, 3), value, np.uint8)
            picture[:40] = rng.integers(0, 255, (40, 160, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read(path, **kwargs):
    """The frames of a video, and the error that ended it, if one did."""
    frames = []
    try:
        for frame in VideoSource(str(path), "walk", **kwargs):
            frames.append(frame)  # a list made at once would be lost with the error
    except InputError as error:
        return frames, str(error)
    return frames, None


def test_whole_video(h264, caplog):
    frames, error = read(h264)
    assert (len(frames), error) == (FRAMES, None)
    assert not caplog.records


def test_video_that_is_cut_off_names_the_frame_after_the_last(h264, tmp_path):
    content = h264.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: len(content) * 6 // 10])
    frames, error = read(path)
    assert 0.3 * FRAMES < len(frames) < 0.7 * FRAMES
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert error.startswith(f"{path}: frame {len(frames) + 1} of {FRAMES} cannot be read: the file is ")


def test_video_with_a_hole_names_the_frame(h264, tmp_path):
    content = bytearray(h264.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path = tmp_path / "hole.mp4"
    path.write_bytes(content)
    frames, error = read(path)
    assert len(frames) < FRAMES
    assert f"frame {len(frames) + 1} of {FRAMES} cannot be read: the file is damaged there; get a good copy" in error


def test_trimmed_copy_that_hides_frames_is_whole(h264, tmp_path, caplog):
    av = pytest.importorskip("av")
    path = tmp_path / "trimmed.mp4"
    with av.open(str(h264)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        shift = round(0.8 / old.streams.video[0].time_base)
        for packet in old.demux(video=0):
            if packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                new.mux(packet)
    assert VideoSource(str(path), "walk").length > FRAMES - 20  # the header counts what is hidden
    frames, error = read(path)
    assert error is None
    assert len(frames) == FRAMES - 20
    assert not caplog.records


class FakeCapture:
    """A video of which the header promises 100 frames."""

    frames = 3

    def __init__(self, source):
        self.left = self.frames

    def isOpened(self):  # noqa: N802
        return True

    def get(self, key):
        return {cv2.CAP_PROP_FPS: 25.0, cv2.CAP_PROP_FRAME_COUNT: 100}[key]

    def read(self):
        self.left -= 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        pass


def test_video_without_frames(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "frames", 0)
    assert "a.mp4: opens, but no frame" in read("a.mp4")[1]


@pytest.mark.parametrize(("frames", "warned"), [(3, True), (96, False)])
def test_where_nobody_can_say_what_is_wrong_a_clear_lack_is_a_warning(monkeypatch, caplog, frames, warned):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "frames", frames)
    monkeypatch.setattr(video_source, "find_damage", lambda source, decoded: None)
    assert read("a.mp4")[1] is None
    assert ("ends after 3 of 100 frames; is the file complete?" in caplog.text) == warned


def test_without_pyav_nobody_can_say(monkeypatch, h264):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert video_source.find_damage(str(h264), 3) is None


def test_rate_that_is_given_wins(h264):
    assert VideoSource(str(h264), "walk").frame_rate == 25
    assert VideoSource(str(h264), "walk", frame_rate=10.0).frame_rate == 10
