"""Runs a test's function on several processes that talk over gloo; one that hangs fails the test instead of lasting."""

import faulthandler
import multiprocessing
import os
import pickle
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy

# Imported once by a server without threads, of which every process is a copy: torch alone takes seconds to import.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["jde_lightning.cli.lightning_verbs"])


def run_ranks(work: Callable[..., Any], count: int, *args: Any, timeout: float = 100) -> list[Any]:
    """Call ``work(rank, *args)`` on ``count`` processes and return what each returned.

    Args:
        work: a function of a module; its result is pickled.
        count: number of processes.
        args: further arguments.
        timeout: seconds after which the processes are killed and the test fails.

    Raises:
        AssertionError: with the traceback of the first process that failed, or the ranks that hang.
    """
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = [
            _CONTEXT.Process(target=_run, args=(work, rank, count, port, folder, timeout, args), daemon=True)
            for rank in range(count)
        ]
        for process in processes:
            process.start()
        try:
            _wait(processes, folder, timeout)
        finally:
            for process in processes:
                process.kill()
                process.join()
        return [pickle.loads((Path(folder) / f"{rank}.result").read_bytes()) for rank in range(count)]


def _wait(processes: list[Any], folder: str, timeout: float) -> None:
    """Wait for all; one that fails ends the wait, because the others may wait for it."""
    end = time.monotonic() + timeout
    while any(process.is_alive() for process in processes) and time.monotonic() < end:
        if any(process.exitcode for process in processes):
            break
        time.sleep(0.02)
    failed = [rank for rank, process in enumerate(processes) if process.exitcode]
    files = [Path(folder) / f"{rank}.error" for rank in failed]
    told = [f.read_text() if f.is_file() else f"{f.stem} died: {processes[int(f.stem)].exitcode}\n" for f in files]
    told.sort(key=lambda text: "onnection closed by peer" in text)  # what another's failure causes comes last
    assert not failed, f"ranks {failed} failed:\n" + "\n".join(told)
    stuck = {rank: (Path(folder) / f"{rank}.stack").read_text() for rank, p in enumerate(processes) if p.is_alive()}
    assert not stuck, f"hang: ranks {list(stuck)} did not finish in {timeout} s\n" + "\n".join(stuck.values())


def _run(
    work: Callable[..., Any], rank: int, count: int, port: int, folder: str, timeout: float, args: tuple[Any, ...]
) -> None:
    """Be one process."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if count > 1:  # so that Lightning starts no processes of its own
        os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    torch.set_num_threads(1)
    with (Path(folder) / f"{rank}.stack").open("w") as stack:
        faulthandler.dump_traceback_later(0.9 * timeout, file=stack)
        try:
            result = work(rank, *args)
        except BaseException:
            (Path(folder) / f"{rank}.error").write_text(traceback.format_exc())
            raise SystemExit(1) from None
        faulthandler.cancel_dump_traceback_later()
    (Path(folder) / f"{rank}.result").write_bytes(pickle.dumps(result))
    os._exit(0)  # the process group of a failed or finished run is not waited for


def trainer(count: int, folder: Path, **kwargs: Any) -> pl.Trainer:
    """A quiet trainer on the CPU for one of ``count`` processes."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    strategy = DDPStrategy(process_group_backend="gloo", timeout=timedelta(seconds=600)) if count > 1 else "auto"
    settings = {"accelerator": "cpu", "devices": count, "strategy": strategy, "default_root_dir": folder}
    return pl.Trainer(**(quiet | settings | kwargs))
