"""Images that cannot be read cost themselves, not the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import cv2

from jde_lightning.data.images import ImageArray
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)

_NAMED = 20  # files that are named one by one
_TOO_MANY = 100  # from here on they must be the minority


class UnreadableImages:
    """Reads images, and notes those that are missing or damaged: each is named once per process.

    Where most images fail, or all of a few, the disk is gone rather than an image, and going on would waste the run.

    Args:
        total: number of the images that there are, if that is known.

    Attributes:
        frames: the frames whose image could not be read.
    """

    def __init__(self, total: int | None = None) -> None:
        self.frames: set[int] = set()
        self._read = 0
        self._total = total

    def read(self, frame: int, load: Callable[[], ImageArray]) -> ImageArray | None:
        """Return what ``load`` returns, or ``None`` if it cannot.

        Args:
            frame: the frame that the image belongs to.
            load: decodes the image.

        Raises:
            InputError: if at least 100 images, and more than were read, cannot be read; or none of all.
        """
        try:
            image = load()
        except (InputError, OSError, cv2.error) as error:
            self._note(frame, error)
            return None
        self._read += 1
        return image

    def _note(self, frame: int, error: Exception) -> None:
        if frame in self.frames:
            return
        self.frames.add(frame)
        count = len(self.frames)
        if count >= _TOO_MANY and count > self._read:
            msg = f"{count} images cannot be read, {self._read} could; the last: {error}"
            raise InputError(msg) from error
        if count == self._total and not self._read:
            msg = f"none of the {count} images can be read; the last: {error}"
            raise InputError(msg) from error
        if count <= _NAMED:
            more = "; more are counted, not named" if count == _NAMED else ""
            _LOG.warning("shown as grey: %s%s", " ".join(str(error).split()), more)
        elif count % _TOO_MANY == 0:
            _LOG.warning("%d images cannot be read and are shown as grey", count)

    def __getstate__(self) -> dict[str, Any]:
        """Go to worker processes empty: each notes its own."""
        return vars(UnreadableImages(self._total))
