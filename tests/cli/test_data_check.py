"""`data check` says what the data module would read, and fails where there is nothing."""

import json
import shutil

import cv2
import numpy as np
import pytest
import yaml

from jde_lightning.cli import main


def write_yolo(folder, split, counts, names=("person",)):
    """Images of ``folder/images/split``, each of its own grey, with so many boxes each, side by side."""
    for number, count in enumerate(counts):
        image = folder / "images" / split / f"{number:03d}.jpg"
        label = folder / "labels" / split / f"{number:03d}.txt"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.full((48, 64, 3), 90 + 2 * number + 50 * (split == "val"), np.uint8))
        label.write_text("".join(f"0 {0.05 + 0.1 * i} 0.5 0.08 0.5\n" for i in range(count)))
    content = {"path": ".", "train": "images/train", "val": "images/val", "names": list(names)}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def config(tmp_path):
    write_yolo(tmp_path / "street", "train", [0, 1, 3, 3, 9])
    write_yolo(tmp_path / "street", "val", [2, 2])
    readers = {
        split: [{"class_path": "YOLOText", "init_args": {"path": "street/data.yaml", "split": split}}]
        for split in ("train", "val")
    }
    data = {"root": str(tmp_path), "image_size": 64, "batch_size": 2, "num_workers": 0, **readers}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"max_epochs": 1}, "data": data}))
    return path


def test_counts_histogram_mode_and_pictures(config, tmp_path, capsys):
    assert main(["data", "check", "--config", str(config), "--output", str(tmp_path / "out"), "--decode"]) == 0
    out = capsys.readouterr().out
    assert "train: 5 images, 16 boxes (person 16)" in out
    assert "images       5 (1 without boxes), 0 sequences" in out
    assert "self-supervised: each of the 16 boxes is an identity of its own" in out
    histogram = [line.split()[:2] for line in out.split("boxes per image:")[1].splitlines()[1:7]]
    assert histogram == [["0", "1"], ["1", "1"], ["2", "0"], ["3-4", "2"], ["5-8", "0"], ["9-16", "1"]]
    assert "0 of 5 images cannot be decoded" in out
    assert "training and validation: no sequence, image or file in common" in out
    for name in ("train_frames.jpg", "train_mosaics.jpg", "val_frames.jpg"):
        assert cv2.imread(str(tmp_path / "out" / name)) is not None


def test_flags_reach_the_data_module(config, capsys):
    readers = '[{"class_path": "YOLOText", "init_args": {"path": "street/data.yaml", "split": "val"}}]'
    assert main(["data", "check", "--config", str(config), "--data.train", readers]) == 0
    out = capsys.readouterr().out
    assert "train: 2 images, 4 boxes" in out
    assert "leak: " in out


