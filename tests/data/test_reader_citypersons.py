import json

import numpy as np
import pytest
from matlab_files import cell, structs, write_mat
from scipy.io import loadmat

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import CityPersons
from jde_lightning.data.readers.citypersons import CLASSES
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

# class, x, y, w, h, instance, visible x, y, w, h; as in the official files: uint16 where nothing is negative.
PEDESTRIAN = (1, 100, 400, 41, 100, 24003, 100, 400, 41, 25)
LEFT_OF_THE_IMAGE = (1, -20, 10, 40, 98, 24000, 0, 10, 20, 98)
RIDER = (2, 300, 300, 41, 100, 25000, 300, 300, 41, 100)
SITTING = (3, 5, 6, 7, 8, 24001, 5, 6, 7, 8)
OTHER = (4, 50, 60, 7, 8, 24002, 50, 60, 7, 8)
GROUP = (5, 900, 400, 300, 80, 24, 0, 0, 0, 0)
POSTER = (0, 2000, 0, 48, 34, 0, 2000, 0, 48, 34)
AACHEN, BREMEN, ULM = (f"{city}_000000_000019_leftImg8bit" for city in ("aachen", "bremen", "ulm"))
IMAGES = {
    AACHEN: np.array([PEDESTRIAN, RIDER, SITTING, OTHER, GROUP, POSTER], dtype="uint16"),
    BREMEN: np.array([LEFT_OF_THE_IMAGE], dtype="int16"),
    ULM: np.zeros((0, 10), dtype="uint8"),
}


def place(root, stems, folder="leftImg8bit/train", suffix=".png"):
    """Empty files: the reader knows the size and must not open the images."""
    for stem in stems:
        image = root / folder / stem.split("_")[0] / f"{stem}{suffix}"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()


def write_annotations(root, images=IMAGES, split="train", name="anno_train.mat"):
    """One cell per image that holds one struct, nested as in the official files."""
    fields = ["cityname", "im_name", "bbs"]
    cells = [
        structs([{"cityname": stem.split("_")[0], "im_name": f"{stem}.png", "bbs": bbs}], fields)
        for stem, bbs in images.items()
    ]
    write_mat(root / name, **{f"anno_{split}_aligned": cell(cells)})


def write_json(root, images=IMAGES, split="train"):
    for stem, bbs in images.items():
        city, base = stem.split("_")[0], stem.removesuffix("_leftImg8bit")
        objects = [
            {"instanceId": row[5], "bbox": row[1:5], "bboxVis": row[6:], "label": CLASSES[row[0]]}
            for row in bbs.tolist()
        ]
        file = root / "gtBboxCityPersons" / split / city / f"{base}_gtBboxCityPersons.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"imgHeight": 1024, "imgWidth": 2048, "objects": objects}))


def read(root, **options):
    return list(CityPersons(**options).read(root))


@pytest.mark.parametrize("write", [write_annotations, write_json])
def test_boxes_roles_and_visibility_are_the_same_in_both_forms(tmp_path, write):
    write(tmp_path)
    place(tmp_path, IMAGES)
    aachen, bremen, ulm = read(tmp_path)
    assert aachen.boxes.tolist()[:2] == [[100, 400, 141, 500], [300, 300, 341, 400]]
    # An unsigned type would wrap around where the left edge is subtracted or negative.
    assert bremen.boxes.tolist() == [[-20, 10, 20, 108]]
    assert bremen.visibility.tolist() == [0.5]
    np.testing.assert_allclose(aachen.visibility, [0.25, 1, 1, 1, 1, 1])  # the group's visible box is all zero
    assert len(ulm) == 0
    for frame in (aachen, bremen, ulm):
        assert (frame.width, frame.height, frame.sequence, frame.dataset) == (2048, 1024, None, "CityPersons")
        assert set(frame.identities.tolist()) <= {NO_IDENTITY}  # instance numbers hold within one image only
        assert frame.image_path.is_file()


@pytest.mark.parametrize(
    ("positive", "learned"),
    [
        ("pedestrian", [True, False, False, False, False, False]),
        ("persons", [True, True, True, True, False, False]),
        ("jde", [True, True, True, True, True, False]),
        (["pedestrian", "sitting person"], [True, False, True, False, False, False]),
    ],
)
def test_classes_are_chosen_by_name_and_the_rest_is_ignored(tmp_path, positive, learned):
    write_annotations(tmp_path)
    place(tmp_path, IMAGES)
    frame = read(tmp_path, positive=positive)[0]
    assert frame.positive.tolist() == learned
    assert frame.ignore.tolist() == [not value for value in learned]


