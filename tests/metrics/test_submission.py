"""Packing results for MOTChallenge's server: the right 42 or 8 files, and every problem with file and line."""

import zipfile

import pytest

from jde_lightning.errors import InputError
from jde_lightning.metrics.sequences import read_seqinfo
from jde_lightning.metrics.submission import SEQUENCE_LENGTHS, check_submission, write_submission

ROW = "{frame},{id},794.27,247.59,71.24,174.88,0.91,-1,-1,-1\n"
TRAINING = {"mot17": {2, 4, 5, 9, 10, 11, 13}, "mot20": {1, 2, 3, 5}}


def whole(length, ids=(1, 2)):
    """A made-up result with boxes from the first frame to the last."""
    return "".join(ROW.format(frame=frame, id=i) for frame in (1, length // 2, length) for i in ids)


@pytest.fixture
def mot17(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for name, length in SEQUENCE_LENGTHS["mot17"].items():
        (folder / f"{name}.txt").write_text(whole(length))
    return folder


@pytest.fixture
def mot20(tmp_path):
    folder = tmp_path / "results20"
    folder.mkdir()
    for name, length in SEQUENCE_LENGTHS["mot20"].items():
        (folder / f"{name}.txt").write_text(whole(length))
    return folder


# Published sums: MOT17 5,316 and 5,919 frames, MOT20 8,931 and 4,479.
@pytest.mark.parametrize(("benchmark", "training", "test"), [("mot17", 5316, 5919), ("mot20", 8931, 4479)])
def test_lengths_add_up_to_the_published_sums(benchmark, training, test):
    lengths = SEQUENCE_LENGTHS[benchmark]
    sums = {True: 0, False: 0}
    for name, length in lengths.items():
        sums[int(name[-2:]) in TRAINING[benchmark]] += length
    assert (sums[True], sums[False]) == (training, test)


def test_lengths_are_those_of_the_official_seqinfo_files(real_data):
    files = [path for folder in ("mot17", "mot20") for path in (real_data / folder).rglob("seqinfo.ini")]
    known = {**SEQUENCE_LENGTHS["mot17"], **SEQUENCE_LENGTHS["mot20"]}
    seen = {}
    for path in files:
        info = read_seqinfo(path)
        name = "-".join((info.name or path.parent.name).split("-")[:2])
        if name in known and "half" not in str(path):
            seen[name] = info.length
    assert len(seen) >= 8
    assert seen == {name: known[name] for name in seen}


def test_mot17_is_42_files_of_14_results(mot17, tmp_path):
    submission = check_submission(mot17, "mot17")
    assert submission.problems == []
    assert len(submission.results) == 14
    (remark,) = submission.remarks
    assert remark.startswith("one file each stands for DPM, FRCNN, SDP, 14 in all: MOT17-01.txt, MOT17-02.txt, ")
    path = tmp_path / "out" / "mot17.zip"
    write_submission(submission, path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names == sorted(f"MOT17-{n:02d}-{d}.txt" for n in range(1, 15) for d in ("DPM", "FRCNN", "SDP"))
        assert archive.testzip() is None
        assert archive.read("MOT17-03-SDP.txt") == archive.read("MOT17-03-DPM.txt") == whole(1500).encode()
    assert [p.name for p in path.parent.iterdir()] == ["mot17.zip"]


def test_mot20_is_8_files(mot20, tmp_path):
    submission = check_submission(mot20, "mot20")
    assert (submission.problems, submission.remarks) == ([], [])
    write_submission(submission, tmp_path / "mot20.zip")
    with zipfile.ZipFile(tmp_path / "mot20.zip") as archive:
        assert archive.namelist() == [f"MOT20-{n:02d}.txt" for n in range(1, 9)]


def test_same_results_give_the_same_bytes(mot20, tmp_path):
    for name in ("a.zip", "b.zip"):
        write_submission(check_submission(mot20, "mot20"), tmp_path / name)
        (mot20 / "MOT20-01.txt").touch()
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_one_detectors_file_stands_for_all_three_and_three_stand_for_themselves(mot17, tmp_path):
    (mot17 / "MOT17-01.txt").rename(mot17 / "MOT17-01-FRCNN.txt")
    (mot17 / "MOT17-02.txt").unlink()
    for i, detector in enumerate(("DPM", "FRCNN", "SDP")):
        (mot17 / f"MOT17-02-{detector}.txt").write_text(whole(600, ids=[10 + i]))
    submission = check_submission(mot17, "mot17")
    assert submission.problems == []
    assert len(submission.file_names) == 42
    write_submission(submission, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("MOT17-01-SDP.txt") == whole(450).encode()
        assert archive.read("MOT17-02-SDP.txt") == whole(600, ids=[12]).encode()


def test_folder_of_trackeval(mot20):
    (mot20 / "data").mkdir()
    for path in mot20.glob("*.txt"):
        path.rename(mot20 / "data" / path.name)
    assert check_submission(mot20, "mot20").problems == []


@pytest.mark.parametrize(
    ("story", "files", "expected"),
    [
        ("none at all", {}, "no result of MOT17-01, expected MOT17-01.txt or MOT17-01-DPM.txt, MOT17-01-FRCNN.txt,"),
        ("another case", {"mot17-01.txt": 450}, "if nothing was found; mot17-01.txt differs in case"),
        ("one name too many", {"MOT17-01.txt": 450, "MOT17-01-SDP.txt": 450}, "both MOT17-01.txt and MOT17-01-SDP.txt"),
        ("two of three", {"MOT17-01-DPM.txt": 450, "MOT17-01-SDP.txt": 450}, "but no MOT17-01-FRCNN.txt; give all"),
        (
            "a run that ended early",
            {"MOT17-01.txt": 450, "MOT17-01.partial.txt": 9},
            "MOT17-01.partial.txt: a partial result, of a run of `track` that ended early; track MOT17-01 again",
        ),
        ("another ending", {"mot17-01.TXT": 450}, "if nothing was found; mot17-01.TXT differs in case"),
    ],
)
def test_names(mot17, tmp_path, story, files, expected):
    (mot17 / "MOT17-01.txt").unlink()
    for name, length in files.items():
        (mot17 / name).write_text(whole(length))
    submission = check_submission(mot17, "mot17")
    assert len(submission.problems) == 1, story
    assert expected in submission.problems[0]
    with pytest.raises(InputError, match=r"1 problems, so no a\.zip is written; the first one: "):
        write_submission(submission, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_folder_with_the_name_of_a_file_is_a_problem_like_others(mot17):
    (mot17 / "MOT17-05.txt").unlink()
    (mot17 / "MOT17-05.txt").mkdir()
    problems = check_submission(mot17, "mot17").problems
    assert problems == [f"{mot17 / 'MOT17-05.txt'}: a folder, expected a file of 10 numbers a line"]


def test_other_files_are_left_out(mot20):
    (mot20 / "notes.txt").write_text("not a result")
    submission = check_submission(mot20, "mot20")
    assert submission.problems == []
    assert submission.remarks == [f"{mot20}/notes.txt: not part of MOT20, left out"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0,1,1,1,5,5,1,-1,-1,-1", "frame 0, expected 1 to 429"),
        ("430,1,1,1,5,5,1,-1,-1,-1", "frame 430, expected 1 to 429"),
        ("7.5,1,1,1,5,5,1,-1,-1,-1", "frame 7.5 is not an integer"),
        ("7,0,1,1,5,5,1,-1,-1,-1", "id 0, expected ids from 1; add 1 to all ids if they start at 0"),
        ("7,-1,1,1,5,5,1,-1,-1,-1", "id -1, expected ids from 1"),
        ("1,2,1,1,5,5,1,-1,-1,-1", "id 2 occurs twice in frame 1"),
        ("7,1,1,1,5,0,1,-1,-1,-1", "a box of 5 x 0 pixels, expected above 0"),
        ("7,1,1,1,-5,8,1,-1,-1,-1", "a box of -5 x 8 pixels, expected above 0"),
        ("7,1,nan,1,5,5,1,-1,-1,-1", "'nan' in column 3 is not a finite number"),
        ("7,1,1,1,5,5,1,3,-1,-1", "class 3 in column 8, expected -1 or 1"),
        ("7,1,1,1,5,5,1", "7 columns, expected 10"),
        ("7,1,1,1,5,5,1,1,0.5", "9 columns, expected 10; is it ground truth?"),
        ("frame,id,left,top,width,height,conf,x,y,z", "'frame' in column 1 is not a finite number"),
        ("７,1,1,1,5,5,1,-1,-1,-1", "holds other characters than plain numbers"),  # noqa: RUF001
    ],
)
def test_every_rule_names_file_and_line(mot20, row, expected):
    path = mot20 / "MOT20-01.txt"
    path.write_text(whole(429) + "\n" + row + "\n", encoding="utf-8")
    (problem,) = check_submission(mot20, "mot20").problems
    assert problem.startswith(f"{path}, line 8: ")
    assert expected in problem


def test_all_problems_are_found_in_one_go(mot20):
    first, second = mot20 / "MOT20-01.txt", mot20 / "MOT20-02.txt"
    rows = ["500,1,1,1,5,5,1,-1,-1,-1", "x,1,1,1,5,5,1,-1,-1,-1", "3,0,1,1,5,5,1,-1,-1,-1", "3,4,1,1,5,5", "5,5"]
    first.write_text(whole(429) + "\n".join(rows))
    second.write_text(ROW.format(frame=1, id=1) * 2)
    (mot20 / "MOT20-03.txt").unlink()
    (mot20 / "MOT20-04.txt").write_bytes(b"\xff\xfe\x00")
    problems = check_submission(mot20, "mot20").problems
    assert [p.split(": ")[0] for p in problems[:5]] == [f"{first}, line {n}" for n in (7, 8, 9, 10, 11)]
    assert problems[5] == f"{second}, line 2: id 1 occurs twice in frame 1"
    assert problems[6].startswith(f"{mot20}: no result of MOT20-03, expected MOT20-03.txt; an empty file if")
    assert problems[7].startswith(f"{mot20}/MOT20-04.txt: not a text file")
    assert len(problems) == 8


def test_a_file_full_of_problems_does_not_hide_the_others(mot20):
    (mot20 / "MOT20-01.txt").write_text(ROW.format(frame=1, id=0) * 500)
    (mot20 / "MOT20-02.txt").write_text("1,1,2,3,4,5,1,1,1\n" * 500)
    (mot20 / "MOT20-03.txt").write_text(ROW.format(frame=9999, id=1))
    problems = check_submission(mot20, "mot20").problems
    assert len(problems) == 11 + 11 + 1
    assert problems[10] == f"{mot20}/MOT20-01.txt: and more; these were the first 10"
    assert "frame 9999" in problems[-1]


def test_what_is_allowed_but_odd_is_a_remark(mot20):
    (mot20 / "MOT20-01.txt").write_text("")
    (mot20 / "MOT20-02.txt").write_text("".join(ROW.format(frame=f, id=1) for f in range(1392, 2783)))
    submission = check_submission(mot20, "mot20")
    assert submission.problems == []
    assert submission.remarks == [
        f"{mot20}/MOT20-01.txt: empty, so the tracker found nobody in 429 frames",
        f"{mot20}/MOT20-02.txt: boxes in frames 1392 to 2782 of 2782 only; "
        "was the whole sequence tracked (track --split all)?",
    ]


def test_files_are_packed_without_marks_and_blank_lines(mot20, tmp_path):
    (mot20 / "MOT20-01.txt").write_bytes(b"\xef\xbb\xbf" + b"\r\n" + whole(429).replace("\n", "\r\n").encode())
    write_submission(check_submission(mot20, "mot20"), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("MOT20-01.txt") == whole(429).encode()


def test_folder_and_name_of_the_archive(mot20, tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder; expected one with result files such as MOT20-01"):
        check_submission(tmp_path / "nowhere", "mot20")
    with pytest.raises(InputError, match=r"a\.tar: the server takes \.zip files only; call it a\.zip"):
        write_submission(check_submission(mot20, "mot20"), tmp_path / "a.tar")
