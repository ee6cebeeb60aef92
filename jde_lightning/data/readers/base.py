"""What every reader is: official files in, :class:`~jde_lightning.structures.FrameAnnotations` out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from jde_lightning.structures import FrameAnnotations

Supervision = Literal["self", "weak", "full"]

_DETECTOR_SUFFIX = re.compile(r"-(DPM|FRCNN|SDP)$")


class Reader:
    """Base class of all readers.

    A reader delivers every annotated box, 0-based and unclipped, and never filters: roles, visibility and the three
    attributes below say what training makes of it.

    Args:
        name: name of the dataset; readers of the same name share identities and settings.
        supervision: what training may know of the identities. ``"self"``: nothing, every box is its own identity;
            ``"weak"``: the annotated ones, and every box without is its own; ``"full"``: the annotated ones only.
        min_visibility: boxes less visible than this (0..1) are kept for evaluation, but training ignores them.
    """

    def __init__(self, name: str, supervision: Supervision = "self", min_visibility: float = 0.0) -> None:
        self.name = name
        self.supervision: Supervision = supervision
        self.min_visibility = min_visibility

    def read(self, root: Path) -> Iterable[FrameAnnotations]:
        """Read all frames.

        Args:
            root: the folder that the reader's own ``path`` is relative to.

        Returns:
            The frames, those of a sequence in order.

        Raises:
            InputError: if files are missing or broken.
        """
        raise NotImplementedError


def sequence_key(name: str) -> str:
    """Name of a sequence without MOT17's detector suffix: its three copies are the same images and people."""
    return _DETECTOR_SUFFIX.sub("", name)


def find(folder: Path, relative: str) -> Path | None:
    """Find a file or folder below ``folder``, ignoring upper and lower case where the exact name does not exist.

    Args:
        folder: where to start.
        relative: a path with forward slashes.

    Returns:
        The existing path, ``None`` if there is none.
    """
    exact = folder / relative
    if exact.exists():
        return exact
    current = folder
    for part in Path(relative).parts:
        if not current.is_dir():
            return None
        same = sorted(child for child in current.iterdir() if child.name.lower() == part.lower())
        if not same:
            return None
        current = same[0]
    return current
