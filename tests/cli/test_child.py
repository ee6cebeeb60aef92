"""A command in a process of its own: output, exit code, interruption, and processes that it leaves behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jde_lightning.cli.child import run_command


def test_output_is_shown_and_the_last_line_is_kept(capsys):
    code = "import sys; print('first'); print('10%\\r20%'); print('reason', file=sys.stderr); sys.exit(3)"
    assert run_command([sys.executable, "-u", "-c", code]) == (3, "reason")
    assert capsys.readouterr().err.splitlines() == ["first", "10%", "20%", "reason"]


def test_no_output_and_a_signal(capsys):
    assert run_command([sys.executable, "-c", "pass"]) == (0, "")
    assert run_command([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == (-9, "")


def test_a_process_left_behind_with_the_pipe_does_not_hold_us_up():
    orphan = (
        "import subprocess, sys; print('gone'); subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(40)'])"
    )
    started = time.monotonic()
    assert run_command([sys.executable, "-c", orphan]) == (0, "gone")
    assert time.monotonic() - started < 30


def test_interruption_ends_the_process_that_does_not_end_by_itself(tmp_path):
    pid = tmp_path / "pid"
    sleeper = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = (
        # what a shell starts in the background ignores interruptions, and so would all that it starts
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from jde_lightning.cli import child; child._PATIENCE = 0.5\n"
        f"try: child.run_command([sys.executable, '-c', {sleeper!r}])\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if pid.is_file() and pid.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0].strip() == "interrupted"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
