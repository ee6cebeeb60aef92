import logging

import numpy as np
import pytest
from dataset_files import write_image, write_sequence

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.errors import InputError
from jde_lightning.structures import Role

# Sorted by identity, then frame, as the official files are.
OFFICIAL = ["1,1,1,1,10,20,1,1,0.5", "1,2,-15,5,30,60,1,1,0", "3,2,2,3,4,5,1,1,1", "2,3,5,5,6,6,0,7,1"]


def read(root, **options):
    return list(MOTChallenge(**options).read(root))


def test_boxes_become_zero_based_corners_and_stay_unclipped(tmp_path):
    write_sequence(tmp_path / "MOT17-99-FRCNN", OFFICIAL)
    frames = read(tmp_path)
    assert [frame.frame for frame in frames] == [1, 2, 3, 4]
    assert frames[0].boxes.tolist() == [[0, 0, 10, 20], [-16, 4, 14, 64]]
    assert frames[0].identities.tolist() == [1, 2]
    assert frames[0].visibility.tolist() == [0.5, 0.0]
    assert frames[2].boxes.tolist() == [[1, 2, 5, 7]]
    assert len(frames[3]) == 0
    assert (frames[0].width, frames[0].height, frames[0].frame_rate) == (64, 48, 25.0)
    assert (frames[0].dataset, frames[0].sequence) == ("MOT17", "MOT17-99-FRCNN")
    assert frames[0].image_path.name == "000001.jpg"


@pytest.mark.parametrize(
    ("flag", "category", "name", "role"),
    [
        (1, 1, "MOT17", Role.POSITIVE),
        (0, 1, "MOT17", Role.OTHER),
        *[(0, category, "MOT17", Role.IGNORE) for category in (2, 7, 8, 12)],
        *[(0, category, "MOT17", Role.OTHER) for category in (3, 4, 5, 6, 9, 10, 11, 13)],
        (0, 6, "MOT20", Role.IGNORE),
        (0, 13, "MOT20", Role.OTHER),
        (1, -1, "MOT15", Role.POSITIVE),
        (0, -1, "MOT15", Role.OTHER),
    ],
)
def test_roles_are_those_of_the_official_evaluation(tmp_path, flag, category, name, role):
    write_sequence(tmp_path / "S", [f"1,1,1,1,5,5,{flag},{category},-1"])
    frame = read(tmp_path, name=name)[0]
    assert frame.roles.tolist() == [role]
    assert frame.visibility.tolist() == [1.0]


@pytest.mark.parametrize(
    "line",
    [
        "1, 7, 3, 4, 10, 20, 1, 1, 1.0",  # SportsMOT
        "1.000000,7.000000,3.0,4.0,10.0,20.0,1.0,1.0,1.0",
        "1,7,3,4,10,20,1,-1,-1,-1",  # MOT15, ten columns
        "1,7,3,4,10,20,1,1,1,0,0,0",  # MOTSynth, twelve columns
        "1,7,3,4,10,20",  # frame, id and box only
        "\ufeff1,7,3,4,10,20,1,1,1",  # byte order mark
        "1,7,3,4,10,20,1,1,1\r\n\r",
    ],
)
def test_reads_the_line_formats_that_occur(tmp_path, line):
    write_sequence(tmp_path / "S", [line])
    frame = read(tmp_path)[0]
    assert frame.boxes.tolist() == [[2, 3, 12, 23]]
    assert frame.identities.tolist() == [7]
    assert frame.roles.tolist() == [Role.POSITIVE]


@pytest.mark.parametrize(("detector", "taken"), [(None, "FRCNN"), ("SDP", "SDP"), ("DPM", "DPM")])
def test_three_copies_are_read_once(tmp_path, caplog, detector, taken):
    for copy in ("DPM", "FRCNN", "SDP"):
        write_sequence(tmp_path / "MOT17" / "train" / f"MOT17-99-{copy}", OFFICIAL, frames=3)
    with caplog.at_level(logging.INFO):
        frames = read(tmp_path, detector=detector)
    assert {frame.sequence for frame in frames} == {f"MOT17-99-{taken}"}
    assert len(frames) == 3
    assert "3 identical copies" in caplog.text


def test_takes_the_first_copy_without_frcnn(tmp_path):
    for copy in ("DPM", "SDP"):
        write_sequence(tmp_path / f"MOT17-99-{copy}", OFFICIAL)
    assert read(tmp_path)[0].sequence == "MOT17-99-DPM"
    with pytest.raises(InputError, match="MOT17-99 has no copy for detector FRCNN, found DPM, SDP"):
        read(tmp_path, detector="FRCNN")


