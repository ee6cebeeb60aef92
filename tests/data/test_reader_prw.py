import numpy as np
import pytest
from dataset_files import write_image
from matlab_files import cell, write_mat

from jde_lightning.data.identities import assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import PRW
from jde_lightning.data.summary import describe
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

ROWS = [(17, 120.5, 300.25, 60, 180.75), (-2, 900, 280.5, 45.5, 140)]
FRAMES = {
    "c1s1_000151": ROWS,
    "c6s1_000476": [(932, -1.5, -3.25, 10, 20)],  # negative coordinates occur
    "c1s2_024091": [(297, 1, 2, 10, 20), (297, 50, 2, 10, 20), (302, 90, 2, 10, 20)],  # a person twice
}
TEST = {"c3s1_000001": ROWS}


def write(root, train=FRAMES, test=TEST, variable="box_new", images="frames", below=""):
    for split, frames in (("train", train), ("test", test)):
        names = cell([cell([name]) for name in frames], (len(frames), 1))  # each name in a cell of its own
        write_mat(root / below / f"frame_{split}.mat", **{f"img_index_{split}": names})
        for name, rows in frames.items():
            boxes = np.array(rows, dtype=np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 0))
            write_mat(root / below / "annotations" / f"{name}.jpg.mat", **{variable: boxes})
            size = (72, 58) if name.startswith("c6") else (192, 108)
            write_image(root / below / images / f"{name}.jpg", *size)


def read(root, **options):
    return list(PRW(**options).read(root))


@pytest.mark.parametrize("variable", ["box_new", "anno_file", "anno_previous"])
def test_boxes_and_identities_under_all_three_names(tmp_path, variable):
    write(tmp_path, variable=variable)
    first, second, third = read(tmp_path)
    assert first.boxes.tolist() == [[120.5, 300.25, 180.5, 481], [900, 280.5, 945.5, 420.5]]
    assert first.identities.tolist() == [17, NO_IDENTITY]
    assert first.roles.tolist() == [Role.POSITIVE, Role.POSITIVE]
    assert second.boxes.tolist() == [[-1.5, -3.25, 8.5, 16.75]]
    assert third.identities.tolist() == [297, 297, 302]
    assert [(frame.width, frame.height) for frame in (first, second)] == [(192, 108), (72, 58)]
    assert (first.sequence, first.frame, first.dataset) == (None, 151, "PRW")


def test_identities_hold_over_all_cameras(tmp_path):
    write(tmp_path, {"c1s1_000001": [(17, 1, 2, 3, 4)], "c2s1_000001": [(17, 1, 2, 3, 4), (-2, 5, 5, 5, 5)]})
    index = FrameIndex.from_readers([PRW(supervision="full")], tmp_path)
    identities, table = assign_training_identities(index)
    assert identities.tolist() == [0, 0, NO_IDENTITY]
    assert table.keys == (("PRW", "global", 17),)


def test_splits_are_those_of_the_lists(tmp_path):
    write(tmp_path)
    assert [frame.image_path.stem for frame in read(tmp_path)] == list(FRAMES)
    assert [frame.image_path.stem for frame in read(tmp_path, split="test")] == list(TEST)
    assert [frame.image_path.stem for frame in read(tmp_path, split="all")] == [*FRAMES, *TEST]


def test_what_is_odd_is_counted(tmp_path):
    write(tmp_path, {**FRAMES, "c1s1_000201": [(3, 1, 1, 0, 5), (4, 1, 1, 5, 5)]})
    reader = PRW()
    frames = list(reader.read(tmp_path))
    assert frames[-1].identities.tolist() == [4]
    assert reader.findings.dropped == {"no width or height": 1}
    assert reader.findings.notes == {"frames that show a person twice": 1}


def test_unknown_people_are_not_one_person_twice(tmp_path):
    write(tmp_path, {"c1s1_000001": [(-2, 1, 2, 3, 4), (-2, 5, 5, 5, 5)]})
    reader = PRW()
    list(reader.read(tmp_path))
    assert reader.findings.notes == {}


