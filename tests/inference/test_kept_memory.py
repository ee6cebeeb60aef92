"""Freed memory stays with the process: a block that is allocated again costs no new pages."""

import subprocess
import sys

import pytest

from jde_lightning.inference import kept_memory
from jde_lightning.inference.kept_memory import keep_freed_memory

FAULTS = """
import resource
import sys
import numpy as np
from jde_lightning.inference.kept_memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
small = np.empty(2**20, np.uint8)  # what lies above a freed block keeps it from going back
def use():
    blocks = [np.ones(10_000_000, np.uint8) for _ in range(10)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    """Pages that the system hands out while a process uses the same 100 MB five times again."""
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of glibc")
def test_memory_is_kept(monkeypatch):
    for name in ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    assert faults("keep") < 1_000 < faults("give back")


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_set_stands(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(kept_memory.ctypes, "CDLL", lambda _: pytest.fail("the allocator was touched"))
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(kept_memory.sys, "platform", "darwin")
    monkeypatch.setattr(kept_memory.ctypes, "CDLL", lambda _: pytest.fail("the allocator was touched"))
    assert not keep_freed_memory()
