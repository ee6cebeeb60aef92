"""Processes that load data: how they start, and why a signal to the whole job leaves them alone."""

from __future__ import annotations

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
    threading.Thread(target=_end_if_told_by, args=(os.getppid(),), daemon=True).start()


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


def _end_if_told_by(parent: int) -> None:
    """Wait for a SIGTERM that the parent sent, and end the process."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
