"""Names of packaged configurations on the command line, from a folder without the repository."""

from pathlib import Path

import pytest
import yaml

from jde_lightning.cli import main
from jde_lightning.packaged_configs import config_names, configs_folder

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working folder that is not the repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_configs_lists_names_with_what_they_are_for(capsys):
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config_names()
    assert lines[1].split(maxsplit=1)[1].startswith("First steps: renders a synthetic crowd")


def test_configs_prints_a_file_to_copy_and_paths(capsys):
    assert main(["configs", "own_images"]) == 0
    assert capsys.readouterr().out == (CONFIGS / "own_images.yaml").read_text()
    assert main(["configs", "trackers/fairmot", "--path"]) == 0
    assert capsys.readouterr().out == f"{CONFIGS / 'trackers' / 'fairmot.yaml'}\n"
    assert main(["configs", "--path"]) == 0
    assert capsys.readouterr().out == f"{configs_folder()}\n"
    assert main(["configs", "fairmot"]) == 2
    assert "nearest: trackers/fairmot" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["--config", "{}"], ["--config={}"], ["-c", "{}"]])
def test_fit_takes_names_and_later_ones_win(flag, capsys):
    words = [word.format(name) for name in ("quickstart", "overlays/debug") for word in flag]
    assert main(["fit", *words, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    debug = yaml.safe_load((CONFIGS / "overlays" / "debug.yaml").read_text())
    assert printed["model"]["embed_dim"] == 64  # of quickstart
    assert debug["trainer"].items() <= printed["trainer"].items()


def test_fit_still_takes_settings_in_place_of_a_file(capsys):
    assert main(["fit", "--config", "model: {embed_dim: 32}", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["embed_dim"] == 32


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict", "data check"])
def test_unknown_configurations_are_wrong_usage(verb, capsys):
    assert main([*verb.split(), "--config", "quikstart"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jde-lightning {verb}: error: quikstart: no such file")
    assert "nearest: quickstart" in error
    assert error.count("\n") == 1


def test_data_check_and_ablate_take_names(capsys):
    flags = ["--data.root", "none", "--data.synthetic", "null"]
    assert main(["data", "check", "--config", "quickstart", *flags]) == 1
    assert "none" in capsys.readouterr().out  # the readers of the configuration look there
    assert main(["ablate", "ablations/table2", "--print-commands", "--", "--data.root", "D"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list((CONFIGS / "ablations" / "table2").glob("*.yaml")))
    assert f"--config {CONFIGS}/experiments/paper_ablation.yaml --config {CONFIGS}/ablations/table2/" in lines[0]
    assert main(["ablate", "ablations/table22", "--print-commands"]) == 2
    assert "ablations/table22: no such file" in capsys.readouterr().err
