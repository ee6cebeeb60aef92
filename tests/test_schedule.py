import numpy as np
import pytest
import torch

from jde_lightning.schedule import WarmupLinear, WarmupLinearScheduler


def run(optimizer, steps, **kwargs):
    scheduler = WarmupLinearScheduler(optimizer, **kwargs)
    rates, momenta = [], []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([group.get("momentum", group.get("betas", (0,))[0]) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return np.array(rates), np.array(momenta)


def sgd():
    weights, biases = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    return torch.optim.SGD(
        [{"params": [weights], "is_bias": False}, {"params": [biases], "is_bias": True}], lr=0.01, momentum=0.937
    )


def test_equals_ultralytics_rule_step_by_step():
    """The warm-up of Ultralytics' trainer: np.interp over the first steps, then the epoch's linear factor."""
    settings = WarmupLinear(warmup_epochs=2, warmup_min_steps=0, warmup_bias_lr=0.1)
    per_epoch, epochs = 10, 6
    rates, momenta = run(sgd(), per_epoch * epochs, settings=settings, steps_per_epoch=per_epoch, epochs=epochs)
    for step in range(per_epoch * epochs):
        factor = max(1 - (step // per_epoch) / epochs, 0) * (1 - 0.01) + 0.01
        assert rates[step, 0] == pytest.approx(np.interp(step, [0, 20], [0.0, 0.01 * factor]))
        assert rates[step, 1] == pytest.approx(np.interp(step, [0, 20], [0.1, 0.01 * factor]))
        assert momenta[step, 0] == pytest.approx(np.interp(step, [0, 20], [0.8, 0.937]))


def test_warmup_takes_at_least_so_many_steps_but_never_more_than_half():
    scheduler = WarmupLinearScheduler(sgd(), WarmupLinear(0.0, 100), steps_per_epoch=50, epochs=10)
    assert scheduler.warmup_steps == 100
    scheduler = WarmupLinearScheduler(sgd(), WarmupLinear(3.0, 100), steps_per_epoch=10, epochs=4)
    assert scheduler.warmup_steps == 20


def test_warms_the_first_beta_of_adam():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=0.002, betas=(0.9, 0.999))
    _, momenta = run(optimizer, 30, settings=WarmupLinear(1.0, 0), steps_per_epoch=10, epochs=3)
    assert momenta[0, 0] == pytest.approx(0.8)
    assert momenta[10:, 0] == pytest.approx(0.9)
    assert optimizer.param_groups[0]["betas"][1] == 0.999


def test_state_restores_the_place_in_the_schedule():
    first, second = sgd(), sgd()
    kwargs = {"settings": WarmupLinear(1.0, 0), "steps_per_epoch": 10, "epochs": 3}
    scheduler = WarmupLinearScheduler(first, **kwargs)
    for _ in range(17):
        first.step()
        scheduler.step()
    again = WarmupLinearScheduler(second, **kwargs)
    again.load_state_dict(scheduler.state_dict())
    second.load_state_dict(first.state_dict())
    for _ in range(8):
        for optimizer, schedule in ((first, scheduler), (second, again)):
            optimizer.step()
            schedule.step()
        assert [g["lr"] for g in first.param_groups] == [g["lr"] for g in second.param_groups]
        assert [g["momentum"] for g in first.param_groups] == [g["momentum"] for g in second.param_groups]


def interrupted(settings, epochs, steps=15, lr=0.01):
    """State of an optimiser and a schedule of 3 epochs after some steps, loaded into one of so many epochs."""
    old, new = sgd(), sgd()
    before = WarmupLinearScheduler(old, WarmupLinear(1.0, 0), steps_per_epoch=10, epochs=3)
    for _ in range(steps):
        old.step()
        before.step()
    for group in new.param_groups:
        group["lr"] = lr
    after = WarmupLinearScheduler(new, settings, steps_per_epoch=10, epochs=epochs)
    new.load_state_dict(old.state_dict())
    after.load_state_dict(before.state_dict())
    return old, before, new, after


def test_goes_on_with_the_same_bits():
    old, before, new, after = interrupted(WarmupLinear(1.0, 0), epochs=3)
    for _ in range(15):
        assert [{**group, "params": 0} for group in old.param_groups] == [
            {**group, "params": 0} for group in new.param_groups
        ]
        for optimizer, scheduler in ((old, before), (new, after)):
            optimizer.step()
            scheduler.step()


def test_what_changed_in_the_configuration_takes_effect():
    _, _, new, _ = interrupted(WarmupLinear(1.0, 0), epochs=10, lr=0.5)
    fresh = sgd()
    for group in fresh.param_groups:
        group["lr"] = 0.5
    rates, _ = run(fresh, 16, settings=WarmupLinear(1.0, 0), steps_per_epoch=10, epochs=10)
    assert [group["lr"] for group in new.param_groups] == pytest.approx(rates[15])
