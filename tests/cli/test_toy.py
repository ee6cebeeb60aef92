"""Which run a notebook looks at."""

import os

import pytest

from jde_lightning.cli import toy
from jde_lightning.errors import InputError


def make_run(folder, age=0):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    (folder / "config.yaml").touch()
    when = 1_000_000_000 - age
    os.utime(folder / "checkpoints" / "best.ckpt", (when, when))
    return folder


@pytest.fixture(autouse=True)
def _variables(monkeypatch, tmp_path):
    monkeypatch.delenv(toy.RUN_VARIABLE, raising=False)
    monkeypatch.setenv(toy.RUNS_VARIABLE, str(tmp_path / "runs"))


def test_the_newest_run_with_weights_and_configuration_is_taken(tmp_path):
    assert toy.newest_run(tmp_path / "missing") is None
    make_run(tmp_path / "runs" / "quickstart" / "version_1", age=10)
    newest = make_run(tmp_path / "runs" / "quickstart" / "version_0")
    (make_run(tmp_path / "runs" / "other", age=-10) / "config.yaml").unlink()
    assert toy.newest_run(tmp_path / "runs") == newest
    assert toy.run_to_look_at() == newest


def test_the_variable_names_another_run_and_must_name_one(tmp_path, monkeypatch):
    make_run(tmp_path / "runs" / "version_0")
    chosen = make_run(tmp_path / "chosen", age=100)
    monkeypatch.setenv(toy.RUN_VARIABLE, str(chosen))
    assert toy.run_to_look_at() == chosen
    (chosen / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"chosen: no config.yaml in it; expected the folder of a run"):
        toy.run_to_look_at()
    monkeypatch.setenv(toy.RUN_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"nowhere: no checkpoints/best.ckpt in it"):
        toy.run_to_look_at()


def test_without_a_run_a_toy_is_trained(tmp_path, monkeypatch):
    commands = []

    def train(words):
        commands.append(words)
        make_run(tmp_path / "runs" / "notebooks" / "version_0")
        return 0

    monkeypatch.setattr(toy, "main", train)
    assert toy.run_to_look_at() == tmp_path / "runs" / "notebooks" / "version_0"
    assert commands == [toy.toy_command(tmp_path / "runs" / "notebooks")]
    assert commands[0][:2] == ["fit", "--config"]


def test_a_failed_training_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "main", lambda words: 1)
    with pytest.raises(InputError, match="the toy's training failed"):
        toy.run_to_look_at()


def test_runs_are_in_the_clone_unless_a_variable_says_otherwise(tmp_path, monkeypatch):
    assert toy.runs_folder() == tmp_path / "runs"
    monkeypatch.delenv(toy.RUNS_VARIABLE)
    assert toy.runs_folder() == toy.repository() / "runs"


def test_paths_with_spaces_stay_whole(tmp_path):
    words = toy.toy_command(tmp_path / "a b")
    assert words[words.index("--trainer.default_root_dir") + 1] == str(tmp_path / "a b")


def test_the_command_parses(tmp_path, capsys):
    from jde_lightning.cli import main

    assert main([*toy.toy_command(tmp_path), "--print_config=skip_default"]) == 0
    assert "max_epochs: 5" in capsys.readouterr().out


def test_without_a_clone_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(
        toy.jde_lightning, "__file__", str(tmp_path / "site-packages" / "jde_lightning" / "__init__.py")
    )
    with pytest.raises(InputError, match="no configs/quickstart.yaml; notebooks run in a clone"):
        toy.repository()