@pytest.mark.parametrize("below", ["", "train", "MOT17/train", "images/train", "mot/train", "Train"])
def test_finds_the_usual_layouts(tmp_path, below):
    write_sequence(tmp_path / below / "MOT17-99-SDP", OFFICIAL)
    (tmp_path / below / "__MACOSX").mkdir()
    assert len(read(tmp_path)) == 4


def test_the_path_may_be_a_sequence(tmp_path):
    folder = write_sequence(tmp_path / "MOT17-99-SDP", OFFICIAL)
    assert len(read(folder)) == 4


def test_missing_seqinfo_counts_and_opens_images(tmp_path):
    write_sequence(tmp_path / "S", OFFICIAL, seqinfo=None)
    frames = read(tmp_path)
    assert len(frames) == 4
    assert (frames[0].width, frames[0].height, frames[0].frame_rate) == (64, 48, 30.0)


def test_seqinfo_keys_ignore_case_and_spaces(tmp_path):
    text = "[Sequence]\nname = S\nimdir = img1\nFRAMERATE = 14\nseqlength = 4\nimwidth = 64\nimheight = 48"
    write_sequence(tmp_path / "S", OFFICIAL, seqinfo=text)
    assert read(tmp_path)[0].frame_rate == 14.0


@pytest.mark.parametrize(
    ("convention", "split", "expected"),
    [
        ("centertrack", "train_half", [1, 2, 3]),
        ("centertrack", "val_half", [4, 5]),
        ("fairmot", "train_half", [1, 2]),
        ("fairmot", "val_half", [3, 4, 5]),
    ],
)
def test_halves(tmp_path, convention, split, expected):
    write_sequence(tmp_path / "S", OFFICIAL, frames=5)
    assert [frame.frame for frame in read(tmp_path, split=split, half_convention=convention)] == expected


def test_every_thins_out_the_split(tmp_path):
    write_sequence(tmp_path / "S", OFFICIAL, frames=9)
    assert [frame.frame for frame in read(tmp_path, split="val_half", every=2)] == [6, 8]
    with pytest.raises(InputError, match="every is 0"):
        MOTChallenge(every=0)


def test_reduced_copies_split_like_the_complete_ones(tmp_path, caplog):
    text = "[Sequence]\nseqLength=600\nimWidth=64\nimHeight=48\n"
    write_sequence(tmp_path / "S", OFFICIAL, seqinfo=text)
    with caplog.at_level(logging.WARNING):
        frames = read(tmp_path, split="train_half")
    assert len(frames) == 4
    assert "4 of 600 frames have an image" in caplog.text
    assert read(tmp_path, split="val_half") == []


def test_sequences_are_chosen_with_or_without_suffix(tmp_path):
    for number in (1, 2, 3):
        write_sequence(tmp_path / f"MOT17-0{number}-SDP", OFFICIAL)
    frames = read(tmp_path, sequences=["MOT17-01", "MOT17-03-SDP"])
    assert {frame.sequence for frame in frames} == {"MOT17-01-SDP", "MOT17-03-SDP"}
    with pytest.raises(InputError, match="no sequence 'MOT17-09', found .*MOT17-01"):
        read(tmp_path, sequences=["MOT17-09"])


def test_low_visibility_stays_for_evaluation_and_is_not_learned(tmp_path):
    write_sequence(tmp_path / "S", OFFICIAL)
    index = FrameIndex.from_readers([MOTChallenge(min_visibility=0.25)], tmp_path)
    assert index.frame(0).positive.tolist() == [True, True]
    assert index.learnable.tolist() == [True, False, False, True]  # the third is a static person


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("2,1,1,1,x,5,1,1,1", "2,1,1,1,x,5,1,1,1"),
        ("2,1,1,1,5", "2,1,1,1,5"),
        ("2,1,1,1,5,nan,1,1,1", "nan"),
        ("2,1.5,1,1,5,5,1,1,1", "1.5"),
        ("-2,1,1,1,5,5,1,1,1", "-2"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, found):
    write_sequence(tmp_path / "S", ["1,1,1,1,5,5,1,1,1", "", line, "3,1,1,1,5,5,1,1,1"])
    with pytest.raises(InputError, match=rf"gt\.txt:3: found '.*{found}.*', expected frame, id, left"):
        read(tmp_path)


