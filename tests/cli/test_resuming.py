"""Which checkpoint --ckpt_path means, and what is said where it cannot be read."""

import os

import pytest
import torch

from jde_lightning.cli.resuming import find_start, newest_checkpoints
from jde_lightning.errors import InputError

WORDS = ["fit", "--config", "my run.yaml", "--ckpt_path", "last"]


def checkpoint(path, step=7, age=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {"weight": torch.arange(20_000)}, "loops": {}, "global_step": step}, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def find(asked, root, words=WORDS, dirpath=None):
    return find_start(str(asked), root, dirpath, words)


def test_last_is_the_newest_checkpoint_of_all_runs(tmp_path):
    assert newest_checkpoints(tmp_path) is None
    for age, version in ((50, 0), (10, 1), (30, 2)):
        checkpoint(tmp_path / f"version_{version}/checkpoints/last.ckpt", step=version, age=age)
    start = find("last", tmp_path)
    assert start.path == tmp_path / "version_1/checkpoints/last.ckpt"
    assert (start.folder, start.step) == (tmp_path / "version_1", 1)


def test_folders_that_validate_made_do_not_mislead(tmp_path):
    path = checkpoint(tmp_path / "version_0/checkpoints/last.ckpt", age=50)
    (tmp_path / "version_1").mkdir()
    (tmp_path / "version_1/metrics.csv").write_text("epoch,step,val/hota\n0,0,0.5\n")
    (tmp_path / "version_2/checkpoints").mkdir(parents=True)
    for asked in ("last", "last_or_new"):
        start = find(asked, tmp_path)
        assert (start.path, start.folder) == (path, tmp_path / "version_0")


def test_a_folder_goes_on_with_its_run_and_a_file_begins_another(tmp_path):
    path = checkpoint(tmp_path / "version_0/checkpoints/last.ckpt")
    checkpoint(tmp_path / "version_1/checkpoints/last.ckpt")
    assert find(tmp_path / "version_0", tmp_path).folder == tmp_path / "version_0"
    assert find(tmp_path / "version_0/checkpoints", tmp_path).path == path
    start = find(path, tmp_path)
    assert (start.path, start.folder, start.step) == (path, None, 7)


def test_a_folder_of_checkpoints_that_was_chosen(tmp_path):
    path = checkpoint(tmp_path / "mine/last.ckpt")
    start = find("last", tmp_path, dirpath=str(tmp_path / "mine"))
    assert (start.path, start.folder) == (path, None)


def test_nothing_there(tmp_path, caplog):
    with pytest.raises(InputError, match=r"last: no version_\*/checkpoints/last.ckpt in .*last_or_new begins"):
        find("last", tmp_path)
    assert find("last_or_new", tmp_path) is None
    assert "NOTHING to go on from" in caplog.text
    with pytest.raises(InputError, match="no such file; expected a checkpoint, a run's folder, or one of last"):
        find(tmp_path / "mistyped", tmp_path)
    with pytest.raises(InputError, match="no checkpoints/last.ckpt in this folder"):
        find(tmp_path, tmp_path)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-5000])


def emptied(path):
    path.write_bytes(b"")


def other(path):
    path.write_text("no checkpoint at all")


def weights(path):
    torch.save({"model": torch.zeros(3)}, path)


DAMAGES = [
    (truncated, "its end is missing, or it never was one"),
    (emptied, "it is empty"),
    (other, "its end is missing, or it never was one"),
    (weights, "is no checkpoint of a training; to start from weights alone, give model.weights"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_offered(tmp_path, caplog, damage, reason):
    path = checkpoint(tmp_path / "version_0/checkpoints/last.ckpt")
    before = checkpoint(tmp_path / "version_0/checkpoints/last.previous.ckpt", step=5, age=100)
    damage(path)
    with pytest.raises(InputError) as error:
        find("last", tmp_path)
    text = str(error.value)
    assert f"{path}" in text
    assert reason in text
    assert text.endswith(
        "is whole (step 5), go on from it with: jde-lightning fit --config 'my run.yaml' --ckpt_path previous"
    )
    start = find("previous", tmp_path)
    assert (start.path, start.folder, start.step) == (before, tmp_path / "version_0", 5)
    start = find("last_or_new", tmp_path)  # nobody is there to type the command
    assert (start.path, start.step) == (before, 5)
    assert "taken INSTEAD" in caplog.text


def test_a_damaged_checkpoint_without_another(tmp_path):
    path = checkpoint(tmp_path / "version_0/checkpoints/last.ckpt")
    emptied(path)
    for asked in ("last", "last_or_new", path, tmp_path / "version_0"):
        with pytest.raises(InputError, match="last.ckpt cannot be read as a checkpoint: it is empty"):
            find(asked, tmp_path)
    emptied(tmp_path / "version_0/checkpoints/last.previous.ckpt")
    with pytest.raises(InputError, match="last.previous.ckpt cannot be read either"):
        find("last", tmp_path)