@pytest.mark.parametrize("positive", ["riders", ["ignore"], ["pedestrian", "dog"]])
def test_unknown_classes_are_named(positive):
    with pytest.raises(
        InputError, match="positive of CityPersons: found '?(riders|ignore|dog)'?, expected one of pede"
    ):
        CityPersons(positive=positive)


def test_images_without_a_positive_box_are_background_or_left_out(tmp_path):
    write_annotations(tmp_path)
    place(tmp_path, IMAGES)
    assert len(read(tmp_path)) == 3
    reader = CityPersons(keep_empty=False)
    assert [frame.image_path.stem for frame in reader.read(tmp_path)] == [AACHEN, BREMEN]
    assert reader.findings.notes == {"images without a person to be found left out": 1}
    only_riders = CityPersons(keep_empty=False, positive=["rider"])
    assert [frame.image_path.stem for frame in only_riders.read(tmp_path)] == [AACHEN]


def test_empty_boxes_and_empty_visible_boxes(tmp_path):
    flat, hidden = (1, 5, 5, 9, 0, 0, 5, 5, 9, 0), (1, 5, 5, 10, 20, 0, 5, 5, 0, 9)
    write_annotations(tmp_path, {AACHEN: np.array([flat, hidden, PEDESTRIAN])})
    place(tmp_path, [AACHEN])
    reader = CityPersons()
    (frame,) = reader.read(tmp_path)
    assert frame.visibility.tolist() == [0, 0.25]
    assert reader.findings.dropped == {"no width or height": 1}


@pytest.mark.parametrize(
    "folder",
    [
        "leftImg8bit/train",
        "leftImg8bit_trainvaltest/leftImg8bit/train",
        "LeftImg8bit/Train",
        "cityscapes/leftImg8bit/train",
        "images/train",  # JDE
        "Cityscapes/images/train",
    ],
)
def test_finds_images_where_archives_and_tools_put_them(tmp_path, folder):
    write_annotations(tmp_path)
    place(tmp_path, IMAGES, folder)
    assert len(read(tmp_path)) == 3


@pytest.mark.parametrize("name", ["annotations/anno_train.mat", "CityPersons/annotations/Anno_train.mat"])
def test_finds_annotations_where_the_repository_puts_them(tmp_path, name):
    write_annotations(tmp_path, name=name)
    place(tmp_path, IMAGES)
    assert len(read(tmp_path)) == 3


def test_images_may_be_converted_and_lie_anywhere(tmp_path):
    write_annotations(tmp_path)
    place(tmp_path, IMAGES, "elsewhere", ".jpg")
    assert read(tmp_path, images="elsewhere")[0].image_path == tmp_path / "elsewhere" / "aachen" / f"{AACHEN}.jpg"


def test_both_forms_there_or_one_asked_for(tmp_path):
    write_annotations(tmp_path, {AACHEN: IMAGES[AACHEN]})
    write_json(tmp_path, {BREMEN: IMAGES[BREMEN], ULM: IMAGES[ULM]})
    place(tmp_path, IMAGES)
    assert [len(read(tmp_path, annotations=form)) for form in ("auto", "mat", "json")] == [1, 1, 2]


def test_missing_images_are_counted(tmp_path):
    write_annotations(tmp_path)
    place(tmp_path, [BREMEN])
    reader = CityPersons()
    assert len(list(reader.read(tmp_path))) == 1
    assert reader.findings.missing == [f"{AACHEN}.png", f"{ULM}.png"]


def test_missing_downloads_are_explained(tmp_path):
    with pytest.raises(InputError, match=r"tried anno_val\.mat, annotations/anno_val\.mat, gtBbox.*register \(free\)"):
        read(tmp_path, split="val")
    with pytest.raises(InputError, match=r"tried gtBboxCityPersons/train; .*gtBbox_cityPersons_trainval\.zip"):
        read(tmp_path, annotations="json")
    write_annotations(tmp_path)
    with pytest.raises(
        InputError, match=r"none of 3 images found, first aachen.*in leftImg8bit/train.*register \(free"
    ):
        read(tmp_path)


