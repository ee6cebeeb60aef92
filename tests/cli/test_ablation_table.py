"""The table as text: values, differences, the best in bold, and what is not there."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from jde_lightning.cli.ablation_table import RowResult, markdown, of_seeds, write_tables

PUBLISHED = {"hota": 56.37, "mota": 56.38, "idf1": 66.45}
RESULTS = [
    RowResult("2", "a", PUBLISHED, {"hota": 56.0, "mota": 60.0, "idf1": 70.004}, 30, 3725.0, Path("runs/a")),
    RowResult("mine", "x|y", {}, {"hota": 10.0, "rank1": 90.0}, 1, 29.0, Path("runs/x")),
    RowResult("2", "b", PUBLISHED, {"hota": 57.0, "mota": 59.0, "idf1": 70.001}, 30, 60.0, Path("runs/b")),
    RowResult("2", "c", PUBLISHED, note="not\nrun"),
]


def test_markdown():
    tables = markdown(RESULTS).split("## ")
    assert [table.splitlines()[0] for table in tables[1:]] == ["Table 2", "mine"]
    lines = tables[1].splitlines()[4:7]
    assert lines == [
        "| a | 56.00 (56.37, -0.37) | **60.00** (56.38, +3.62) | **70.00** (66.45, +3.55) | 30 | 1:02 | `runs/a` |  |",
        "| b | **57.00** (56.37, +0.63) | 59.00 (56.38, +2.62) | **70.00** (66.45, +3.55) | 30 | 0:01 | `runs/b` |  |",
        "| c | - (56.37) | - (56.38) | - (66.45) |  |  |  | not run |",
    ]
    assert tables[2].splitlines()[2] == "| row | HOTA | MOTA | IDF1 | rank-1 | epochs | time | run | note |"
    assert tables[2].splitlines()[4] == "| x\\|y | 10.00 | - | - | 90.00 | 1 | 0:00 | `runs/x` |  |"


def test_what_is_not_as_published_stands_below_the_table(tmp_path):
    toy = ("trainer.max_epochs 1 (row: 30)", "data below `toy`")
    lines = [replace(RESULTS[0], deviations=toy), replace(RESULTS[2], deviations=toy), RESULTS[3]]
    expected = "Not what was published{}: trainer.max_epochs 1 (row: 30), data below `toy`. "
    assert markdown(lines).splitlines()[-2] == ""
    assert markdown(lines).splitlines()[-1].startswith(expected.format(""))
    assert expected.format(" (a)") in markdown([lines[0], RESULTS[2]])
    assert "Not what was published" not in markdown(RESULTS)
    with write_tables(lines, tmp_path)[0].open() as file:
        assert [line["differs"] for line in csv.DictReader(file)] == ["; ".join(toy)] * 2 + [""]


def test_nothing_to_tell_is_no_crash(tmp_path):
    assert "##" not in markdown([])
    written = write_tables([], tmp_path / "new")
    assert [path.name for path in written] == ["ablations.csv", "ablations.md"]


def test_csv_has_a_column_for_each_number(tmp_path):
    path, _, picture = write_tables(RESULTS, tmp_path)
    assert picture.name == "table_2.png"  # the only table with two measured rows
    assert cv2.imread(str(picture)) is not None
    assert path.read_text().startswith("table,row,hota,hota_published,hota_difference,mota,")
    with path.open() as file:
        lines = [{name: value for name, value in line.items() if value} for line in csv.DictReader(file)]
    assert lines[0] == {
        "table": "2", "row": "a", "hota": "56.00", "hota_published": "56.37", "hota_difference": "-0.37",
        "mota": "60.00", "mota_published": "56.38", "mota_difference": "+3.62",
        "idf1": "70.00", "idf1_published": "66.45", "idf1_difference": "+3.55",
        "seeds": "1", "epochs": "30", "seconds": "3725", "run": "runs/a",
    }  # fmt: skip
    assert lines[1] == {
        "table": "mine", "row": "x|y", "hota": "10.00", "rank1": "90.00",
        "seeds": "1", "epochs": "1", "seconds": "29", "run": "runs/x",
    }  # fmt: skip


def seed_run(seed, note="", **measured):
    run = Path(f"runs/a/seed_{seed}/version_0") if measured else None
    return seed, RowResult("2", "a", PUBLISHED, measured, 30, 60.0 * (seed + 1), run, note=note)


def test_runs_of_several_seeds_are_one_line_with_mean_and_spread(tmp_path):
    line = of_seeds([seed_run(0, hota=56.0, mota=60.0), seed_run(1, hota=58.0), seed_run(2, hota=60.0)])
    assert line.measured == {"hota": 58.0}
    assert line.spread == pytest.approx({"hota": 2.0})
    assert (line.seeds, line.seconds, line.run, line.note) == (3, 120.0, Path("runs/a"), "")
    text = markdown([line])
    assert "| row | HOTA | MOTA | IDF1 | seeds | epochs | time | run | note |" in text
    assert "| a | 58.00 ± 2.00 (56.37, +1.63) | - (56.38) | - (66.45) | 3 | 30 | 0:02 | `runs/a` |  |" in text
    with write_tables([line], tmp_path)[0].open() as file:
        cells = next(csv.DictReader(file))
    assert (cells["hota"], cells["hota_sd"], cells["seeds"]) == ("58.00", "2.00", "3")


def test_seeds_without_a_run_are_noted_and_do_not_count():
    line = of_seeds([seed_run(0, hota=56.0), seed_run(1, note="not run")])
    assert (line.measured, line.spread, line.seeds, line.note) == ({"hota": 56.0}, {}, 1, "seed 1: not run")
    nothing = of_seeds([seed_run(0, note="not run"), seed_run(1, note="failed")])
    assert (nothing.measured, nothing.run, nothing.note) == ({}, None, "seed 0: not run; seed 1: failed")


def test_one_run_is_left_as_it_is():
    assert of_seeds([(None, RESULTS[0])]) is RESULTS[0]
