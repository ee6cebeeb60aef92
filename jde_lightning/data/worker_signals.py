"""Loading processes outlive the signal that asks a training to stop, so that the training can still save itself."""

from __future__ import annotations

import os
import signal
import threading


def obey_parent_only() -> None:
    """Ignore SIGUSR1, and SIGTERM unless the parent sends it; to be called in a loading process.

    Clusters send these to every process of a job (SLURM to all in the step, torchrun to whole process groups). A loader
    that dies of it takes the training down within the step, before anything is saved. PyTorch, and Python when it ends,
    send SIGTERM to loaders that are still there: from the parent it ends the process as before. Where the system does
    not tell who sent a signal (macOS), nothing changes.
    """
    if not hasattr(signal, "sigwaitinfo") or threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # blocked for all threads that are started from here on: it waits until the thread below looks at it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_when_told_by, args=(os.getppid(),), name="obey_parent_only", daemon=True).start()


def _end_when_told_by(parent: int) -> None:
    """Wait for SIGTERM from a process, and end this one."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