def test_broken_annotations_are_named(tmp_path):
    place(tmp_path, IMAGES)
    write_annotations(tmp_path, {AACHEN: np.ones((1, 10)), BREMEN: np.full((1, 10), 7)})
    with pytest.raises(InputError, match=r"anno_train\.mat: image 2 \(bremen.*\): found class 7, expected 0 to 5"):
        read(tmp_path)
    write_annotations(tmp_path, {AACHEN: np.ones((3, 6))})
    with pytest.raises(InputError, match=r"anno_train\.mat: image 1 \(aachen.*\): found a 3x6 matrix.* of 10 numbers"):
        read(tmp_path)
    write_annotations(tmp_path, split="val")
    with pytest.raises(InputError, match=r"no variable anno_train_aligned, found anno_val_aligned"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{broken", "Expecting property name"),
        ("[]", "list indices"),
        ("{}", "objects"),
        ('{"objects": [{"label": "dog", "bbox": [1, 2, 3, 4]}]}', "label 'dog'"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 3]}]}', r"bbox \[1, 2, 3\]"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 3, "x"]}]}', "could not convert"),
        ('{"objects": [{"bbox": [1, 2, 3, 4]}]}', "label"),
    ],
)
def test_broken_json_is_named(tmp_path, content, reason):
    write_json(tmp_path)
    place(tmp_path, IMAGES)
    next((tmp_path / "gtBboxCityPersons").rglob("bremen*.json")).write_text(content)
    with pytest.raises(InputError, match=rf"bremen_\S+\.json: broken \(.*{reason}.*\), expected a JSON object"):
        read(tmp_path)


@pytest.mark.parametrize("write", [write_annotations, write_json])
def test_the_index_on_disk_expires_when_files_change(tmp_path, write):
    write(tmp_path)
    place(tmp_path, [AACHEN, BREMEN])
    reader = CityPersons()
    list(reader.read(tmp_path))
    assert reader.findings.unchanged()
    place(tmp_path, [ULM])
    assert not reader.findings.unchanged()
    list(reader.read(tmp_path))
    write(tmp_path, {**IMAGES, AACHEN: IMAGES[AACHEN][:1]})
    assert not reader.findings.unchanged()


@pytest.mark.parametrize(
    ("split", "by_class", "images", "empty"),
    [
        ("train", [6768, 16526, 1680, 1032, 417, 1347], 2975, 197),
        ("val", [1631, 3157, 509, 185, 87, 226], 500, 13),
    ],
)
def test_real_counts_by_class(real_data, tmp_path, split, by_class, images, empty):
    stems = all_stems(real_data, split)
    place(tmp_path, stems, f"leftImg8bit/{split}")
    (tmp_path / "annotations").symlink_to(real_data / "citypersons")
    learned = {}
    for name in CLASSES[1:]:
        index = FrameIndex.from_readers([CityPersons(split, positive=[name])], tmp_path)
        assert (len(index), len(index.boxes)) == (images, sum(by_class))
        assert np.count_nonzero(np.diff(index.offsets) == 0) == empty
        learned[name] = np.count_nonzero(index.roles == Role.POSITIVE)
    assert list(learned.values()) == by_class[1:]
    everything = FrameIndex.from_readers([CityPersons(split, positive="jde")], tmp_path)
    assert np.bincount(everything.roles).tolist() == [sum(by_class[1:]), by_class[0]]
    assert ((everything.visibility >= 0) & (everything.visibility <= 1)).all()
    assert (everything.boxes[:, 2:] > everything.boxes[:, :2]).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_images_with_people_are_those_of_jdes_list(real_data, tmp_path, split):
    place(tmp_path, all_stems(real_data, split), f"leftImg8bit/{split}")
    (tmp_path / "annotations").symlink_to(real_data / "citypersons")
    frames = read(tmp_path, split=split, positive="jde", keep_empty=False)
    listed = (real_data / "lists" / "jde" / f"citypersons.{split}").read_text().split()
    assert sorted(frame.image_path.name for frame in frames) == sorted(line.rsplit("/", 1)[1] for line in listed)


def all_stems(real_data, split):
    """Names of the annotated images, taken from the file by another way than the reader's."""
    annotations = loadmat(real_data / "citypersons" / f"anno_{split}.mat", simplify_cells=True)
    return [image["im_name"].removesuffix(".png") for image in annotations[f"anno_{split}_aligned"]]
