"""When last.ckpt is written, that it is always whole, and that training goes on from it as if nothing had happened."""

import signal
import subprocess
import sys
import time

import pytest
import torch
from resumable import BATCHES, EPOCHS, at, fit, state, unequal

from jde_lightning.callbacks.checkpoint_files import WholeCheckpointIO
from jde_lightning.errors import InputError

STEPS = BATCHES * EPOCHS
INTERRUPTED = RuntimeError("interrupted")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    assert state(folder)["step"] == STEPS
    return folder


def interrupted(folder, place, step, **options):
    """Train until an exception comes, and return the step that last.ckpt holds."""
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(folder, at(place, step, INTERRUPTED), **options)
    path = folder / "last.ckpt"
    return int(state(folder)["step"]) if path.is_file() else None


def goes_on(folder, **options):
    trainer, module = fit(folder, ckpt_path=folder / "last.ckpt", **options)
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == trainer.global_step, "loggers count on"
    return trainer, module


@pytest.mark.parametrize("step", [1, 5, 8, 17])
def test_an_exception_between_updates_saves_the_step(tmp_path, whole, step):
    assert interrupted(tmp_path, "step", step) == step
    goes_on(tmp_path)
    assert unequal(state(tmp_path), state(whole)) == []


def test_an_exception_in_the_middle_of_an_update_leaves_what_was_there(tmp_path, whole):
    assert interrupted(tmp_path, "update", 8) == BATCHES  # the end of the epoch before
    goes_on(tmp_path)
    assert unequal(state(tmp_path), state(whole)) == []


@pytest.mark.parametrize("interval", [None, 3])
def test_a_validation_that_was_interrupted_is_made_again_from_its_first_image(tmp_path, whole, interval):
    options = {} if interval is None else {"val_check_interval": interval}
    step = BATCHES + (interval or BATCHES)
    seen = []

    def second_batch(where, module):
        if where == "validation" and module.global_step == step:
            seen.append(where)
            if len(seen) == 2:
                raise INTERRUPTED

    with pytest.raises(RuntimeError, match="interrupted"):
        fit(tmp_path, second_batch, **options)
    assert state(tmp_path)["step"] == step
    _, module = goes_on(tmp_path, **options)
    _, expected = fit(tmp_path / "whole", **options)
    assert unequal(state(tmp_path), state(tmp_path / "whole")) == []
    rest = [value for value in expected.validated if value[0] >= step]
    assert [value[:2] for value in module.validated] == [value[:2] for value in rest]
    assert all(torch.equal(one[2], other[2]) for one, other in zip(module.validated, rest, strict=True))


def test_weights_that_are_not_finite_are_never_saved(tmp_path, caplog):
    def spoil(module):
        with torch.no_grad():
            module.layer[0].weight[0, 0] = float("nan")

    fit(tmp_path, at("batch end", 8, spoil), every_minutes=1e-9)
    assert state(tmp_path)["step"] == 8  # what ran before the weight was spoiled
    assert "a weight is not finite" in caplog.text
    assert all(value.isfinite().all() for value in state(tmp_path).values())


def test_the_minutes_between_two_savings(tmp_path, whole, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    steps = []

    def minute(where, module):
        if where == "step":
            clock[0] += 60
            path = tmp_path / "last.ckpt"
            steps.append(int(state(tmp_path)["step"]) if path.is_file() else 0)

    fit(tmp_path, minute, every_minutes=4, max_epochs=2)
    assert steps == [0, 0, 0, 0, 4, 4, 6, 6, 6, 6, 10, 10]
    before = torch.load(tmp_path / "last.previous.ckpt", weights_only=True)
    assert before["global_step"] == 10
    fit(tmp_path / "off", minute, every_minutes=0, max_epochs=1)


def test_it_waits_for_the_end_of_an_accumulation(tmp_path, monkeypatch):
    clock, steps = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def minute(where, module):
        if where == "step":
            clock[0] += 60
            steps.append(int(state(tmp_path)["step"]) if (tmp_path / "last.ckpt").is_file() else 0)

    # it is time at the fifth batch of each epoch, whose gradient would be lost
    fit(tmp_path, minute, every_minutes=4.5, max_epochs=2, accumulate_grad_batches=4)
    assert steps == [0] * 6 + [2] * 6


def test_gradients_that_are_accumulated_are_not_lost(tmp_path):
    options = {"accumulate_grad_batches": 4, "every_minutes": 1e-9}
    fit(tmp_path / "whole", **options)
    saved = []

    def look(where, module):
        if where == "step" and (tmp_path / "last.ckpt").is_file():
            saved.append(int(state(tmp_path)["step"]))
            if saved[-1] == 3:  # in the middle of the second epoch
                (tmp_path / "last.ckpt").rename(tmp_path / "kept.ckpt")
                raise INTERRUPTED

    with pytest.raises(RuntimeError):
        fit(tmp_path, look, **options)
    fit(tmp_path, ckpt_path=tmp_path / "kept.ckpt", **options)
    assert unequal(state(tmp_path), state(tmp_path / "whole")) == []


def test_the_best_score_is_known_after_the_folder_was_moved(tmp_path, whole):
    fit(tmp_path / "a", max_epochs=2)
    (tmp_path / "a").rename(tmp_path / "b")
    trainer, _ = goes_on(tmp_path / "b")
    assert trainer.checkpoint_callback.best_model_path == str(tmp_path / "b" / "best.ckpt")
    assert unequal(state(tmp_path / "b"), state(whole)) == []
    assert unequal(state(tmp_path / "b", "best.ckpt"), state(whole, "best.ckpt")) == []


def test_another_folder_keeps_a_best_of_its_own(tmp_path):
    fit(tmp_path / "a", max_epochs=2)
    trainer, _ = fit(tmp_path / "b", ckpt_path=tmp_path / "a" / "last.ckpt")
    assert trainer.checkpoint_callback.best_model_path == str(tmp_path / "b" / "best.ckpt")


def test_what_was_left_of_a_killed_writer_is_removed(tmp_path):
    (tmp_path / ".last.abc.ckpt").write_bytes(b"half")
    fit(tmp_path, max_epochs=1)
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert not list(tmp_path.glob(".*.ckpt"))


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match="last.ckpt cannot be read as a checkpoint: it is empty"):
        WholeCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")


WRITER = """
import sys, torch
from jde_lightning.callbacks.checkpoint_files import WholeCheckpointIO
value = torch.zeros(2_000_000)
print("ready", flush=True)
for number in range(10_000):
    WholeCheckpointIO().save_checkpoint({"value": value + number, "number": number}, sys.argv[1])
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    halves = 0
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        begun = path.stat().st_mtime_ns if path.is_file() else None
        while not path.is_file() or path.stat().st_mtime_ns == begun:
            time.sleep(0.005)
        while not any(tmp_path.glob(".last.*.ckpt")):  # it is writing the next one
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        half = list(tmp_path.glob(".last.*.ckpt"))
        halves += len(half)
        for left in half:
            left.unlink()
        for name in ("last.ckpt", "last.previous.ckpt"):
            if name == "last.ckpt" or (tmp_path / name).is_file():
                saved = torch.load(tmp_path / name, weights_only=True)
                assert (saved["value"] == saved["number"]).all()
        if halves == 2:
            break
    assert halves == 2, "none was killed while it wrote"
