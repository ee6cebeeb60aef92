"""Decoded images in memory that all workers of a machine share, so that each image is decoded once."""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import context, reduction
from pathlib import Path

import numpy as np

from jde_lightning.data.images import ImageArray, TileCache
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)

_EMPTY, _WRITING, _READY = 0, 1, 2
_PAGE = mmap.ALLOCATIONGRANULARITY


class SharedTileCache:
    """Images in shared memory, first come, first kept, until the memory is full. It never changes a result.

    The memory is a file that has no name any more: the system frees it when the last process that uses it is gone,
    however it went. Nothing is ever moved or forgotten, so readers need no lock. A writer takes one to reserve its
    place, which the system releases if the writer dies; an image that it did not finish is never read. Two workers that
    decode the same image at the same moment both do it, and one keeps it. What finds no room goes into each worker's
    own :class:`~jde_lightning.data.images.TileCache`.

    Args:
        num_images: number of images of the index.
        max_bytes: how much memory all images may take together.
        behind: for the images that find no room.
        path: name of the file while several processes that did not fork from each other open it; they must call
            :meth:`forget_name` afterwards. ``None``: nobody else opens it.

    Raises:
        InputError: if the operating system cannot share memory in this way.
    """

    def __init__(
        self, num_images: int, max_bytes: int, behind: TileCache | None = None, path: Path | None = None
    ) -> None:
        if not hasattr(os, "posix_fallocate"):
            msg = "data.cache is shared, which needs Linux (or another POSIX system with posix_fallocate); use worker"
            raise InputError(msg)
        self.num_images = num_images
        self.max_bytes = max_bytes
        self.behind = TileCache(64) if behind is None else behind
        self.path = path
        if path is None:
            self._file, name = tempfile.mkstemp(prefix="jde-lightning-", dir=memory_folder())
            Path(name).unlink()
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._map()

    def _map(self) -> None:
        """Lay the arrays out in the file; what is not written takes no memory."""
        n = self.num_images
        self._start = -(-(8 + 33 * n) // _PAGE) * _PAGE
        os.ftruncate(self._file, self._start + self.max_bytes)
        self._memory = mmap.mmap(self._file, self._start + self.max_bytes)
        self._end = np.frombuffer(self._memory, np.int64, 1)
        self._place = np.frombuffer(self._memory, np.int64, 4 * n, 8).reshape(n, 4)  # offset, height, width, channels
        self._state = np.frombuffer(self._memory, np.uint8, n, 8 + 32 * n)
        self._full = not self._reserve(0, self._start)

    def get(self, key: int, load: Callable[[ImageArray | None], ImageArray]) -> ImageArray:
        """Return image ``key``, loading it if nobody has; see :meth:`TileCache.get`."""
        if self._state[key] == _READY:
            start, *shape = self._place[key].tolist()
            image = np.frombuffer(self._memory, np.uint8, math.prod(shape), self._start + start)
            image.flags.writeable = False
            return image.reshape(shape)
        if self._full or self._state[key] == _WRITING:
            return self.behind.get(key, load)
        image = load(None)
        if not self._keep(key, image):
            self.behind.put(key, image)
        return image

    def _keep(self, key: int, image: ImageArray) -> bool:
        """Write an image into the shared memory; whether it is there now."""
        with self._locked():
            if self._state[key] != _EMPTY:
                return self._state[key] == _READY
            start = int(self._end[0])
            end = start + image.nbytes
            if end > self.max_bytes or not self._reserve(self._start + start, image.nbytes):
                self._full = True
                return False
            self._end[0] = end
            self._place[key] = start, *image.shape
            self._state[key] = _WRITING
        room = np.frombuffer(self._memory, np.uint8, image.nbytes, self._start + start)
        room.reshape(image.shape)[:] = image
        with self._locked():  # a lock is also a barrier: who sees the state sees the pixels
            self._state[key] = _READY
        return True

    def _reserve(self, start: int, size: int) -> bool:
        """Take memory for a part of the file now: later, a full memory could only kill the process."""
        try:
            os.posix_fallocate(self._file, start, size)
        except OSError as error:
            _LOG.warning("data.cache: shared memory is full (%s); the other images are kept by each worker", error)
            return False
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl  # POSIX only, as this class

        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def forget_name(self) -> None:
        """Remove the file's name; call it when all processes have opened it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def __len__(self) -> int:
        """Number of images kept by all processes together."""
        return int(np.count_nonzero(self._state == _READY))

    def __getstate__(self) -> dict[str, object]:
        """Go to a worker process that is being started with the open file, and anywhere else without the images."""
        starting = context.get_spawning_popen() is not None
        return {
            "num_images": self.num_images,
            "max_bytes": self.max_bytes,
            "behind": self.behind,
            "file": reduction.DupFd(self._file) if starting else None,
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        """Arrive with the images, if the file came along."""
        if state["file"] is None:
            self.__init__(state["num_images"], state["max_bytes"], state["behind"])  # type: ignore[misc]
            return
        self.num_images, self.max_bytes = state["num_images"], state["max_bytes"]  # type: ignore[assignment]
        self.behind, self.path = state["behind"], None  # type: ignore[assignment]
        self._file = state["file"].detach()  # type: ignore[attr-defined]
        self._map()


def memory_folder() -> Path:
    """The folder whose files lie in memory, or the one for temporary files where there is none."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