def test_negative_sizes_are_named_as_such(tmp_path):
    write_sequence(tmp_path / "S", ["1,1,1,1,5,5,1,1,1", "", "2,1,1,1,5,-5.5,1,1,1"])
    with pytest.raises(InputError, match=r"gt\.txt:3: a box of 5 x -5\.5 pixels in columns 5 and 6"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("imWidth=w", "imWidth is 'w', which is no whole number above 0"),
        ("seqLength=0", "seqLength is '0', which is no whole number above 0"),
        ("seqLength=8.5", "seqLength is '8.5', which is no whole number above 0"),
        ("frameRate=nan", "frameRate is 'nan', which is no number above 0"),
    ],
)
def test_wrong_numbers_of_seqinfo_are_named(tmp_path, line, problem):
    write_sequence(tmp_path / "S", OFFICIAL, seqinfo=f"[Sequence]\n{line}\n")
    with pytest.raises(InputError, match=rf"seqinfo\.ini: {problem}; expected \[Sequence\] and numbers"):
        read(tmp_path)


def test_too_few_columns_everywhere(tmp_path):
    write_sequence(tmp_path / "S", ["1,1,1,1,5"])
    with pytest.raises(InputError, match=r"gt\.txt:1: found '1,1,1,1,5'"):
        read(tmp_path)


def test_an_empty_gt_means_frames_without_boxes(tmp_path):
    write_sequence(tmp_path / "S", [])
    assert [len(frame) for frame in read(tmp_path)] == [0, 0, 0, 0]


def test_missing_pieces_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no MOTChallenge sequence there nor in its train, .*gt/gt\.txt"):
        read(tmp_path, path="nowhere")
    folder = write_sequence(tmp_path / "a" / "S", OFFICIAL)
    (folder / "gt" / "gt.txt").unlink()
    with pytest.raises(InputError, match=r"gt\.txt: no such file; test sequences have no ground truth"):
        read(tmp_path / "a")
    (tmp_path / "b" / "S").mkdir(parents=True)
    (tmp_path / "b" / "S" / "seqinfo.ini").write_text("[Sequence]\n")
    with pytest.raises(InputError, match="img1: no such folder.*unpack MOT17.zip"):
        read(tmp_path / "b")
    (tmp_path / "b" / "S" / "img1").mkdir()
    with pytest.raises(InputError, match="img1: no images"):
        read(tmp_path / "b")
    write_image(tmp_path / "b" / "S" / "img1" / "first.jpg")
    with pytest.raises(InputError, match=r"first\.jpg: no frame number"):
        read(tmp_path / "b")


def test_two_files_of_one_frame_are_named(tmp_path):
    folder = write_sequence(tmp_path / "S", OFFICIAL, seqinfo=None)
    write_image(folder / "img1" / "1.png")
    with pytest.raises(InputError, match="frame 1 is also"):
        read(tmp_path)


def test_the_stated_extension_decides_between_two_files(tmp_path):
    folder = write_sequence(tmp_path / "S", OFFICIAL)
    write_image(folder / "img1" / "000001.png")
    assert read(tmp_path)[0].image_path.name == "000001.jpg"


@pytest.mark.parametrize("text", ["[Sequence]\nseqLength=many\n", "no section\n"])
def test_broken_seqinfo_is_named(tmp_path, text):
    write_sequence(tmp_path / "S", OFFICIAL, seqinfo=text)
    with pytest.raises(InputError, match=r"seqinfo\.ini: .*expected \[Sequence\]"):
        read(tmp_path)


def test_real_mot17_counts(real_data):
    counts = {}
    for convention in ("centertrack", "fairmot"):
        for split in ("all", "train_half", "val_half"):
            index = FrameIndex.from_readers(
                [MOTChallenge(path="mot17", split=split, half_convention=convention)], real_data
            )
            positive = index.roles == Role.POSITIVE
            counts[convention, split] = (
                len(index),
                int(positive.sum()),
                len(np.unique(index.identities[positive])),
            )
    assert counts["centertrack", "all"] == (525, 5325, 26)
    assert counts["centertrack", "train_half"][:2] == (263, 2446)
    assert counts["centertrack", "val_half"] == (262, 2879, 22)
    assert counts["fairmot", "train_half"][0] == 262
    assert counts["fairmot", "val_half"][0] == 263


def test_real_dancetrack_and_sportsmot_gt(real_data, tmp_path):
    for gt in sorted((real_data / "other_mot").glob("**/gt.txt")):
        lines = gt.read_text().splitlines()
        folder = write_sequence(tmp_path / gt.parent.parent.name, lines, frames=1, seqinfo=None)
        frame = read(folder)[0]
        first = [line for line in lines if float(line.split(",")[0]) == 1]
        assert len(frame) == len(first) > 0
        assert frame.positive.all()
