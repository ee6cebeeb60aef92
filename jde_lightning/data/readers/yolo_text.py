"""YOLO text labels as Ultralytics reads them, with a declared sixth column for identities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from jde_lightning.boxes import xyxy_to_cxcywh
from jde_lightning.data.images import IMAGE_SUFFIXES, is_rotated
from jde_lightning.data.readers.base import Supervision
from jde_lightning.data.readers.class_choice import ClassChoice, Classes
from jde_lightning.data.readers.data_yaml import DataYAML, read_data_yaml
from jde_lightning.data.readers.folders import Folders, find
from jde_lightning.data.readers.lists import read_list
from jde_lightning.data.readers.normalized import Row, whole
from jde_lightning.data.readers.text_labels import NO_LABELS, LabelColumns, LabelledImage, TextLabels
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

SixthColumn = Literal["none", "identity", "confidence"]

_DATA_YAML = "data.yaml"
_YAML_SUFFIXES = (".yaml", ".yml")
# Corners of polygons lie in the image; a tracker's output "class xc yc w h confidence id" has seven columns too.
_POLYGON_RANGE = (-0.5, 1.5)
_LOOK_ALIKES = (
    "six columns are `class xc yc w h id` (set `sixth_column: identity`), predictions `class xc yc w h confidence` "
    "(set `sixth_column: confidence`) or JDE's `class id xc yc w h` (use the reader LabelsWithIds)"
)


class YOLOText(TextLabels):
    """Read YOLO text labels: one's own images as labelling tools export them, or any dataset made for Ultralytics.

    The labels of ``.../images/.../NAME.jpg`` are in ``.../labels/.../NAME.txt`` (only the last folder called
    ``images`` counts; without one the labels lie beside the image), one line per box: ``class xc yc width height`` in
    fractions of the image size. Boxes may leave the image and are not clipped. An image without label file has no
    boxes. Lines of segmentation labels (class and three or more corners) give the upright box around the polygon. All
    boxes are POSITIVE, those of classes that are not looked for OTHER.

    Identities need a declared sixth column. They hold across the dataset, or, with ``sequence_from_folder``, within
    the folder.

    Args:
        path: below the data root: a ``data.yaml`` (or a folder with one), a folder of images, or a list of them.
        split: which images of a ``data.yaml``; without one it has no meaning.
        names: names of the classes 0, 1, ...; those of the ``data.yaml`` if omitted. Without either, the numbers are
            taken as those of ``data.class_names``.
        classes: names of the classes that are looked for, or ``{name: another name for it}``; all if omitted.
        sixth_column: what a sixth column is. ``none``: an error, because three formats with six columns look alike;
            ``identity``: who it is, a whole number, negative for nobody known (as YOLO11-JDE has it, where lines of
            five columns have none); ``confidence``: the score of a prediction, which is not used.
        sequence_from_folder: whether the images of a folder are the frames of a video.
        frame_rate: frames per second of these videos.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset.

    Attributes:
        class_names: known when the first frame has been read.

    Raises:
        InputError: if an argument is out of range.
    """

    label_folder: ClassVar[str] = "labels"
    columns: ClassVar[str] = "class xc yc width height"
    without_folder: ClassVar[bool] = True

    def __init__(
        self,
        path: str = _DATA_YAML,
        split: Literal["train", "val", "test"] = "train",
        names: list[str] | None = None,
        classes: Classes = None,
        sixth_column: SixthColumn = "none",
        sequence_from_folder: bool = False,
        frame_rate: float = 30.0,
        supervision: Supervision = "self",
        name: str = "YOLO",
    ) -> None:
        super().__init__(name, supervision, sequence_from_folder, frame_rate)
        if sixth_column not in ("none", "identity", "confidence"):
            msg = f"sixth_column of {name} is {sixth_column!r}, expected none, identity or confidence"
            raise InputError(msg)
        self.path = path
        self.split = split
        self.names = names
        self.classes = classes
        self.sixth_column = sixth_column
        # known as soon as the files have been found
        self._known: dict[int, str] | None = None
        self._labels: dict[int, int] | None = None
        self._keypoint_columns = 0

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images that are on disk.

        Raises:
            InputError: if the file or folder, all images or all labels are missing, or a line is broken.
        """
        folders = Folders(self.findings)
        source, described = self._source(root)
        self._keypoint_columns = described.keypoint_columns
        self._choose_classes(described.names, source)
        images: list[Path] = []
        for place in described.images:
            images += self._images_of(place, described.folder, folders)
        items = self.labelled(self.distinct(images), folders, source)
        self._note_leftover_labels(items, folders, described.images)
        for frame in self.annotated(items):
            if is_rotated(frame.image_path):
                self.findings.notes["images with an EXIF rotation, read as stored (docs/datasets/yolo.md)"] += 1
            yield frame

    def parse(self, rows: dict[Row, int], file: Path) -> LabelColumns:
        """Tell class, box and identity apart; see :class:`TextLabels`."""
        boxes, identities = [], []
        for row, line in rows.items():
            problem = self._problem(row)
            if problem:
                msg = f"{file}:{line}: {problem}"
                raise InputError(msg)
            polygon = len(row) > 6 and len(row) != 5 + self._keypoint_columns
            boxes.append(_around(row[1:]) if polygon else row[1:5])
            has_identity = self.sixth_column == "identity" and len(row) == 6 and row[5] >= 0
            identities.append(int(row[5]) if has_identity else NO_IDENTITY)
            if polygon:
                self.findings.notes["polygons, read as the boxes around them"] += 1
        numbers = [int(row[0]) for row in rows]
        known = dict(zip(numbers, numbers, strict=True)) if self._labels is None else self._labels
        return LabelColumns(
            boxes=np.array(boxes, dtype=np.float64),
            labels=np.array([known.get(number, 0) for number in numbers], dtype=np.int64),
            identities=np.array(identities, dtype=np.int64),
            roles=np.array([Role.POSITIVE if number in known else Role.OTHER for number in numbers], dtype=np.int8),
        )

    def _problem(self, row: Row) -> str:
        """Say what is wrong with a row; empty if nothing is."""
        columns, category = len(row), row[0]
        if not whole(category) or category < 0:
            return f"the class (column 1) is {category:g}, expected a whole number from 0"
        if self._known is not None and int(category) not in self._known:
            known = ", ".join(map(str, sorted(self._known)))
            return f"the class is {category:g}, but names has {known}; correct the line, or add the class to names"
        if columns in (5, 5 + self._keypoint_columns):
            return ""
        if columns == 6:
            return self._problem_of_sixth(row)
        if columns < 6 or columns % 2 == 0:
            return f"{columns} columns, expected 5: {self.columns}, or a polygon of class and pairs of x and y"
        if self.sixth_column != "none":
            return f"{columns} columns, expected 6, because `sixth_column` is {self.sixth_column}"
        if min(row[1:]) < _POLYGON_RANGE[0] or max(row[1:]) > _POLYGON_RANGE[1]:
            return (
                f"{columns} columns are read as the corners of a polygon in fractions of the image size, but they "
                f"reach from {min(row[1:]):g} to {max(row[1:]):g}; expected 5 columns: {self.columns}"
            )
        return ""

    def _problem_of_sixth(self, row: Row) -> str:
        sixth = row[5]
        if self.sixth_column == "none":
            return f"6 columns, expected 5: {self.columns}; {_LOOK_ALIKES}{_resemblance(row)}"
        if self.sixth_column == "identity" and not whole(sixth):
            return (
                f"column 6 is {sixth:g}, no whole number, but `sixth_column` is identity; {_LOOK_ALIKES}"
                f"{_resemblance(row)}"
            )
        if self.sixth_column == "confidence" and not 0 <= sixth <= 1:
            return f"column 6 is {sixth:g}, not in 0..1, but `sixth_column` is confidence; {_LOOK_ALIKES}"
        return ""

    def _source(self, root: Path) -> tuple[Path, DataYAML]:
        """Find what ``path`` names, and describe it as a ``data.yaml`` would."""
        place = find(root, self.path)
        if place is None:
            self.findings.use(root / self.path)
            msg = (
                f"{root / self.path}: no such file or folder, expected a {_DATA_YAML}, a folder of images or a list of "
                "images; set `path`, which is relative to the data root"
            )
            raise InputError(msg)
        self.findings.use(place)
        if place.is_dir() and self.findings.use(place / _DATA_YAML).is_file():
            place = place / _DATA_YAML
        if place.is_file() and place.suffix.lower() in _YAML_SUFFIXES:
            return place, read_data_yaml(place, self.split, root, self.findings)
        return place, DataYAML(root, [place], None, 0)

    def _choose_classes(self, names: dict[int, str] | None, source: Path) -> None:
        if self.names is not None:
            names = dict(enumerate(self.names))
        self._known = names
        if names is None:
            if self.classes is not None:
                msg = f"{source}: `classes` are chosen by name, but the classes have no names; set `names`"
                raise InputError(msg)
            self._labels, self.class_names = None, None
            return
        choice = ClassChoice(names, self.classes, f"{source}: names")
        self._labels, self.class_names = choice.labels, choice.names

    def _images_of(self, place: Path, base: Path, folders: Folders) -> list[Path]:
        """List the images of a folder or a text list; what is listed and not there is noted as missing."""
        if place.is_dir():
            images = folders.images(place)
            if not images:
                known = ", ".join(sorted(IMAGE_SUFFIXES))
                msg = f"{place}: no images in this folder or below, expected files that end in {known}"
                raise InputError(msg)
            return images
        images = []
        before = len(self.findings.missing)
        # Ultralytics takes lines that begin with ./ from the list's folder and others from where it was started
        bases = list(dict.fromkeys([self.findings.use(place).parent, base]))
        for line in read_list(place):
            found = (folders.file(folder / line) for folder in bases)
            image = next((path for path in found if path is not None), None)
            if image is None:
                self.findings.missing.append(line)
            else:
                images.append(image)
        if not images:
            missing = self.findings.missing[before:]
            msg = (
                f"{place}: none of the {len(missing)} listed images exists, first {missing[0]}, looked for below "
                f"{' and '.join(map(str, bases))}; correct the paths of the list"
            )
            raise InputError(msg)
        return images

    def _note_leftover_labels(self, items: list[LabelledImage], folders: Folders, places: list[Path]) -> None:
        """Count label files that no image belongs to; a list may leave images out on purpose."""
        if not all(place.is_dir() for place in places):
            return
        used: dict[Path, set[str]] = {}
        for item in items:
            expected = self.label_path(item.image)
            names = used.setdefault(expected.parent, set())
            if item.labels is not None:
                names.add(item.labels.name)
        left = [
            folder / name
            for folder, names in used.items()
            for name in sorted(folders.names(folder) - names - NO_LABELS)
            if name.lower().endswith(".txt")
        ]
        if left:
            self.findings.notes[f"label files without image, left out, first {left[0]}"] += len(left)


def _around(corners: tuple[float, ...]) -> tuple[float, ...]:
    """Centre x, centre y, width, height of the upright box around a polygon."""
    x, y = corners[0::2], corners[1::2]
    return tuple(xyxy_to_cxcywh(np.array([[min(x), min(y), max(x), max(y)]]))[0].tolist())


def _resemblance(row: Row) -> str:
    """Say which of the formats with six columns a row looks like."""
    if row[1] == int(row[1]):  # a centre exactly at the border is rare
        return "; this line looks like JDE's"
    if row[5] == int(row[5]):
        return "; this line looks like an identity in column 6"
    return "; this line looks like a prediction"
