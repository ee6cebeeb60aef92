"""YOLO text: what Ultralytics reads is read alike, what looks like something else is refused with the way out."""

import numpy as np
import pytest
from dataset_files import write_image

from jde_lightning import _ultralytics  # noqa: F401  # quiet, offline import of ultralytics
from jde_lightning.boxes import cxcywh_to_xyxy
from jde_lightning.data.images import is_rotated
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import YOLOText, text_labels
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

theirs = pytest.importorskip("ultralytics.data.utils")

LINES = ["0 0.5 0.25 0.25 0.5", "1 1.005 0.5 0.5 1.25"]
CORNERS = [[24, 0, 40, 24], [48.32, -6, 80.32, 54]]
YAML = "path: .\ntrain: images/train\nval: images/val\ntest: # none yet\nnames:\n  0: person\n  1: dog\n"


def write(root, image, lines=LINES):
    """Write an image of 64 x 48 pixels and its labels."""
    write_image(root / image)
    if lines is not None:
        head, _, tail = image.rpartition("images/")
        file = root / f"{head}labels/{tail.rpartition('.')[0]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")


def write_yaml(root, text=YAML, name="data.yaml"):
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def read(reader, root):
    return list(reader.read(root))


def names_of(frames):
    return [frame.image_path.name for frame in frames]


def test_data_yaml(tmp_path):
    write(tmp_path, "images/train/1.jpg")
    write(tmp_path, "images/train/sub/2.JPG", [])
    write(tmp_path, "images/train/3.png", None)
    write(tmp_path, "images/val/4.jpg")
    write_yaml(tmp_path)
    reader = YOLOText()
    frames = read(reader, tmp_path)
    assert [(frame.image_path.name, len(frame)) for frame in frames] == [("1.jpg", 2), ("3.png", 0), ("2.JPG", 0)]
    first = frames[0]
    np.testing.assert_allclose(first.boxes, CORNERS, atol=1e-5)
    assert first.labels.tolist() == [0, 1]
    assert set(first.identities.tolist()) == {NO_IDENTITY}
    assert set(first.roles.tolist()) == {Role.POSITIVE}
    assert (first.width, first.height, first.sequence, first.dataset) == (64, 48, None, "YOLO")
    assert reader.class_names == ("person", "dog")
    assert reader.findings.notes == {"images without label file, read as images without boxes": 1}
    assert names_of(read(YOLOText(split="val"), tmp_path)) == ["4.jpg"]


@pytest.mark.parametrize(
    ("yaml", "where"),
    [
        ("train: images\nnames: [a, b]", "d"),
        ("path: d\ntrain: images\nnames: [a, b]", ""),
        ("path: d/\ntrain: ['images']\nnames: [a, b]", "elsewhere"),
        ("train: ../images\nnames: [a, b]\nnc: 2", "d"),
        ("path: {root}/d\ntrain: images\nnames: [a, b]", "elsewhere"),
        ("train: {root}/d/images\nnames: [a, b]", "elsewhere"),
        ("path: ../d\ntrain: images\nnames: {{1: b, 0: a}}", "elsewhere"),
    ],
    ids=["beside", "below the file", "below the data root", "Roboflow", "absolute path", "absolute split", "upwards"],
)
def test_where_a_data_yaml_points_to(tmp_path, yaml, where):
    write(tmp_path, "d/images/1.jpg")
    write_yaml(tmp_path / where, yaml.format(root=tmp_path), "my.yml")
    reader = YOLOText(f"{where}/my.yml" if where else "my.yml")
    assert names_of(read(reader, tmp_path)) == ["1.jpg"]
    assert set(reader.class_names) == {"a", "b"}


def test_folder_with_a_data_yaml_reads_one_split(tmp_path):
    write(tmp_path, "d/images/train/1.jpg")
    write(tmp_path, "d/images/val/2.jpg")
    write_yaml(tmp_path / "d", "train: images/train\nvalidation: images/val\nnames: [person, dog]")
    assert names_of(read(YOLOText("d"), tmp_path)) == ["1.jpg"]
    assert names_of(read(YOLOText("d", split="val"), tmp_path)) == ["2.jpg"]


@pytest.mark.parametrize("path", ["d/images", "d", "d/train.txt", "D/Images"])
def test_without_data_yaml(tmp_path, path):
    write(tmp_path, "d/images/a/1.jpg")
    (tmp_path / "d/train.txt").write_bytes(b"./images/a/1.jpg\r\n")
    reader = YOLOText(path)
    (frame,) = read(reader, tmp_path)
    assert frame.labels.tolist() == [0, 1]
    assert reader.class_names is None  # numbers of data.class_names
    reader = YOLOText(path, names=["person", "dog"])
    read(reader, tmp_path)
    assert reader.class_names == ("person", "dog")


