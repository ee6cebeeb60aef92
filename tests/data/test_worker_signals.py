"""A signal to all processes of a job must not kill the loaders before the training has saved itself."""

import subprocess
import sys

import pytest

from jde_lightning.data import datasets

if not hasattr(datasets, "start_worker"):
    pytest.skip("start_worker comes with another branch", allow_module_level=True)

PROGRAM = """
import multiprocessing, os, signal, sys, time
from torch.utils.data import DataLoader, Dataset
from jde_lightning.data.datasets import start_worker

class Slow(Dataset):
    def __len__(self):
        return 20
    def __getitem__(self, index):
        time.sleep(0.02)
        return index

iterator = iter(DataLoader(Slow(), num_workers=2, worker_init_fn=start_worker))
got = [int(next(iterator)) for _ in range(3)]
others = "import os, signal, sys; [os.kill(int(pid), signal.Signals[sys.argv[1]]) for pid in sys.argv[2:]]"
import subprocess
pids = [str(process.pid) for process in multiprocessing.active_children()]
subprocess.run([sys.executable, "-c", others, sys.argv[1], *pids], check=True)
if sys.argv[2] == "leave":
    sys.exit(75)  # in the middle: Python ends the workers
got += [int(batch) for batch in iterator]
assert got == list(range(20)), got
"""


def run(*words):
    return subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_all_batches_come_after_a_signal_from_outside(name):
    result = run(name, "go on")
    assert result.returncode == 0, result.stderr[-1000:]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_workers_end_with_the_training(name):
    assert run(name, "leave").returncode == 75
