"""CUHK-SYSU: person search in street photographs and film stills, annotated in MATLAB files.

Format, counts and quirks as the person search projects on GitHub read them (ShuangLI59/person_search, SeqNet).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.data.readers.locate import first_file, first_folder, images_by_stem, no_images
from jde_lightning.data.readers.matlab import column, elements, field, one_row_each, read_variable, text
from jde_lightning.data.readers.person_search import PersonSearch
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

_ROOTS = ("", "dataset/", "CUHK-SYSU/", "CUHKSYSU/", "cuhk_sysu/")
_IMAGES = ("Image/SSM", "images")
# The galleries differ in how many images without the person they add; people and their boxes are the same in all.
_TEST_LISTS = tuple(f"TestG{size}" for size in (50, 100, 500, 1000, 2000, 4000))
_PERSON_NAME = re.compile(r"p?(\d+)")
_DOWNLOAD = (
    "ask the authors for CUHK-SYSU by e-mail (ee.cuhk.edu.hk/~xgwang/PS/dataset.html) and unpack it so that there are "
    "annotation/Images.mat and Image/SSM/s1.jpg"
)

Rows = npt.NDArray[np.float64]
Appearance = tuple[Any, ...]
"""One box of a person: name of the image, left, top, width and height, exactly as the files have it."""


class CUHKSYSU(PersonSearch):
    """Read CUHK-SYSU.

    Every box is POSITIVE. The identity of a box is found by its image and its exact coordinates in ``Train.mat`` (in
    ``TestG50.mat`` or its larger sisters for test images); all other boxes have none. Identities are the numbers in the
    names of the people (``p123``) and hold over the whole dataset. In a few images a person occurs twice. Boxes without
    width or height, of which there are some, are dropped.

    Of ``split``, ``train`` (11,206 images) is all images but those of ``pool.mat``, which are ``test`` (6,978). The
    images are looked for in ``Image/SSM`` and in JDE's ``images``. Arguments are those of
    :class:`~jde_lightning.data.readers.person_search.PersonSearch`.
    """

    usual_name = "CUHK-SYSU"

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images of the split that are on disk.

        Raises:
            InputError: if an annotation file or all images are missing, or an annotation is broken.
        """
        base = root / self.path
        annotations = first_folder(base, [f"{home}annotation" for home in _ROOTS], self.findings)
        if annotations is None:
            msg = f"{base}: no folder `annotation`; {_DOWNLOAD}, or set `path` to the folder above it"
            raise InputError(msg)
        boxes = _read_boxes(self._annotation_file(annotations, ["Images.mat"]))
        identities = self._identities(annotations, boxes)
        beside, folders = (annotations.parent, _IMAGES) if self.images is None else (base, [self.images])
        paths = images_by_stem(beside, folders, self.findings)
        names = self._images_of_split(annotations, boxes)
        for image, path, size in self.on_disk(names, paths):
            yield self._frame(path, size, image, boxes[image], identities)
        if names and len(self.findings.missing) == len(names):
            raise no_images(beside, folders, names, _DOWNLOAD)

    def _annotation_file(self, folder: Path, names: Sequence[str]) -> Path:
        file = first_file(folder, names, self.findings)
        if file is None:
            msg = f"{folder / names[0]}: no such file; {_DOWNLOAD}"
            raise InputError(msg)
        return file

    def _images_of_split(self, annotations: Path, boxes: Mapping[str, Rows]) -> list[str]:
        if self.split == "all":
            return list(boxes)
        file = self._annotation_file(annotations, ["pool.mat"])
        pool = {text(image, str(file)) for image in elements(read_variable(file, ["pool"]))}
        return [image for image in boxes if (image in pool) == (self.split == "test")]

    def _identities(self, annotations: Path, boxes: Mapping[str, Rows]) -> dict[Appearance, int]:
        """Map labelled boxes to identities; what contradicts or matches nothing is counted."""
        people: list[Iterator[tuple[int, Appearance]]] = []
        if self.split != "test":
            people.append(_read_train(self._annotation_file(annotations, ["test/train_test/Train.mat"])))
        if self.split != "train":
            lists = [f"test/train_test/{name}.mat" for name in _TEST_LISTS]
            people.append(_read_test(self._annotation_file(annotations, lists)))
        identities: dict[Appearance, int] = {}
        notes = self.findings.notes
        for identity, appearance in chain.from_iterable(people):
            if identities.setdefault(appearance, identity) != identity:
                notes["boxes labelled as two people, the first one taken"] += 1
        known = {(image, *row) for image, rows in boxes.items() for row in rows.tolist()}
        unmatched = len(identities.keys() - known)
        if unmatched:
            notes["labelled people whose box is not in Images.mat"] += unmatched
        return identities

    def _frame(
        self, path: Path, size: tuple[int, int], image: str, rows: Rows, identities: Mapping[Appearance, int]
    ) -> FrameAnnotations:
        has_area = (rows[:, 2] > 0) & (rows[:, 3] > 0)
        if not has_area.all():
            self.findings.dropped["no width or height"] += int(np.count_nonzero(~has_area))
            rows = rows[has_area]
        ids = [identities.get((image, *row), NO_IDENTITY) for row in rows.tolist()]
        known = [identity for identity in ids if identity != NO_IDENTITY]
        if len(set(known)) < len(known):
            self.findings.notes["images that show a person twice"] += 1
        return FrameAnnotations(
            image_path=path,
            width=size[0],
            height=size[1],
            boxes=ltwh_to_xyxy(rows).astype(np.float32),
            labels=np.zeros(len(rows), np.int64),
            identities=np.array(ids, dtype=np.int64),
            roles=np.full(len(rows), Role.POSITIVE),
            visibility=np.ones(len(rows), np.float32),
            dataset=self.name,
        )


