"""A signal to all processes of a job must not kill the loaders before the training has saved itself."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from torch.utils.data import Dataset
from torch.utils.data._utils import worker

from jde_lightning.data.loaders import FramesLoader, TrainingLoader
from jde_lightning.data.workers import signals_held, start_worker

PROGRAM = """
import multiprocessing, os, signal, subprocess, sys, time
import psutil
from torch.utils.data import DataLoader, Dataset
from jde_lightning.data.loaders import FramesLoader
from jde_lightning.data.workers import start_worker, start_workers_from_a_clean_process

class Slow(Dataset):
    def __len__(self):
        return 20
    def __getitem__(self, index):
        time.sleep(0.02)
        return index

def main(start, name, then):
    if start == "clean":
        start_workers_from_a_clean_process()
    iterator = iter(FramesLoader(Slow(), num_workers=2, worker_init_fn=start_worker))
    got = [int(next(iterator)) for _ in range(3)]
    pids = [process.pid for process in multiprocessing.active_children()]
    assert len(pids) == 2
    if start == "clean":
        servers = {psutil.Process(pid).ppid() for pid in pids}
        assert len(servers) == 1 and os.getpid() not in servers, servers
        pids += servers
    others = "import os, signal, sys; [os.kill(int(pid), signal.Signals[sys.argv[1]]) for pid in sys.argv[2:]]"
    subprocess.run([sys.executable, "-c", others, name, *map(str, pids)], check=True)
    if then == "leave":
        sys.exit(75)  # in the middle: Python ends the workers
    got += [int(batch) for batch in iterator]
    assert got == list(range(20)), got
    assert [int(batch) for batch in FramesLoader(Slow(), num_workers=1, worker_init_fn=start_worker)] == got
    iterator = iter(FramesLoader(Slow(), num_workers=1, worker_init_fn=start_worker))
    worker = iterator._workers[0]
    worker.terminate()  # as torch does with one that does not end
    worker.join(10)
    assert worker.exitcode == 0, worker.exitcode

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


def run(folder, *words):
    path = folder / "program.py"
    path.write_text(PROGRAM)
    return subprocess.run([sys.executable, path, *words], capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("start", ["system's", "clean"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_all_batches_come_after_a_signal_from_outside(tmp_path, start, name):
    result = run(tmp_path, start, name, "go on")
    assert result.returncode == 0, result.stderr[-1000:]


@pytest.mark.parametrize("start", ["system's", "clean"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_workers_end_with_the_training(tmp_path, start, name):
    result = run(tmp_path, start, name, "leave")
    assert result.returncode == 75, result.stderr[-1000:]


class Numbers(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("loader", [FramesLoader, TrainingLoader])
def test_a_signal_does_not_kill_a_worker_that_is_just_starting(monkeypatch, loader, name):
    """It comes when torch has put its own handlers in place and the worker's first line of ours has not run."""
    real = worker.signal_handling._set_worker_signal_handlers

    def signalled_there():
        real()
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # as in a process that was not forked
        os.kill(os.getpid(), signal.Signals[name])

    monkeypatch.setattr(worker.signal_handling, "_set_worker_signal_handlers", signalled_there)
    batches = loader(Numbers(), num_workers=1, worker_init_fn=start_worker)
    assert [int(batch) for batch in batches] == [0, 1, 2, 3]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert not before & {signal.SIGTERM, signal.SIGUSR1}, "the training process hears its signals again"


def test_a_signal_that_was_held_is_heard_afterwards():
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with signals_held():
            # to this thread: another one, which tests before this may have left, would hear what the process gets
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            assert heard == []
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)
