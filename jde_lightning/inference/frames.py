"""What a source of frames is: the interface of videos, cameras, folders of images and sequences."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import UsageError

DEFAULT_FRAME_RATE = 30.0
_HIGHEST_FRAME_RATE = 1000.0


class Frame(NamedTuple):
    """One image of a source.

    Attributes:
        number: as the source counts, from 1; of a MOTChallenge sequence the number in the file name. Numbers grow by
            more than one where frames are missing or were dropped.
        image: ``(H, W, 3)`` uint8 BGR.
    """

    number: int
    image: npt.NDArray[np.uint8]


class FrameSource(ABC):
    """Frames in order, to be iterated once or again from the start.

    Attributes:
        name: for the files that are written about it.
        frame_rate: frames per second.
        length: number of frames, ``None`` where only the end will tell.
        live: whether frames arrive in their own time and end when the user says so.
    """

    name: str
    frame_rate: float
    length: int | None
    live: bool = False

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            InputError: if an image cannot be read; it names the file.
        """

    def stop(self) -> None:  # noqa: B027  # most sources never wait, and have nothing to do
        """End a running iteration soon, from another thread. Only sources that wait for something need to."""


def plausible_frame_rate(rate: float) -> bool:
    """Whether a source tells its rate: cameras and some streams say 0, NaN or a time base of 90000 instead."""
    return math.isfinite(rate) and 0 < rate <= _HIGHEST_FRAME_RATE


def check_frame_rate(rate: float) -> float:
    """Return a frame rate that a user gave.

    Raises:
        UsageError: if it is not above 0 and at most 1000 frames per second.
    """
    if not plausible_frame_rate(rate):
        msg = f"--fps must be above 0 and at most {_HIGHEST_FRAME_RATE:g} frames per second, got {rate:g}"
        raise UsageError(msg)
    return float(rate)
