"""The files of the synthetic crowd: official formats, reproducible bytes, what happens when it is written again."""

import configparser
import hashlib
import json

import cv2
import numpy as np
import pytest

from jde_lightning.data.readers import CrowdHuman, MOTChallenge
from jde_lightning.data.synthetic import SyntheticCrowd, render_sequence, render_still
from jde_lightning.errors import InputError

SIZE = {"width": 256, "height": 160, "people": 8}
TINY = {"train_sequences": 2, "val_sequences": 1, "frames": 5, "stills": 4, **SIZE}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "set"
    SyntheticCrowd(**TINY).write(root)
    return root


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def gt_rows(root, split="train", index=0):
    path = SyntheticCrowd(**TINY).sequence_folder(root, split, index) / "gt" / "gt.txt"
    return [line.split(",") for line in path.read_bytes().decode().split("\n")[:-1]]


def test_the_folders_are_the_official_ones(written):
    assert {p.name for p in written.iterdir()} == {"MOT17", "CrowdHuman", "synthetic.json"}
    assert sorted(p.name for p in (written / "MOT17" / "train").iterdir()) == ["MOT17-81-FRCNN", "MOT17-82-FRCNN"]
    sequence = written / "MOT17" / "val" / "MOT17-61-FRCNN"
    assert sorted(p.name for p in sequence.iterdir()) == ["det", "gt", "img1", "seqinfo.ini"]
    assert sorted(p.name for p in (sequence / "img1").iterdir()) == [f"{i:06d}.jpg" for i in range(1, 6)]
    assert cv2.imread(str(sequence / "img1" / "000001.jpg")).shape == (160, 256, 3)


