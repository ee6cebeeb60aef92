"""JDE's and FairMOT's layout: the right one of several folders called images, lists as they are distributed, ids."""

import json
import os
from collections import Counter

import numpy as np
import pytest
from dataset_files import write_image

from jde_lightning.data.identities import assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import LabelsWithIds, MOTChallenge
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

LINES = ["0 41 0.5 0.25 0.25 0.5", "0 -1 1.1 0.5 0.5 1.25", "0 0 0.1 0.1 0.05 0.05"]


def write(root, image, lines=LINES, labels=None):
    """Write an image of 64 x 48 pixels and its labels, in CRLF as some scripts do."""
    write_image(root / image)
    if lines is not None:
        head, _, tail = image.rpartition("images/")
        file = root / (labels or f"{head}labels_with_ids/{tail.rpartition('.')[0]}.txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\r\n".join(lines))


def write_list(root, name, images, end="\n"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes("".join(image + end for image in images).encode())


def read(reader, root):
    return list(reader.read(root))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_boxes_and_identities(tmp_path, end):
    write(tmp_path, "PRW/images/c1s1_000151.jpg")
    write_list(tmp_path, "prw.train", ["PRW/images/c1s1_000151.jpg"], end)
    (frame,) = read(LabelsWithIds("prw.train"), tmp_path)
    # width 64, height 48: corners by hand; the second box leaves the image and stays whole
    np.testing.assert_allclose(
        frame.boxes, [[24, 0, 40, 24], [54.4, -6, 86.4, 54], [4.8, 3.6, 8, 6]], rtol=0, atol=1e-5
    )
    assert frame.identities.tolist() == [41, NO_IDENTITY, 0]  # 0 is somebody
    assert set(frame.roles.tolist()) == {Role.POSITIVE}
    assert (frame.width, frame.height, frame.sequence, frame.dataset) == (64, 48, None, "JDE")


def test_only_the_last_folder_called_images_is_replaced(tmp_path):
    root = tmp_path / "images" / "my_images"
    write(root, "A/images/x_images/B/images/1.jpg", labels="A/images/x_images/B/labels_with_ids/1.txt")
    write_list(root, "a.train", ["A/images/x_images/B/images/1.jpg"])
    (frame,) = read(LabelsWithIds("a.train"), root)
    assert len(frame) == 3


def test_upper_and_lower_case_and_any_extension(tmp_path):
    write(tmp_path, "A/Images/x.jpg.PNG", labels="A/Labels_With_Ids/x.jpg.txt")
    write(tmp_path, "A/Images/y.JPG", labels="A/Labels_With_Ids/y.TXT")
    write_list(tmp_path, "a.train", ["A/images/x.jpg.png", "A/images/y.jpg"])
    assert [len(frame) for frame in read(LabelsWithIds("a.train"), tmp_path)] == [3, 3]


def test_folder_without_list(tmp_path):
    write(tmp_path, "A/images/train/1.jpg")
    write(tmp_path, "A/images/train/2.jpg", [])
    write_image(tmp_path / "pictures" / "of_a_run.jpg")
    reader = LabelsWithIds()
    assert [len(frame) for frame in read(reader, tmp_path)] == [3, 0]
    assert reader.findings.summary() == "1 images outside of folders called 'images', left out"


def test_identities_are_unique_within_a_list_as_in_jde(tmp_path):
    for name, ids in (("A", [0, 2]), ("B", [0, -1]), ("C", [5, 2])):
        write(tmp_path, f"{name}/images/1.jpg", [f"0 {i} 0.5 0.{n + 1} 0.1 0.1" for n, i in enumerate(ids)])
        write_list(tmp_path, f"{name}.train", [f"{name}/images/1.jpg"])
    lists = {"b": "B.train", "a": "A.train", "c": "C.train"}
    frames = read(LabelsWithIds(lists, supervision="full"), tmp_path)
    assert [frame.identities.tolist() for frame in frames] == [[0, -1], [1, 3], [9, 6]]
    index = FrameIndex.from_readers([LabelsWithIds(list(lists.values()), supervision="full")], tmp_path)
    identities, table = assign_training_identities(index)
    assert len(table.keys) == 5
    assert table.num_synthetic == 0
    assert identities[1] == NO_IDENTITY


def test_image_in_two_lists_is_read_once(tmp_path):
    write(tmp_path, "A/images/1.jpg")
    write(tmp_path, "A/images/2.jpg")
    write_list(tmp_path, "half", ["A/images/1.jpg", "A/images/1.jpg"])
    write_list(tmp_path, "all", ["A/images/1.jpg", "A/images/2.jpg"])
    reader = LabelsWithIds(["half", "all"])
    assert [frame.image_path.name for frame in read(reader, tmp_path)] == ["1.jpg", "2.jpg"]
    assert reader.findings.notes["images listed more than once, read once"] == 2


def test_videos_from_folders(tmp_path):
    images = [f"MOT17/images/train/MOT17-{s}-SDP/img1/{f:06d}.jpg" for s in ("09", "02") for f in (3, 1)]
    for image in images:
        write(tmp_path, image)
    write_list(tmp_path, "mot17.train", images)
    frames = read(LabelsWithIds("mot17.train", sequence_from_folder=True, frame_rate=25), tmp_path)
    places = [(frame.sequence, frame.frame) for frame in frames]
    assert places == [("MOT17-09-SDP", 1), ("MOT17-09-SDP", 3), ("MOT17-02-SDP", 1), ("MOT17-02-SDP", 3)]
    assert {frame.frame_rate for frame in frames} == {25}
    assert frames[0].identities.tolist() == frames[2].identities.tolist() == [41, -1, 0]


def test_one_of_the_identical_copies_of_mot17(tmp_path):
    """FairMOT's script writes labels for all folders of MOT17; its lists name one copy, a folder has all."""
    for detector in ("DPM", "FRCNN", "SDP"):
        write(tmp_path, f"images/train/MOT17-02-{detector}/img1/000001.jpg")
    reader = LabelsWithIds(sequence_from_folder=True)
    assert [frame.sequence for frame in read(reader, tmp_path)] == ["MOT17-02-FRCNN"]
    assert reader.findings.notes == {"frames of identical copies (MOT17's detectors), left out": 2}


@pytest.mark.parametrize("stated_root", ["there", "/gone/datasets", None])
def test_json_of_jde(tmp_path, stated_root):
    """Written for another machine; its lists are as seen from the folder above the JSON's."""
    for name in ("A", "B"):
        write(tmp_path / "data root", f"{name}/images/1.jpg")
        write_list(tmp_path / "repository", f"data/{name}.train", [f"{name}/images/1.jpg"])
    write(tmp_path / "there", "A/images/1.jpg", [])
    write(tmp_path / "there", "B/images/1.jpg")
    content = {"train": {"a": "./data/A.train", "b": "./data/B.train"}, "test": {"b": "./data/B.train"}}
    if stated_root is not None:
        content["root"] = str(tmp_path / "there") if stated_root == "there" else stated_root
    (tmp_path / "repository" / "cfg").mkdir()
    file = tmp_path / "repository" / "cfg" / "ccmcpe.json"
    file.write_text(json.dumps(content))
    frames = read(LabelsWithIds(str(file)), tmp_path / "data root")
    assert [len(frame) for frame in frames] == ([0, 3] if stated_root == "there" else [3, 3])
    assert len(read(LabelsWithIds(str(file), split="test"), tmp_path / "data root")) == 1
    with pytest.raises(InputError, match=r"ccmcpe\.json: no lists of split 'val', found train, test; .*set `split`"):
        read(LabelsWithIds(str(file), split="val"), tmp_path / "data root")


def test_missing_files_are_counted(tmp_path):
    write(tmp_path, "A/images/1.jpg")
    write(tmp_path, "A/images/2.jpg", None)
    write(tmp_path, "A/images/3.jpg")
    (tmp_path / "A/images/3.jpg").write_bytes(b"no image")
    write_list(tmp_path, "a.train", [f"A/images/{i}.jpg" for i in (1, 2, 3, 4)])
    reader = LabelsWithIds("a.train")
    assert [len(frame) for frame in read(reader, tmp_path)] == [3, 0]
    assert reader.findings.missing == ["A/images/4.jpg"]
    assert reader.findings.corrupt == [str(tmp_path / "A/images/3.jpg")]
    assert reader.findings.notes == {"images without label file, read as images without boxes": 1}


def test_labels_written_twice(tmp_path):
    """JDE's and FairMOT's scripts append: a second run repeats all lines."""
    write(tmp_path, "A/images/1.jpg", [*LINES, *LINES])
    write(tmp_path, "A/images/2.jpg", [*LINES, "0 42 0.5 0.25 0.25 0.5"])
    reader = LabelsWithIds()
    assert [len(frame) for frame in read(reader, tmp_path)] == [3, 4]
    assert reader.findings.dropped == {"repeated row of a label file": 3}
    assert reader.findings.notes == {"label files with repeated rows (written twice?)": 1}


def test_boxes_without_area_are_ignored(tmp_path):
    write(tmp_path, "A/images/1.jpg", ["0 1 0.5 0.5 0 0.1", "0 1 0.5 0.5 0.2 0.1"])
    reader = LabelsWithIds()
    (frame,) = read(reader, tmp_path)
    assert frame.roles.tolist() == [Role.IGNORE, Role.POSITIVE]
    assert reader.findings.notes == {"boxes without area, ignored": 1}


def test_hundreds_of_boxes(tmp_path):
    write(tmp_path, "A/images/1.jpg", [f"0 {i} 0.5 0.5 0.1 {0.001 * (i + 1)}" for i in range(700)])
    (frame,) = read(LabelsWithIds(), tmp_path)
    assert len(frame) == 700


def test_classes(tmp_path):
    write(tmp_path, "A/images/1.jpg", ["1 1 0.5 0.5 0.1 0.1"])
    reader = LabelsWithIds(class_names=("person", "bicycle"))
    (frame,) = read(reader, tmp_path)
    assert (frame.labels.tolist(), reader.class_names) == ([1], ("person", "bicycle"))
    (frame,) = read(LabelsWithIds(class_names=None), tmp_path)
    assert frame.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1 0.1", "5 columns, which is YOLO text without identities: use the reader YOLOText"),
        ("0 3 0.5 0.5 0.1 0.1 0.9", "7 columns; expected class identity xc yc width height"),
        ("0 0.51 0.5 0.1 0.1 41", "the identity .column 2. is 0.51.*YOLOText with `sixth_column: identity`"),
        ("2 3 0.5 0.5 0.1 0.1", "the class .column 1. is 2, not 0 to 0, set `class_names`"),
        ("0.5 3 0.5 0.5 0.1 0.1", "the class .column 1. is 0.5"),
        ("0 3 0.5 0.5 x 0.1", "found '0 3 0.5 0.5 x 0.1', expected class identity"),
        ("0,3,0.5,0.5,0.1,0.1", "separated by spaces"),
        ("0 3 0.5 nan 0.1 0.1", "found '0 3 0.5 nan"),
        ("0 3 320 240 64 128", "the box is 320 240 64 128, which has values far above 1: pixels"),
        ("0 3 0.5 0.5 -0.1 0.1", "the box is 0.5 0.5 -0.1 0.1, which has a negative size"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    write(tmp_path, "A/images/1.jpg", [LINES[0], "", line])
    with pytest.raises(InputError, match=rf"A/labels_with_ids/1\.txt:3: .*{message}") as error:
        read(LabelsWithIds(), tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lists": "none.train"}, r"none\.train: no such list.*correct `lists`"),
        ({"lists": []}, "lists of JDE is empty"),
        ({"lists": "outside"}, "1.jpg: no folder of this path is called 'images', expected .*rename or move"),
        ({"lists": "gone"}, r"gone: none of the 2 listed images is below .*first B/1\.jpg; set `path`"),
        ({"lists": "broken.json"}, r"broken\.json: no JSON .*`root` and, by split"),
        ({"path": "outside_of"}, "outside_of: no images in a folder 'images' there"),
        ({"path": "unlabelled"}, "none of its 1 images has a label file.*labels_with_ids/1.txt; put the labels there"),
    ],
)
def test_files_that_are_not_there(tmp_path, arguments, message):
    write_image(tmp_path / "outside_of" / "1.jpg")
    write_image(tmp_path / "unlabelled" / "images" / "1.jpg")
    write_list(tmp_path, "outside", ["outside_of/1.jpg"])
    write_list(tmp_path, "gone", ["B/1.jpg", "B/2.jpg"])
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=message):
        read(LabelsWithIds(**arguments), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"coordinate_base": 2}, "coordinate_base of JDE is 2"), ({"frame_rate": 0}, "frame_rate of JDE is 0")],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        LabelsWithIds(**arguments)


