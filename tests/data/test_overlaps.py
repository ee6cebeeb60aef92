from pathlib import Path

import pytest
from dataset_files import make_frame, write_sequence

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.overlaps import find_duplicates, find_overlaps
from jde_lightning.data.readers import MOTChallenge


def sequence(name, frames, dataset="MOT17", folder="a"):
    """Frames of a sequence; another folder makes them other files."""
    return [make_frame(Path(folder, name, f"{n:06d}.jpg"), 1, sequence=name, frame=n, dataset=dataset) for n in frames]


def index(*groups):
    return FrameIndex.from_frames(frame for group in groups for frame in group)


def summary(overlaps):
    return [(o.severity, o.first, o.second, o.frames) for o in overlaps]


def overlaps(train, val):
    found = find_overlaps(index(*train), index(*val))
    assert all("\n" not in overlap.text for overlap in found)
    return summary(found)


def test_nothing_in_common():
    train = index(sequence("MOT17-02-FRCNN", range(1, 5)))
    assert find_overlaps(train, index(sequence("MOT17-04-FRCNN", range(1, 5)))) == []
    assert find_overlaps(train, index()) == find_overlaps(index(), train) == find_duplicates(index()) == []
    assert find_duplicates(train) == []


def test_the_same_frames_leak_and_the_other_half_shares_people():
    name = "MOT17-02-FRCNN"
    train = index(sequence(name, range(1, 5)))
    (leak,) = find_overlaps(train, index(sequence(name, range(4, 9), folder="copy")))
    assert (leak.severity, leak.frames) == ("leak", 1)  # one half after CenterTrack, the other after FairMOT
    assert leak.text == (
        "the training holds 1 frame of the validation's MOT17/MOT17-02-FRCNN; leave them out of one of the two"
    )
    (shared,) = find_overlaps(train, index(sequence(name, range(5, 9))))
    assert (shared.severity, shared.frames) == ("shared identities", 0)
    assert "validation has frames 5 to 8, training 1 to 4 of the same video: the same people" in shared.text


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("MOT17-05-SDP", "MOT17"), ("MOT17-05-FRCNN", "MOT17")),  # the copies of MOT17
        (("MOT16-02", "MOT16"), ("MOT17-02-FRCNN", "MOT17")),
        (("MOT17-02-DPM", "boxes only"), ("MOT16-02", "MOT16")),
        (("ADL-Rundle-6", "MOT15"), ("MOT17-09-FRCNN", "MOT17")),
        (("ETH-Pedcross2", "MOT15"), ("MOT16-05", "MOT16")),
        (("ETH-Bahnhof", "MOT15"), ("eth-bahnhof", "mine")),
    ],
)
def test_other_names_of_one_video_with_the_same_frame_numbers(train, val):
    def frames(which, numbers):
        return [sequence(which[0], numbers, which[1], folder=which[1])]

    assert overlaps(frames(train, range(1, 9)), frames(val, range(5, 20)))[0][::3] == ("leak", 4)
    assert overlaps(frames(train, range(1, 5)), frames(val, range(5, 20)))[0][0] == "shared identities"


@pytest.mark.parametrize(
    ("eth", "val"),
    [
        ("PEDCROSS2", "MOT17-05-FRCNN"),
        ("LINTHESCHER", "MOT16-06"),
        ("seq02-img-left", "MOT17-06-SDP"),
        ("bahnhof-annot", "ETH-Bahnhof"),
        ("eth01", "ETH-Bahnhof"),
        ("Sunny Day", "ETH-Sunnyday"),
        ("JELMOLI", "ETH-Jelmoli"),
        ("seq01", "ETH-Crossing"),
    ],
)
def test_eth_counts_frames_in_its_own_way_so_all_are_suspected(eth, val):
    train, validation = sequence(eth, range(100, 110), "ETH"), sequence(val, range(1, 7), "MOT", "b")
    (leak,) = find_overlaps(index(train), index(validation))
    assert summary([leak]) == [("leak", f"ETH/{eth}", f"MOT/{val}", 6)]
    assert "one video, counted differently: all are suspected" in leak.text
    mine = sequence(eth, range(100, 110), "mine")  # a name such as seq01 means nothing elsewhere
    assert find_overlaps(index(mine), index(validation)) == []


def test_eth_beside_eth_compares_numbers():
    assert overlaps([sequence("eth01", [1, 2], "ETH")], [sequence("BAHNHOF", [2, 3], "ETHZ", "b")])[0][3] == 1