def test_ground_truth_has_nine_columns_integers_first_sorted_by_identity_then_frame(written):
    rows = gt_rows(written)
    assert {len(row) for row in rows} == {9}
    numbers = np.array([[int(value) for value in row[:8]] for row in rows])
    order = numbers[:, [1, 0]].tolist()
    assert order == sorted(order)
    assert set(numbers[:, 0]) == {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(numbers[:, 6] == 1, numbers[:, 7] == 1)
    assert set(numbers[:, 7]) <= {1, 3, 7, 8, 9}
    assert all(0 <= float(row[8]) <= 1 for row in rows)


def test_ground_truth_is_the_rendered_one_with_the_first_pixel_at_1_1(written):
    by_row = {(int(r[0]), int(r[1])): r for r in gt_rows(written, index=1)}
    total = 0
    for number, frame in enumerate(render_sequence(1, frames=5, **SIZE), start=1):
        for row, identity in enumerate(frame.identities.tolist()):
            left, top, width, height = (int(v) for v in by_row[number, identity][2:6])
            box = frame.boxes[row].tolist()
            assert [left - 1, top - 1, left - 1 + width, top - 1 + height] == box
            assert float(by_row[number, identity][8]) == pytest.approx(frame.visibility[row], abs=1e-4)
            total += 1
    assert total == len(by_row)


def test_detections_have_seven_columns_and_lie_near_people(written):
    path = written / "MOT17" / "train" / "MOT17-81-FRCNN" / "det" / "det.txt"
    rows = np.array([[float(v) for v in line.split(",")] for line in path.read_text().splitlines()])
    assert rows.shape[1] == 7
    assert (rows[:, 1] == -1).all()
    assert ((rows[:, 6] > 0) & (rows[:, 6] <= 1)).all()
    assert (rows[:, 4:6] > 0).all()


def test_seqinfo_is_the_official_text(written):
    path = written / "MOT17" / "train" / "MOT17-81-FRCNN" / "seqinfo.ini"
    assert path.read_bytes() == (
        b"[Sequence]\nname=MOT17-81-FRCNN\nimDir=img1\nframeRate=15\nseqLength=5\nimWidth=256\nimHeight=160\n"
        b"imExt=.jpg\n\n"
    )
    parser = configparser.ConfigParser()
    parser.read(path)
    assert parser["Sequence"]["seqlength"] == "5"


def test_crowdhuman_records_have_the_official_form(written):
    lines = (written / "CrowdHuman" / "annotation_train.odgt").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    images = {p.stem for p in (written / "CrowdHuman" / "Images").iterdir()}
    assert {r["ID"] for r in records} == images
    assert len(records) == 4
    assert all("," in r["ID"] for r in records)
    for record in records:
        for box in record["gtboxes"]:
            assert box["tag"] in ("person", "mask")
            for key in ("fbox", "vbox", "hbox"):
                assert len(box[key]) == 4
                assert all(isinstance(v, int) for v in box[key])
            assert box["tag"] == "person" or box["extra"] == {"ignore": 1}
            if box["tag"] == "person":
                (fx, fy, fw, fh), (vx, vy, vw, vh) = box["fbox"], box["vbox"]
                assert fx <= vx <= vx + vw <= fx + fw
                assert fy <= vy <= vy + vh <= fy + fh
                assert 0 <= vx <= vx + vw <= 256


def test_crowdhuman_persons_are_the_rendered_ones(written):
    lines = (written / "CrowdHuman" / "annotation_train.odgt").read_text().splitlines()
    for index, line in enumerate(lines):
        frame = render_still(index, **SIZE)
        expected = {
            tuple(box)
            for row, box in enumerate(frame.boxes.tolist())
            if frame.categories[row] in (1, 7) and frame.visible_box(row) is not None
        }
        found = set()
        for box in json.loads(line)["gtboxes"]:
            if box["tag"] == "person":
                x, y, w, h = box["fbox"]
                found.add((x, y, x + w, y + h))
        assert found == expected


def test_far_crowds_and_mannequins_become_masks():
    from jde_lightning.data.synthetic.layouts import crowdhuman_record

    frames = [render_still(index, **SIZE) for index in range(12)]
    crowded = [frame for frame in frames if (frame.categories == 13).any()]
    assert crowded
    rng = np.random.default_rng(0)
    for frame in crowded:
        boxes = json.loads(crowdhuman_record("1,a", frame, rng))["gtboxes"]
        x0, y0, x1, y1 = frame.boxes[frame.categories == 13][0].tolist()
        visible = frame.visible_box(int(np.nonzero(frame.categories == 13)[0][0])) is not None
        assert ([x0, y0, x1 - x0, y1 - y0] in [b["fbox"] for b in boxes if b["tag"] == "mask"]) == visible


def test_our_readers_read_it_back(written):
    mot = list(MOTChallenge(path="MOT17/train").read(written))
    assert len(mot) == 10
    frames = list(render_sequence(0, frames=5, **SIZE))
    first = next(f for f in mot if f.sequence == "MOT17-81-FRCNN" and f.frame == 1)
    people = frames[0].categories == 1
    order = np.argsort(first.identities[first.positive])
    np.testing.assert_array_equal(first.boxes[first.positive][order], frames[0].boxes[people])
    np.testing.assert_array_equal(first.identities[first.positive][order], frames[0].identities[people])
    stills = list(CrowdHuman(path="CrowdHuman").read(written))
    assert len(stills) == 4
    assert all((f.width, f.height) == (256, 160) for f in stills)
    assert sum(int(f.positive.sum()) for f in stills) > 8


def test_the_same_seed_gives_the_same_bytes_and_longer_sets_begin_like_shorter_ones(written, tmp_path):
    SyntheticCrowd(**TINY).write(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(written)
    SyntheticCrowd(**{**TINY, "train_sequences": 1, "val_sequences": 0, "stills": 2}).write(tmp_path / "fewer")
    full, fewer = digests(written), digests(tmp_path / "fewer")
    for name in set(fewer) - {"synthetic.json", "CrowdHuman/annotation_train.odgt"}:
        assert fewer[name] == full[name], name
    SyntheticCrowd(**{**TINY, "seed": 1}).write(tmp_path / "other")
    other = digests(tmp_path / "other")
    image = "MOT17/train/MOT17-81-FRCNN/img1/000001.jpg"
    assert other[image] != full[image]


def test_a_written_set_is_not_written_again(written):
    crowd = SyntheticCrowd(**TINY)
    assert crowd.is_written(written)
    assert not SyntheticCrowd(**{**TINY, "frames": 6}).is_written(written)
    image = written / "MOT17" / "train" / "MOT17-81-FRCNN" / "img1" / "000001.jpg"
    before = image.stat().st_mtime_ns
    crowd.write(written)
    assert image.stat().st_mtime_ns == before


def test_a_half_written_set_is_done_again(written, tmp_path, monkeypatch):
    crowd = SyntheticCrowd(**TINY)
    root = tmp_path / "set"

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SyntheticCrowd, "_write_stills", fail)
    with pytest.raises(KeyboardInterrupt):
        crowd.write(root)
    assert not crowd.is_written(root)
    (root / "MOT17" / "train" / "left-over").mkdir()
    monkeypatch.undo()
    crowd.write(root)
    assert crowd.is_written(root)
    assert digests(root) == digests(written)


def test_a_damaged_mark_means_not_written(written, tmp_path):
    assert not SyntheticCrowd().is_written(tmp_path / "nowhere")
    (tmp_path / "synthetic.json").write_text("{")
    assert not SyntheticCrowd().is_written(tmp_path)
    (tmp_path / "synthetic.json").write_text("[]")
    assert not SyntheticCrowd().is_written(tmp_path)


def test_a_folder_with_other_content_is_left_alone(written, tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(InputError, match=r"holds other files \(such as thesis.tex\), expected an empty folder"):
        SyntheticCrowd(**TINY).write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match=r"holds another synthetic crowd \(seed 0 instead of 5\); choose another"):
        SyntheticCrowd(**{**TINY, "seed": 5}).write(written)
    with pytest.raises(InputError, match="is a file, expected a folder"):
        SyntheticCrowd(**TINY).write(tmp_path / "thesis.tex")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("frames", 0, "frames is 0, expected at least 1"),
        ("width", 10, "width is 10, expected at least 64"),
        ("stills", -1, "stills is -1, expected at least 0"),
        ("seed", -1, "seed is -1, expected at least 0"),
        ("val_sequences", 21, "val_sequences is 21, expected 0 to 20"),
        ("people", 201, "people is 201, expected 0 to 200"),
    ],
)
def test_numbers_out_of_range_are_refused(name, value, text):
    with pytest.raises(InputError, match=text):
        SyntheticCrowd(**{name: value})


def test_an_empty_set_is_a_set(tmp_path):
    crowd = SyntheticCrowd(train_sequences=1, val_sequences=0, frames=1, stills=1, width=64, height=64, people=0)
    crowd.write(tmp_path / "set")
    assert crowd.is_written(tmp_path / "set")
    nothing = SyntheticCrowd(train_sequences=0, val_sequences=0, stills=0)
    nothing.write(tmp_path / "nothing")
    assert (tmp_path / "nothing" / "CrowdHuman" / "annotation_train.odgt").read_text() == ""
