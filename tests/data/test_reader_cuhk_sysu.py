"""The annotation files are made here, nested as the person search projects (SeqNet, psdb) index what scipy reads.

``Img`` is a struct array (name, count, boxes), its boxes a 1 x n struct array; ``Train`` an n x 1 cell of 1x1 structs
(name of the person, count, scenes); ``TestG50`` a struct array with a query struct and a 1 x 50 gallery per person;
``pool`` an n x 1 cell of names.
"""

import numpy as np
import pytest
from dataset_files import write_image
from matlab_files import cell, number, row, structs, write_mat
from scipy.io import loadmat

from jde_lightning.data.identities import assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import CUHKSYSU
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

BOXES = {
    "s1.jpg": [(10, 20, 30, 40), (50, 20, 15, 30), (1, 1, 0, 30)],
    "s2.jpg": [(11, 20, 30, 40), (10, 20, 30, 40)],
    "s10.jpg": [(300, 5, 20, 60)],
    "s11.jpg": [(5, 6, 20, 41), (100, 6, 20, 41)],
}
POOL = ["s11.jpg", "s10.jpg"]
# The same coordinates occur in two images, and a person twice in one image.
TRAIN = {"p17": [("s1.jpg", (10, 20, 30, 40)), ("s2.jpg", (11, 20, 30, 40))], "p4": [("s2.jpg", (10, 20, 30, 40))]}
TEST = {"p100": (("s10.jpg", (300, 5, 20, 60)), [("s11.jpg", (5, 6, 20, 41)), ("s2.jpg", None)])}


def scene(image, box, **more):
    located = np.zeros((0, 0)) if box is None else row(*box, dtype="uint16" if max(box) > 255 else "uint8")
    return {"imname": image, "idlocate": located, "ishard": number(0, "uint8"), **more}


def scenes(appearances, fields=("imname", "idlocate", "ishard")):
    return structs([scene(image, box) for image, box in appearances], fields)


def write(root, boxes=BOXES, pool=POOL, train=TRAIN, test=TEST, size="G50"):
    images = [
        {
            "imname": name,
            "nAppear": number(len(rows)),
            "box": structs([scene(name, box) for box in rows], ["idlocate", "ishard"]),
        }
        for name, rows in boxes.items()
    ]
    write_mat(root / "annotation/Images.mat", Img=structs(images, ["imname", "nAppear", "box"]))
    write_mat(root / "annotation/pool.mat", pool=cell(pool, (len(pool), 1)))
    people = [
        structs(
            [{"idname": name, "nAppear": number(len(found)), "scene": scenes(found)}], ["idname", "nAppear", "scene"]
        )
        for name, found in train.items()
    ]
    write_mat(root / "annotation/test/train_test/Train.mat", Train=cell(people, (len(people), 1)))
    queries = [
        {
            "Query": structs([scene(*query, idname=name)], ["imname", "idlocate", "ishard", "idname"]),
            "Gallery": scenes(gallery),
        }
        for name, (query, gallery) in test.items()
    ]
    variable = {f"Test{size}": structs(queries, ["Query", "Gallery"], (len(queries), 1))}
    write_mat(root / f"annotation/test/train_test/Test{size}.mat", **variable)


def place(root, names=BOXES, folder="Image/SSM"):
    for number_of_image, name in enumerate(names):
        write_image(root / folder / name, 64 + number_of_image, 48)


def read(root, **options):
    return {frame.image_path.name: frame for frame in CUHKSYSU(**options).read(root)}


def test_fixture_is_nested_as_the_person_search_projects_expect(tmp_path):
    write(tmp_path)
    folder = tmp_path / "annotation"
    names = [
        (str(name[0]), [box[0][0].tolist() for box in boxes[0]]) for name, _, boxes in loaded(folder / "Images.mat")
    ]
    assert names[1] == ("s2.jpg", [[11, 20, 30, 40], [10, 20, 30, 40]])
    assert [str(name[0]) for name in loaded(folder / "pool.mat")] == POOL
    person = loaded(folder / "test/train_test/Train.mat")[0]
    assert str(person[0, 0][0][0]) == "p17"
    assert [(str(image[0]), box.squeeze().tolist()) for image, box, _ in person[0, 0][2].squeeze()] == [
        ("s1.jpg", [10, 20, 30, 40]),
        ("s2.jpg", [11, 20, 30, 40]),
    ]
    item = np.atleast_1d(loaded(folder / "test/train_test/TestG50.mat"))[0]
    assert str(item["Query"][0, 0][0][0]) == "s10.jpg"
    assert item["Query"]["idname"][0, 0][0] == "p100"
    assert [box.size for _, box, _ in item["Gallery"].squeeze()] == [4, 0]


def loaded(file):
    return next(value for name, value in loadmat(file).items() if not name.startswith("__")).squeeze()


def test_training_images_are_all_but_the_pool_with_identities_by_exact_box(tmp_path):
    write(tmp_path)
    place(tmp_path)
    frames = read(tmp_path)
    assert list(frames) == ["s1.jpg", "s2.jpg"]
    first, second = frames.values()
    assert first.boxes.tolist() == [[10, 20, 40, 60], [50, 20, 65, 50]]
    assert first.identities.tolist() == [17, NO_IDENTITY]
    assert second.identities.tolist() == [17, 4]
    assert first.roles.tolist() == [Role.POSITIVE, Role.POSITIVE]
    assert first.visibility.tolist() == [1, 1]
    assert (first.width, second.width, first.height) == (64, 65, 48)
    assert (first.sequence, first.dataset) == (None, "CUHK-SYSU")


