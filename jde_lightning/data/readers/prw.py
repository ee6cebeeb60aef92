"""PRW, "Person Re-identification in the Wild": frames of six cameras on a campus, one MATLAB file per frame.

Format and quirks as published at github.com/liangzheng06/PRW-baseline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.data.readers.locate import first_file, first_folder, images_by_stem, no_images
from jde_lightning.data.readers.matlab import elements, read_variable, stack, text
from jde_lightning.data.readers.person_search import PersonSearch
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

_VARIABLES = ("box_new", "anno_file", "anno_previous")
_COLUMNS = 5  # id, left, top, width, height
_ROOTS = ("", "PRW-v16.04.20/", "PRW/")
_IMAGES = ("frames", "images")
_FRAME_NUMBER = re.compile(r"_(\d+)$")
_DOWNLOAD = (
    "download PRW-v16.04.20.zip (2.7 GB) by the link in github.com/liangzheng06/PRW-baseline and unpack it so that "
    "there are frames/c1s1_000151.jpg, annotations/c1s1_000151.jpg.mat and frame_train.mat"
)


class PRW(PersonSearch):
    """Read PRW.

    Every box is POSITIVE; the unknown people (id -2) have no identity. Identities hold over all six cameras, so the
    frames belong to no sequence. They are not those of Market-1501, which comes from the same videos: never mix the two
    as if they showed different people. In a few frames a person occurs twice. Image sizes (five cameras have 1920 x
    1080, one 720 x 576 pixels) come from the image headers.

    ``train`` (5,704 frames) and ``test`` (6,112) are listed in ``frame_train.mat`` and ``frame_test.mat``. The
    images are looked for in ``frames`` and in JDE's ``images``. Arguments are those of
    :class:`~jde_lightning.data.readers.person_search.PersonSearch`.
    """

    usual_name = "PRW"

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all frames of the split that are on disk.

        Raises:
            InputError: if a list, an annotation file or all images are missing, or an annotation is broken.
        """
        base = root / self.path
        annotations = first_folder(base, [f"{home}annotations" for home in _ROOTS], self.findings)
        if annotations is None:
            msg = f"{base}: no folder `annotations`; {_DOWNLOAD}, or set `path` to the folder above it"
            raise InputError(msg)
        names = [f"{stem}.jpg" for stem in self._frames_of_split(annotations.parent)]
        beside, folders = (annotations.parent, _IMAGES) if self.images is None else (base, [self.images])
        paths = images_by_stem(beside, folders, self.findings)
        for name, path, size in self.on_disk(names, paths):
            yield self._frame(path, size, annotations / f"{name}.mat")
        if names and len(self.findings.missing) == len(names):
            raise no_images(beside, folders, names, _DOWNLOAD)

    def _frames_of_split(self, folder: Path) -> list[str]:
        """Read the names of the frames, without suffix, from the lists."""
        stems: list[str] = []
        for split in ("train", "test") if self.split == "all" else (self.split,):
            name = f"frame_{split}.mat"
            file = first_file(folder, [name], self.findings)
            if file is None:
                msg = f"{folder / name}: no such file; {_DOWNLOAD}"
                raise InputError(msg)
            listed = elements(read_variable(file, [f"img_index_{split}"]))
            stems += [text(frame, f"{file}: img_index_{split}").removesuffix(".jpg") for frame in listed]
        return stems

    def _frame(self, path: Path, size: tuple[int, int], file: Path) -> FrameAnnotations:
        variable = read_variable(self.findings.use(file), _VARIABLES)
        rows, _ = stack([variable], _COLUMNS, str(file))
        ids = rows[:, 0].astype(np.int64)
        if (ids != rows[:, 0]).any():
            msg = f"{file}: found id {rows[ids != rows[:, 0], 0][0]:g}, expected whole numbers in the first column of "
            raise InputError(msg + "id, left, top, width, height; download PRW again")
        has_area = (rows[:, 3] > 0) & (rows[:, 4] > 0)
        if not has_area.all():
            self.findings.dropped["no width or height"] += int(np.count_nonzero(~has_area))
            rows, ids = rows[has_area], ids[has_area]
        known = ids[ids >= 0]
        if len(np.unique(known)) < len(known):
            self.findings.notes["frames that show a person twice"] += 1
        number = _FRAME_NUMBER.search(path.stem)
        return FrameAnnotations(
            image_path=path,
            width=size[0],
            height=size[1],
            boxes=ltwh_to_xyxy(rows[:, 1:]).astype(np.float32),
            labels=np.zeros(len(rows), np.int64),
            identities=np.where(ids >= 0, ids, NO_IDENTITY),
            roles=np.full(len(rows), Role.POSITIVE),
            visibility=np.ones(len(rows), np.float32),
            dataset=self.name,
            frame=int(number[1]) if number else 0,
        )