def test_copies_and_links_of_training_images_in_the_validation_are_named(config, tmp_path, capsys):
    train, val = (tmp_path / "street" / "images" / split for split in ("train", "val"))
    (val / "sub").mkdir()
    copies = [
        (train / "002.jpg", shutil.copy(train / "002.jpg", val / "another.jpg")),
        (train / "004.jpg", shutil.copy(train / "004.jpg", val / "sub" / "004.jpg")),
    ]
    copies.append((train / "003.jpg", val / "link.jpg"))
    (val / "link.jpg").symlink_to(train / "003.jpg")
    report = tmp_path / "report.json"
    assert main(["data", "check", "--config", str(config), "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert "leak: the training holds 3 images of the validation under another path, byte for byte; leave" in out
    for ours, theirs in copies:
        assert f"    val {theirs} is train {ours}\n" in out
    read = json.loads(report.read_text())
    assert sorted(read["same_images"]) == sorted([str(ours), str(theirs)] for ours, theirs in copies)
    assert len(read["overlaps"]) == 1


def test_of_many_copies_a_few_are_named(config, tmp_path, capsys):
    train, val = (tmp_path / "street" / "images" / split for split in ("train", "val"))
    for number in range(8):
        shutil.copy(train / "001.jpg", val / f"copy{number}.jpg")
    assert main(["data", "check", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "holds 8 images" in out
    assert out.count(" is train ") == 5
    assert "    and 3 more\n" in out


def test_training_alone_says_what_is_missing(config, capsys):
    assert main(["data", "check", "--config", str(config), "--data.val", "null"]) == 0
    out = capsys.readouterr().out
    assert "val: data.val names no readers, so nothing is measured in training" in out
    assert "\nval: " in out


def test_linked_identities_are_told_for_training_only(tmp_path, capsys):
    for name in ("MOT17-02-SDP", "MOT17-04-SDP"):
        folder = tmp_path / "train" / name
        (folder / "gt").mkdir(parents=True)
        (folder / "img1").mkdir()
        lines = [f"{frame},1,{5 + frame},6,16,30,1,1,1\n" for frame in range(1, 5)]
        (folder / "gt" / "gt.txt").write_text("".join(lines))
        for frame in range(1, 5):
            cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), np.full((48, 64, 3), 90, np.uint8))
        info = f"name={name}\nimDir=img1\nframeRate=25\nseqLength=4\nimWidth=64\nimHeight=48\nimExt=.jpg\n"
        (folder / "seqinfo.ini").write_text(f"[Sequence]\n{info}")
    path = tmp_path / "config.yaml"
    readers = [{"class_path": "MOTChallenge"}]
    data = {"root": str(tmp_path), "train": readers, "val": readers, "identities": "linked", "num_workers": 0}
    path.write_text(yaml.safe_dump({"data": data}))
    report = tmp_path / "report.json"
    assert main(["data", "check", "--config", str(path), "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert out.count("8 boxes are linked from frame to frame into 2 identities, 4.0 boxes each") == 1
    read = json.loads(report.read_text())
    (train,), (val,) = (read[split]["datasets"] for split in ("train", "val"))
    assert (train["linked_boxes"], train["linked_identities"], val["linked_boxes"]) == (8, 2, None)
    assert main(["data", "check", "--config", str(path), "--data.linking.max_gap", "0.01"]) == 0
    assert "none of the 8 boxes could be linked" in capsys.readouterr().out
    assert main(["data", "check", "--config", str(path), "--data.identities", "per_box"]) == 0
    assert "each of the 8 boxes is an identity of its own" in capsys.readouterr().out


def test_damaged_and_missing_files_are_named(config, tmp_path, capsys):
    images = tmp_path / "street" / "images" / "train"
    (images / "000.jpg").write_bytes(b"no image")
    report = tmp_path / "report.json"
    assert main(["data", "check", "--config", str(config), "--json", str(report)]) == 0
    assert "damaged      1 images:" in capsys.readouterr().out
    (dataset,) = json.loads(report.read_text())["train"]["datasets"]
    assert [path.rsplit("/", 1)[1] for path in dataset["corrupt"]] == ["000.jpg"]
    assert dataset["images"] == 4


def test_a_truncated_image_is_named_by_decode_and_among_the_samples(config, tmp_path, capsys):
    image = tmp_path / "street" / "images" / "val" / "001.jpg"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    image.write_bytes(image.read_bytes()[:1500])
    assert main(["data", "check", "--config", str(config)]) == 0
    assert "damaged" not in capsys.readouterr().out
    assert main(["data", "check", "--config", str(config), "--decode"]) == 0
    out = capsys.readouterr().out
    assert f"  damaged: {image}\n  1 of 2 images cannot be decoded" in out
    assert main(["data", "check", "--config", str(config), "--output", str(tmp_path / "out")]) == 0
    assert f"damaged, drawn as grey: {image}\n" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["no boxes", "no folder"])
def test_an_empty_split_fails(config, tmp_path, capsys, what):
    folder = tmp_path / "street"
    if what == "no boxes":
        for label in (folder / "labels" / "val").iterdir():
            label.write_text("")
    else:
        (folder / "images" / "val").rename(folder / "elsewhere")
    assert main(["data", "check", "--config", str(config)]) == 1
    out = capsys.readouterr().out
    assert "train: 5 images" in out  # the other split is reported all the same
    assert "val is empty" in out if what == "no boxes" else "\nval: " in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("data: [", "no YAML"),
        ("- 1", "expected a mapping"),
        ("data: {rooot: x}", "rooot"),
        ("trainer: {}", "name no readers"),
    ],
)
def test_wrong_configurations_are_refused_in_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    wrong_usage = content is None or "rooot" in content
    assert main(["data", "check", "--config", str(path)]) == (2 if wrong_usage else 1)
    error = capsys.readouterr().err
    assert error.startswith("jde-lightning data check: error: ")
    assert message in error
    assert str(path) in error
    assert len(error.strip().splitlines()) == 1
