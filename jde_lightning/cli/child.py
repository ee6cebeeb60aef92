"""A command in a process of its own: its output is shown as it comes, and its end is remembered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

_KEPT = 4000  # bytes of output that are remembered
_PATIENCE = 15.0  # seconds that a process has to end by itself after an interruption, and then after being told to


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """Run a command, and show its output on stderr.

    A process per command means that nothing of one, be it memory of a GPU or a crash, reaches the next.

    Args:
        command: program and words.

    Returns:
        Its exit code (negative: the number of the signal that ended it), and its last line of output.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when the process has ended.
    """
    with subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        tail = bytearray()
        reader = threading.Thread(target=_show, args=(process.stdout, tail), daemon=True)
        reader.start()
        try:
            code = process.wait()
        except BaseException:
            _end(process)  # a terminal's Ctrl-C has reached it too
            raise
        # Processes that it has left behind, such as the other ranks of a crash, may hold the pipe open for ever.
        reader.join(5.0)
        lines = tail.decode(errors="replace").replace("\r", "\n").split("\n")
    return code, next((line.strip() for line in reversed(lines) if line.strip()), "")


def _show(stream: IO[bytes], tail: bytearray) -> None:
    """Pass output on as it comes; lines that end in a carriage return, as progress bars, included."""
    while chunk := os.read(stream.fileno(), 65536):
        sys.stderr.write(chunk.decode(errors="replace"))
        sys.stderr.flush()
        tail += chunk
        del tail[:-_KEPT]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a process end, then make it."""
    for end in (process.terminate, process.kill):
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            end()
        else:
            return
    process.wait()
