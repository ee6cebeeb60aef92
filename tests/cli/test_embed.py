"""``embed``: a table of any frames, with identities where they are known."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from small_checkpoint import write_checkpoint

from jde_lightning.cli import main
from jde_lightning.inference import EmbeddingTable
from jde_lightning.models.network import YOLO11JDE


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint whose network finds something everywhere."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=8)
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[2].bias.fill_(1.0)
    return write_checkpoint(network, tmp_path_factory.mktemp("run") / "last.ckpt", image_size=64)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two MOT sequences, one with ground truth where the network, which has learned nothing, finds a box."""
    folder = tmp_path_factory.mktemp("sequences")
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 24, 3), dtype=np.uint8), (256, 96))
    for name, frames in (("one", 5), ("two", 3)):
        (folder / name / "img1").mkdir(parents=True)
        (folder / name / "gt").mkdir()
        info = f"[Sequence]\nname={name}\nframeRate=20\nseqLength={frames}\nimWidth=128\nimHeight=96\nimExt=.png\n"
        (folder / name / "seqinfo.ini").write_text(info)
        for number in range(1, frames + 1):
            cv2.imwrite(str(folder / name / "img1" / f"{number:06d}.png"), picture[:, 3 * number : 3 * number + 128])
        rows = [f"{frame},{person},{20 * person},10,30,60,1,1,1" for frame in range(1, frames + 1) for person in (1, 2)]
        (folder / name / "gt" / "gt.txt").write_text("\n".join(rows))
    return folder


@pytest.fixture
def config(data, tmp_path):
    reader = {"class_path": "jde_lightning.data.readers.MOTChallenge"}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"data": {"root": str(data), "train": [reader], "val": [reader]}}))
    return path


def embed(*words):
    return main(["embed", *map(str, words), "--device", "cpu"])


def test_sequences_with_annotated_boxes(weights, data, tmp_path, capsys):
    words = [data, "--weights", weights, "--boxes", "annotated", "--output", tmp_path / "a.npz"]
    assert embed(*words) == 0
    table = EmbeddingTable.open(tmp_path / "a.npz")
    assert table.annotated_ids.tolist() == [1, 2] * 8
    assert sorted(set(table.identities.tolist())) == [0, 1, 2, 3]
    assert table.overlaps == pytest.approx(np.ones(16))
    assert table.boxes[0].tolist() == [19, 9, 49, 69]
    assert table.times[table.sequences == "one"].max() == pytest.approx(5 / 20)
    assert table.meta["boxes"] == "annotated"
    assert table.meta["origin"]["detector"] == "last.ckpt"
    assert table.crop(3).shape == (128, 64, 3)
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "16 boxes of 8 images, 16 of them of 4 identities, embeddings of width 8"
    assert embed(*words) == 1
    assert "is there already" in capsys.readouterr().err
    assert embed(*words, "--overwrite", "--every", 2) == 0
    assert EmbeddingTable.open(tmp_path / "a.npz").frames.tolist() == [1, 1, 3, 3, 5, 5, 1, 1, 3, 3]


