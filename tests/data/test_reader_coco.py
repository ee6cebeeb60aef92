"""COCO JSON and its three video dialects: which number is the identity, which the frame, and what is no object."""

import json

import numpy as np
import pytest
from dataset_files import write_image

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import COCO
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role

CATEGORIES = [{"id": 1, "name": "pedestrian"}, {"id": 3, "name": "rider"}, {"id": 90, "name": "car"}]


def image(number, name=None, **more):
    return {"id": number, "file_name": name or f"{number}.jpg", "width": 64, "height": 48, **more}


def box(number, image_id=1, category_id=1, bbox=(-4, 6, 20, 30.5), **more):
    return {"id": number, "image_id": image_id, "category_id": category_id, "bbox": list(bbox), **more}


def write(root, images, annotations, categories=CATEGORIES, place=True, **more):
    content = {"images": images, "annotations": annotations, "categories": categories, **more}
    for entry in images if place else []:
        write_image(root / "pictures" / entry["file_name"])
    (root / "a.json").write_text(json.dumps(content))


def read(root, **arguments):
    reader = COCO("a.json", "pictures", **arguments)
    return reader, list(reader.read(root))


def test_boxes_roles_and_classes(tmp_path):
    annotations = [
        box(7, 2),
        box(1, area=1, segmentation=[[1, 2, 3]]),
        box(2, category_id=90),
        box(3, category_id=3, iscrowd=1),
        box(4, ignore=1),
        box(5, iscrowd=0, ignore=0),
        box(6, bbox=[1, 2, 0, 4]),
    ]
    write(tmp_path, [image(1), image(2), image(5)], annotations)
    reader, (first, second, third) = read(tmp_path)
    assert reader.class_names == ("pedestrian", "rider", "car")
    assert first.boxes[0].tolist() == [-4, 6, 16, 36.5]
    assert first.labels.tolist() == [0, 2, 1, 0, 0, 0]
    roles = [Role.POSITIVE, Role.POSITIVE, Role.IGNORE, Role.IGNORE, Role.POSITIVE, Role.IGNORE]
    assert first.roles.tolist() == roles
    assert (len(second), len(third)) == (1, 0)
    assert (first.width, first.height, first.sequence, first.dataset) == (64, 48, None, "COCO")
    assert set(first.identities.tolist()) == {NO_IDENTITY}
    assert reader.findings.notes == {"boxes without area, ignored": 1}


def test_files_that_count_pixels_from_one(tmp_path):
    write(tmp_path, [image(1)], [box(1, bbox_vis=[-4, 6, 10, 30.5])])
    _, (frame,) = read(tmp_path, coordinate_base=1)
    assert frame.boxes.tolist() == [[-5, 5, 15, 35.5]]
    assert frame.visibility.tolist() == [0.5]


@pytest.mark.parametrize(
    ("arguments", "names", "labels", "roles"),
    [
        ({"classes": ["pedestrian"]}, ("pedestrian",), [0, 0, 0, 0], "PION"),
        ({"classes": {"pedestrian": "person", "rider": "person"}}, ("person",), [0, 0, 0, 0], "PIPN"),
        ({"classes": ["rider", "pedestrian"]}, ("rider", "pedestrian"), [1, 1, 0, 0], "PIPN"),
        ({"ignored_classes": ["rider"]}, ("pedestrian", "car"), [0, 0, 0, 1], "PIIC"),
        ({"classes": ["pedestrian"], "ignored_classes": ["rider"]}, ("pedestrian",), [0, 0, 0, 0], "PIIN"),
    ],
    ids=["one", "two as one", "own order", "all but the ignored", "one, one ignored"],
)
def test_choice_of_classes(tmp_path, arguments, names, labels, roles):
    """A crowd of cars is no region to ignore for somebody who looks for people."""
    annotations = [box(1), box(2, iscrowd=1), box(3, category_id=3), box(4, category_id=90, iscrowd=1)]
    write(tmp_path, [image(1)], annotations)
    reader, (frame,) = read(tmp_path, **arguments)
    expected = {"P": Role.POSITIVE, "I": Role.IGNORE, "O": Role.OTHER, "N": Role.OTHER, "C": Role.IGNORE}
    assert (reader.class_names, frame.labels.tolist()) == (names, labels)
    assert frame.roles.tolist() == [expected[letter] for letter in roles]


