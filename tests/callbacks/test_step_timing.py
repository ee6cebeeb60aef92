"""What a step's parts take is what they were made to take, and a slow loader is named with its remedy."""

import csv
import time
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from small_training import make_data, make_module, make_trainer, write_crowd

from jde_lightning.callbacks import StepTiming, Throughput
from jde_lightning.callbacks.stamps import CudaStamps
from jde_lightning.callbacks.step_timing import remedy

NAP = 0.15


class Clock:
    """Goes on by a millisecond at every look, and by naps: what is measured is not what else the machine does."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 0.001
        return self.now

    def nap(self, seconds):
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_crowd(tmp_path_factory.mktemp("crowd"))


class Slow(pl.Callback):
    """Makes one part of each step, and every validation, longer by a nap."""

    def __init__(self, part):
        self.part = part

    def on_train_start(self, trainer, pl_module):
        def nap(*_):
            time.perf_counter.nap(NAP)

        if self.part in ("network", "loss"):
            child = getattr(pl_module, self.part)
            # in the middle of what the timing's hooks enclose
            inner = child.forward
            child.forward = lambda *args: (nap(), inner(*args))[1]
        elif self.part == "data":
            dataset = trainer.datamodule._train_dataset
            inner_item = type(dataset).__getitem__
            slow = type("SlowDataset", (type(dataset),), {"__getitem__": lambda s, i: (nap(), inner_item(s, i))[1]})
            dataset.__class__ = slow

    def on_after_backward(self, trainer, pl_module):
        if self.part == "backward":
            time.perf_counter.nap(NAP)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if self.part == "optimizer":
            time.perf_counter.nap(NAP)

    def on_validation_batch_start(self, *_):
        if self.part == "validation":
            time.perf_counter.nap(1)


def fit(root, tmp_path, callbacks, **options):
    logger = CSVLogger(tmp_path, name="", version=0)
    values = {"max_epochs": 2, "log_every_n_steps": 3, **options}
    make_trainer(tmp_path, callbacks, logger=logger, **values).fit(make_module(), datamodule=make_data(root))
    with (tmp_path / "version_0" / "metrics.csv").open() as file:
        everything = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [row for row in everything if "time/step_ms" in row], everything


PARTS = ("data", "network", "loss", "backward", "optimizer")


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_measured_by_itself(root, tmp_path, part):
    rows, _ = fit(root, tmp_path, [Slow(part), StepTiming()])
    assert len(rows) == 2  # 6 steps, logged every 3
    last = {name.removeprefix("time/"): value for name, value in rows[-1].items() if name.startswith("time/")}
    names = {"network": "forward_ms"}
    slowest = names.get(part, f"{part}_ms")
    parts = [names.get(name, f"{name}_ms") for name in PARTS]
    assert set(last) == {*parts, "step_ms", "images_per_second"}
    assert last[slowest] == max(last[name] for name in parts)
    assert last[slowest] >= 1000 * NAP
    assert sum(last[name] for name in parts) <= last["step_ms"] * 1.01
    assert sum(last[name] for name in parts) >= last["step_ms"] * 0.7
    assert last["images_per_second"] == pytest.approx(4000 / last["step_ms"], rel=0.01)


def test_validation_does_not_count(root, tmp_path):
    rows, everything = fit(
        root,
        tmp_path,
        [Slow("validation"), StepTiming(), Throughput(window_size=2)],
        limit_val_batches=1,
        val_check_interval=1,
        log_every_n_steps=1,
    )
    assert all(row["time/step_ms"] < 100 for row in rows)
    rates = [row["train/device/samples_per_sec"] for row in everything if "train/device/samples_per_sec" in row]
    assert len(rates) == 5
    assert all(rate > 4 / 0.1 for rate in rates)


def test_throughput_counts_batches_between_the_logged_ones(root, tmp_path):
    rows, everything = fit(root, tmp_path, [Slow("loss"), Throughput(window_size=2), StepTiming()])
    logged = [row for row in everything if "train/samples" in row]
    assert [row["train/samples"] for row in logged] == [12, 24]
    assert logged[-1]["train/device/samples_per_sec"] == pytest.approx(rows[-1]["time/images_per_second"], rel=0.1)


def test_switched_off_nothing_is_logged_and_nobody_listens(root, tmp_path):
    rows, everything = fit(root, tmp_path, [StepTiming(enabled=False), Throughput(enabled=False)])
    assert rows == []
    assert not any(name.startswith(("time/", "train/samples")) for row in everything for name in row)


def test_without_a_logger_training_goes_on(root, tmp_path):
    make_trainer(tmp_path, [StepTiming(), Throughput()]).fit(make_module(), datamodule=make_data(root))


def test_hooks_are_gone_afterwards(root, tmp_path):
    module = make_module()
    make_trainer(tmp_path, [StepTiming()]).fit(module, datamodule=make_data(root))
    for child in (module.network, module.loss):
        assert not child._forward_hooks
        assert not child._forward_pre_hooks


def test_a_slow_loader_is_warned_of_once_with_the_remedy(root, tmp_path, caplog):
    with caplog.at_level("WARNING", logger="jde_lightning.callbacks.step_timing"):
        fit(root, tmp_path, [Slow("data"), StepTiming(window=2, warmup=1)])
    (record,) = caplog.records
    assert "% of the last 2 steps" in record.getMessage()
    assert "raise data.num_workers, which is 0 of" in record.getMessage()
    caplog.clear()
    with caplog.at_level("WARNING", logger="jde_lightning.callbacks.step_timing"):
        fit(root, tmp_path, [Slow("loss"), StepTiming(window=2, warmup=1)])
        fit(root, tmp_path, [Slow("data"), StepTiming(window=2, warmup=5)])  # one step is left to judge
        fit(root, tmp_path, [Slow("data"), StepTiming(window=2, warmup=1, warn_share=0)])
    assert not caplog.records


def test_the_remedy_fits_the_settings(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    few = remedy(SimpleNamespace(num_workers=2, cache="worker", fused=True, image_size=640))
    assert few.startswith("raise data.num_workers, which is 2 of 8 cores; set data.cache shared")
    assert "fused" not in few
    all_used = remedy(SimpleNamespace(num_workers=4, cache="shared", fused=False, image_size=640), processes=2)
    assert all_used.startswith("data.num_workers is 4 of 8 cores (for 2 processes")
    assert "more will not help; set data.fused true; lower data.image_size, which is 640" in all_used
    assert remedy(None) == "give the loader more workers"


def test_stamps_of_a_gpu_wait_only_when_asked_for_a_duration(monkeypatch):
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            log.append("record")
            self.time = len(log)

        def synchronize(self):
            log.append("wait")

        def elapsed_time(self, other):
            return other.time - self.time

    monkeypatch.setattr(torch.cuda, "Event", Event)
    stamps = CudaStamps()
    first, last = stamps.now(), stamps.now()
    assert log == ["record", "record"]
    assert stamps.ms(first, last) == 1
    assert log[-1] == "wait"


def test_monitors_of_lightning_log_beside_ours(root, tmp_path):
    monitors = [LearningRateMonitor(logging_interval="step"), DeviceStatsMonitor()]
    _, everything = fit(root, tmp_path, monitors)
    names = {name for row in everything for name in row}
    assert "lr-AdamW/pg1" in names
    assert any("cpu_percent" in name for name in names)
