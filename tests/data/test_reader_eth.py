"""ETH in both forms, with the quirks of the official lists."""

import numpy as np
import pytest
from dataset_files import write_image
from placeholders import link_images

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import ETH
from jde_lightning.data.readers.eth_files import read_list
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

OFFICIAL = (
    '"left/image_00000007_0.png": (10, 20, 40, 110), (300, 150, 270, 90);\n'
    '"left/image_00000008_0.png";\n'
    '"left/image_00000010_0.png": (12, 21, 41, 112).\n'
)


def read(root, **options):
    return list(ETH(**options).read(root))


def read_with_findings(root, **options):
    reader = ETH(**options)
    return list(reader.read(root)), reader.findings


def write_list(
    folder, text=OFFICIAL, name="bahnhof-annot.idl", images="seq03-img-left", numbers=(7, 8, 10), camera="_0"
):
    for number in numbers:
        write_image(folder / images / f"image_{number:08d}{camera}.png", 640, 480)
    (folder / name).write_text(text)
    return folder


def write_labels(folder, labels, kind="labels_with_ids"):
    """One sequence of JDE's form: label lines by frame number."""
    for number, lines in labels.items():
        write_image(folder / "images" / f"image_{number:08d}_0.png", 640, 480)
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / f"image_{number:08d}_0.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def test_official_list(tmp_path):
    frames, findings = read_with_findings(write_list(tmp_path / "ETH"))
    assert [(f.dataset, f.sequence, f.frame) for f in frames] == [("ETH", "bahnhof", n) for n in (7, 8, 10)]
    assert frames[0].boxes.tolist() == [[10, 20, 40, 110], [270, 90, 300, 150]]
    assert [len(frame) for frame in frames] == [2, 0, 1]
    assert (frames[0].width, frames[0].height, frames[0].frame_rate) == (640, 480, 14)
    assert frames[0].roles.tolist() == [Role.POSITIVE] * 2
    assert frames[0].identities.tolist() == [NO_IDENTITY] * 2
    assert frames[0].image_path.name == "image_00000007_0.png"
    assert findings.notes == {"boxes with swapped corners put right": 1}


@pytest.mark.parametrize(
    ("line", "boxes"),
    [
        ('"a_1.png": (1, 2, 3, 4):0.75, (5, 6, 7, 8):-1;', [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ('"a_1.png": (1, 2, 3, 4):-1.', [[1, 2, 3, 4]]),
        ('"a_1.png":(1.5,2,3,4.25)', [[1.5, 2, 3, 4.25]]),
        ('"a_1.png": (-1, 2, 3, 1e2).', [[-1, 2, 3, 100]]),
        ('"a_1.png":;', []),
        ('"a_1.png".', []),
        ('\ufeff"a_1.png";\r\n\r', []),
    ],
)
def test_line_forms(tmp_path, line, boxes):
    (tmp_path / "a.idl").write_text(line)
    assert read_list(tmp_path / "a.idl")["a_1.png"].tolist() == boxes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"a.png": (1, 2, 3);', 'a.idl:2: found \'"a.png": \\(1, 2, 3\\);\', expected "left/image_'),
        ('"a.png": (1, 2, 3, x);', "a.idl:2"),
        ('"a.png" (1, 2, 3, 4);', "a.idl:2"),
        ("a.png: (1, 2, 3, 4);", "a.idl:2"),
        ('"b_0.png": (1, 2, 3, 4);', "a.idl:2: image b_0.png is also in line 1; remove one"),
    ],
)
def test_broken_lines_are_named(tmp_path, line, message):
    (tmp_path / "a.idl").write_text(f'"b_0.png": (1, 2, 3, 4);\n{line}\n')
    with pytest.raises(InputError, match=message):
        read_list(tmp_path / "a.idl")


def test_a_list_that_is_no_text(tmp_path):
    (tmp_path / "a.idl").write_bytes(b"\xff\x00\x80")
    with pytest.raises(InputError, match=r"a\.idl: not a text file"):
        read_list(tmp_path / "a.idl")


@pytest.mark.parametrize("images", ["left", "seq03-img-left", "whatever", "a/b", "."])
def test_images_are_found_by_name_whatever_their_folder(tmp_path, images):
    write_list(tmp_path / "ETH" / "BAHNHOF", images=images)
    (tmp_path / "ETH" / "__MACOSX").mkdir()
    (tmp_path / "ETH" / "BAHNHOF" / "._bahnhof-annot.idl").write_bytes(b"\0\x05")
    assert [(frame.sequence, frame.frame) for frame in read(tmp_path)] == [("bahnhof", n) for n in (7, 8, 10)]


