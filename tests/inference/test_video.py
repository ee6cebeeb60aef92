import builtins

import cv2
import numpy as np
import pytest

from jde_lightning.inference import video as module
from jde_lightning.inference.video import VideoWriter, fit

HUES = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (90, 90, 90)]


def picture(color, height=48, width=64):
    return np.full((height, width, 3), color, np.uint8)


def without_av(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


def read_back(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = capture.read()
        if not read:
            return capture.get(cv2.CAP_PROP_FPS), frames
        frames.append(frame)


@pytest.mark.parametrize("rate", [3.0, 14.0, 29.97002997, 60.0])
def test_round_trip(tmp_path, rate):
    pytest.importorskip("av")
    path = tmp_path / "deep" / "walk.mp4"
    with VideoWriter(path, rate) as video:
        for color in HUES:
            video.write(picture(color))
    fps, frames = read_back(path)
    assert fps == pytest.approx(rate, rel=1e-3)
    assert video.frames == len(frames) == len(HUES)
    for frame, color in zip(frames, HUES, strict=True):
        assert frame.reshape(-1, 3).mean(axis=0) == pytest.approx(color, abs=12)
    assert [p.name for p in path.parent.iterdir()] == ["walk.mp4"]


def test_browsers_can_play_it(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 25) as video:
        video.write(picture(HUES[0]))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index is at the front


def test_odd_sizes_become_even(tmp_path):
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(picture(HUES[0], 47, 63))
    _, frames = read_back(tmp_path / "a.mp4")
    assert frames[0].shape == (48, 64, 3)


def test_other_sizes_are_fitted(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(picture(HUES[0]))
        video.write(picture(HUES[1], 100, 20))
    assert len(read_back(tmp_path / "a.mp4")[1]) == 2


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("frames", [0, 3])
def test_interrupted_video_leaves_nothing(tmp_path, error, frames):
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", 25) as video:  # noqa: PT012
        for color in HUES[:frames]:
            video.write(picture(color))
        raise error
    assert list(tmp_path.iterdir()) == []


def test_interrupted_video_leaves_an_older_one_alone(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", 25) as video:  # noqa: PT012
        video.write(picture(HUES[0]))
        raise RuntimeError
    assert (tmp_path / "a.mp4").read_bytes() == b"old"


def test_encoder_that_cannot_finish_leaves_nothing(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, path, rate, size):
            path.write_bytes(b"half a video")

        def write(self, picture, position):
            pass

        def close(self):
            raise OSError(28, "disk full")

    monkeypatch.setattr(module, "_open_encoder", Broken)
    with pytest.raises(OSError, match="disk full"), VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(picture(HUES[0]))
    assert list(tmp_path.iterdir()) == []


def test_without_frames_there_is_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_fallback_writes_a_video_and_says_that_browsers_may_not_play_it(tmp_path, monkeypatch, caplog):
    without_av(monkeypatch)
    with VideoWriter(tmp_path / "a.mp4", 25) as video:
        for color in HUES:
            video.write(picture(color))
    fps, frames = read_back(tmp_path / "a.mp4")
    assert (fps, len(frames)) == (25, 5)
    assert "PyAV is not installed" in caplog.text
    assert "which most browsers and notebooks do not play" in caplog.text


@pytest.mark.parametrize("fallback", [False, True])
def test_picture_stays_over_frames_that_are_left_out(tmp_path, monkeypatch, fallback):
    if fallback:
        without_av(monkeypatch)
    else:
        pytest.importorskip("av")
    with VideoWriter(tmp_path / "a.mp4", 10) as video:
        video.write(picture(HUES[0]), 0)
        video.write(picture(HUES[1]), 4)
        video.write(picture(HUES[2]))
        with pytest.raises(ValueError, match="position must be at least 6, got 5"):
            video.write(picture(HUES[2]), 5)
    assert video.frames == 3
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    shown = {}
    while True:
        read, frame = capture.read()
        if not read:
            break
        shown[round(capture.get(cv2.CAP_PROP_POS_MSEC))] = frame.reshape(-1, 3).mean(axis=0)
    assert list(shown) == ([0, 100, 200, 300, 400, 500] if fallback else [0, 400, 500])
    for at, color in ((0, HUES[0]), (400, HUES[1]), (500, HUES[2])):
        assert shown[at] == pytest.approx(color, abs=12)


def test_fallback_that_cannot_open_says_so(tmp_path, monkeypatch):
    without_av(monkeypatch)

    class Closed:
        fourcc = staticmethod(cv2.VideoWriter.fourcc)

        def __init__(self, *args):
            pass

        def isOpened(self):  # noqa: N802
            return False

    monkeypatch.setattr(cv2, "VideoWriter", Closed)
    with pytest.raises(OSError, match="OpenCV cannot write a video"), VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(picture(HUES[0]))
    assert list(tmp_path.iterdir()) == []


def test_fit_keeps_proportions():
    same = picture(HUES[0])
    assert fit(same, (64, 48)) is same
    wide = fit(picture((255, 255, 255), 10, 40), (64, 48))
    assert wide.shape == (48, 64, 3)
    white = (wide == 255).all(axis=2)
    assert white.any(axis=1).sum() == 16
    assert white.any(axis=0).sum() == 64
    repeated = fit(np.arange(3 * 3 * 3, dtype=np.uint8).reshape(3, 3, 3), (4, 4))
    assert repeated[3].tolist() == repeated[2].tolist()
    assert repeated[:, 3].tolist() == repeated[:, 2].tolist()