@pytest.mark.parametrize(
    ("keys", "with_videos", "identity_key", "identities"),
    [
        ({"track_id": 0, "instance_id": 5}, True, "auto", 0),
        ({"track_id": 3.0}, False, "auto", 3),
        ({"track_id": -1}, True, "auto", NO_IDENTITY),
        ({"track_id": -2}, True, "auto", NO_IDENTITY),
        ({"track_id": None}, True, "auto", NO_IDENTITY),
        ({"instance_id": 5, "mot_instance_id": 19}, True, "auto", 19),
        ({"instance_id": 5, "mot_instance_id": 19}, True, "instance_id", 5),
        ({"instance_id": 5}, True, "auto", 5),
        ({"instance_id": 24003}, False, "auto", NO_IDENTITY),
        ({"instance_id": 24003}, False, "instance_id", 24003),
        ({"person_id": 7}, False, "person_id", 7),
        ({"person_id": 7}, False, "auto", NO_IDENTITY),
        ({"track_id": 3}, True, "none", NO_IDENTITY),
        ({}, True, "auto", NO_IDENTITY),
    ],
)
def test_which_key_is_the_identity(tmp_path, keys, with_videos, identity_key, identities):
    more = {"videos": [{"id": 4, "name": "v"}]} if with_videos else {}
    place = {"video_id": 4, "frame_id": 0} if with_videos else {}
    write(tmp_path, [image(1, **place)], [box(1, **keys)], **more)
    reader, (frame,) = read(tmp_path, identity_key=identity_key)
    assert frame.identities.tolist() == [identities]
    noted = "annotations with an instance_id, no identity in a file without videos"
    assert reader.findings.notes[noted] == int(identities == NO_IDENTITY and "instance_id" in keys)


def test_identities_may_be_large(tmp_path):
    write(tmp_path, [image(1)], [box(1, track_id=2**53 + 1), box(2, track_id=2**53)])
    _, (frame,) = read(tmp_path)
    assert frame.identities.tolist() == [2**53 + 1, 2**53]


@pytest.mark.parametrize(
    ("video", "keys", "sequence", "frame", "frame_rate"),
    [
        ({"name": "MOT17-09-DPM", "fps": 25}, {"frame_id": 0, "mot_frame_id": 1}, "MOT17-09-DPM", 1, 25),
        ({"file_name": "MOT17-09-FRCNN"}, {"frame_id": 4, "prev_image_id": -1, "next_image_id": 2}, None, 4, 30),
        ({"name": "val/YFCC100M/v_1"}, {"frame_index": 90}, "val-YFCC100M-v_1", 90, 30),
        ({}, {"frame_id": 3}, "4", 3, 30),
    ],
    ids=["mmtracking", "ByteTrack", "TAO", "no name"],
)
def test_videos(tmp_path, video, keys, sequence, frame, frame_rate):
    write(tmp_path, [image(1, "x/img1/000001.jpg", video_id=4, **keys)], [], videos=[{"id": 4, **video}])
    _, (annotated,) = read(tmp_path)
    place = (annotated.sequence, annotated.frame, annotated.frame_rate)
    assert place == (sequence or "MOT17-09-FRCNN", frame, frame_rate)