def test_the_list_may_stand_beside_the_folder_that_holds_the_images(tmp_path):
    write_list(tmp_path / "data" / "one", images="../images/left")
    assert len(read(tmp_path / "data")) == 3


def test_only_the_left_camera(tmp_path):
    """The right images have the same numbers; here even the same names, which the folder then tells apart."""
    folder = write_list(tmp_path / "bahnhof", images="left")
    for number in (7, 8, 10):
        write_image(folder / "right" / f"image_{number:08d}_1.png", 640, 480)
    assert {frame.image_path.parent.name for frame in read(tmp_path)} == {"left"}
    for number in (7, 8, 10):
        write_image(folder / "right" / f"image_{number:08d}_0.png", 640, 480)
    assert {frame.image_path.parent.name for frame in read(tmp_path)} == {"left"}


def test_lists_of_several_sequences_in_one_folder_find_their_own_images(tmp_path):
    """Frame numbers begin at 0 in every sequence, so that file names alone do not tell."""
    write_list(tmp_path, name="bahnhof-annot.idl", images="seq03-img-left", numbers=range(12))
    write_list(tmp_path, name="jelmoli-annot.idl", images="seq04-img-left", numbers=range(11))
    write_list(tmp_path, name="lp-annot.idl", images="lp-left", numbers=range(13))
    folders = {frame.sequence: frame.image_path.parent.name for frame in read(tmp_path)}
    assert folders == {"bahnhof": "seq03-img-left", "jelmoli": "seq04-img-left", "loewenplatz": "lp-left"}


def test_images_of_another_sequence_are_not_taken(tmp_path):
    write_list(tmp_path, name="jelmoli-annot.idl", images="seq03-img-left")
    with pytest.raises(
        InputError, match="none of the 3 annotated images is there, first jelmoli/image_00000007_0; unp"
    ):
        read(tmp_path)


def test_lists_of_sequences_that_were_not_downloaded_count_as_missing(tmp_path):
    """The lists are small and all there; of the images, only what was chosen."""
    write_list(tmp_path)
    for name in ("jelmoli-annot.idl", "linthescher-annot.idl"):
        (tmp_path / name).write_text('"left/image_00000001_0.png": (1, 2, 3, 4).')
    frames, findings = read_with_findings(tmp_path)
    assert {frame.sequence for frame in frames} == {"bahnhof"}
    assert findings.missing == ["jelmoli/image_00000001_0"]
    assert any(note.startswith("sequence linthescher left out") for note in findings.notes)
    assert read_with_findings(tmp_path, sequences=["bahnhof"])[1].missing == []


def test_unclear_images_are_refused(tmp_path):
    write_list(tmp_path, name="x.idl", images="a")
    write_list(tmp_path, name="x.idl", images="b")
    with pytest.raises(InputError, match=r"x\.idl: its images may be those of .*/a or of .*/b, expected one folder"):
        read(tmp_path)


def test_one_of_two_lists_of_the_same_images(tmp_path):
    write_list(tmp_path / "sunnyday", name="annotations.idl", images="left")
    other = OFFICIAL.replace("(12, 21, 41, 112)", "(1, 2, 3, 4)")
    write_list(tmp_path / "sunnyday", other, name="refined.idl", images="left")
    frames, findings = read_with_findings(tmp_path)
    assert frames[2].boxes.tolist() == [[12, 21, 41, 112]]
    assert findings.notes["annotation lists left out, another one has the same images"] == 1
    assert read(tmp_path, refined=True)[2].boxes.tolist() == [[1, 2, 3, 4]]


def test_missing_damaged_and_unannotated_images_are_counted(tmp_path):
    folder = write_list(tmp_path / "ETH", numbers=(7, 8, 99))
    (folder / "seq03-img-left" / "image_00000008_0.png").write_bytes(b"")
    frames, findings = read_with_findings(tmp_path)
    assert [frame.frame for frame in frames] == [7]
    assert findings.missing == ["bahnhof/image_00000010_0"]
    assert findings.corrupt == [str(folder / "seq03-img-left" / "image_00000008_0.png")]
    assert findings.notes["images without annotation left out"] == 1


