"""The allocator of this process, told to keep freed memory for the next frame.

A network frees and allocates the same hundreds of megabytes for every frame. glibc gives large blocks back to the
system, which clears every page again before it hands it out: at 1280x736 a fifth of the time of a frame.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST_KEPT = 2**25  # bytes of a block; the most that glibc took before 2.35
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep freed memory; for processes that do nothing but run a network.

    The process then holds what it needed at its peak until it ends. Nothing is done where the allocator is another one,
    or where the user has set it by ``MALLOC_...`` or ``GLIBC_TUNABLES``.

    Returns:
        Whether it was told.
    """
    if sys.platform != "linux" or any(n.startswith("MALLOC_") or n == "GLIBC_TUNABLES" for n in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has an allocator of its own
        return False
    # The first alone would fix the second at its small start.
    return bool(library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and library.mallopt(_TRIM_THRESHOLD, _NEVER))