def test_frames_come_in_order_each_with_its_boxes(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.permutation(40) + 1
    images = [image(int(n), video_id=int(n) % 3, frame_id=int(n)) for n in numbers]
    annotations = [box(i, int(n), bbox=[int(n), i, 1, 1]) for i, n in enumerate(rng.integers(1, 41, 300))]
    write(tmp_path, images, annotations, videos=[{"id": i, "name": f"v{i}"} for i in range(3)])
    _, frames = read(tmp_path)
    assert sum(map(len, frames)) == 300
    for frame in frames:
        assert set(frame.boxes[:, 0].tolist()) <= {frame.frame}
        wanted = [a["id"] for a in annotations if a["image_id"] == frame.frame]
        assert frame.boxes[:, 1].tolist() == wanted
    for sequence in ("v0", "v1", "v2"):
        of_sequence = [frame.frame for frame in frames if frame.sequence == sequence]
        assert of_sequence == sorted(of_sequence) != []


def test_mixed_files_of_bytetrack(tmp_path):
    """Both parts of CrowdHuman get one video number, and their frame numbers begin anew."""
    images = [
        image(1, "mot/1.jpg", video_id=1, frame_id=1, prev_image_id=-1, next_image_id=-1),
        image(10001, "ch_train/1.jpg", video_id=10, frame_id=1, prev_image_id=10001, next_image_id=10001),
        image(30001, "ch_val/1.jpg", video_id=10, frame_id=1, prev_image_id=30001, next_image_id=30001),
    ]
    videos = [{"id": 1, "file_name": "MOT17-02-FRCNN"}, *({"id": 10, "file_name": n} for n in ("ch_train", "ch_val"))]
    annotations = [box(1, 1, track_id=1), box(2, 10001, track_id=-1)]
    write(tmp_path, images, annotations, videos=videos)
    index = FrameIndex.from_readers([COCO("a.json", "pictures")], tmp_path)
    assert index.sequence_codes.tolist() == [0, -1, -1]
    assert index.identities.tolist() == [1, NO_IDENTITY]


def test_one_of_the_identical_copies_of_mot17(tmp_path):
    images, videos = [], []
    for number, name in enumerate(("MOT17-02-DPM", "MOT17-02-FRCNN", "MOT17-02-SDP", "MOT17-04-DPM"), start=1):
        videos.append({"id": number, "name": name})
        images += [image(10 * number + f, f"{name}/{f}.jpg", video_id=number, frame_id=f) for f in (0, 1)]
    write(tmp_path, images, [], videos=videos)
    reader, frames = read(tmp_path)
    assert [frame.sequence for frame in frames] == ["MOT17-02-FRCNN"] * 2 + ["MOT17-04-DPM"] * 2
    assert reader.findings.notes == {"frames of identical copies (MOT17's detectors), left out": 4}


@pytest.mark.parametrize(
    ("keys", "visibility"),
    [
        ({"visibility": 0.25}, 0.25),
        ({"visibility": 0}, 0),
        ({"visibility": -1}, 1),
        ({"vis_ratio": 1.5}, 1),
        ({"bbox_vis": [0, 0, 10, 61]}, 1),
        ({"bbox_vis": [0, 0, 10, 30.5]}, 0.5),
        ({"vis_bbox": [0, 0, 5, 12.2]}, 0.1),
        ({}, 1),
    ],
)
def test_visibility(tmp_path, keys, visibility):
    write(tmp_path, [image(1)], [box(1, **keys)])
    _, (frame,) = read(tmp_path)
    np.testing.assert_allclose(frame.visibility, [visibility], atol=1e-6)


def test_size_from_the_image_where_the_file_does_not_say(tmp_path):
    images = [image(1), {"id": 2, "file_name": "2.jpg"}, {"id": 3, "file_name": "3.jpg", "width": 0, "height": 0}]
    write(tmp_path, images, [])
    (tmp_path / "pictures" / "3.jpg").write_bytes(b"no image")
    reader, frames = read(tmp_path)
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 2
    assert reader.findings.corrupt == [str(tmp_path / "pictures" / "3.jpg")]


def test_missing_images_and_annotations_of_none_are_counted(tmp_path):
    write(tmp_path, [image(1), image(2)], [box(1), box(2, 99), box(3, 2)])
    (tmp_path / "pictures" / "2.jpg").unlink()
    reader, frames = read(tmp_path)
    assert [len(frame) for frame in frames] == [1]
    assert reader.findings.missing == ["2.jpg"]
    assert reader.findings.dropped == {"annotation of an image that the file does not have": 1}


def test_hundreds_of_boxes_and_none(tmp_path):
    write(tmp_path, [image(1)], [box(i) for i in range(700)])
    assert [len(frame) for frame in read(tmp_path)[1]] == [700]
    write(tmp_path, [], [])
    assert read(tmp_path)[1] == []


def test_what_the_result_depends_on(tmp_path):
    for change in ("a.json", "pictures/2.jpg"):
        write(tmp_path, [image(1), image(2)], [])
        (tmp_path / "pictures" / "2.jpg").unlink()
        reader, _ = read(tmp_path)
        assert reader.findings.unchanged()
        with (tmp_path / change).open("a") as file:
            file.write("\n")
        assert not reader.findings.unchanged(), change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [box(17, bbox=[1, 2, 3])]}, r"annotation 17: bbox is \[1, 2, 3\], expected \[left, top"),
        ({"annotations": [box(1), box(18, bbox=[1, 2, -3, 4])]}, r"annotation 18: bbox is \[1, 2, -3, 4\]"),
        ({"annotations": [box(18, bbox=[1, 2, "x", 4])]}, r"annotation 18: bbox is"),
        ({"annotations": [box(19, bbox=[1, 2, float("nan"), 4])]}, r"annotation 19: bbox is"),
        ({"annotations": [{"id": 20, "image_id": 1, "category_id": 1}]}, "annotation 20: bbox is None"),
        ({"annotations": [box(21, category_id=2)]}, "annotation 21: category_id is 2, expected .* 1 pedestrian, 3 rid"),
        ({"annotations": [box(22, track_id="a7")]}, "annotation 22: track_id is 'a7', expected a whole number"),
        ({"annotations": [box(23, track_id=1.5)]}, "annotation 23: track_id is 1.5"),
        ({"annotations": [box(24, track_id=2**70)]}, "annotation 24: track_id is 11805"),
        ({"annotations": [{"id": 25, "bbox": [1, 2, 3, 4]}]}, r"annotations\[0\]: no key 'image_id', found id, bbox"),
        ({"images": [{"id": 1}]}, r"images\[0\]: no key 'file_name', found id; expected id, file_name"),
        ({"images": [image(1), image(1, "2.jpg")]}, "image 1: a second image of this id.*number images"),
        ({"images": [image(1) | {"file_name": None}]}, "image 1: file_name is None"),
        ({"images": [image(1, video_id=4)]}, "image 1: has video_id 4 and the frame number None, expected .*frame_id"),
        ({"images": [image(1, video_id=4, frame_id="a")]}, ".*the frame number 'a'"),
        (
            {
                "images": [image(i, video_id=i, frame_id=1) for i in (1, 2)],
                "videos": [{"id": 1, "name": "v"}, {"id": 2, "name": "v"}],
            },
            "videos 1 and 2 are both called 'v'; rename one",
        ),
        ({"categories": None}, "no list 'categories', found the keys images, annotations, categories; expected COCO"),
        ({"videos": [{"name": "v"}]}, r"videos\[0\]: no key 'id'"),
    ],
)
def test_broken_entries_are_named(tmp_path, change, message):
    write(tmp_path, [image(1)], [])
    content = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=rf"a\.json: {message}") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no list 'images', found list; expected COCO's lists images, annotations, categories"),
        ("{}", "no list 'images', found the keys of an empty object"),
        ("{", "no JSON .*; write or download the file again"),
        (None, "no such file, expected COCO JSON; set `annotations`"),
    ],
)
def test_broken_files(tmp_path, text, message):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: {message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["person"]}, r"a\.json: categories: no class 'person', found pedestrian, rider, car"),
        ({"ignored_classes": ["crowd"]}, r"a\.json: categories: no class 'crowd'"),
        ({"identity_key": "pid"}, r"no annotation has the key 'pid', found id, image_id, category_id, bbox; correct"),
    ],
)
def test_bad_choices(tmp_path, arguments, message):
    write(tmp_path, [image(1)], [box(1)])
    with pytest.raises(InputError, match=message):
        read(tmp_path, **arguments)


