import pytest

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.folders import Folders, find, images_below, images_in, subfolders


@pytest.fixture
def folders():
    return Folders(Findings())


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


JUNK = [".DS_Store", "Thumbs.db", "._a.png", "__MACOSX/a.png", "@eaDir/a.jpg/thumb.jpg", ".cache/x.jpg", "a.txt"]


@pytest.fixture
def with_junk(tmp_path):
    touch(*(tmp_path / name for name in ["b/2.JPG", "a.png", "b/1.jpeg", "b/._1.jpeg", "z.bmp", *JUNK]))
    return tmp_path


def test_leftovers_of_other_programs_are_no_images(with_junk, folders):
    below = ["a.png", "z.bmp", "b/1.jpeg", "b/2.JPG"]
    assert images_below(with_junk, Findings()) == [str(with_junk / name) for name in below]
    assert folders.images(with_junk) == [with_junk / name for name in ("a.png", "b/1.jpeg", "b/2.JPG", "z.bmp")]
    assert subfolders(with_junk) == [with_junk / "b"]


def test_images_of_one_folder(with_junk):
    (with_junk / "a.png").write_bytes(b"x")
    (with_junk / "dead.png").symlink_to(with_junk / "nowhere.png")
    assert images_in(with_junk) == ([with_junk / "a.png"], [with_junk / "z.bmp"])  # touch leaves 0 bytes


def test_a_folder_that_is_not_there_is_empty(tmp_path):
    findings = Findings()
    assert images_below(tmp_path / "none", findings) == []
    assert images_in(tmp_path / "none") == ([], [])
    assert subfolders(tmp_path / "none") == []
    assert find(tmp_path / "none", "x") is None


def test_links_are_followed_and_loops_end(tmp_path, folders):
    touch(tmp_path / "elsewhere" / "1.jpg", tmp_path / "images" / "2.jpg")
    (tmp_path / "images" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "up").symlink_to(tmp_path / "images")
    found = folders.images(tmp_path / "images")
    assert [path.name for path in found] == ["2.jpg", "1.jpg"]


def test_case_matters_only_where_both_exist(tmp_path, folders):
    touch(tmp_path / "Images" / "A.JPG", tmp_path / "Images" / "b.jpg", tmp_path / "Images" / "B.jpg")
    assert folders.file(tmp_path / "images" / "a.jpg") == tmp_path / "Images" / "A.JPG"
    assert folders.file(tmp_path / "Images" / "b.jpg") == tmp_path / "Images" / "b.jpg"
    assert folders.file(tmp_path / "Images" / "B.jpg") == tmp_path / "Images" / "B.jpg"
    assert folders.file(tmp_path / "Images" / "c.jpg") is None
    assert folders.file(tmp_path / "none" / "at" / "all.jpg") is None
    assert folders.names(tmp_path / "images") == {"A.JPG", "b.jpg", "B.jpg"}
    assert folders.exists(tmp_path / "IMAGES")
    assert not folders.exists(tmp_path / "none")


def test_new_files_and_folders_expire_what_was_found(tmp_path):
    findings = Findings()
    folders = Folders(findings)
    touch(tmp_path / "images" / "1.jpg")
    folders.images(tmp_path / "images")
    folders.file(tmp_path / "labels" / "1.txt")
    assert findings.unchanged()
    touch(tmp_path / "labels" / "1.txt")
    assert not findings.unchanged()


def test_find_prefers_the_exact_name(tmp_path):
    (tmp_path / "Train" / "Images").mkdir(parents=True)
    assert find(tmp_path, "train/images") is not None
    assert find(tmp_path, "Train/Images") == tmp_path / "Train" / "Images"
    assert find(tmp_path, "val") is None
    assert find(tmp_path / "missing", "val") is None
