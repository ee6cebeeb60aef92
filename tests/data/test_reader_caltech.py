"""The ``.vbb`` files are made here, since none may be shipped.

Their shape follows from how the dataset's converter (mitmul/caltech-pedestrian-dataset-converter) indexes what scipy
reads, and from the description in Dollar's ``vbb.m``: the variable ``A`` is a 1x1 struct; ``objLists`` a 1 x nFrame
cell; each of its members an empty matrix, or a 1 x n struct array whose fields are matrices again (``id``, ``occl`` and
``lock`` 1x1, ``pos`` and ``posv`` 1x4); ``objLbl`` a 1 x maxObj cell of strings, which ids count into from 1.
"""

import numpy as np
import pytest
from matlab_files import cell, number, row, structs, write_mat
from scipy.io import loadmat

from jde_lightning.data.identities import assign_training_identities
from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import CaltechPedestrian
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

FIELDS = ["id", "pos", "occl", "lock", "posv"]
NOT_SET = (0, 0, 0, 0)
LABELS = ("person", "people", "person?", "person-fa", "person", "dog")

# id, pos, occl, posv; one list per frame
PERSON = (1, (11, 21, 10, 40), 0, NOT_SET)
FRAMES = [[PERSON, (2, (1, 1, 30, 20), 0, NOT_SET)], [], [(5, (101.5, 51.5, 9.5, 20), 1, (101.5, 51.5, 9.5, 5))]]


def vbb(frames, labels=LABELS):
    """The variable ``A`` as MATLAB nests it."""
    lists = [
        structs(
            [
                {"id": number(i), "pos": row(*pos), "occl": number(occl), "lock": number(0), "posv": row(*posv)}
                for i, pos, occl, posv in frame
            ],
            FIELDS,
        )
        if frame
        else np.zeros((0, 0))
        for frame in frames
    ]
    record = {
        "nFrame": number(len(frames)),
        "objLists": cell(lists),
        "maxObj": number(len(labels)),
        "objInit": np.ones((1, len(labels))),
        "objLbl": cell(labels),
    }
    return structs([record], list(record))


def flat_vbb(frames, labels=LABELS):
    """The same content as Python writes it: dictionaries and lists, no matrices of one number."""
    lists = [
        [
            {"id": i, "pos": np.array(pos), "occl": occl, "lock": 0, "posv": np.array(posv)}
            for i, pos, occl, posv in frame
        ]
        for frame in frames
    ]
    return {"nFrame": len(frames), "objLists": cell(lists, (len(frames), 1)), "objLbl": cell(labels, (len(labels), 1))}


def write_video(root, frames=FRAMES, video="set00/V000", labels=LABELS, make=vbb, images=True, below="annotations"):
    write_mat(root / below / f"{video}.vbb", A=make(frames, labels))
    if images:
        place(root, [f"{video.replace('/', '_')}_{i}.png" for i in range(len(frames))])


def place(root, names, folder="images"):
    """Empty files: the reader knows the size and must not open the images."""
    for name in names:
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        (root / folder / name).touch()


def read(root, **options):
    return list(CaltechPedestrian(**options).read(root))


def test_fixture_is_nested_as_the_converter_expects(tmp_path):
    annotation = loadmat(write_mat(tmp_path / "V000.vbb", A=vbb(FRAMES)), appendmat=False)["A"]
    lists, labels = annotation[0][0][1][0], annotation[0][0][4][0]
    assert [len(frame) for frame in lists] == [1, 0, 1]
    assert int(lists[0]["id"][0][1][0][0]) == 2
    assert lists[2]["posv"][0][0][0].tolist() == [101.5, 51.5, 9.5, 5]
    assert [str(label[0]) for label in labels] == list(LABELS)


@pytest.mark.parametrize("make", [vbb, flat_vbb, lambda *content: cell([vbb(*content)])])
def test_boxes_become_zero_based_whatever_the_nesting(tmp_path, make):
    write_video(tmp_path, make=make)
    first, third = read(tmp_path)
    assert first.boxes.tolist() == [[10, 20, 20, 60], [0, 0, 30, 20]]
    assert third.boxes.tolist() == [[100.5, 50.5, 110, 70.5]]
    assert first.roles.tolist() == [Role.POSITIVE, Role.IGNORE]
    assert first.identities.tolist() == [1, NO_IDENTITY]
    assert (first.frame, third.frame) == (0, 2)
    assert (first.width, first.height, first.frame_rate) == (640, 480, 30.0)
    assert (first.sequence, first.dataset) == ("set00_V000", "CaltechPedestrian")
    assert first.image_path == tmp_path / "images" / "set00_V000_0.png"