def test_what_the_result_depends_on(tmp_path):
    write(tmp_path, "A/images/1.jpg")
    write(tmp_path, "A/images/2.jpg", None)
    write_list(tmp_path, "a.train", ["A/images/1.jpg", "A/images/2.jpg", "A/images/3.jpg"])
    for change in ("a.train", "A/images/3.jpg", "A/labels_with_ids/1.txt", "A/labels_with_ids/2.txt"):
        reader = LabelsWithIds("a.train")
        read(reader, tmp_path)
        assert reader.findings.unchanged()
        with (tmp_path / change).open("a") as file:
            file.write("\n")
        assert not reader.findings.unchanged(), change


REAL_LISTS = {
    "jde/mot17.train": 5316,
    "jde/citypersons.train": 2500,
    "jde/citypersons.val": 441,
    "jde/eth.train": 2056,
    "jde/prw.train": 5701,
    "jde/prw.val": 2000,
    "fairmot/mot17.train": 5316,
    "fairmot/mot17.half": 2657,
    "fairmot/mot17.val": 2659,
    "fairmot/mot17.emb": 887,
    "fairmot/crowdhuman.val": 4370,
}
HALVES = {"02": (300, 300), "04": (525, 525), "05": (418, 419), "09": (262, 263), "10": (327, 327), "11": (450, 450)}
HALVES["13"] = (375, 375)


