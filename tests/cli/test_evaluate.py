"""The verb ``evaluate``."""

import argparse
import json

import pytest

from jde_lightning.cli import evaluate
from jde_lightning.errors import InputError

ROW = "{frame},{id},{left},10,20,50,1,{cls},1\n"


@pytest.fixture
def folder(tmp_path):
    gt = tmp_path / "gt" / "SEQ" / "gt"
    gt.mkdir(parents=True)
    frames = range(1, 11)
    gt.joinpath("gt.txt").write_text("".join(ROW.format(frame=f, id=1, left=10 + f, cls=1) for f in frames))
    gt.parent.joinpath("seqinfo.ini").write_text("[Sequence]\nseqLength=10\n")
    results = tmp_path / "results"
    results.mkdir()
    # a perfect track that changes its id after frame 5, and one false alarm
    rows = [ROW.format(frame=f, id=1 + (f > 5), left=10 + f, cls=-1) for f in frames]
    results.joinpath("SEQ.txt").write_text("".join([*rows, ROW.format(frame=3, id=9, left=500, cls=-1)]))
    return tmp_path


def run(*arguments):
    parser = argparse.ArgumentParser(prog="jde-lightning evaluate")
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args(list(map(str, arguments))))


def test_table_and_json(folder, capsys):
    path = folder / "out" / "scores.json"
    assert run("--gt", folder / "gt", "--results", folder / "results", "--json", path) == 0
    table = capsys.readouterr().out
    lines = [line.split() for line in table.splitlines()]
    assert lines[0] == ["HOTA", "MOTA", "IDF1", "DetA", "AssA", "IDSW", "FP", "FN", "MT", "PT", "ML", "Frag"]
    assert lines[2] == ["SEQ", "67.42", "80.00", "47.62", "90.91", "50.00", "1", "1", "0", "1", "0", "0", "0"]
    assert lines[4][0] == "COMBINED"
    assert lines[4][1:] == lines[2][1:]
    assert lines[6] == ["DetRe", "DetPr", "AssRe", "AssPr", "LocA", "MOTP", "IDP", "IDR"]
    widths = {len(line) for line in table.splitlines()[:5]}
    assert len(widths) == 1
    scores = json.loads(path.read_text())
    assert list(scores) == ["combined", "sequences"]
    assert scores["sequences"] == {"SEQ": scores["combined"]}
    assert scores["combined"]["MOTA"] == pytest.approx(0.8)
    assert scores["combined"]["IDSW"] == 1
    keys = "HOTA DetA AssA DetRe DetPr AssRe AssPr LocA MOTA MOTP IDF1 IDP IDR IDSW FP FN MT PT ML Frag"
    assert set(scores["combined"]) == set(keys.split())


def test_options_reach_the_evaluation(folder, capsys):
    common = ("--gt", folder / "gt", "--results", folder / "results")
    with pytest.raises(
        InputError, match=r"SEQ\.txt, line 1: frame 1 is outside of val_half \(fairmot\), frames 6 to 10"
    ):
        run(*common, "--split", "val_half", "--half-convention", "fairmot")
    with pytest.raises(InputError, match="no sequence is called 'OTHER'"):
        run(*common, "--sequences", "OTHER")
    with pytest.raises(SystemExit):
        run(*common, "--benchmark", "mot19")
    assert "--benchmark" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "jde-lightning evaluate --gt" in out
    assert "\n" not in evaluate.HELP
