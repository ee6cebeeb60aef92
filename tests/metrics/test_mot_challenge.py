"""Reading MOTChallenge files: dialects that occur, and one clear line for what is wrong."""

import subprocess
import sys

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.metrics.mot_challenge import read_ground_truth, read_results
from jde_lightning.metrics.sequences import read_seqinfo, split_frames

GT = "1,2,-15,220,80,200,1,1,0.75\n2,2,1,1,8,20,0,7,1\n"


def write(tmp_path, text, name="gt.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_columns(tmp_path):
    rows = read_ground_truth(write(tmp_path, GT))
    assert rows.frames.tolist() == [1, 2]
    assert rows.ids.tolist() == [2, 2]
    assert rows.boxes_ltwh.tolist() == [[-15, 220, 80, 200], [1, 1, 8, 20]]
    assert rows.scores.tolist() == [1, 0]
    assert rows.classes.tolist() == [1, 7]
    assert rows.visibility.tolist() == [0.75, 1]
    assert [rows.frames.dtype, rows.ids.dtype, rows.classes.dtype] == [np.int64] * 3
    assert [rows.boxes_ltwh.dtype, rows.scores.dtype, rows.visibility.dtype] == [np.float64] * 3
    assert len(rows[rows.frames == 2]) == 1


@pytest.mark.parametrize(
    ("story", "text"),
    [
        ("spaces after commas (SportsMOT)", GT.replace(",", ", ")),
        ("all numbers as floats", "1.0,2.000,-15.0,220,80,200,1.0,1.0,0.75\n2.0,2.0,1,1,8,20,0.0,7.0,1"),
        ("Windows line ends", GT.replace("\n", "\r\n")),
        ("a byte order mark", "\ufeff" + GT),
        ("blank lines", "\n" + GT.replace("\n", "\n\n") + "  \n"),
        ("twelve columns (MOTSynth)", GT.replace("\n", ",5,6,7\n")),
    ],
)
def test_dialects_read_the_same(tmp_path, story, text):
    plain, other = read_ground_truth(write(tmp_path, GT)), read_ground_truth(write(tmp_path, text))
    for name in ("frames", "ids", "boxes_ltwh", "scores", "classes", "visibility"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(other, name), err_msg=f"{story}: {name}")


def test_mot15_has_no_classes(tmp_path):
    path = write(tmp_path, "1,1,399,182,121,229,1,-1,-1,-1\n")
    assert read_ground_truth(path, "mot15").classes.tolist() == [-1]
    seven = write(tmp_path, "1,1,399,182,121,229,1\n")
    assert read_ground_truth(seven, "none").visibility.tolist() == [1]


def test_ids_from_zero_are_valid_ground_truth(tmp_path):
    assert read_ground_truth(write(tmp_path, "1,0,1,1,5,5,1,1,1")).ids.tolist() == [0]


@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_empty_result_file_is_a_tracker_that_found_nothing(tmp_path, text):
    rows = read_results(write(tmp_path, text))
    assert len(rows) == 0
    assert rows.boxes_ltwh.shape == (0, 4)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,2,3,4,5,6\n", r"file\.txt, line 1: 6 columns, expected 7 to 12 comma-separated numbers"),
        ("1 2 3 4 5 6 7\n", r"line 1: 1 columns, expected 7 to 12 comma-separated"),
        ("1,2,3,4,5,6,1,1,1\n\n1,3,3,4,5,6,1,1\n", r"line 3: 8 columns, but 9 in the first line"),
        ("1,2,3,4,5,6,1,1,1\n1,3,3,x,5,6,1,1,1\n", r"line 2: 'x' in column 4 is not a finite number"),
        ("1,2,3,4,5,6,1,1,1\n1,3,3,,5,6,1,1,1\n", r"line 2: '' in column 4 is not a finite number"),
        ("1,2,3,4,5,nan,1,1,1\n", r"line 1: 'nan' in column 6 is not a finite number"),
        ("1,2,3,4,5,inf,1,1,1\n", r"line 1: 'inf' in column 6 is not a finite number"),
        ("1,2,3,4_0,5,6,1,1,1\n", r"line 1: '4_0' in column 4 is not a finite number"),
        ("1,2,3,\u0664,5,6,1,1,1\n", r"file\.txt: cannot be read; expected 7 to 12 comma-separated numbers"),
        ("1.5,2,3,4,5,6,1,1,1\n", r"line 1: frame 1\.5 is not an integer"),
        ("1,2.5,3,4,5,6,1,1,1\n", r"line 1: id 2\.5 is not an integer"),
        ("\n1,2,3,4,5,6,1,1,1\n2,2,3,4,5,6,1,1,1\n1,2,9,9,5,6,1,1,1\n", r"line 4: id 2 occurs twice in frame 1"),
        ("0,2,3,4,5,6,1,1,1\n", r"line 1: frame 0, expected 1 to 10"),
        ("1,2,3,4,5,6,1,1,1\n11,2,3,4,5,6,1,1,1\n", r"line 2: frame 11, expected 1 to 10"),
    ],
)
@pytest.mark.parametrize("read", [read_ground_truth, read_results])
def test_broken_files_name_the_line(tmp_path, read, text, match):
    with pytest.raises(InputError, match=match):
        read(write(tmp_path, text, "file.txt"), num_frames=10)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,1,1,1,5,5,1,1,1\n1,2,1,1,5,5,1,14,1\n", r"gt\.txt, line 2: class 14 in column 8, MOT17 needs 1 to 13"),
        ("1,1,1,1,5,5,1,-1,-1,-1\n", r"line 1: class -1 in column 8, MOT17 needs .* --benchmark mot15 or none"),
        ("1,1,1,1,5,5,1\n", r"line 1: class -1 in column 8"),
        ("1,-3,1,1,5,5,1,1,1\n", r"line 1: id -3 is negative; ids of ground truth start at 0"),
    ],
)
def test_broken_ground_truth(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read_ground_truth(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,0,1,1,5,5,1,-1,-1,-1\n", r"r\.txt, line 1: id 0, expected ids from 1; add 1 to all ids"),
        ("1,-1,1,1,5,5,1,-1,-1,-1\n", r"line 1: id -1, expected ids from 1"),
        ("1,1,1,1,5,5,1,-1,-1,-1\n\n1,2,10,10,-20,40,1,-1,-1,-1\n", r"r\.txt, line 3: a box of -20 x 40 pixels"),
        ("1,1,1,1,5,-0.5,1,-1,-1,-1\n", r"line 1: a box of 5 x -0\.5 pixels, expected at least 0"),
        ("1,1,1,1,5,5,1,2,-1,-1\n", r"line 1: class 2 in column 8, expected -1 or 1"),
    ],
)
def test_broken_results(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read_results(write(tmp_path, text, "r.txt"))


def test_a_side_of_zero_is_allowed(tmp_path):
    assert len(read_results(write(tmp_path, "1,1,1,1,0,5,1,-1,-1,-1\n1,2,1,1,5,0,1,-1,-1,-1\n"))) == 2


def test_binary_file(tmp_path):
    with pytest.raises(InputError, match=r"r\.txt: not a text file"):
        read_results(write(tmp_path, b"\xff\xfe\x00\x81", "r.txt"))


def test_unknown_length_still_needs_frames_from_one(tmp_path):
    with pytest.raises(InputError, match=r"line 1: frame 0, expected 1 to the last frame"):
        read_results(write(tmp_path, "0,1,1,1,5,5,1,-1,-1,-1\n"))


@pytest.mark.parametrize(
    "text",
    [
        "[Sequence]\nname=A\nimDir=img1\nframeRate=30\nseqLength=600\nimWidth=1920\nimHeight=1080\nimExt=.jpg\n\n",
        "[sequence]\r\nNAME = A\r\nframerate = 30\r\nseqlength = 600\r\nimwidth = 1920\r\nimheight = 1080",
    ],
)
def test_seqinfo_whatever_the_case(tmp_path, text):
    assert read_seqinfo(write(tmp_path, text, "seqinfo.ini")) == ("A", 600, 30, 1920, 1080)


def test_seqinfo_may_say_little(tmp_path):
    info = read_seqinfo(write(tmp_path, "[Sequence]\nname=A%20\nseqLength=6\n", "seqinfo.ini"))
    assert info == ("A%20", 6, None, None, None)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seqLength=5\n", r"seqinfo\.ini: not an INI file \(File contains no section headers"),
        ("[Other]\nseqLength=5\n", r"seqinfo\.ini: no section \[Sequence\], found \['Other'\]"),
        ("[Sequence]\nseqLength=many\n", r"seqinfo\.ini: seqLength is 'many', expected a positive number"),
        ("[Sequence]\nseqLength=0\n", r"seqinfo\.ini: seqLength is '0', expected a positive number"),
    ],
)
def test_broken_seqinfo(tmp_path, text, match):
    with pytest.raises(InputError, match=match):
        read_seqinfo(write(tmp_path, text, "seqinfo.ini"))


