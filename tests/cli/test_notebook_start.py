"""Which run a notebook looks at."""

import os

import pytest

from jde_lightning.cli import main, notebooks
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.errors import InputError
from jde_lightning.inference import load_tracker_factory
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker


def make_run(folder, age=0):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    (folder / "config.yaml").write_text("data: {val: [{class_path: jde_lightning.data.MOTChallenge}]}\n")
    when = 1_000_000_000 - age
    os.utime(folder / "checkpoints" / "best.ckpt", (when, when))
    return folder


@pytest.fixture(autouse=True)
def _variables(monkeypatch, tmp_path):
    monkeypatch.delenv(notebooks.RUN_VARIABLE, raising=False)
    monkeypatch.setenv(notebooks.RUNS_VARIABLE, str(tmp_path / "runs"))


def test_the_newest_run_with_weights_and_configuration_is_taken(tmp_path):
    assert notebooks.newest_run(tmp_path / "missing") is None
    make_run(tmp_path / "runs" / "quickstart" / "version_1", age=10)
    newest = make_run(tmp_path / "runs" / "quickstart" / "version_0")
    (make_run(tmp_path / "runs" / "other", age=-10) / "config.yaml").unlink()
    assert notebooks.newest_run(tmp_path / "runs") == newest
    assert notebooks.run_to_look_at() == newest


def test_the_variable_names_another_run_and_must_name_one(tmp_path, monkeypatch):
    make_run(tmp_path / "runs" / "version_0")
    chosen = make_run(tmp_path / "chosen", age=100)
    monkeypatch.setenv(notebooks.RUN_VARIABLE, str(chosen))
    assert notebooks.run_to_look_at() == chosen
    (chosen / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"chosen: no config.yaml in it; expected the folder of a run"):
        notebooks.run_to_look_at()
    monkeypatch.setenv(notebooks.RUN_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"nowhere: no checkpoints/best.ckpt in it"):
        notebooks.run_to_look_at()


def test_without_a_run_a_toy_is_trained(tmp_path, monkeypatch):
    commands = []

    def train(words):
        commands.append(words)
        make_run(tmp_path / "runs" / "notebooks" / "version_0")
        return 0

    monkeypatch.setattr(notebooks, "main", train)
    assert notebooks.run_to_look_at() == tmp_path / "runs" / "notebooks" / "version_0"
    assert commands == [notebooks.toy_command(tmp_path / "runs" / "notebooks")]
    assert commands[0][:2] == ["fit", "--config"]


def test_a_failed_training_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "main", lambda words: 1)
    with pytest.raises(InputError, match="the toy's training failed"):
        notebooks.run_to_look_at()


def test_runs_are_in_the_clone_unless_a_variable_says_otherwise(tmp_path, monkeypatch):
    assert notebooks.runs_folder() == tmp_path / "runs"
    monkeypatch.delenv(notebooks.RUNS_VARIABLE)
    assert notebooks.runs_folder() == notebooks.repository() / "runs"


def test_paths_with_spaces_stay_whole(tmp_path):
    words = notebooks.toy_command(tmp_path / "a b")
    assert words[words.index("--trainer.default_root_dir") + 1] == str(tmp_path / "a b")


def test_the_command_parses(tmp_path, capsys):
    assert main([*notebooks.toy_command(tmp_path), "--print_config=skip_default"]) == 0
    assert "max_epochs: 5" in capsys.readouterr().out


def test_without_a_clone_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(
        notebooks.jde_lightning, "__file__", str(tmp_path / "site-packages" / "jde_lightning" / "__init__.py")
    )
    with pytest.raises(InputError, match="no configs/quickstart.yaml; notebooks run in a clone"):
        notebooks.repository()


CONFIG = """\
data:
  root: {root}
  index_cache: false
  train: [{{class_path: jde_lightning.data.MOTChallenge, init_args: {{path: MOT17/train}}}}]
  val: [{{class_path: {reader}, init_args: {{path: {path}{more}}}}}]
tracking_hota:
  tracker:
    class_path: jde_lightning.tracking.FairMOTTracker
    init_args: {{conf_thresh: 0.3}}
"""


def write_config(run, root, reader="jde_lightning.data.MOTChallenge", path="MOT17/val", more=""):
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(CONFIG.format(root=root, reader=reader, path=path, more=more))
    return run


def test_runs_that_track_are_told_from_others(tmp_path):
    tracked = write_config(make_run(tmp_path / "runs" / "a", age=10), tmp_path)
    other = write_config(make_run(tmp_path / "runs" / "b"), tmp_path, reader="jde_lightning.data.CrowdHuman")
    assert notebooks.newest_run(tmp_path) == other
    assert notebooks.newest_run(tmp_path, tracked=True) == tracked
    assert notebooks.run_to_look_at() == tracked


def test_the_sequence_of_a_validation_and_its_half(tmp_path):
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=4, stills=0, width=96, height=64, people=3).write(
        tmp_path / "set"
    )
    run = write_config(tmp_path / "run", tmp_path / "set", more=", split: val_half")
    sequence, split = notebooks.validation_sequence(run)
    assert sequence == tmp_path / "set" / "MOT17" / "val" / "MOT17-61-FRCNN"
    assert split == "val_half"
    run = write_config(tmp_path / "run", tmp_path / "set", reader="jde_lightning.data.CrowdHuman", path="CrowdHuman")
    with pytest.raises(InputError, match=r"validated on CrowdHuman, expected sequences in the layout of MOTChallenge"):
        notebooks.validation_sequence(run)


def test_the_tracker_of_a_run_can_be_loaded(tmp_path):
    run = write_config(tmp_path / "run", tmp_path)
    tracker = load_tracker_factory(notebooks.write_tracker(run, tmp_path / "out" / "tracker.yaml"))(30.0)
    assert isinstance(tracker, FairMOTTracker)
    assert tracker.conf_thresh == 0.3
    (run / "config.yaml").write_text("tracking_hota: {tracker: null}\n")
    tracker = load_tracker_factory(notebooks.write_tracker(run, tmp_path / "out" / "tracker.yaml"))(30.0)
    assert isinstance(tracker, YOLO11JDETracker)
