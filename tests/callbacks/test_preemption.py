"""A signal ends training at a step that is saved, wherever it comes."""

import os
import signal

import pytest
import torch
from resumable import BATCHES, EPOCHS, at, fit, state, unequal

from jde_lightning.callbacks import Preemption
from jde_lightning.callbacks.preemption import EXIT_CODE, Preempted
from jde_lightning.errors import InputError


def send(number=signal.SIGUSR1, times=1):
    def interrupt(module):
        for _ in range(times):
            os.kill(os.getpid(), number)

    return interrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return folder


@pytest.mark.parametrize(
    ("place", "step", "saved", "times"),
    [
        ("step", 0, 1, 1),  # the first step
        ("step", 8, 9, 2),  # twice
        ("step", BATCHES - 1, BATCHES, 1),  # the last of an epoch: its validation is begun, and made again later
        ("validation", BATCHES, BATCHES, 1),
        ("batch end", 9, 10, 1),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_saves_the_step_and_exits_with_75(tmp_path, whole, number, place, step, saved, times):
    handlers = [signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM)]
    with pytest.raises(Preempted) as end:
        fit(tmp_path, at(place, step, send(number, times)), callbacks=[Preemption()])
    assert isinstance(end.value, SystemExit)
    assert end.value.code == EXIT_CODE == 75
    assert state(tmp_path)["step"] == saved
    assert [signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM)] == handlers
    _, module = fit(tmp_path, ckpt_path=tmp_path / "last.ckpt", callbacks=[Preemption()])
    assert unequal(state(tmp_path), state(whole)) == []
    ends = [end for end in range(BATCHES, BATCHES * EPOCHS + 1, BATCHES) if end >= saved]
    assert [step for step, _, _ in module.validated] == [end for end in ends for _ in range(3)]
    assert [signal.getsignal(one) for one in (signal.SIGUSR1, signal.SIGTERM)] == handlers


def test_the_last_step_of_all_ends_training_as_usual(tmp_path, whole):
    fit(tmp_path, at("validation", BATCHES * EPOCHS + 1, send()), callbacks=[Preemption()])
    fit(tmp_path / "steps", at("step", 7, send()), callbacks=[Preemption()], max_steps=8)
    assert state(tmp_path / "steps")["step"] == 8


def test_without_a_checkpoint_it_says_that_nothing_is_saved(tmp_path, caplog):
    with pytest.raises(Preempted):
        fit(tmp_path, at("step", 3, send()), callbacks=[Preemption()], save_last=False)
    assert "NOT saved" in caplog.text


def test_off(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    during = []
    fit(
        tmp_path,
        at("step", 1, lambda module: during.append(signal.getsignal(signal.SIGUSR1))),
        callbacks=[Preemption(every_n_steps=0)],
        max_epochs=1,
    )
    assert during == [before]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_steps": -1}, "preemption.every_n_steps is -1"),
        ({"signals": ["USR1"]}, "preemption.signals: unknown USR1; expected names such as SIGUSR1, SIGTERM"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(InputError, match=message):
        Preemption(**options)


def test_step_seed_draws_the_same_after_a_resume(tmp_path):
    from jde_lightning.callbacks import StepSeed

    def draws(ckpt_path=None, enabled=True, folder=tmp_path, **options):
        drawn = {}

        def draw(where, module):
            if where == "step":
                drawn[module.global_step] = float(torch.rand(()))

        fit(folder, draw, ckpt_path, callbacks=[StepSeed(enabled)], **options)
        return drawn

    first = draws(max_epochs=2)
    assert len(set(first.values())) == len(first)
    rest = draws(tmp_path / "last.ckpt")
    again = draws(folder=tmp_path / "again")
    assert {**first, **rest} == again
