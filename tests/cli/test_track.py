import cv2
import numpy as np
import pytest
import torch
from small_checkpoint import write_checkpoint

from jde_lightning.cli import main
from jde_lightning.models.network import YOLO11JDE
from jde_lightning.models.reid_branch import ReIDBranch
from jde_lightning.packaged_configs import config_names


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint whose network finds something confident everywhere."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=8)
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[2].bias.fill_(3.0)
    return write_checkpoint(network, tmp_path_factory.mktemp("run") / "last.ckpt", image_size=64)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (128, 96))
    for number in range(1, 5):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    return folder


def run(source, weights, output, *more):
    return main(["track", str(source), "--weights", str(weights), "--output", str(output), "--device", "cpu", *more])


def test_result_and_video_are_written_and_named_on_stdout(folder, weights, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(folder, weights, output, "--video", "--pictures", "--batch-size", "3") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("frames: 4 frames, ")
    assert [line.strip() for line in printed[1:]] == [
        str(output / "frames.txt"),
        str(output / "frames.mp4"),
        str(output / "frames"),
    ]
    rows = np.loadtxt(output / "frames.txt", delimiter=",", ndmin=2)
    assert sorted(set(rows[:, 0])) == [1, 2, 3, 4]
    assert rows.shape[1] == 10
    # Nothing moves: every identity of the first frame lives to the last.
    first = set(rows[rows[:, 0] == 1, 1])
    assert first
    assert first <= set(rows[rows[:, 0] == 4, 1])
    assert len(list((output / "frames").iterdir())) == 4


@pytest.mark.parametrize("more", [["--no-appearance"], ["--tracker", "fairmot"], ["--precision", "bf16"]])
def test_options_of_the_tracker_and_the_network(folder, weights, tmp_path, more):
    assert run(folder, weights, tmp_path / "out", *more) == 0
    assert (tmp_path / "out" / "frames.txt").read_text()


def test_frame_rate_reaches_the_video(folder, weights, tmp_path):
    assert run(folder, weights, tmp_path / "out", "--fps", "12.5", "--video") == 0
    assert cv2.VideoCapture(str(tmp_path / "out" / "frames.mp4")).get(cv2.CAP_PROP_FPS) == 12.5


def test_damaged_frame_is_named_and_the_frames_before_it_are_kept(folder, weights, tmp_path, capsys):
    (folder / "3.png").write_bytes(b"no image")
    assert run(folder, weights, tmp_path / "out", "--video") == 1
    assert "3.png" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames.partial.mp4", "frames.partial.txt"]


def test_confidence_and_size_reach_the_network(folder, weights, tmp_path, capsys):
    assert run(folder, weights, tmp_path / "out", "--conf", "1.0", "--imgsz", "96") == 0
    assert (tmp_path / "out" / "frames.txt").read_text() == ""
    assert run(folder, weights, tmp_path / "out", "--imgsz", "100") == 2
    assert "multiple of 32, got 100" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--tracker", "sort"], 1, "--tracker sort: no such file, and no packaged"),
        (["--split", "val_half"], 1, "--split val_half needs MOTChallenge sequences"),
        (["--batch-size", "0"], 2, "--batch-size must be at least 1, got 0"),
        (["--fps", "0"], 2, "--fps must be above 0 and at most 1000 frames per second, got 0"),
        (["--reconnect", "-1"], 2, "--reconnect must be at least 0, got -1"),
        (["--conf", "1.5"], 2, "conf must be in 0..1, got 1.5"),
        (["--scale", "x"], 1, "of scale 'n', but scale 'x' was asked for"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(folder, weights, tmp_path, capsys, more, code, message):
    assert run(folder, weights, tmp_path / "out", *more) == code
    error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "out").exists()


def test_where_embeddings_are_computed_makes_no_difference(folder, weights, tmp_path):
    written = []
    for mode in ("dense", "late", "auto"):
        assert run(folder, weights, tmp_path / mode, "--embeddings", mode, "--explain") == 0
        written.append((tmp_path / mode / "frames.txt").read_text())
        with np.load(tmp_path / mode / "frames.npz") as diary:
            written.append(diary["embeddings"].astype(np.float32))
    assert written[0] == written[2] == written[4]
    assert len(written[1]) > 0
    np.testing.assert_allclose(written[3], written[1], atol=1e-3)  # diaries are in half precision
    np.testing.assert_allclose(written[5], written[1], atol=1e-3)


def test_without_appearance_no_embedding_is_computed(folder, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(ReIDBranch, "forward", lambda *_: pytest.fail("the Re-ID branch ran"))
    monkeypatch.setattr("jde_lightning.models.network.embeddings_at", lambda *_, **__: pytest.fail("late ones too"))
    assert run(folder, weights, tmp_path / "out", "--no-appearance") == 0


def test_compiled_before_the_clock_runs(folder, weights, tmp_path, monkeypatch):
    """What is compiled, and for which images; that it answers as before: ``tests/inference/test_predictor.py``."""
    shapes = []

    def fake(function, **_):
        def compiled(images):
            shapes.append(tuple(images.shape))
            return function(images)

        return compiled

    monkeypatch.setattr(torch, "compile", fake)
    assert run(folder, weights, tmp_path / "compiled", "--compile", "default", "--batch-size", "3") == 0
    assert shapes == [(3, 3, 64, 64)] * 4  # two that warm up, four frames
    assert run(folder, weights, tmp_path / "plain") == 0
    assert len(shapes) == 4
    names = (tmp_path / name / "frames.txt" for name in ("compiled", "plain"))
    assert len({name.read_text() for name in names}) == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--embeddings", "lazy"), ("--compile", "fast"), ("--precision", "int4")]
)
def test_unknown_way_to_run(folder, weights, tmp_path, capsys, option, value):
    assert run(folder, weights, tmp_path / "out", option, value) == 2
    assert f"argument {option}: invalid choice: '{value}'" in capsys.readouterr().err


def test_missing_source(weights, tmp_path, capsys):
    assert run(tmp_path / "nothing.mp4", weights, tmp_path / "out") == 1
    assert "nothing.mp4: no such file or folder" in capsys.readouterr().err


def test_usage_errors_and_help(capsys):
    assert main(["track"]) == 2
    assert main(["track", "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert not [name for name in config_names("trackers") if name not in text]


def test_track_and_cache_say_the_same_of_the_image_size(capsys):
    told = []
    for verb in ("track", "cache"):
        assert main([verb, "--help"]) == 0
        told.append(" ".join(capsys.readouterr().out.rpartition("--imgsz N")[2].partition("--conf")[0].split()))
    assert told[0] == told[1]
    assert "as the checkpoint was validated" in told[0]
