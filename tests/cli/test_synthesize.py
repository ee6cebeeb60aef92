"""``jde-lightning data synthesize``."""

import cv2

from jde_lightning.cli import main

TINY = [
    "--train-sequences=1",
    "--val-sequences=1",
    "--frames=2",
    "--stills=2",
    "--width=128",
    "--height=96",
    "--people=4",
]


def test_it_writes_the_set_and_a_contact_sheet(tmp_path, capsys):
    root = tmp_path / "crowd"
    words = ["data", "synthesize", "--output", str(root), *TINY]
    assert main(words) == 0
    assert f"{root}: 6 images\n" in capsys.readouterr().out
    assert (root / "MOT17" / "val" / "MOT17-61-FRCNN" / "gt" / "gt.txt").is_file()
    # Four pictures, three side by side.
    assert cv2.imread(str(root / "preview.png")).shape == (2 * 96, 3 * 128, 3)
    assert main(words) == 0
    assert "(already there)" in capsys.readouterr().out


def test_a_foreign_folder_is_one_clear_line(tmp_path, capsys):
    (tmp_path / "other.txt").write_text("x")
    assert main(["data", "synthesize", "--output", str(tmp_path), *TINY]) == 1
    assert "holds other files (such as other.txt)" in capsys.readouterr().err