def test_test_images_are_the_pool_with_identities_of_queries_and_galleries(tmp_path):
    write(tmp_path)
    place(tmp_path)
    frames = read(tmp_path, split="test")
    assert list(frames) == ["s10.jpg", "s11.jpg"]
    assert frames["s10.jpg"].boxes.tolist() == [[300, 5, 320, 65]]  # beyond what uint8 holds
    assert frames["s10.jpg"].identities.tolist() == [100]
    assert frames["s11.jpg"].identities.tolist() == [100, NO_IDENTITY]


def test_all_images(tmp_path):
    write(tmp_path)
    place(tmp_path)
    frames = read(tmp_path, split="all")
    assert {name: frame.identities.tolist() for name, frame in frames.items()} == {
        "s1.jpg": [17, NO_IDENTITY],
        "s2.jpg": [17, 4],
        "s10.jpg": [100],
        "s11.jpg": [100, NO_IDENTITY],
    }


def test_identities_hold_over_the_whole_dataset(tmp_path):
    write(tmp_path)
    place(tmp_path)
    index = FrameIndex.from_readers([CUHKSYSU(supervision="full")], tmp_path)
    identities, table = assign_training_identities(index)
    assert table.keys == (("CUHK-SYSU", "global", 4), ("CUHK-SYSU", "global", 17))
    assert identities.tolist() == [1, NO_IDENTITY, 1, 0]


def test_boxes_without_area_are_dropped_where_they_are_read(tmp_path):
    write(tmp_path)
    place(tmp_path)
    for split, dropped in (("train", {"no width or height": 1}), ("test", {})):
        reader = CUHKSYSU(split)
        list(reader.read(tmp_path))
        assert reader.findings.dropped == dropped
        assert reader.findings.notes == {}


def test_a_person_twice_in_an_image_is_noted_and_kept(tmp_path):
    twice = {"p17": [("s2.jpg", (11, 20, 30, 40)), ("s2.jpg", (10, 20, 30, 40))]}
    write(tmp_path, train=twice)
    place(tmp_path)
    reader = CUHKSYSU()
    frames = list(reader.read(tmp_path))
    assert frames[1].identities.tolist() == [17, 17]
    assert reader.findings.notes == {"images that show a person twice": 1}


def test_contradictions_are_noted(tmp_path):
    box = (10, 20, 30, 40)
    people = {"p1": [("s1.jpg", box), ("s1.jpg", (10, 20, 30, 41)), ("s99.jpg", box)], "p2": [("s1.jpg", box)]}
    write(tmp_path, train=people)
    place(tmp_path)
    reader = CUHKSYSU()
    frames = list(reader.read(tmp_path))
    assert frames[0].identities.tolist() == [1, NO_IDENTITY]
    assert reader.findings.notes == {
        "boxes labelled as two people, the first one taken": 1,
        "labelled people whose box is not in Images.mat": 2,
    }


@pytest.mark.parametrize("root", ["", "dataset", "CUHK-SYSU", "cuhksysu"])
@pytest.mark.parametrize("folder", ["Image/SSM", "image/ssm", "images"])
def test_finds_the_usual_layouts(tmp_path, root, folder):
    write(tmp_path / root)
    place(tmp_path / root, folder=folder)
    if root:
        place(tmp_path, ["1.jpg"], "images")  # of another dataset
    assert len(read(tmp_path)) == 2
    assert len(read(tmp_path, images=f"{root}/{folder}" if root else folder)) == 2


def test_any_gallery_size_will_do(tmp_path):
    write(tmp_path, size="G4000")
    place(tmp_path)
    assert read(tmp_path, split="test")["s11.jpg"].identities.tolist() == [100, NO_IDENTITY]


def test_missing_and_damaged_images_cost_themselves(tmp_path):
    write(tmp_path)
    place(tmp_path, ["s10.jpg"])
    damaged = tmp_path / "Image" / "SSM" / "s2.jpg"
    damaged.write_bytes(b"no image")
    reader = CUHKSYSU("all")
    assert [frame.image_path.name for frame in reader.read(tmp_path)] == ["s10.jpg"]
    assert reader.findings.missing == ["s1.jpg", "s11.jpg"]
    assert reader.findings.corrupt == [str(damaged)]


def test_missing_downloads_are_explained(tmp_path):
    with pytest.raises(InputError, match="no folder `annotation`; ask the authors for CUHK-SYSU by e-mail"):
        read(tmp_path)
    write(tmp_path)
    with pytest.raises(
        InputError, match=r"none of 2 images found, first s1\.jpg, in Image/SSM, images; ask the authors"
    ):
        read(tmp_path)
    for name, split in (("test/train_test/TestG50", "test"), ("pool", "train"), ("test/train_test/Train", "all")):
        (tmp_path / "annotation" / f"{name}.mat").unlink()
        with pytest.raises(InputError, match=rf"{name}\.mat: no such file; ask the authors"):
            read(tmp_path, split=split)


def test_broken_annotations_are_named(tmp_path):
    write(tmp_path, train={"somebody": []})
    place(tmp_path)
    with pytest.raises(InputError, match=r"Train\.mat: person 1: found idname 'somebody', expected a name like p123"):
        read(tmp_path)
    write(tmp_path, {**BOXES, "s2.jpg": [(1, 2, 3)]})
    with pytest.raises(InputError, match=r"Images\.mat: s2\.jpg: found a 1x3 matrix, expected rows of 4 numbers"):
        read(tmp_path)


def test_images_without_boxes_and_datasets_without_labels(tmp_path):
    write(tmp_path, {"s1.jpg": [], "s2.jpg": [(1, 2, 3, 4)]}, train={}, pool=[])
    place(tmp_path)
    assert [frame.identities.tolist() for frame in read(tmp_path).values()] == [[], [NO_IDENTITY]]
    assert read(tmp_path, split="test") == {}
