"""Runs that are killed or asked to stop, and started again through the front door, end as if nothing had happened."""

import csv
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jde_lightning.data.synthetic import SyntheticCrowd

STEPS = 12
"""Optimiser steps of a run: 2 epochs of 12 batches, two of them accumulated."""

CONFIG = """
trainer: {accelerator: cpu, max_epochs: 2, enable_progress_bar: false, enable_model_summary: false,
          gradient_clip_val: 10.0, accumulate_grad_batches: 2, log_every_n_steps: 1, num_sanity_val_steps: 0}
model:
  scale: n
  embed_dim: 16
  loss_weighting: uncertainty # the loss has parameters: log variances, and below class centres
  reid_loss:
    class_path: jde_lightning.losses.ReIDLoss
    init_args:
      miner: {class_path: pytorch_metric_learning.miners.DistanceWeightedMiner} # draws from PyTorch's generator
      loss: {class_path: pytorch_metric_learning.losses.ArcFaceLoss, init_args: {num_classes: 64, embedding_size: 16}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.0005}}
  schedule: {warmup_min_steps: 4, warmup_epochs: 0.5}
data:
  root: ROOT/data
  train: [{class_path: MOTChallenge, init_args: {path: MOT17/train, supervision: full}}]
  val: [{class_path: MOTChallenge, init_args: {path: MOT17/val}}]
  image_size: 96
  batch_size: 2
  epoch_repeats: 4
  num_workers: 1
ema: {ramp: 5}
checkpoint: {every_minutes: 0.001} # after nearly every step
pictures: {every_n_epochs: 0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume")
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=6, stills=1, width=160, height=96, people=4).write(
        root / "data"
    )
    (root / "config.yaml").write_text(CONFIG.replace("ROOT", str(root)))
    return root


class Run:
    """Runs of one configuration below one folder."""

    def __init__(self, folder, name, *words, env=None, program=("-m", "jde_lightning")):
        self.root = folder / name
        self.words = ["fit", "--config", str(folder / "config.yaml"), "--trainer.default_root_dir", str(self.root)]
        # how long things took is no part of what must be the same
        self.words += ["--throughput.enabled", "false", "--step_timing.enabled", "false", *words]
        self.env = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **(env or {})}
        self.program = program
        self.folder = self.root / "version_0"

    def start(self, *words):
        command = [sys.executable, *self.program, *self.words, *words]
        log = (self.folder.parent.parent / f"{self.root.name}.log").open("a")
        return subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)

    def finish(self, *words):
        """Run to the end and return the exit code."""
        return self.end_of(self.start(*words))

    def end_of(self, process):
        """The exit code of a process; one that hangs is killed, with those that it started."""
        try:
            return process.wait(timeout=200)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    def log(self):
        return (self.folder.parent.parent / f"{self.root.name}.log").read_text()

    def steps(self):
        """The steps of training that metrics.csv has, as they stand there."""
        if not (self.folder / "metrics.csv").is_file():
            return []
        with (self.folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        return [int(row["step"]) for row in rows if row.get("train/box_loss") and (row["step"] or "").isdigit()]

    def wait_for_step(self, process, step):
        while max(self.steps(), default=-1) < step:
            assert process.poll() is None, self.log()
            time.sleep(0.01)

    def last(self):
        return torch.load(self.folder / "checkpoints" / "last.ckpt", weights_only=True)

    def table(self):
        with (self.folder / "metrics.csv").open() as file:
            return list(csv.DictReader(file))

    def curve(self, tag):
        events = EventAccumulator(str(self.folder))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars(tag)]


def assert_same_end(run, whole):
    """All that a checkpoint holds, the table and the curves are those of the uninterrupted run."""
    assert [path.name for path in run.root.glob("version_*")] == ["version_0"], "a run that goes on has one folder"
    assert sorted(path.name for path in run.folder.glob("*.yaml")) == ["config.yaml", "hparams.yaml"]
    assert list(different(run.last(), whole.last(), "")) == []
    assert run.table() == whole.table()
    assert run.steps() == list(range(STEPS))
    for tag in ("train/box_loss", "train/reid_loss", "val/map50"):
        assert run.curve(tag) == whole.curve(tag)


def different(one, other, where):
    """Names of what differs between two checkpoints, but for the folder."""
    if isinstance(one, dict) and isinstance(other, dict) and where != "/callbacks/Checkpoint/best_k_models":
        for key in {*one, *other} - {"config_yaml", "dirpath"}:
            if key in one and key in other:
                yield from different(one[key], other[key], f"{where}/{key}")
            else:
                yield f"{where}/{key}"
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from different(*pair, f"{where}/{number}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if not torch.equal(one, other):
            yield where
    elif not where.endswith(("_path", "best_k_models")) and one != other:
        yield f"{where}: {one} {other}"


@pytest.fixture(scope="module")
def whole(folder):
    run = Run(folder, "whole")
    assert run.finish() == 0, run.log()
    assert run.steps() == list(range(STEPS))
    return run


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(folder, whole):
    step = random.SystemRandom().randrange(1, STEPS - 3)
    run = Run(folder, f"killed_at_{step}")
    process = run.start()
    run.wait_for_step(process, step)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert step - 1 <= run.last()["global_step"] < STEPS
    assert run.finish("--ckpt_path", "last") == 0, run.log()
    assert_same_end(run, whole)


SLURM = {
    "SLURM_NTASKS": "1",
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "fit",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NTASKS_PER_NODE": "1",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all", "env"),
    [(signal.SIGUSR1, False, SLURM), (signal.SIGTERM, True, {})],
    ids=["SIGUSR1 on SLURM", "SIGTERM to workers too"],
)
def test_a_preempted_run_goes_on_with_the_same_command(folder, whole, number, to_all, env):
    run = Run(folder, f"preempted_{number.name}", "--ckpt_path", "last_or_new", "--checkpoint.every_minutes=0", env=env)
    process = run.start()
    run.wait_for_step(process, 4)
    for _ in range(2):  # a second signal changes nothing
        (os.killpg if to_all else os.kill)(process.pid, number)
    assert run.end_of(process) == 75, run.log()
    assert "NOTHING to go on from" in run.log()
    assert 5 <= run.last()["global_step"] < STEPS
    assert run.steps()[-1] == run.last()["global_step"] - 1, "the step that was saved is logged"
    assert run.finish() == 0, run.log()
    assert_same_end(run, whole)
    assert not list(run.root.glob("hpc_ckpt*"))
    assert run.finish() == 0, "a run that is complete has nothing left to do"
    assert_same_end(run, whole)


TWO = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.use_distributed_sampler=false")


@pytest.mark.slow
def test_two_processes_that_are_killed_and_preempted_go_on_exactly(folder):
    whole = Run(folder, "two_whole", *TWO)
    assert whole.finish() == 0, whole.log()
    steps = whole.steps()
    run = Run(folder, "two", *TWO, "--ckpt_path", "last_or_new", "--preemption.every_n_steps=1")
    process = run.start("--checkpoint.every_minutes=0.001")
    run.wait_for_step(process, 1)
    os.kill(_child(process.pid), signal.SIGUSR1)  # to the second process only
    assert run.end_of(process) == 75, run.log()
    saved = run.last()["global_step"]
    assert 2 <= saved < len(steps)
    process = run.start()
    run.wait_for_step(process, saved)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert run.finish() == 0, run.log()
    assert list(different(run.last(), whole.last(), "")) == []
    assert run.steps() == steps


def _child(parent):
    """The process that Lightning started beside the first one."""
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", " fit --config"], capture_output=True, text=True).stdout
    return min(map(int, found.split()))
