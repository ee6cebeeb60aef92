import pytest

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.image_folders import ImageFolders


@pytest.fixture
def folders():
    return ImageFolders(Findings())


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_leftovers_of_other_programs_are_no_images(tmp_path, folders):
    touch(tmp_path / "b" / "2.JPG", tmp_path / "a.png", tmp_path / "b" / "1.jpeg")
    junk = [".DS_Store", "Thumbs.db", "._a.png", "__MACOSX/a.png", "@eaDir/a.jpg/thumb.jpg", ".cache/x.jpg", "a.txt"]
    touch(*(tmp_path / name for name in junk))
    assert folders.images(tmp_path) == [tmp_path / "a.png", tmp_path / "b" / "1.jpeg", tmp_path / "b" / "2.JPG"]


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
    folders = ImageFolders(findings)
    touch(tmp_path / "images" / "1.jpg")
    folders.images(tmp_path / "images")
    folders.file(tmp_path / "labels" / "1.txt")
    assert findings.unchanged()
    touch(tmp_path / "labels" / "1.txt")
    assert not findings.unchanged()