def _read_boxes(file: Path) -> dict[str, Rows]:
    """Read ``Images.mat``: ``(N, 4)`` left, top, width, height by name of the image."""
    images = read_variable(file, ["Img"])
    names = [text(name, f"{file}: imname") for name in column(images, "imname", str(file))]
    boxes = column(images, "box", str(file))
    return {
        name: one_row_each(column(box, "idlocate", f"{file}: {name}"), 4, f"{file}: {name}")
        for name, box in zip(names, boxes, strict=True)
    }


def _read_train(file: Path) -> Iterator[tuple[int, Appearance]]:
    """Read ``Train.mat``: per person a name and the images and boxes that show it."""
    for number, person in enumerate(elements(read_variable(file, ["Train"])), start=1):
        where = f"{file}: person {number}"
        identity = _number(field(person, "idname", where), where)
        for appearance in _appearances(field(person, "scene", where), where):
            yield identity, appearance


def _read_test(file: Path) -> Iterator[tuple[int, Appearance]]:
    """Read ``TestG50.mat``: per person a query, and a gallery of images in some of which the person occurs."""
    people = read_variable(file, _TEST_LISTS)
    queries, galleries = column(people, "Query", str(file)), column(people, "Gallery", str(file))
    for number, (query, gallery) in enumerate(zip(queries, galleries, strict=True), start=1):
        where = f"{file}: query {number}"
        identity = _number(field(query, "idname", where), where)
        for appearance in chain(_appearances(query, where), _appearances(gallery, where)):
            yield identity, appearance


def _appearances(structs: Any, where: str) -> Iterator[Appearance]:
    """Images and boxes of structs with ``imname`` and ``idlocate``, but those whose box is empty."""
    pairs = zip(column(structs, "imname", where), column(structs, "idlocate", where), strict=True)
    present = [(text(image, where), box) for image, box in pairs if np.size(box)]
    rows = one_row_each([box for _, box in present], 4, where)
    return ((image, *row) for (image, _), row in zip(present, rows.tolist(), strict=True))


def _number(value: Any, where: str) -> int:
    name = text(value, where)
    match = _PERSON_NAME.fullmatch(name)
    if match is None:
        msg = f"{where}: found idname {name!r}, expected a name like p123; download the file again"
        raise InputError(msg)
    return int(match[1])
