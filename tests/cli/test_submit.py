import zipfile

import pytest

from jde_lightning.cli import main
from jde_lightning.metrics.submission import SEQUENCE_LENGTHS

ROW = "{frame},1,794.27,247.59,71.24,174.88,0.91,-1,-1,-1\n"


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for name, length in SEQUENCE_LENGTHS["mot17"].items():
        (folder / f"{name}-FRCNN.txt").write_text(ROW.format(frame=1) + ROW.format(frame=length))
    return folder


def run(results, output, benchmark="mot17"):
    return main(["submit", "--benchmark", benchmark, "--results", str(results), "--output", str(output)])


def test_archive_is_written_and_summed_up(results, tmp_path, capsys):
    output = tmp_path / "mot17.zip"
    assert run(results, output) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["file", "frames", "with", "boxes", "boxes", "ids"]
    assert lines[1].split() == ["MOT17-01-DPM.txt", "450", "1-450", "2", "1"]
    assert len(lines) == 1 + 42 + 1
    assert lines[-1] == f"{output}: 42 files, 0.0 MB"
    assert err.startswith("note: one file each stands for DPM, FRCNN, SDP, 14 in all: MOT17-01-FRCNN.txt, ")
    assert len(err.splitlines()) == 1
    with zipfile.ZipFile(output) as archive:
        assert len(archive.namelist()) == 42


def test_every_problem_is_a_line_and_nothing_is_written(results, tmp_path, capsys):
    output = tmp_path / "mot17.zip"
    (results / "MOT17-01-FRCNN.txt").unlink()
    (results / "MOT17-02-FRCNN.txt").write_text(ROW.format(frame=601))
    assert run(results, output) == 1
    lines = capsys.readouterr().err.splitlines()
    problems = [line for line in lines if line.startswith("problem: ")]
    assert problems[0].startswith(f"problem: {results}: no result of MOT17-01, expected ")
    assert problems[1] == f"problem: {results}/MOT17-02-FRCNN.txt, line 1: frame 601, expected 1 to 600"
    assert lines[-1] == f"jde-lightning submit: error: {results}: 2 problems, so {output} is not written"
    assert not output.exists()


def test_long_lists_are_cut(results, tmp_path, capsys):
    for path in results.iterdir():
        path.write_text(ROW.format(frame=0) * 9)
    assert run(results, tmp_path / "a.zip") == 1
    problems = [line for line in capsys.readouterr().err.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 41
    assert problems[-1].startswith("problem: ... and ")


def test_wrong_usage(results, tmp_path, capsys):
    assert run(results, tmp_path / "a.zip", benchmark="mot16") == 2
    assert run(tmp_path / "nowhere", tmp_path / "a.zip") == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
