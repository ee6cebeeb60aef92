"""What every reader is: official files in, :class:`~jde_lightning.structures.FrameAnnotations` out."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from jde_lightning.data.images import image_size
from jde_lightning.data.readers.findings import Findings
from jde_lightning.errors import InputError
from jde_lightning.structures import FrameAnnotations

logger = logging.getLogger(__name__)

Supervision = Literal["self", "weak", "full"]

_DETECTOR_SUFFIX = re.compile(r"-(DPM|FRCNN|SDP)$")


class Reader:
    """Base class of all readers.

    A reader delivers every annotated box, 0-based and unclipped, and never filters: roles, visibility and the three
    attributes below say what training makes of it. Subclasses implement :meth:`frames`, keep every argument of their
    constructor as an attribute of the same name, and note in ``findings`` what they use, miss and leave out.

    Args:
        name: name of the dataset; readers of the same name share identities and settings.
        supervision: what training may know of the identities. ``"self"``: nothing, every box is its own identity;
            ``"weak"``: the annotated ones, and every box without is its own; ``"full"``: the annotated ones only.
        min_visibility: boxes less visible than this (0..1) are kept for evaluation, but training ignores them.

    Attributes:
        version: to be raised when the same files give another result than before; old indices on disk then expire.
        class_names: what the labels of the frames stand for. ``None``: the annotations know numbers only, and these
            are the numbers of ``data.class_names``.
        findings: what the last pass met, complete when :meth:`read` is exhausted.
    """

    version: ClassVar[int] = 1
    class_names: tuple[str, ...] | None = ("person",)

    def __init__(self, name: str, supervision: Supervision = "self", min_visibility: float = 0.0) -> None:
        self.name = name
        self.supervision: Supervision = supervision
        self.min_visibility = min_visibility
        self.findings = Findings()

    def read(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all frames that have an image on disk; what is missing or left out is logged at the end.

        Args:
            root: the folder that the reader's own ``path`` is relative to.

        Yields:
            The frames, those of a sequence in order.

        Raises:
            InputError: if files are missing or broken.
        """
        self.findings = Findings()
        yield from self.frames(Path(root))
        summary = self.findings.summary()
        if summary:
            logger.warning("%s: %s", self.name, summary)

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all frames; what subclasses implement and :meth:`read` calls."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """The arguments that this reader was made with (presets already filled in), by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def size_of(self, image: Path) -> tuple[int, int] | None:
        """Read the size of an image from its header.

        Args:
            image: the image file.

        Returns:
            Width and height in pixels; ``None``, and a note in the findings, if the file is no image: the frame is
            then to be left out.
        """
        try:
            return image_size(image)
        except InputError:
            self.findings.corrupt.append(str(image))
            return None


def sequence_key(name: str) -> str:
    """Name of a sequence without MOT17's detector suffix: its three copies are the same images and people."""
    return _DETECTOR_SUFFIX.sub("", name)
