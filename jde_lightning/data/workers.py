"""Processes that load data: how they start, and why a signal to the whole job leaves them alone."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_CAN_HOLD = hasattr(signal, "sigwaitinfo")  # not on every system


def one_thread_per_worker(worker_id: int) -> None:
    """Keep OpenCV to one thread in a worker process; for ``worker_init_fn`` of a data loader.

    Without it a forked worker may wait for ever for the threads that OpenCV had in the process it was forked from.
    """
    del worker_id
    cv2.setNumThreads(0)


def start_worker(worker_id: int) -> None:
    """As :func:`one_thread_per_worker`, in a worker that signals to a whole job leave alone; for ``worker_init_fn``.

    A cluster that wants its machine back may signal every process of the job. The training process then has a step to
    finish, for which it needs its workers. They end when it tells them to, as ever. A signal that comes before a worker
    gets here kills it, unless it was started within :func:`signals_held`.
    """
    one_thread_per_worker(worker_id)
    if not _CAN_HOLD:
        return
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    training = multiprocessing.parent_process()  # which is not the parent that the system knows, if a server forked
    told_by = training.pid if training is not None else os.getppid()
    threading.Thread(target=_end_if_told_by, args=(told_by,), daemon=True).start()


def start_workers_from_a_clean_process() -> None:
    """From now on, workers of this process are copies of a server without threads, not of this process.

    A copy gets the locks that other threads hold at that moment, and nobody to give them back: where a process talks
    with others, as in training on several devices, it has such threads, and now and then a worker hangs before its
    first batch (https://github.com/pytorch/pytorch/issues/130610; it is why Python 3.14 does the same). The server
    takes some seconds to start, once, and leaves signals to the job alone. What workers get is pickled, and they import
    the main module, so that it must do nothing unless ``__name__ == "__main__"``.

    Does nothing where the system cannot fork.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    multiprocessing.set_forkserver_preload(["jde_lightning.data.loaders", "jde_lightning.data.datasets"])
    multiprocessing.set_start_method("forkserver", force=True)
    with signals_held():
        multiprocessing.resource_tracker.ensure_running()  # lets SIGTERM in again, so that it needs a hold of its own
    with signals_held():
        multiprocessing.forkserver.ensure_running()


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back SIGTERM and SIGUSR1 to this thread while it starts workers.

    A process begins with the signals held that the thread held which started it. What came meanwhile is delivered in
    the end; a process of several threads may hear it at once in another one, as it would have otherwise.
    """
    if not _CAN_HOLD:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_if_told_by(process: int | None) -> None:
    """Wait for a SIGTERM that a certain process sent, and end this one."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)