def test_a_configuration_gives_the_same_as_its_sequences(weights, data, config, tmp_path):
    assert embed(data, "--weights", weights, "--conf", 0.5, "--output", tmp_path / "a.npz") == 0
    more = ["--data.root", data, "--conf", 0.5]  # a flag with its value between other words
    assert embed("--config", config, *more, "--weights", weights, "--output", tmp_path / "b.npz") == 0
    a, b = (EmbeddingTable.open(tmp_path / f"{name}.npz") for name in "ab")
    assert len(a) == len(b) > 20
    for name in ("boxes", "scores", "identities", "annotated_ids", "frames", "times"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist()
    assert a.embeddings == pytest.approx(b.embeddings, abs=1e-5)


def test_a_folder_is_filled_with_parquet_or_else_npz(weights, data, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    words = [data / "two", "--weights", weights, "--conf", 0.5, "--crop-size", 8, 16]
    assert embed(*words, "--output", tmp_path / "p") == 0
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["crops.zip", "embeddings.parquet"]
    monkeypatch.setattr("jde_lightning.cli.embed.find_spec", lambda name: None)
    assert embed(*words, "--output", tmp_path / "n") == 0
    assert sorted(path.name for path in (tmp_path / "n").iterdir()) == ["crops.zip", "embeddings.npz"]
    assert embed(*words, "--output", tmp_path / "n.parquet") == 2


def test_nobody_known_is_said(weights, data, tmp_path, caplog):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "1.png").write_bytes((data / "one" / "img1" / "000001.png").read_bytes())
    assert embed(folder, "--weights", weights, "--output", tmp_path / "a.npz") == 0
    assert "no box has an identity: only MOT sequences" in caplog.text
    assert embed(folder, "--weights", weights, "--output", tmp_path / "b.npz", "--conf", 0.999) == 0
    assert "there is no box at all; is --conf too high?" in caplog.text
    assert len(EmbeddingTable.open(tmp_path / "b.npz")) == 0


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "give either SOURCE or --config"),
        (["x", "--config", "y.yaml"], 2, "give either SOURCE or --config"),
        (["x", "--data.root", "y"], 2, "--data.root y: --data flags change a configuration: give --config"),
        (["x", "--foo"], 2, "unrecognized arguments: --foo"),
        (["--config", "y.yaml", "--split", "val_half"], 2, "--split is of MOT sequences"),
        (["x", "--every", "0"], 2, "--every must be at least 1, got 0"),
        (["x", "--batch-size", "0"], 2, "--batch-size must be at least 1"),
        (["x", "--match-iou", "0"], 2, "--match-iou must be above 0 and at most 1, got 0"),
        (["x", "--crop-size", "0", "5"], 2, "--crop-size must be at least 1 pixel, got 0 5"),
        (["x", "--output", "table.csv"], 2, "a table is a .parquet or .npz file"),
        (["nowhere"], 1, "nowhere: no such file or folder"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml: no such file"),
    ],
)
def test_wrong_commands(words, code, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    more = [] if "--output" in words else ["--output", "a.npz"]
    assert embed(*words, "--weights", "w.ckpt", *more) == code
    assert text in capsys.readouterr().err


def test_what_is_rendered_is_said(weights, tmp_path, monkeypatch, caplog):
    crowd = {"train_sequences": 1, "val_sequences": 1, "frames": 2, "stills": 1, "width": 96, "height": 64, "people": 2}
    reader = {"class_path": "jde_lightning.data.readers.MOTChallenge", "init_args": {"path": "MOT17/val"}}
    data = {"root": "crowd", "synthetic": crowd, "train": [reader], "val": [reader]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    monkeypatch.chdir(tmp_path)
    words = ["--config", "config.yaml", "--weights", weights, "--overwrite", "--output", tmp_path / "a.npz"]
    assert embed(*words) == 0
    said = (
        f"config.yaml: no synthetic crowd in its data.root crowd, as seen from {tmp_path}; --data.root DIR says where"
    )
    assert said in caplog.text
    assert f"renders a synthetic crowd of 5 images in {tmp_path / 'crowd'}" in caplog.text
    caplog.clear()
    assert embed(*words) == 0
    assert "synthetic crowd" not in caplog.text


def test_a_configuration_without_such_frames_or_keys(weights, config, tmp_path, capsys):
    words = ["--config", config, "--weights", weights, "--output", tmp_path / "a.npz"]
    assert embed(*words, "--data.imagesize", 3) == 2
    assert "imagesize" in capsys.readouterr().err


def test_a_camera_has_no_end(weights, tmp_path, monkeypatch, capsys):
    class Camera:
        name, live, length = "camera0", True, None

    monkeypatch.setattr("jde_lightning.inference.sources.open_sources", lambda *args: [Camera()])
    assert embed("0", "--weights", weights, "--output", tmp_path / "a.npz") == 1
    assert "record it, and embed the video file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