def test_equal_names_of_different_datasets_are_different_videos_unless_their_files_are_the_same():
    mine, other = sequence("seq1", [1, 2], "mine", "x"), sequence("seq1", [1, 2], "other", "y")
    assert overlaps([mine], [other]) == []
    assert overlaps([mine], [sequence("seq1", [2, 3], "other", "x")]) == [("leak", "mine/seq1", "other/seq1", 1)]


def test_a_list_of_a_sequence_is_known_by_its_files():
    listed = [make_frame(Path("x", "seq1", f"{n:06d}.jpg"), 1, dataset="list", identities=[-1]) for n in (1, 2)]
    (leak,) = find_overlaps(index(listed), index(sequence("seq1", [2, 3], "mine", "x")))
    assert (
        leak.text
        == "the training holds 1 frame of the validation's mine/seq1, as list; leave them out of one of the two"
    )


def images(folder, names, dataset="P", **changes):
    return [make_frame(Path(folder, name), 1, dataset=dataset, **changes) for name in names]


def test_single_images_are_compared_by_file():
    train = images("a", ["1.jpg", "2.jpg", "3.jpg"])
    assert overlaps([train], [images("b", ["1.jpg"], identities=[-1])]) == []
    val = images("a", ["3.jpg", "2.jpg", "9.jpg"], "Q", identities=[-1])
    assert overlaps([train], [val]) == [("leak", "P", "Q", 2)]


def test_people_of_a_whole_dataset():
    train = images("a", ["1.jpg"], identities=[5]) + images("a", ["2.jpg"], identities=[-1])
    val = images("b", ["1.jpg"], identities=[5]) + images("b", ["2.jpg"], identities=[-1])
    assert overlaps([train], [val]) == [("shared identities", "P", "P", 0)]
    assert overlaps([train], [images("b", ["1.jpg"], "Q", identities=[5])]) == []


def test_lists_without_sequences_are_known_by_their_folders():
    names = [f"{n:06d}.jpg" for n in range(1, 9)]
    train = images("MOT17/images/train/MOT17-05-SDP/img1", names, "JDE") + images("CrowdHuman", names, "JDE")
    val = sequence("MOT17-05-FRCNN", range(5, 12), folder="elsewhere")
    assert overlaps([train], [val]) == [("leak", "JDE/MOT17-05", "MOT17/MOT17-05-FRCNN", 4)]
    eth = images("ETHZ/eth01/images", ["image_00000007_0.png", "image_00000008_0.png"], "ETH")
    other = sequence("BAHNHOF", [8, 9], "ETH")
    assert overlaps([eth], [other]) == [("leak", "ETH/eth-bahnhof", "ETH/BAHNHOF", 1)]


def test_leaks_come_first():
    train = [sequence("MOT17-02-SDP", [1]), sequence("MOT17-04-SDP", [1])]
    val = [sequence("MOT17-02-SDP", [2]), sequence("MOT17-04-SDP", [1])]
    assert [o[0] for o in overlaps(train, val)] == ["leak", "shared identities"]


def test_duplicates_within_the_training():
    train = index(
        sequence("MOT17-02-FRCNN", range(1, 7)),
        sequence("MOT17-02-SDP", range(1, 5), folder="b"),
        sequence("MOT16-04", range(1, 4), "MOT16"),
        sequence("MOT17-04-FRCNN", range(4, 7)),
        images("p", ["1.jpg", "2.jpg", "2.jpg"]),
        images("p", ["1.jpg"], "Q"),
    )
    found = find_duplicates(train)
    assert sorted(summary(found)) == [
        ("duplicate", "MOT17/MOT17-02-FRCNN", "MOT17/MOT17-02-SDP", 4),
        ("duplicate", "P", "P", 1),
        ("duplicate", "P", "Q", 1),
    ]
    assert found[0].text == (
        "the training holds 4 frames of MOT17/MOT17-02-FRCNN again as MOT17/MOT17-02-SDP; leave one of the two out"
    )
    assert "the training holds 1 frame of P twice" in found[1].text


@pytest.mark.parametrize(("convention", "common"), [("centertrack", 0), ("fairmot", 1)])
def test_halves_of_the_readers(tmp_path, convention, common):
    write_sequence(tmp_path / "MOT17-02-FRCNN", ["1,1,10,12,20,30,1,1,1"], frames=8)
    train = FrameIndex.from_readers([MOTChallenge(split="train_half")], tmp_path)
    val = FrameIndex.from_readers([MOTChallenge(split="val_half", half_convention=convention)], tmp_path)
    (found,) = find_overlaps(train, val)
    assert (found.severity, found.frames) == ("leak" if common else "shared identities", common)