def test_lists_and_folders_together(tmp_path):
    for i in range(1, 5):
        write(tmp_path, f"d/images/{i}.jpg")
    write(tmp_path, "d/more/images/5.jpg")
    (tmp_path / "d/lists").mkdir()
    (tmp_path / "d/lists/a.txt").write_text("images/2.jpg\n" + f"{tmp_path}/d/images/1.jpg\nimages/2.jpg\nimages/9.jpg")
    (tmp_path / "d/b.txt").write_text("./images/3.jpg\n")
    write_yaml(tmp_path / "d", "train: [lists/a.txt, b.txt, more]\nnames: [a, b]")
    reader = YOLOText("d/data.yaml")
    assert names_of(read(reader, tmp_path)) == ["2.jpg", "1.jpg", "3.jpg", "5.jpg"]
    assert reader.findings.missing == ["images/9.jpg"]
    assert reader.findings.notes == {"images listed more than once, read once": 1}


def test_only_the_last_folder_called_images_is_replaced(tmp_path):
    write(tmp_path / "images" / "x", "my_images/images/train/1.jpg")
    assert [len(frame) for frame in read(YOLOText("."), tmp_path / "images" / "x")] == [2]


def test_labels_beside_images_where_no_folder_is_called_images(tmp_path):
    write_image(tmp_path / "shots" / "1.jpg")
    (tmp_path / "shots" / "1.txt").write_text(LINES[0])
    (tmp_path / "shots" / "classes.txt").write_text("person\n")
    (frame,) = read(YOLOText("shots"), tmp_path)
    assert len(frame) == 1


def test_equals_ultralytics(tmp_path):
    """Random boxes, polygons and repeated lines; their result is sorted, so both are compared as sets of rows."""
    rng = np.random.default_rng(0)
    for i in range(12):
        if i % 2:
            lines = [" ".join(["0", *(f"{v:.6f}" for v in rng.random(2 * rng.integers(3, 9)))]) for _ in range(6)]
        else:
            lines = [f"{rng.integers(2)} " + " ".join(f"{v:.6f}" for v in rng.random(4)) for _ in range(6)]
        write(tmp_path, f"images/{i}.jpg", [*lines, *lines[:2]])
    reader = YOLOText("images", names=["a", "b"])
    for frame in read(reader, tmp_path):
        label_file = theirs.img2label_paths([str(frame.image_path)])[0]
        _, rows, shape, *_ = theirs.verify_image_label(
            (str(frame.image_path), label_file, "", False, 2, 0, 0, False)
        )  # fmt: skip
        assert shape == (frame.height, frame.width)
        expected = np.c_[rows[:, 0], cxcywh_to_xyxy(rows[:, 1:] * (64, 48, 64, 48))]
        got = np.c_[frame.labels, frame.boxes]
        np.testing.assert_allclose(got[np.lexsort(got.T)], expected[np.lexsort(expected.T)], atol=1e-4)
    assert reader.findings.dropped == {"repeated row of a label file": 24}
    assert reader.findings.notes["polygons, read as the boxes around them"] == 36


def test_box_around_a_polygon(tmp_path):
    write(tmp_path, "images/1.jpg", ["0 0.25 0.5 0.5 0.25 0.75 1.0 0.5 0.5", "0 0.5 0.5 0.25 0.5"])
    (frame,) = read(YOLOText("images"), tmp_path)
    assert frame.boxes.tolist() == [[16, 12, 48, 48], [24, 12, 40, 36]]


def test_key_points_are_left_aside(tmp_path):
    points = " 0.1 0.2 2 0.3 0.4 1 0.5 0.6 0 0.7 0.8 2"  # with the class and the box 17 columns, an odd number
    write(tmp_path, "images/1.jpg", ["0 0.5 0.5 0.25 0.5" + points, "0 0.5 0.25 0.25 0.5"])
    write_yaml(tmp_path, "train: images\nkpt_shape: [4, 3]\nnames: [person]")
    (frame,) = read(YOLOText(), tmp_path)
    assert frame.boxes.tolist() == [[24, 12, 40, 36], [24, 0, 40, 24]]


