import json
import logging

import numpy as np
import pytest
from dataset_files import write_image

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import CrowdHuman
from jde_lightning.data.summary import describe
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, Role


def person(fbox, vbox=None, tag="person", **extra):
    return {"tag": tag, "fbox": fbox, "vbox": vbox or fbox, "hbox": fbox, "head_attr": {}, "extra": extra}


RECORD = {
    "ID": "100001,0123456789abcdef",
    "gtboxes": [
        person([-12, 4, 20, 30], [0, 4, 10, 15], box_id=0, occ=1),
        person([5, 5, 10, 20]),
        person([1, 1, 5, 5], ignore=1),
        person([30, 10, 9, 7], tag="mask", ignore=1),
        person([9, 9, 0, 4]),
    ],
}


def write(root, records, folder="Images", name="annotation_train.odgt"):
    for record in records:
        write_image(root / folder / f"{record['ID']}.jpg", 60, 40)
    (root / name).write_text("\n".join(json.dumps(record) for record in records) + "\n\n")


def test_roles_visibility_and_size(tmp_path):
    write(tmp_path, [RECORD])
    (frame,) = CrowdHuman().read(tmp_path)
    assert frame.boxes.tolist()[:2] == [[-12, 4, 8, 34], [5, 5, 15, 25]]
    assert frame.roles.tolist() == [Role.POSITIVE, Role.POSITIVE, Role.IGNORE, Role.IGNORE, Role.IGNORE]
    np.testing.assert_allclose(frame.visibility, [0.25, 1, 1, 1, 0])
    assert set(frame.identities.tolist()) == {NO_IDENTITY}
    assert (frame.width, frame.height, frame.sequence, frame.dataset) == (60, 40, None, "CrowdHuman")


@pytest.mark.parametrize(
    "folder",
    [
        "Images",
        "CrowdHuman_train/Images",
        "CrowdHuman_train02/Images",
        "images/train",
        "train/Images",
        "Crowdhuman_train",
    ],
)
def test_finds_images_where_tools_put_them(tmp_path, folder):
    write(tmp_path, [RECORD], folder)
    assert len(list(CrowdHuman().read(tmp_path))) == 1


def test_unmerged_archives_and_named_folders(tmp_path):
    other = {"ID": "2,ff", "gtboxes": []}
    write(tmp_path, [RECORD], "train01/Images")
    write(tmp_path, [other], "train03/Images")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.odgt").write_text(json.dumps(RECORD) + "\n" + json.dumps(other))
    frames = list(CrowdHuman("a.odgt").read(tmp_path))
    assert [len(frame) for frame in frames] == [5, 0]
    assert len(list(CrowdHuman("a.odgt", images=["train03/Images"]).read(tmp_path))) == 1


def test_missing_images_are_counted(tmp_path, caplog):
    write(tmp_path, [RECORD])
    with (tmp_path / "annotation_train.odgt").open("a") as file:
        file.write(json.dumps({"ID": "gone", "gtboxes": []}))
    with caplog.at_level(logging.WARNING):
        assert len(list(CrowdHuman().read(tmp_path))) == 1
    assert "1 images not found, first gone.jpg" in caplog.text


def test_all_images_missing(tmp_path):
    (tmp_path / "annotation_train.odgt").write_text(json.dumps(RECORD))
    with pytest.raises(InputError, match="none of its 1 images is in any of the folders Images, .*unpack CrowdHuman"):
        list(CrowdHuman().read(tmp_path))


def test_missing_annotations(tmp_path):
    with pytest.raises(InputError, match=r"annotation_train\.odgt: no such file.*crowdhuman\.org"):
        list(CrowdHuman().read(tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "no JSON object"),
        ('["list"]', "keys ID and gtboxes"),
        ('{"ID": "a"}', "keys ID and gtboxes"),
        ('{"ID": "100001,0123456789abcdef", "gtboxes": [{"tag": "person"}]}', "a box is broken .*fbox"),
        (
            '{"ID": "100001,0123456789abcdef", "gtboxes": [{"tag": "person", "fbox": [1, 2]}]}',
            r"\(found \[1, 2\]\)",
        ),
        ('{"ID": "100001,0123456789abcdef", "gtboxes": [{"fbox": [1, 2, 3, 4]}]}', "a box is broken .*tag"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    write(tmp_path, [RECORD])
    with (tmp_path / "annotation_train.odgt").open("a") as file:
        file.write(line)
    with pytest.raises(InputError, match=rf"annotation_train\.odgt:3: .*{message}"):
        list(CrowdHuman().read(tmp_path))


def test_exif_orientation_is_ignored_for_size_and_pixels(tmp_path):
    image = pytest.importorskip("PIL.Image")
    from jde_lightning.data.images import decode, image_size

    exif = image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == (60, 40)
    assert decode(tmp_path / "a.jpg").shape == (40, 60, 3)
    assert decode(tmp_path / "a.jpg", max_size=30).shape == (20, 30, 3)


def test_real_lines(real_data, tmp_path):
    lines = (real_data / "crowdhuman" / "test_annotation_train.odgt").read_text()
    record = json.loads(lines.splitlines()[0])
    write(tmp_path, [record])
    index = FrameIndex.from_readers([CrowdHuman()], tmp_path)
    assert np.bincount(index.roles).tolist() == [6, 1]
    assert "1 images, 0 sequences, 6 boxes, 0 annotated identities, 1 ignored" in describe(index)