@pytest.mark.parametrize("below", ["", "PRW-v16.04.20", "PRW", "prw"])
@pytest.mark.parametrize("images", ["frames", "Frames", "images"])
def test_finds_the_usual_layouts(tmp_path, below, images):
    write(tmp_path, below=below, images=images)
    if below:
        write_image(tmp_path / "images" / "1.jpg")  # of another dataset
    assert len(read(tmp_path)) == 3
    assert len(read(tmp_path, images=f"{below}/{images}" if below else images)) == 3


def test_missing_and_damaged_images_cost_themselves(tmp_path):
    write(tmp_path)
    (tmp_path / "frames" / "c1s1_000151.jpg").unlink()
    damaged = tmp_path / "frames" / "c6s1_000476.jpg"
    damaged.write_bytes(b"")
    reader = PRW()
    assert [frame.image_path.stem for frame in reader.read(tmp_path)] == ["c1s2_024091"]
    assert reader.findings.missing == ["c1s1_000151.jpg"]
    assert reader.findings.corrupt == [str(damaged)]


def test_missing_downloads_are_explained(tmp_path):
    with pytest.raises(InputError, match=r"no folder `annotations`; download PRW-v16\.04\.20\.zip"):
        read(tmp_path)
    write(tmp_path)
    (tmp_path / "frame_test.mat").unlink()
    with pytest.raises(InputError, match=r"frame_test\.mat: no such file; download PRW"):
        read(tmp_path, split="test")
    (tmp_path / "annotations" / "c6s1_000476.jpg.mat").unlink()
    with pytest.raises(InputError, match=r"c6s1_000476\.jpg\.mat: no such file, expected a MATLAB file with .*box_new"):
        read(tmp_path)
    for file in (tmp_path / "frames").iterdir():
        file.unlink()
    with pytest.raises(
        InputError, match=r"none of 3 images found, first c1s1_000151\.jpg, in frames, images; download"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1.5, 1, 2, 3, 4)], "found id 1.5, expected whole numbers in the first column"),
        ([(1, 2, 3, 4)], "found a 1x4 matrix, expected rows of 5 numbers"),
        ([(1, 2, 3, 4, np.nan)], "found a number that is NaN"),
    ],
)
def test_broken_annotations_are_named(tmp_path, rows, message):
    write(tmp_path, {"c1s1_000001": rows})
    with pytest.raises(InputError, match=rf"c1s1_000001\.jpg\.mat: {message}"):
        read(tmp_path)


def test_other_variables_are_named(tmp_path):
    write(tmp_path, variable="boxes")
    with pytest.raises(InputError, match=r"no variable box_new or anno_file or anno_previous, found boxes"):
        read(tmp_path)


def test_frames_without_boxes_and_lists_without_frames(tmp_path):
    write(tmp_path, {"c1s1_000001": []}, test={})
    assert [len(frame) for frame in read(tmp_path)] == [0]
    assert read(tmp_path, split="test") == []


def test_a_changed_annotation_expires_the_index_on_disk(tmp_path):
    write(tmp_path)
    reader = PRW()
    list(reader.read(tmp_path))
    assert reader.findings.unchanged()
    write_mat(tmp_path / "annotations" / "c1s1_000151.jpg.mat", box_new=np.ones((3, 5)))
    assert not reader.findings.unchanged()


def test_real_rows(real_data, tmp_path):
    rows = np.loadtxt(real_data / "prw" / "quoted_c1s2_024091_rows.txt")
    write(tmp_path, {"c1s2_024091": rows.tolist()})
    reader = PRW()
    (frame,) = reader.read(tmp_path)
    assert frame.identities.tolist() == [-1, -1, -1, 297, 297, 302]
    np.testing.assert_allclose(frame.boxes[3], [654.389, 624.883, 770.988, 984.201], atol=1e-3)
    np.testing.assert_allclose(frame.boxes[5], [948.536, 459.604, 1063.788, 826.698], atol=1e-3)
    assert reader.findings.notes == {"frames that show a person twice": 1}
    index = FrameIndex.from_readers([PRW()], tmp_path)
    assert "1 images, 0 sequences, 6 boxes, 2 annotated identities, 0 ignored" in describe(index)