def test_identities_of_a_declared_sixth_column(tmp_path):
    lines = ["0 0.5 0.5 0.1 0.1 0", "0 0.5 0.6 0.1 0.1 16777217", "0 0.5 0.7 0.1 0.1 -1", "0 0.5 0.8 0.1 0.1"]
    write(tmp_path, "images/1.jpg", lines)
    (frame,) = read(YOLOText("images", sixth_column="identity"), tmp_path)
    assert frame.identities.tolist() == [0, 16777217, NO_IDENTITY, NO_IDENTITY]


def test_confidences_are_not_identities(tmp_path):
    write(tmp_path, "images/1.jpg", ["0 0.5 0.5 0.1 0.1 1", "0 0.5 0.6 0.1 0.1 0.25"])
    (frame,) = read(YOLOText("images", sixth_column="confidence"), tmp_path)
    assert frame.identities.tolist() == [NO_IDENTITY, NO_IDENTITY]


@pytest.mark.parametrize(
    ("sixth_column", "line", "message"),
    [
        (
            "none",
            "0 0.5 0.5 0.1 0.1 7",
            "6 columns, expected 5: .*`sixth_column: identity`.*`sixth_column: confidence`",
        ),
        ("none", "0 0.5 0.5 0.1 0.1 7", "reader LabelsWithIds.; this line looks like an identity in column 6"),
        ("none", "0 0.5 0.5 0.1 0.1 0.93", "this line looks like a prediction"),
        ("none", "0 41 0.5 0.5 0.1 0.1", "this line looks like JDE's"),
        ("identity", "0 0.5 0.5 0.1 0.1 0.93", "column 6 is 0.93, no whole number.* looks like a prediction"),
        ("identity", "0 -1 0.5 0.5 0.1 0.1", "column 6 is 0.1, no whole number.* looks like JDE's"),
        ("confidence", "0 0.5 0.5 0.1 0.1 41", "column 6 is 41, not in 0..1"),
        ("identity", "0 0.1 0.2 0.3 0.4 0.5 0.6", "7 columns, expected 6, because `sixth_column` is identity"),
        ("none", "0 0.5 0.5 0.1 0.1 0.93 41", "7 columns are read as the corners of a polygon.* from 0.1 to 41"),
        ("none", "0 0.5 0.5 0.1", "4 columns, expected 5: class xc yc width height"),
        ("none", "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", "8 columns, expected 5: .* or a polygon"),
        ("none", "2 0.5 0.5 0.1 0.1", "the class is 2, but names has 0, 1; correct the line, or add the class"),
        ("none", "-1 0.5 0.5 0.1 0.1", "the class .column 1. is -1"),
        ("none", "0.7 0.5 0.5 0.1 0.1", "the class .column 1. is 0.7"),
        ("none", "person 0.5 0.5 0.1 0.1", "found 'person 0.5 0.5 0.1 0.1', expected class xc yc width height"),
        ("none", "0 320 240 20 40", "the box is 320 240 20 40, which has values far above 1: pixels"),
        ("none", "0 0.5 0.5 -0.1 0.1", "which has a negative size"),
    ],
)
def test_bad_lines_are_named(tmp_path, sixth_column, line, message):
    write(tmp_path, "images/train/1.jpg", [LINES[0], line])
    write_yaml(tmp_path)
    with pytest.raises(InputError, match=rf"labels/train/1\.txt:2: .*{message}") as error:
        read(YOLOText(sixth_column=sixth_column), tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("bad", "more"), [([2, 4], ""), ([1, 2, 4, 5, 6], ""), ([1, 2, 3, 5, 6, 8, 9], " and more")])
def test_several_broken_label_files_are_told_together(tmp_path, bad, more):
    for number in range(1, 10):
        lines = [*LINES[:1] * (number % 2), "2 0.5 0.5 0.1 0.1"] if number in bad else LINES
        write(tmp_path, f"images/train/{number}.jpg", lines)
    write_yaml(tmp_path)
    with pytest.raises(InputError) as error:
        read(YOLOText(), tmp_path)
    places = [f"{tmp_path / 'labels' / 'train' / str(number)}.txt:{1 + number % 2}" for number in bad[:5]]
    message = str(error.value)
    assert message.startswith(f"{places[0]}: the class is 2, but names has 0, 1; correct the line")
    assert message.endswith(f"; also wrong: {', '.join(places[1:])}{more}")
    assert "\n" not in message


