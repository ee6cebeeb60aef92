import contextlib
import stat

import pytest

from jde_lightning.files import folder_written_whole, written_whole


def test_a_folder_appears_whole(tmp_path):
    with folder_written_whole(tmp_path / "new" / "folder") as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "new" / "folder").exists()
    assert (tmp_path / "new" / "folder" / "a").read_text() == "1"
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["folder"]
    (tmp_path / "plain").mkdir()
    assert stat.S_IMODE((tmp_path / "new" / "folder").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "plain").stat().st_mode
    )


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    with contextlib.suppress(RuntimeError), folder_written_whole(tmp_path / "x") as temporary:
        (temporary / "a").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_whoever_was_faster_stays(tmp_path):
    with folder_written_whole(tmp_path / "x") as slow:
        (slow / "a").write_text("slow")
        with folder_written_whole(tmp_path / "x") as fast:
            (fast / "a").write_text("fast")
    assert (tmp_path / "x" / "a").read_text() == "fast"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OSError), folder_written_whole(tmp_path / "x"):
        pass


def test_a_file_appears_whole(tmp_path):
    with written_whole(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("1")
    with contextlib.suppress(RuntimeError), written_whole(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("2")
        raise RuntimeError
    assert (tmp_path / "a" / "b.txt").read_text() == "1"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["b.txt"]
