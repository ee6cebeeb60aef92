"""``cache``: one run of the network, and tracking on its file is tracking on the images."""

import cv2
import numpy as np
import pytest
import torch
from small_checkpoint import write_checkpoint
from walking_people import write_walk

from jde_lightning.cli import main
from jde_lightning.inference.cache import read_cache
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.tuning.evaluation import TrackerChoice
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.models.network import YOLO11JDE


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint whose network finds something everywhere, with three different confidences."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=8)
    with torch.no_grad():
        for branch, bias in zip(network.model[-1].cv3, (-2.6, 0.8, 3.0), strict=True):
            branch[2].bias.fill_(bias)  # confidences of 0.07, 0.69 and 0.95
    return write_checkpoint(network, tmp_path_factory.mktemp("run") / "last.ckpt", image_size=64)


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    """Two MOT sequences of a texture that drifts."""
    folder = tmp_path_factory.mktemp("sequences")
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (12, 24, 3), dtype=np.uint8), (256, 96))
    for name, frames in (("one", 7), ("two", 5)):
        (folder / name / "img1").mkdir(parents=True)
        (folder / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nframeRate=20\nseqLength={frames}\n")
        for number in range(1, frames + 1):
            cv2.imwrite(str(folder / name / "img1" / f"{number:06d}.png"), picture[:, 3 * number : 3 * number + 128])
    return folder


def cached(source, output, *more):
    return main(["cache", str(source), "--output", str(output), *map(str, more)])


@pytest.mark.parametrize("tracker", ["yolo11_jde", "fairmot"])
def test_tracking_on_the_cache_is_tracking_on_the_images(weights, sequences, tmp_path, tracker):
    same = ["--weights", str(weights), "--device", "cpu", "--batch-size", "3"]
    assert cached(sequences, tmp_path / "c.npz", *same) == 0
    # track's own, higher confidence: what the cache holds below it must not change the tracks
    assert main(["track", str(sequences), *same, "--tracker", tracker, "--output", str(tmp_path / "out")]) == 0
    cache = read_cache(tmp_path / "c.npz")
    assert [s.name for s in cache.sequences] == ["one", "two"]
    assert min(found.scores.min() for found in cache.sequences[0].detections) < 0.1
    for sequence in cache.sequences:
        tracks = TrackerChoice.load(tracker).tracks(sequence)
        assert sum(map(len, tracks)) > 20
        write_results(tmp_path / "again.txt", sequence.frames.tolist(), tracks)
        assert (tmp_path / "again.txt").read_bytes() == (tmp_path / "out" / f"{sequence.name}.txt").read_bytes()


def test_what_is_in_it(weights, sequences, tmp_path, capsys):
    path = tmp_path / "c.npz"
    more = ["--weights", weights, "--split", "val_half", "--device", "cpu", "--imgsz", 96, "--max-det", 20]
    assert cached(sequences, path, *more) == 0
    cache = read_cache(path, weights, {"image_size": 96, "conf": 0.05, "iou": 0.7, "max_det": 20, "precision": "fp32"})
    assert (cache.split, cache.embed_dim) == ("val_half", 8)
    one = cache.sequences[0]
    assert (one.name, one.frame_rate, one.width, one.height) == ("one", 20.0, 128, 96)
    assert one.frames.tolist() == [5, 6, 7]
    assert cache.origin.settings["class_names"] == ["person"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"one: 3 frames, {one.boxes} boxes"
    assert lines[-1].startswith(f"{path}: 2 sequences, 5 frames, ")
    assert lines[-1].endswith("embeddings of width 8")


def test_what_is_there_is_not_made_again(weights, sequences, tmp_path, monkeypatch, capsys):
    path = tmp_path / "c.npz"
    assert cached(sequences, path, "--weights", weights, "--device", "cpu") == 0
    first = path.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "detect", lambda *_: pytest.fail("the network ran again"))
        assert cached(sequences, path, "--weights", weights, "--device", "cpu") == 0
    assert path.stat().st_mtime_ns == first
    capsys.readouterr()
    for more, difference in (
        (["--imgsz", 96], "c.npz: is there, and it was made with image_size 64, not 96; name another --output"),
        (["--split", "val_half"], "it holds all of one, two, not val_half of one, two"),
    ):
        assert cached(sequences, path, "--weights", weights, "--device", "cpu", *more) == 1
        assert difference in capsys.readouterr().err
    assert cached(sequences / "one", path, "--weights", weights, "--device", "cpu") == 1
    assert "it holds all of one, two, not all of one" in capsys.readouterr().err
    assert cached(sequences / "one", path, "--weights", weights, "--device", "cpu", "--overwrite") == 0
    assert [s.name for s in read_cache(path).sequences] == ["one"]


def test_sequence_that_has_grown(weights, sequences, tmp_path, capsys):
    path = tmp_path / "c.npz"
    assert cached(sequences / "two", path, "--weights", weights, "--device", "cpu") == 0
    picture = sequences / "two" / "img1" / "000006.png"
    picture.write_bytes((sequences / "two" / "img1" / "000005.png").read_bytes())
    try:
        assert cached(sequences / "two", path, "--weights", weights, "--device", "cpu") == 1
    finally:
        picture.unlink()
    assert "it holds 5 frames of two, not 6" in capsys.readouterr().err


def test_detections_of_others(tmp_path, capsys):
    write_walk(tmp_path, "walk", 0)
    path = tmp_path / "c.npz"
    more = ["--detections", tmp_path / "detections", "--conf", "0.5"]
    assert cached(tmp_path / "gt", path, *more) == 0
    cache = read_cache(path)
    assert cache.embed_dim == 8
    assert min(found.scores.min(initial=1) for found in cache.sequences[0].detections) >= 0.5
    assert cached(tmp_path / "gt", path, *more) == 0
    assert cached(tmp_path / "gt", path, "--detections", tmp_path / "detections") == 1
    assert "it was made with conf 0.5, not 0.05" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "c.cache", "--weights", "w"], "a cache is a .npz file; call it c.cache.npz"),
        (["--output", "c.npz", "--weights", "w", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["--output", "c.npz", "--weights", "w", "--conf", "2"], "--conf must be in 0..1, got 2.0"),
        (["--output", "c.npz"], "one of the arguments --weights --detections is required"),
        (["--output", "c.npz", "--weights", "w", "--detections", "d"], "not allowed with argument"),
    ],
)
def test_wrong_usage(words, message, capsys):
    assert main(["cache", "source", *words]) == 2
    assert message in capsys.readouterr().err


