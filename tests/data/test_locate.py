import pytest

from jde_lightning.data.readers.findings import Findings
from jde_lightning.data.readers.locate import first_file, first_folder, images_by_stem


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_first_of_the_right_kind_wins_whatever_the_case(tmp_path):
    touch(tmp_path, "A/b.txt", "c", "D/x")
    assert first_folder(tmp_path, ["c", "a", "d"], Findings()) == tmp_path / "A"
    assert first_file(tmp_path, ["a", "a/B.TXT", "c"], Findings()) == tmp_path / "A" / "b.txt"
    assert first_file(tmp_path / "nowhere", ["a", "c"], Findings()) is None


def test_places_looked_for_in_vain_are_noted_too(tmp_path):
    touch(tmp_path, "second")
    findings = Findings()
    first_file(tmp_path, ["first", "second", "third"], findings)
    assert findings.unchanged()
    touch(tmp_path, "third")  # comes after the one that was taken
    assert findings.unchanged()
    touch(tmp_path, "first")
    assert not findings.unchanged()


def test_images_by_stem(tmp_path):
    touch(tmp_path, "images/b/x.png", "images/x.jpg", "images/b/y.1.png")
    assert images_by_stem(tmp_path, ["none", "images"], Findings()) == {
        "x": str(tmp_path / "images" / "x.jpg"),
        "y.1": str(tmp_path / "images" / "b" / "y.1.png"),
    }
    assert images_by_stem(tmp_path, ["none"], Findings()) == {}


@pytest.mark.parametrize("name", ["images/new.png", "images/b/new.png"])
def test_a_new_image_anywhere_expires_the_index_on_disk(tmp_path, name):
    touch(tmp_path, "images/b/x.png")
    findings = Findings()
    images_by_stem(tmp_path, ["images"], findings)
    assert findings.unchanged()
    touch(tmp_path, name)
    assert not findings.unchanged()
