import csv

import pytest

from jde_lightning.inference.tuning.table7 import TableRow, table7_markdown, table7_trackers, write_table7
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

ROWS = [
    TableRow(
        "FairMOT",
        {"HOTA": 56.89, "MOTA": 57.84, "IDF1": 66.89},
        {"HOTA": 0.6, "MOTA": 0.5, "IDF1": 0.66, "IDSW": 7},
        {"HOTA": 0.61, "MOTA": 0.51, "IDF1": 0.67, "IDSW": 8},
    ),
    TableRow("YOLO11-JDE (fine-tuned here)", {}, {}, {"HOTA": 0.7, "MOTA": 0.5, "IDF1": 0.8, "IDSW": 3}),
]


def test_markdown_has_the_published_numbers_beside():
    text = table7_markdown(ROWS, "held out: b")
    assert "Here: held out: b." in text
    assert "| FairMOT | 60.00 (56.89, +3.11) | 50.00 (57.84, -7.84) | 66.00 (66.89, -0.89) | 7 |" in text
    assert "| YOLO11-JDE (fine-tuned here) | 70.00 | 50.00 | 80.00 | 3 |" in text
    assert "## Held out" not in table7_markdown(ROWS[1:], "nothing is held out")


def test_files(tmp_path):
    markdown, table = write_table7(ROWS, "held out: b", tmp_path / "new")
    assert markdown.read_text() == table7_markdown(ROWS, "held out: b")
    first, second = csv.DictReader(table.read_text().splitlines())
    assert first["held_out_hota"] == "60.00"
    assert first["tuning_idsw"] == "8"
    assert first["published_idf1"] == "66.89"
    assert (second["held_out_hota"], second["published_hota"], second["tuning_idf1"]) == ("", "", "80.00")


@pytest.mark.parametrize("appearance", [True, False])
def test_searches_begin_with_fairmots_own_parameters_and_the_authors_of_yolo11_jde(appearance):
    fairmot, yolo11_jde = table7_trackers(appearance).values()
    assert fairmot.tracker is FairMOTTracker
    assert [fairmot.arguments[k] for k in ("conf_thresh", "first_match_thresh", "second_match_thresh")] == [
        *(0.4, 0.4, 0.5)
    ]
    assert (fairmot.arguments["new_match_thresh"], fairmot.arguments["track_buffer"]) == (0.7, 30)
    assert yolo11_jde.tracker is YOLO11JDETracker
    assert yolo11_jde.arguments["min_weight"] == 0.55
    assert fairmot.appearance == yolo11_jde.appearance == appearance