def test_labels_decide_the_role_and_false_alarms_are_dropped(tmp_path):
    box, at = (11, 21, 10, 40), (0, NOT_SET)
    flat = (5, (5, 5, 0, 9), *at)
    write_video(tmp_path, [[(i, box, *at) for i in range(1, 7)] + [flat]])
    reader = CaltechPedestrian()
    (frame,) = reader.read(tmp_path)
    assert frame.roles.tolist() == [Role.POSITIVE, Role.IGNORE, Role.IGNORE, Role.POSITIVE, Role.OTHER]
    assert frame.identities.tolist() == [1, NO_IDENTITY, NO_IDENTITY, 5, NO_IDENTITY]
    assert reader.findings.dropped == {"marked as false alarm": 1, "no width or height": 1}


@pytest.mark.parametrize(
    ("occluded", "visible", "expected"),
    [
        (0, NOT_SET, 1.0),
        (1, NOT_SET, 1.0),  # marked, but nobody said what is visible
        (1, (11, 21, 10, 10), 0.25),
        (0, (11, 21, 10, 10), 1.0),  # left over from labelling: not occluded counts
        (1, (11, 21, 10, 40), 0.0),  # the whole box: hardly visible at all, by the toolbox's convention
    ],
)
def test_visibility_is_that_of_the_official_evaluation(tmp_path, occluded, visible, expected):
    write_video(tmp_path, [[(1, (11, 21, 10, 40), occluded, visible)]])
    assert read(tmp_path)[0].visibility.tolist() == [expected]


def test_small_integer_types_do_not_wrap_around(tmp_path):
    annotation = vbb([[PERSON]])
    annotation[0, 0]["objLists"][0, 0]["pos"][0, 0] = row(1, 1, 200, 250, dtype="uint8")
    write_mat(tmp_path / "annotations/set00/V000.vbb", A=annotation)
    place(tmp_path, ["set00_V000_0.png"])
    assert read(tmp_path)[0].boxes.tolist() == [[0, 0, 200, 250]]


def test_identities_hold_within_one_video(tmp_path):
    write_video(tmp_path, [[PERSON], [PERSON]], "set00/V000")
    write_video(tmp_path, [[PERSON]], "set00/V001")
    index = FrameIndex.from_readers([CaltechPedestrian(supervision="full")], tmp_path)
    identities, table = assign_training_identities(index)
    assert identities.tolist() == [0, 0, 1]
    assert table.keys == (("CaltechPedestrian", "set00_V000", 1), ("CaltechPedestrian", "set00_V001", 1))


def test_splits_are_those_of_the_benchmark(tmp_path):
    for number_of_set in range(11):
        write_video(tmp_path, [[PERSON]], f"set{number_of_set:02d}/V000")
    videos = {split: [frame.sequence for frame in read(tmp_path, split=split)] for split in ("train", "test", "all")}
    assert videos["train"] == [f"set{i:02d}_V000" for i in range(6)]
    assert videos["test"] == [f"set{i:02d}_V000" for i in range(6, 11)]
    assert videos["all"] == videos["train"] + videos["test"]


def test_absent_sets_are_noted(tmp_path):
    write_video(tmp_path, video="set03/V000")
    reader = CaltechPedestrian()
    assert len(list(reader.read(tmp_path))) == 2
    assert reader.findings.notes == {"sets of the train split without annotations": 5}
    with pytest.raises(InputError, match="no annotations of set06 to set10, expected annotations/set00/V000.vbb"):
        read(tmp_path, split="test")


def test_unlabelled_frames_are_left_out_or_background(tmp_path):
    only_group, only_flat = [(2, (1, 1, 9, 9), 0, NOT_SET)], [(1, (1, 1, 0, 9), 0, NOT_SET)]
    write_video(tmp_path, [[PERSON], [], only_group, only_flat])
    assert [frame.frame for frame in read(tmp_path)] == [0]
    assert [(frame.frame, len(frame)) for frame in read(tmp_path, keep_empty=True)] == [(0, 1), (1, 0), (2, 1), (3, 0)]


