"""Configurations by name, wherever one works; that a wheel carries them is in test_distribution.py."""

from pathlib import Path

import pytest

import jde_lightning.packaged_configs as packaged
from jde_lightning.errors import UsageError
from jde_lightning.packaged_configs import config_names, configs_folder, find_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_a_clone_they_are_those_of_the_repository():
    assert configs_folder() == CONFIGS


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("quickstart", "quickstart.yaml"),
        ("quickstart.yaml", "quickstart.yaml"),
        ("overlays/debug", "overlays/debug.yaml"),
        ("experiments/mot17_half", "experiments/mot17_half.yaml"),
        ("ablations/table2/margin_0.05", "ablations/table2/margin_0.05.yaml"),  # a dot is no suffix
        ("configs/overlays/debug.yaml", "overlays/debug.yaml"),  # as in a clone of the repository
        ("./configs/quickstart.yaml", "quickstart.yaml"),
        (Path("configs/quickstart.yaml"), "quickstart.yaml"),
    ],
)
def test_name_is_the_path_below_configs(name, file):
    assert find_config(name) == CONFIGS / file


def test_every_listed_name_is_found_and_every_configuration_is_listed():
    found = {find_config(name) for name in config_names()}
    assert found == {path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "cluster"}
    names = config_names()
    assert names[:2] == ["own_images", "quickstart"]  # those that one begins with
    assert len(names) == len(set(names))


def test_under_a_folder_names_are_short_and_long_ones_still_work():
    for name in ("bytetrack", "trackers/bytetrack", "configs/trackers/bytetrack.yaml"):
        assert find_config(name, under="trackers") == CONFIGS / "trackers" / "bytetrack.yaml"
    assert config_names("trackers") == sorted(path.stem for path in (CONFIGS / "trackers").glob("*.yaml"))


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yaml", "configs/quickstart.yaml"])
def test_a_file_of_exactly_that_name_wins(name, elsewhere):
    own = elsewhere / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("model: {}\n")
    assert find_config(name).resolve() == own
    assert find_config(str(own)) == own


def test_what_only_looks_like_the_name_does_not_win(elsewhere):
    (elsewhere / "quickstart.yaml").write_text("model: {}\n")
    (elsewhere / "overlays").mkdir()
    assert find_config("quickstart") == CONFIGS / "quickstart.yaml"
    assert find_config("overlays/cpu") == CONFIGS / "overlays" / "cpu.yaml"


def test_home_is_expanded(elsewhere, monkeypatch):
    monkeypatch.setenv("HOME", str(elsewhere))
    (elsewhere / "own.yaml").write_text("model: {}\n")
    assert find_config("~/own.yaml") == elsewhere / "own.yaml"


def test_folders_only_where_they_make_sense(elsewhere):
    assert find_config("ablations/table2", folders=True) == CONFIGS / "ablations" / "table2"
    with pytest.raises(UsageError, match="ablations/table2: no such file"):
        find_config("ablations/table2")
    (elsewhere / "rows").mkdir()
    assert find_config("rows", folders=True) == Path("rows")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("quikstart", "nearest: quickstart;"),
        ("overlay/debug", "nearest: overlays/debug;"),
        ("debug", "nearest: overlays/debug;"),
        ("configs/debug.yaml", "nearest: overlays/debug;"),
        ("mot17_halve", "nearest: experiments/mot17_half;"),
        ("margin_0.05", "nearest: ablations/table2/margin_0.05, "),
        ("nothing like it", "first steps: own_images, quickstart;"),
    ],
)
def test_unknown_names_are_told_near_ones(name, hint):
    with pytest.raises(UsageError) as caught:
        find_config(name)
    text = str(caught.value)
    assert text.startswith(f"{name}: no such file, and no packaged configuration has this name ({hint}")
    assert text.endswith("`jde-lightning configs` lists all)")
    assert "\n" not in text


def test_unknown_names_under_a_folder_are_told_all():
    known = ", ".join(config_names("trackers"))
    with pytest.raises(UsageError, match=rf"\(there are {known}; nearest: bytetrack\)$"):
        find_config("byte_track", under="trackers")


@pytest.mark.parametrize("name", ["", ".", "..", "../setup", "overlays/../quickstart", "cluster"])
def test_names_lead_nowhere_else(name):
    with pytest.raises(UsageError, match="no packaged configuration"):
        find_config(name)


def test_absolute_paths_are_no_names(elsewhere):
    with pytest.raises(UsageError, match=r"/quickstart\.yaml: no such file$"):
        find_config(elsewhere / "quickstart.yaml")


def test_the_folder_inside_the_package_comes_first_and_its_absence_is_said(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "jde_lightning"
    package.mkdir(parents=True)
    monkeypatch.setattr(packaged, "files", lambda name: package)
    with pytest.raises(UsageError, match="installation is not whole"):
        configs_folder()
    (package.parent / "configs").mkdir()
    assert configs_folder() == package.parent / "configs"
    (package / "configs").mkdir()
    assert configs_folder() == package / "configs"