def test_other_broken_label_files_are_not_looked_for_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(text_labels, "_LOOK_ON", 3)
    for number in range(1, 6):
        write(tmp_path, f"images/train/{number}.jpg", ["2 0.5 0.5 0.1 0.1"] if number in (1, 3, 5) else LINES)
    write_yaml(tmp_path)
    with pytest.raises(InputError, match=r"labels/train/1\.txt:1: .*; also wrong: [^ ]*/3\.txt:1$"):
        read(YOLOText(), tmp_path)


def test_label_file_that_is_no_text(tmp_path):
    write(tmp_path, "images/1.jpg")
    (tmp_path / "labels" / "1.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match=r"labels/1\.txt: no UTF-8 text .*expected lines of class xc yc"):
        read(YOLOText("images"), tmp_path)


@pytest.mark.parametrize(
    ("classes", "names", "labels", "roles"),
    [
        (["dog"], ("dog",), [0, 0], [Role.OTHER, Role.POSITIVE]),
        ({"dog": "animal", "person": "human"}, ("animal", "human"), [1, 0], [Role.POSITIVE, Role.POSITIVE]),
    ],
)
def test_choice_of_classes(tmp_path, classes, names, labels, roles):
    write(tmp_path, "images/train/1.jpg")
    write_yaml(tmp_path)
    reader = YOLOText(classes=classes)
    (frame,) = read(reader, tmp_path)
    assert (reader.class_names, frame.labels.tolist(), frame.roles.tolist()) == (names, labels, roles)


def test_videos_with_identities(tmp_path):
    for camera in ("cam1", "cam2"):
        for number in (1, 2, 10):
            write(tmp_path, f"images/val/{camera}/{number}.jpg", [f"0 0.5 0.5 0.1 0.1 {number % 2}"])
        (tmp_path / "images/val" / camera / "Thumbs.db").touch()
        (tmp_path / "images/val" / camera / f"._{number}.jpg").touch()
    write_yaml(tmp_path)
    reader = YOLOText(split="val", sixth_column="identity", sequence_from_folder=True, frame_rate=12)
    index = FrameIndex.from_readers([reader], tmp_path)
    assert {name: index.frame_numbers[rows].tolist() for name, rows in index.sequences.items()} == {
        "cam1": [1, 2, 10],
        "cam2": [1, 2, 10],
    }
    assert index.identities.tolist() == [1, 0, 0] * 2
    assert set(index.frame_rates.tolist()) == {12}


def test_exif_rotation_is_counted(tmp_path):
    """The size stays that of the stored pixels; only somebody who knows can tell what the labels were made on."""
    image = pytest.importorskip("PIL.Image")
    write(tmp_path, "images/1.jpg")
    write(tmp_path, "images/2.png")
    exif = image.Exif()
    exif[0x0112] = 6
    image.new("RGB", (64, 48)).save(tmp_path / "images" / "1.jpg", exif=exif)
    reader = YOLOText("images")
    assert [(frame.width, frame.height) for frame in read(reader, tmp_path)] == [(64, 48)] * 2
    assert reader.findings.notes == {"images with an EXIF rotation, read as stored (docs/datasets/yolo.md)": 1}
    assert not is_rotated(tmp_path / "images" / "2.png")
    assert not is_rotated(tmp_path / "labels" / "1.txt")
    assert not is_rotated(tmp_path / "gone.jpg")


def test_label_files_without_image_are_counted(tmp_path):
    write(tmp_path, "images/1.jpg")
    for name in ("2.txt", "3.txt", "classes.txt", "notes.json"):
        (tmp_path / "labels" / name).touch()
    reader = YOLOText("images")
    read(reader, tmp_path)
    assert reader.findings.notes == {f"label files without image, left out, first {tmp_path / 'labels' / '2.txt'}": 2}


def test_damaged_image_costs_that_image(tmp_path):
    write(tmp_path, "images/1.jpg")
    write(tmp_path, "images/2.jpg")
    (tmp_path / "images/1.jpg").write_bytes(b"")
    reader = YOLOText("images")
    assert names_of(read(reader, tmp_path)) == ["2.jpg"]
    assert reader.findings.corrupt == [str(tmp_path / "images/1.jpg")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["images/1.jpg"],
            r"would be .*labels/1\.txt; put the labels there; a set of background images alone needs an",
        ),
        (["images/1.jpg", "images/1.txt"], r"there is .*images/1\.txt: move the label files to .*labels"),
        (["images/1.jpg", "labels/one.txt"], r"there is .*labels/one\.txt: give labels and images the same names"),
        (["1.jpg", "classes.txt"], r"would be .*1\.txt; put the labels there"),
        (["images/1.jpg", "labels/classes.txt"], None),
    ],
    ids=["no labels", "labels among the images", "other names", "beside", "background images on purpose"],
)
def test_images_without_any_label_file(tmp_path, files, message):
    for name in files:
        write_image(tmp_path / name) if name.endswith(".jpg") else None
        if name.endswith(".txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(LINES[0])
    if message is None:
        assert [len(frame) for frame in read(YOLOText("."), tmp_path)] == [0]
        return
    with pytest.raises(InputError, match=f"none of its 1 images has a label file; .*{message}"):
        read(YOLOText("."), tmp_path)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("train: [1", "no YAML .*expected the keys path, train, val and names"),
        ("just text", "found 'just text', expected the keys"),
        ("val: images\nnames: [a]", "'train' is None, expected a folder of images.*splits found: val.*set `split`"),
        ("train:\nnames: [a]", "'train' is None.*splits found: none"),
        ("train: [1, 2]\nnames: [a]", r"'train' is \[1, 2\]"),
        ("train: pictures\nnames: [a]", "train is 'pictures', but there is no .*pictures; correct train or path"),
        ("train: ../pictures\nnames: [a]", r"no .*/\.\./pictures nor .*/pictures"),
        ("path: /gone\ntrain: images", "path is '/gone', but there is no folder /gone; correct it, or remove the line"),
        ("path: gone\ntrain: images", "there is no folder .*gone nor .*gone; correct it"),
        ("train: images\nnames: person", "names is person, expected a list of class names"),
        ("train: images\nnames: [yes, no]", "names is .*expected.* in quotes"),
        ("train: images\nnames: {a: 0}", "names is"),
        ("train: images\nnames: [a, b]\nnc: 3", "nc is 3, but names has 2 classes"),
        ("train: images\nkpt_shape: 17", "kpt_shape is 17, expected .number of key points, 2 or 3."),
        ("train: empty\nnames: [a]", r"empty: no images in this folder or below, expected files that end in \.bmp"),
        ("train: list.txt\nnames: [a]", r"list\.txt: none of the 1 listed images exists, first x\.jpg, looked for"),
    ],
)
def test_bad_data_yaml(tmp_path, yaml, message):
    write(tmp_path, "d/images/1.jpg")
    (tmp_path / "d" / "empty").mkdir()
    (tmp_path / "d" / "list.txt").write_text("x.jpg")
    write_yaml(tmp_path / "d", yaml)
    with pytest.raises(InputError, match=message) as error:
        read(YOLOText("d/data.yaml"), tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "gone.yaml"}, r"gone\.yaml: no such file or folder, expected a data\.yaml, a folder of images or a"),
        ({"path": "images", "classes": ["person"]}, "chosen by name, but the classes have no names; set `names`"),
        ({"path": "images", "names": ["a", "b"], "classes": ["c"]}, "images: names: no class 'c', found a, b"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    write(tmp_path, "images/1.jpg")
    with pytest.raises(InputError, match=message):
        read(YOLOText(**arguments), tmp_path)


def test_undeclarable_sixth_column():
    with pytest.raises(InputError, match="sixth_column of YOLO is 'id', expected none, identity or confidence"):
        YOLOText(sixth_column="id")


def test_what_the_result_depends_on(tmp_path):
    write(tmp_path, "images/train/1.jpg")
    write(tmp_path, "images/train/2.jpg", None)
    write_yaml(tmp_path)
    changes = ("data.yaml", "images/train/3.jpg", "labels/train/1.txt", "labels/train/2.txt", "images/train/x/1.jpg")
    for change in changes:
        reader = YOLOText()
        read(reader, tmp_path)
        assert reader.findings.unchanged()
        (tmp_path / change).parent.mkdir(exist_ok=True)
        with (tmp_path / change).open("a") as file:
            file.write("\n")
        assert not reader.findings.unchanged(), change


def test_depends_on_the_folder_that_would_win(tmp_path):
    write(tmp_path, "d/images/1.jpg")
    write_yaml(tmp_path / "elsewhere", "path: d\ntrain: images\nnames: [a, b]")
    reader = YOLOText("elsewhere/data.yaml")
    read(reader, tmp_path)
    assert reader.findings.unchanged()
    (tmp_path / "elsewhere" / "d").mkdir()
    assert not reader.findings.unchanged()


def test_reads_hundreds_of_boxes(tmp_path):
    write(tmp_path, "images/1.jpg", [f"0 0.5 0.5 0.1 {0.001 * (i + 1):.4f}" for i in range(700)])
    (frame,) = read(YOLOText("images"), tmp_path)
    assert len(frame) == 700