def place_images(root, names):
    """Give every name of a list the same tiny image; labels only for the first."""
    write_image(root / "tiny.jpg", 8, 8)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            os.link(root / "tiny.jpg", root / name)
    write(root, names[0], LINES)


@pytest.mark.parametrize("name", REAL_LISTS)
def test_real_lists(real_data, tmp_path, name):
    file = real_data / "lists" / name
    place_images(tmp_path, file.read_text().split())
    reader = LabelsWithIds(str(file))
    index = FrameIndex.from_readers([reader], tmp_path)
    assert len(index) == REAL_LISTS[name]
    assert reader.findings.missing == []
    assert len(index.boxes) == 3


def test_real_lists_as_videos(real_data, tmp_path):
    for column, name in enumerate(("half", "val")):
        file = real_data / "lists" / "fairmot" / f"mot17.{name}"
        place_images(tmp_path, file.read_text().split())
        frames = read(LabelsWithIds(str(file), sequence_from_folder=True), tmp_path)
        counts = Counter(frame.sequence for frame in frames)
        assert counts == {f"MOT17-{number}-SDP": halves[column] for number, halves in HALVES.items()}
    assert min(frame.frame for frame in frames if frame.sequence == "MOT17-09-SDP") == 263
    eth = real_data / "lists" / "jde" / "eth.train"
    place_images(tmp_path, eth.read_text().split())
    counts = Counter(frame.sequence for frame in read(LabelsWithIds(str(eth), sequence_from_folder=True), tmp_path))
    assert counts == {"eth01": 999, "eth02": 446, "eth03": 354, "eth05": 56, "eth07": 201}