def test_a_first_image_that_is_none_costs_itself_only(tmp_path):
    folder = write_list(tmp_path / "ETH")
    (folder / "seq03-img-left" / "image_00000007_0.png").write_bytes(b"no image")
    frames, findings = read_with_findings(tmp_path)
    assert [(frame.frame, frame.width) for frame in frames] == [(8, 640), (10, 640)]
    assert (len(findings.corrupt), findings.missing) == (1, [])


@pytest.mark.parametrize(
    ("name", "folder", "benchmark"),
    [
        ("linthescher-annot.idl", "x", "MOT16/17-06"),
        ("annotations.idl", "seq02", "MOT16/17-06"),
        ("annot.idl", "ETH-Pedcross2", "MOT16/17-05"),
    ],
)
def test_what_mot17_contains_is_left_out_unless_wanted(tmp_path, name, folder, benchmark):
    write_list(tmp_path / "ETH" / folder, name=name, images="left")
    write_list(tmp_path / "ETH" / "other")
    frames, findings = read_with_findings(tmp_path)
    assert {frame.sequence for frame in frames} == {"bahnhof"}
    assert f"left out, it is {benchmark} (`mot_overlap: true` reads it)" in findings.summary()
    assert len({frame.sequence for frame in read(tmp_path, mot_overlap=True)}) == 2
    alone, findings = read_with_findings(tmp_path / "ETH" / folder)
    assert alone == []
    assert benchmark in findings.summary()


@pytest.mark.parametrize(("length", "benchmark"), [(837, "MOT16/17-05"), (1194, "MOT16/17-06")])
def test_what_mot17_contains_is_known_by_its_length_too(tmp_path, length, benchmark):
    link_images(tmp_path / "walk" / "left", (f"image_{n:08d}_0.png" for n in range(length)))
    (tmp_path / "walk" / "walk.idl").write_text('"image_00000001_0.png": (1, 2, 3, 4).')
    frames, findings = read_with_findings(tmp_path)
    assert frames == []
    assert f"sequence walk left out, it is {benchmark}" in findings.summary()


def test_jde_form(tmp_path):
    """Worked by hand: centre (0.5, 0.25) and size (0.1, 0.2) of 640 x 480."""
    labels = {1: ["0 -1 0.5 0.25 0.1 0.2", "0 -1 1.01 0.5 0.1 0.2"], 2: []}
    write_labels(tmp_path / "ETHZ" / "eth01", labels)
    write_labels(tmp_path / "ETHZ" / "eth02", {0: ["0 -1 0.5 0.5 1 1"]})
    frames = read(tmp_path)
    assert [(frame.sequence, frame.frame) for frame in frames] == [("eth01", 1), ("eth01", 2), ("eth02", 0)]
    np.testing.assert_allclose(frames[0].boxes, [[288, 72, 352, 168], [614.4, 192, 678.4, 288]], rtol=1e-6)
    assert frames[0].identities.tolist() == [NO_IDENTITY] * 2
    assert frames[2].boxes.tolist() == [[0, 0, 640, 480]]


def test_form_of_the_papers_code(tmp_path):
    write_labels(tmp_path / "eth01", {1: ["0 0.5 0.25 0.1 0.2"]}, kind="labels")
    (frame,) = read(tmp_path)
    np.testing.assert_allclose(frame.boxes, [[288, 72, 352, 168]], rtol=1e-6)


def test_labels_with_ids_go_before_labels(tmp_path):
    write_labels(tmp_path / "eth01", {1: ["0 0.5 0.25 0.1 0.2"]}, kind="labels")
    write_labels(tmp_path / "eth01", {1: ["0 -1 0.5 0.5 1 1"]})
    assert read(tmp_path)[0].boxes.tolist() == [[0, 0, 640, 480]]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("labels_with_ids", "0 0.5 0.25 0.1 0.2"),
        ("labels", "0 0.5 0.25 0.1 0.2 0.9"),  # a score or an id: nobody said
        ("labels", "0 0.5 0.25 0.1"),
        ("labels", "0 0.5 0.25 0.1 many"),
        ("labels", "0 0.5 0.25 nan 0.2"),
        ("labels", "0 0.5 0.25 -0.1 0.2"),
    ],
)
def test_label_columns_are_checked(tmp_path, kind, line):
    write_labels(tmp_path / "eth01", {1: [line]}, kind=kind)
    with pytest.raises(InputError, match=rf"image_00000001_0\.txt:1: found '{line}', expected the [56] numbers class"):
        read(tmp_path)


