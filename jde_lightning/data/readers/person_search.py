"""What the person search datasets share: still images, and identities that hold over the whole dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from jde_lightning.data.readers.base import Reader, Supervision


class PersonSearch(Reader):
    """Base class of CUHK-SYSU and PRW.

    Args:
        split: ``train``, ``test``, or ``all`` images of both, as the dataset's own lists divide them.
        images: folder of the images below ``path``; ``None`` tries where the archive and JDE put them, beside the
            folder of the annotations.
        path: folder of the dataset below the data root.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset; its usual one if omitted.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`; these datasets do not say how visible
            people are.
    """

    usual_name: ClassVar[str]

    def __init__(
        self,
        split: Literal["train", "test", "all"] = "train",
        images: str | None = None,
        path: str = ".",
        supervision: Supervision = "self",
        name: str | None = None,
        min_visibility: float = 0.0,
    ) -> None:
        super().__init__(name or self.usual_name, supervision, min_visibility)
        self.split = split
        self.images = images
        self.path = path

    def on_disk(self, names: Iterable[str], paths: Mapping[str, str]) -> Iterator[tuple[str, Path, tuple[int, int]]]:
        """Look up images; what is missing or damaged goes to the findings.

        Args:
            names: file names of the images, as the annotations have them.
            paths: the files there are, by name without suffix.

        Yields:
            Name, file, and width and height in pixels of each image that is there.
        """
        for name in names:
            path = paths.get(Path(name).stem)
            if path is None:
                self.findings.missing.append(name)
                continue
            size = self.size_of(Path(path))
            if size is not None:
                yield name, Path(path), size