def test_every_takes_the_frames_of_the_official_evaluation(tmp_path):
    write_video(tmp_path, [[PERSON]] * 65)
    assert [frame.frame for frame in read(tmp_path, every=30)] == [29, 59]
    assert [frame.frame for frame in read(tmp_path, every=3)][:3] == [2, 5, 8]
    with pytest.raises(InputError, match="every is 0"):
        CaltechPedestrian(every=0)


@pytest.mark.parametrize(
    "name",
    [
        "set04_V010_879.png",  # the usual converter
        "set04_V010_000879.JPG",
        "set04_V010_I00879.jpg",  # Dollar's toolbox
        "set04/V010/879.png",
        "Set04/v010/I00879.jpg",
        "set04/V010.seq/images/I00879.jpg",
        "set04/V010/images/I00879.jpg",
    ],
)
def test_finds_images_by_their_usual_names(tmp_path, name):
    write_video(tmp_path, [[]] * 879 + [[PERSON]], "set04/V010", images=False)
    place(tmp_path, [name, "__MACOSX/set04_V010_879.png", "set04_V010.png", "cover.jpg"])
    (frame,) = read(tmp_path)
    assert (frame.image_path, frame.frame) == (tmp_path / "images" / name, 879)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations", "images"),
        ("Annotations", "Images"),
        ("annotations/annotations", "images"),
        ("data/annotations", "data/images"),  # the converter, and JDE's images
        ("Caltech/data/annotations", "Caltech/data/images"),
        (".", "images"),
    ],
)
def test_finds_the_usual_layouts(tmp_path, annotations, images):
    write_video(tmp_path, below=annotations, images=False)
    place(tmp_path, ["set00_V000_0.png", "set00_V000_2.png"], images)
    assert len(read(tmp_path)) == 2


def test_images_of_another_dataset_do_not_distract(tmp_path):
    place(tmp_path, ["train/1.jpg"])
    write_video(tmp_path / "caltech")
    assert len(read(tmp_path)) == 2


def test_missing_images_are_counted(tmp_path):
    """The converter loses the last frame of some videos."""
    write_video(tmp_path, images=False)
    place(tmp_path, ["set00_V000_0.png", "set00_V000_1.png"])
    reader = CaltechPedestrian()
    assert [frame.frame for frame in reader.read(tmp_path)] == [0]
    assert reader.findings.missing == ["set00_V000_2.png"]


def test_missing_downloads_are_explained(tmp_path):
    with pytest.raises(InputError, match=r"no annotations of set00 to set05, .*download .*data\.caltech\.edu"):
        read(tmp_path)
    write_video(tmp_path, images=False)
    with pytest.raises(
        InputError, match=r"none of 2 images found, first set00_V000_0\.png, in images.*convert the \.seq"
    ):
        read(tmp_path)


@pytest.mark.parametrize("make", [vbb, flat_vbb])
@pytest.mark.parametrize("frames", [[[]], [[], []]])
def test_videos_without_anybody(tmp_path, make, frames):
    write_video(tmp_path, frames, make=make, labels=())
    assert read(tmp_path) == []
    assert [len(frame) for frame in read(tmp_path, keep_empty=True)] == [0] * len(frames)


@pytest.mark.parametrize(("identity", "labels"), [(0, LABELS), (7, LABELS), (1, ())])
def test_ids_without_label_are_named(tmp_path, identity, labels):
    write_video(tmp_path, [[], [(identity, (1, 1, 9, 9), 0, NOT_SET)]], labels=labels)
    with pytest.raises(
        InputError, match=rf"V000\.vbb: frame 1 \(from 0\) has id {identity}, expected 1 to {len(labels)},"
    ):
        read(tmp_path)


def test_broken_annotations_are_named(tmp_path):
    file = write_mat(tmp_path / "annotations/set00/V000.vbb", B=number(1))
    with pytest.raises(InputError, match=r"V000\.vbb: no variable A, found B"):
        read(tmp_path)
    write_mat(file, A=structs([{"objLbl": cell(LABELS)}], ["objLbl"]))
    with pytest.raises(
        InputError, match=r"V000\.vbb: found the fields objLbl, expected a struct with the field objLists"
    ):
        read(tmp_path)
    write_mat(file, A=vbb([[], [(1, (1, 2, 3), 0, NOT_SET)]]))
    with pytest.raises(InputError, match=r"V000\.vbb: objLists, pos: found a 1x3 matrix, expected rows of 4 numbers"):
        read(tmp_path)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError, match=r"V000\.vbb: cannot be read as a MATLAB file"):
        read(tmp_path)