def test_jde_images_without_label_file_and_the_reverse(tmp_path):
    folder = write_labels(tmp_path / "eth01", {1: ["0 -1 0.5 0.25 0.1 0.2"], 2: [], 3: []})
    (folder / "labels_with_ids" / "image_00000002_0.txt").unlink()
    (folder / "images" / "image_00000003_0.png").unlink()
    frames, findings = read_with_findings(tmp_path)
    assert [frame.frame for frame in frames] == [1]
    assert findings.notes["images without annotation left out"] == 1
    assert len(findings.missing) == 1


def test_sequences_by_name(tmp_path):
    for name in ("eth01", "eth02", "eth05"):
        write_labels(tmp_path / name, {1: []})
    assert {frame.sequence for frame in read(tmp_path, sequences=["eth05", "eth01"])} == {"eth01", "eth05"}
    with pytest.raises(InputError, match="no sequence 'eth04', found eth01, eth02, eth05"):
        read(tmp_path, sequences=["eth04"])


def test_a_sequence_in_both_forms_is_refused(tmp_path):
    write_list(write_labels(tmp_path / "bahnhof", {1: []}), images="left")
    with pytest.raises(InputError, match="sequence bahnhof is also annotated by"):
        read(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(
        InputError, match=r"no ETH sequence, expected an \.idl file beside a folder of images, or eth01/"
    ):
        read(tmp_path)
    with pytest.raises(InputError, match="nowhere: no ETH sequence"):
        read(tmp_path, path="nowhere")


def test_boxes_without_area_are_not_learned(tmp_path):
    write_list(tmp_path, '"image_00000007_0.png": (5, 5, 5, 9), (1, 1, 2, 2).')
    assert read(tmp_path)[0].roles.tolist() == [Role.IGNORE, Role.POSITIVE]


def test_image_names_without_number(tmp_path):
    write_image(tmp_path / "left" / "cover.png")
    (tmp_path / "a.idl").write_text('"cover.png": (1, 1, 2, 2).')
    with pytest.raises(InputError, match=r"cover\.png: no frame number at the end"):
        read(tmp_path)


def test_findings_expire_with_the_files(tmp_path):
    folder = write_labels(tmp_path / "eth01", {1: [], 2: []})
    reader = ETH()

    def changed_after(change):
        list(reader.read(tmp_path))
        assert reader.findings.unchanged()
        change()
        return not reader.findings.unchanged()

    assert changed_after(lambda: (folder / "labels_with_ids" / "image_00000001_0.txt").write_text("0 -1 .5 .5 1 1"))
    assert changed_after(lambda: (folder / "images" / "image_00000001_0.png").unlink())
    assert changed_after(lambda: write_list(tmp_path / "bahnhof"))
    assert changed_after(lambda: (tmp_path / "bahnhof" / "bahnhof-annot.idl").write_text(OFFICIAL[:-2] + ";"))


def test_real_bahnhof(real_data, tmp_path):
    folder = tmp_path / "ETH" / "seq03-img-left"
    link_images(folder, (f"image_{number:08d}_0.png" for number in range(1000)), 640, 480)
    (tmp_path / "ETH" / "bahnhof-annot.idl").symlink_to(real_data / "eth" / "bahnhof-annot.idl")
    reader = ETH()
    index = FrameIndex.from_readers([reader], tmp_path)
    assert len(index) == 999
    assert len(index.boxes) == np.count_nonzero(index.learnable) == 7698
    assert reader.findings.notes["boxes with swapped corners put right"] == 938
    assert reader.findings.notes["images without annotation left out"] == 1  # image 0
    assert (index.frame_numbers[0], index.frame_numbers[-1]) == (1, 999)
    assert index.boxes.min() >= 0
    assert (index.boxes[:, :2] < index.boxes[:, 2:]).all()
    assert set(index.identities.tolist()) == {NO_IDENTITY}
    heights = index.boxes[:, 3] - index.boxes[:, 1]
    assert np.count_nonzero(heights < 32) == 38


def test_real_line_with_scores(real_data):
    (boxes,) = read_list(real_data / "eth" / "quoted_scored_line.idl").values()
    assert boxes.shape == (8, 4)
    assert boxes[6].tolist() == [267, 246, 279, 216]
