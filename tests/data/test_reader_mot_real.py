"""The published counts of real ground truth, read through the reader; the images are placeholders."""

import numpy as np
import pytest
from placeholders import link_sequence

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.summary import describe
from jde_lightning.structures import Role

FRAMES = {"02": 600, "04": 1050, "05": 837, "09": 525}


def counts(index):
    """Frames, positive boxes and identities of each sequence."""
    rows = {}
    for name, positions in index.sequences.items():
        own = index.take(positions)
        positive = own.roles == Role.POSITIVE
        rows[name] = (len(own), int(positive.sum()), len(np.unique(own.identities[positive])))
    return rows


@pytest.fixture(scope="module")
def mot17(real_data, tmp_path_factory):
    """MOT17-02, -04, -05 and -09 with their official ground truth."""
    root = tmp_path_factory.mktemp("mot17")
    for number, frames in FRAMES.items():
        name = f"MOT17-{number}-FRCNN"
        link_sequence(real_data / "mot17" / "gt" / name, root / "train" / name, frames)
    return root


def read(reader, root):
    return FrameIndex.from_readers([reader], root)


def test_mot17_pedestrians_and_identities(mot17):
    assert counts(read(MOTChallenge(), mot17)) == {
        "MOT17-02-FRCNN": (600, 18581, 62),
        "MOT17-04-FRCNN": (1050, 47557, 83),
        "MOT17-05-FRCNN": (837, 6917, 133),
        "MOT17-09-FRCNN": (525, 5325, 26),
    }


def test_mot17_halves_of_centertrack(mot17):
    assert counts(read(MOTChallenge(split="val_half"), mot17)) == {
        "MOT17-02-FRCNN": (299, 9880, 53),
        "MOT17-04-FRCNN": (524, 24178, 69),
        "MOT17-05-FRCNN": (418, 3357, 71),
        "MOT17-09-FRCNN": (262, 2879, 22),
    }
    first = counts(read(MOTChallenge(split="train_half"), mot17))
    assert {name: row[:2] for name, row in first.items()} == {
        "MOT17-02-FRCNN": (301, 8701),
        "MOT17-04-FRCNN": (526, 23379),
        "MOT17-05-FRCNN": (419, 3560),
        "MOT17-09-FRCNN": (263, 2446),
    }
    assert first["MOT17-02-FRCNN"][2] == 42


@pytest.mark.parametrize(
    ("split", "frames"), [("train_half", [300, 525, 418, 262]), ("val_half", [300, 525, 419, 263])]
)
def test_mot17_halves_of_fairmot(mot17, split, frames):
    index = read(MOTChallenge(split=split, half_convention="fairmot"), mot17)
    assert [row[0] for row in counts(index).values()] == frames


def test_mot17_published_second_half_is_the_second_half(mot17, real_data, tmp_path):
    """An independent file: the same rows, renumbered from 1 by another project."""
    name = "MOT17-05-FRCNN"
    ours = read(MOTChallenge(split="val_half", sequences=[name]), mot17)
    theirs = read(MOTChallenge(), link_sequence(real_data / "mot17" / "gt_val_half" / name, tmp_path / name, 418))
    np.testing.assert_array_equal(ours.frame_numbers - 419, theirs.frame_numbers)

    def rows(index):
        positive = index.roles == Role.POSITIVE
        columns = [np.repeat(np.arange(len(index)), np.diff(index.offsets)), index.identities, *index.boxes.T]
        table = np.stack(columns, axis=1)[positive]
        return table[np.lexsort(table[:, :2].T)]

    np.testing.assert_array_equal(rows(ours), rows(theirs))


def test_mot17_classes_that_papers_learn(mot17):
    """Against the files themselves, counted with plain loops."""
    expected = {"pedestrian": 0, "person": 0, "yolo11_jde": 0}
    for file in mot17.glob("train/*/gt/gt.txt"):
        for line in file.read_text().splitlines():
            *_, flag, category, visibility = (float(cell) for cell in line.split(","))
            expected["pedestrian"] += flag == 1 and category == 1
            expected["person"] += category in (1, 2, 7, 8, 12)
            expected["yolo11_jde"] += category in (1, 2, 7) and visibility >= 0.1
    for classes, count in expected.items():
        index = read(MOTChallenge(classes=classes), mot17)
        assert np.count_nonzero(index.roles == Role.POSITIVE) == count
        assert np.count_nonzero(index.roles == Role.IGNORE) == 0
    assert expected["pedestrian"] == 18581 + 47557 + 6917 + 5325


def test_boxes_that_end_at_the_border_do_so_in_our_pixels(mot17):
    """608 boxes of MOT17-02 end at column 1921 of images of 1920 columns: the files count from 1."""
    index = read(MOTChallenge(sequences=["MOT17-02"]), mot17)
    assert np.count_nonzero(index.boxes[:, 2] == 1920) == 608


def test_mot20_second_half(real_data, tmp_path):
    folder = link_sequence(real_data / "mot20" / "gt_val_half" / "MOT20-01", tmp_path / "MOT20-01", 214)
    index = read(MOTChallenge(preset="mot20"), folder)
    assert len(index.boxes) == 14147
    assert counts(index) == {"MOT20-01": (214, 10810, 70)}
    assert index.datasets == ("MOT20",)
    assert index.boxes[:, 3].max() == 1080
    assert describe(index).startswith("MOT20: 214 images, 1 sequences, 10810 boxes, 70 annotated identities, 1284 ign")


def test_dancetrack(real_data, tmp_path):
    source = real_data / "other_mot" / "dancetrack" / "dancetrack0004"
    folder = link_sequence(source, tmp_path / "dancetrack0004", 1203, digits=8)
    reader = MOTChallenge(preset="dancetrack")
    index = read(reader, folder)
    assert counts(index) == {"dancetrack0004": (1203, 4586, 4)}
    assert sorted(set(index.identities.tolist())) == [0, 1, 2, 3]
    assert index.frame(11).boxes[0].tolist() == [823, 617, 823 + 158, 617 + 236]  # the first line of the file, as it is
    assert index.frame_rates[0] == 20
    assert reader.findings.summary() == ""


def test_sportsmot(real_data, tmp_path):
    source = real_data / "other_mot" / "sportsmot" / "v_ApPxnw_Jffg_c001"
    index = read(MOTChallenge(preset="sportsmot"), link_sequence(source, tmp_path / source.name, 235))
    assert counts(index) == {source.name: (235, 2338, 12)}
    assert (index.boxes[:, 0].min(), index.boxes[:, 2].max()) == (0, 1280)  # no box leaves the image
    assert index.identities.min() == 0


def test_mot15_world_coordinates_are_no_classes(real_data, tmp_path):
    for name, frames, boxes, people in (("TUD-Campus", 71, 359, 8), ("TUD-Stadtmitte", 179, 1156, 10)):
        folder = link_sequence(real_data / "tud" / name, tmp_path / name, frames)
        index = read(MOTChallenge(preset="mot15"), folder)
        assert counts(index) == {name: (frames, boxes, people)}
        assert index.sizes[0].tolist() == [8, 6]  # seqinfo.ini does not say, the image does
