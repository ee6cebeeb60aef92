"""The table as text: values, differences, the best in bold, and what is not there."""

from pathlib import Path

from jde_lightning.cli.ablation_table import RowResult, markdown, write_tables

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


def test_nothing_to_tell_is_no_crash(tmp_path):
    assert "##" not in markdown([])
    written = write_tables([], tmp_path / "new")
    assert [path.name for path in written] == ["ablations.csv", "ablations.md"]


def test_csv_has_a_column_for_each_number(tmp_path):
    path, _ = write_tables(RESULTS, tmp_path)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("table,row,hota,hota_published,hota_difference,mota,")
    assert lines[1] == "2,a,56.00,56.37,-0.37,60.00,56.38,+3.62,70.00,66.45,+3.55,,,,30,3725,runs/a,"
    assert lines[2] == "mine,x|y,10.00,,,,,,,,,,,90.00,1,29,runs/x,"