@pytest.mark.parametrize(
    ("length", "convention", "training", "validation"),
    [  # the table of the MOT17 sequences in both conventions
        (600, "centertrack", 301, 299),
        (600, "fairmot", 300, 300),
        (1050, "centertrack", 526, 524),
        (837, "centertrack", 419, 418),
        (837, "fairmot", 418, 419),
        (525, "centertrack", 263, 262),
        (525, "fairmot", 262, 263),
        (1, "centertrack", 1, 0),
    ],
)
def test_halves(length, convention, training, validation):
    first, second = (split_frames(length, split, convention) for split in ("train_half", "val_half"))
    assert (len(first), len(second)) == (training, validation)
    assert [*first, *second] == list(split_frames(length, "all", convention)) == list(range(1, length + 1))


def test_second_half_of_real_sequence_is_the_published_one(real_data):
    whole = read_ground_truth(real_data / "mot17" / "gt" / "MOT17-02-FRCNN" / "gt" / "gt.txt")
    published = read_ground_truth(real_data / "mot17" / "gt_val_half" / "MOT17-02-FRCNN" / "gt" / "gt.txt")
    frames = split_frames(600, "val_half")
    half = whole[np.isin(whole.frames, frames) & (whole.classes == 1) & (whole.scores == 1)]
    published = published[(published.classes == 1) & (published.scores == 1)]
    assert len(half) == len(published) == 9880
    first, second = (
        np.column_stack([rows.frames, rows.ids, rows.boxes_ltwh])[np.lexsort((rows.ids, rows.frames))]
        for rows in (half, published)
    )
    second[:, 0] += frames.start - 1
    np.testing.assert_array_equal(first, second)


def test_reading_and_evaluating_needs_no_torch():
    code = (
        "import sys, jde_lightning.metrics, jde_lightning.metrics.mot_challenge, jde_lightning.metrics.folders, "
        "jde_lightning.metrics.in_memory, jde_lightning.cli.evaluate; "
        "assert not {'torch', 'lightning', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
