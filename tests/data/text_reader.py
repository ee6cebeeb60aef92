"""A reader of the simplest dataset there is, which counts how often it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from dataset_files import make_frame

from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.structures import FrameAnnotations


class TextReader(Reader):
    """Lines of a file are ``image number_of_boxes``; a line ``image missing`` is an image that is not there."""

    reads: ClassVar[int] = 0

    def __init__(
        self,
        path: str = "a.txt",
        name: str = "D",
        supervision: Supervision = "self",
        min_visibility: float = 0.0,
        classes: tuple[str, ...] | None = ("person",),
        sequence: str | None = None,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        self.path = path
        self.classes = classes
        self.sequence = sequence

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        TextReader.reads += 1
        self.class_names = self.classes  # known only now, as for datasets that name their classes in a file
        self.findings.use(root / "extra.txt")
        text = self.findings.use(root / self.path).read_text()
        for number, line in enumerate(text.splitlines(), start=1):
            image, count = line.split()
            if count == "missing":
                self.findings.missing.append(image)
                continue
            n, labels = int(count), len(self.classes or "ab")
            yield make_frame(
                root / image,
                n,
                dataset=self.name,
                sequence=self.sequence,
                frame=number,
                labels=[i % labels for i in range(n)],
            )