def test_all_images_missing_and_bad_base(tmp_path):
    write(tmp_path, [image(1)], [box(1)], place=False)
    with pytest.raises(InputError, match=r"none of its 1 images is below .*pictures, first 1\.jpg; set `images`"):
        read(tmp_path)
    with pytest.raises(InputError, match="coordinate_base of COCO is 2"):
        COCO(coordinate_base=2)


def test_real_coco_vid(real_data, tmp_path):
    """A file of mmdetection: MOT17's boxes, unshifted, once for DPM only."""
    file = real_data / "other_mot" / "coco_vid" / "mot_sample.json"
    content = json.loads(file.read_text())
    for entry in content["images"]:
        write_image(tmp_path / entry["file_name"], 4, 4)
    reader = COCO(str(file), classes={"pedestrian": "person"}, coordinate_base=1)
    index = FrameIndex.from_readers([reader], tmp_path)
    assert {name: index.frame_numbers[rows].tolist() for name, rows in index.sequences.items()} == {
        "MOT17-09-DPM": [1, 2, 3],
        "MOT17-10-DPM": [1, 2],
    }
    assert (index.sizes == [1920, 1080]).all()
    assert index.identities.tolist() == [1, 19, 20, 1, 19, 1, 19, 20, 24, 30, 24, 30]
    others = [a["category_id"] == 2 for a in content["annotations"]]
    assert (index.roles == Role.OTHER).tolist() == others
    official = np.loadtxt(real_data / "mot17/gt/MOT17-09-FRCNN/gt/gt.txt", delimiter=",", max_rows=1)
    left, top, width, height = official[2:6]
    assert official[:2].tolist() == [1, 1]
    assert index.boxes[0].tolist() == [left - 1, top - 1, left - 1 + width, top - 1 + height]
    np.testing.assert_allclose(index.visibility[[2, 5]], [0.22293, 0.26987])