def test_where_embeddings_are_computed_makes_no_difference(sequences, weights, tmp_path):
    """So a cache made in one way is not made again in another."""
    made = [tmp_path / "dense.npz", tmp_path / "late.npz"]
    for path in made:
        assert cached(sequences, path, "--weights", weights, "--device", "cpu", "--embeddings", path.stem) == 0
    dense, late = map(read_cache, made)
    assert dense.origin.difference(late.origin) is None
    for one, other in zip(dense.sequences, late.sequences, strict=True):
        for first, second in zip(one.detections, other.detections, strict=True):
            np.testing.assert_array_equal(first.boxes, second.boxes)
            np.testing.assert_allclose(first.embeddings, second.embeddings, atol=1e-5)


class Camera:
    """A capture device that is there."""

    def __init__(self, *_):
        pass

    def isOpened(self):  # noqa: N802  # OpenCV's name
        return True

    def get(self, _):
        return 30.0

    def release(self):
        pass


def test_camera_is_no_recording(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    assert cached("0", tmp_path / "c.npz", "--weights", weights, "--device", "cpu") == 1
    assert "camera0: a camera or stream has no end and cannot be cached" in capsys.readouterr().err
    assert not (tmp_path / "c.npz").exists()


def test_help(capsys):
    assert main(["cache", "--help"]) == 0
    assert "jde-lightning cache MOT17/train" in capsys.readouterr().out