def test_equals_the_official_ground_truth(real_data, tmp_path):
    """MOT17-09 as FairMOT's script writes it, which does not subtract the 1 that MOTChallenge counts from."""
    sequence = real_data / "mot17" / "train" / "MOT17-09-FRCNN"
    official = list(MOTChallenge(str(sequence)).read(tmp_path))
    folder = tmp_path / "images" / "train" / "MOT17-09-SDP"
    folder.mkdir(parents=True)
    (folder / "img1").symlink_to(sequence / "img1")
    gt = np.loadtxt(sequence / "gt" / "gt.txt", delimiter=",")
    labels = tmp_path / "labels_with_ids" / "train" / "MOT17-09-SDP" / "img1"
    labels.mkdir(parents=True)
    for frame in range(1, 526):
        rows = gt[(gt[:, 0] == frame) & (gt[:, 7] == 1) & (gt[:, 6] != 0)]
        centre = (rows[:, 2:4] + rows[:, 4:6] / 2) / (1920, 1080)
        size = rows[:, 4:6] / (1920, 1080)
        text = [
            f"0 {int(i)} {x:.6f} {y:.6f} {w:.6f} {h:.6f}"
            for i, (x, y), (w, h) in zip(rows[:, 1], centre, size, strict=True)
        ]
        (labels / f"{frame:06d}.txt").write_text("\n".join(text))
    frames = read(LabelsWithIds(path="images", sequence_from_folder=True, coordinate_base=1), tmp_path)
    assert sum(map(len, frames)) == 5325
    for ours, theirs in zip(frames, official, strict=True):
        positive = theirs.positive
        np.testing.assert_allclose(ours.boxes, theirs.boxes[positive], atol=0.003)
        np.testing.assert_array_equal(ours.identities, theirs.identities[positive])
        assert ours.frame == theirs.frame
