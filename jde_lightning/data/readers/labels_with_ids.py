"""The layout of Towards-Realtime-MOT (JDE) and FairMOT: ``images`` beside ``labels_with_ids``, and lists of images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from jde_lightning.data.readers.base import Supervision
from jde_lightning.data.readers.folders import Folders, find
from jde_lightning.data.readers.lists import read_list
from jde_lightning.data.readers.normalized import Row, whole
from jde_lightning.data.readers.text_labels import IMAGES, LabelColumns, TextLabels
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations

# A JSON of JDE names its lists as seen from the folder that the training script was started in: some level above.
_LEVELS_ABOVE_JSON = 3


class LabelsWithIds(TextLabels):
    """Read labels in the layout of JDE and FairMOT.

    The labels of ``.../images/.../NAME.jpg`` are in ``.../labels_with_ids/.../NAME.txt``, where only the last folder
    called ``images`` counts; one line per box: ``class identity xc yc width height``, the box in fractions of the image
    size and free to leave the image, identity -1 for none. All boxes are POSITIVE.

    Identities are unique within a list, as in JDE: the same number in two lists is two people, which is done as JDE
    does it, by adding to the numbers of a list what the lists before it have used up. The images are single images
    then. With ``sequence_from_folder`` they are frames of videos, whose identities hold within the video.

    Args:
        lists: the lists of images: one file, several, several by name, or a JSON of JDE (``root`` and, by split,
            ``{name: list}``), looked for below ``path``, then below the data root. Their lines are paths below
            ``path``. ``None`` reads all images below ``path``.
        path: folder below the data root that the lines of the lists begin in. A ``root`` in a JSON wins over it, if
            there is such a folder.
        split: which lists of a JSON.
        sequence_from_folder: whether the images of a folder are the frames of a video, called as the folder or, in
            MOT17's layout, the folder above ``img1``.
        frame_rate: frames per second of these videos.
        coordinate_base: number of the first pixel of an image that the labels were made with: 1 for what JDE's and
            FairMOT's scripts make of MOTChallenge's files, which count from 1 (and they do not subtract it).
        class_names: names of the classes; ``None`` takes the numbers as those of ``data.class_names``.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset.

    Raises:
        InputError: if an argument is out of range.
    """

    label_folder: ClassVar[str] = "labels_with_ids"
    columns: ClassVar[str] = "class identity xc yc width height"

    def __init__(
        self,
        lists: str | list[str] | dict[str, str] | None = None,
        path: str = ".",
        split: str = "train",
        sequence_from_folder: bool = False,
        frame_rate: float = 30.0,
        coordinate_base: Literal[0, 1] = 0,
        class_names: tuple[str, ...] | None = ("person",),
        supervision: Supervision = "self",
        name: str = "JDE",
    ) -> None:
        super().__init__(name, supervision, sequence_from_folder, frame_rate)
        if coordinate_base not in (0, 1):
            msg = f"coordinate_base of {name} is {coordinate_base!r}, expected 0 or 1, the number of the first pixel"
            raise InputError(msg)
        self.lists = lists
        self.path = path
        self.split = split
        self.coordinate_base = coordinate_base
        self.class_names = None if class_names is None else tuple(class_names)

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images of the lists that are on disk.

        Raises:
            InputError: if a list, all images or all labels are missing, or a line is broken.
        """
        folders = Folders(self.findings)
        base, lists = self._lists(root)
        images = self._listed_images(lists, base, folders) if lists else [self._all_images(base, folders)]
        source = lists[0].file if len(lists) == 1 else base
        everything = self.labelled(self.distinct(image for part in images for image in part), folders, source)
        if self.sequence_from_folder:
            yield from map(self._shifted, self.annotated(everything))
            return
        used = 0
        by_image = {item.image: item for item in everything}
        for part in images:
            most = -1
            for frame in self.annotated(by_image.pop(image) for image in part if image in by_image):
                known = frame.identities >= 0
                most = max(most, int(frame.identities.max(initial=-1)))
                frame.identities[known] += used
                yield self._shifted(frame)
            used += most + 1

    def parse(self, rows: dict[Row, int], file: Path) -> LabelColumns:
        """Tell class, identity and box apart; see :class:`TextLabels`."""
        num_classes = None if self.class_names is None else len(self.class_names)
        for row, line in rows.items():
            problem = _problem(row, num_classes)
            if problem:
                msg = f"{file}:{line}: {problem}; expected {self.columns}"
                raise InputError(msg)
        table = np.array(list(rows))
        identities = table[:, 1].astype(np.int64)
        return LabelColumns(
            boxes=table[:, 2:],
            labels=table[:, 0].astype(np.int64),
            identities=np.where(identities < 0, NO_IDENTITY, identities),
            roles=np.zeros(len(table), np.int8),
        )

    def _shifted(self, frame: FrameAnnotations) -> FrameAnnotations:
        frame.boxes -= np.float32(self.coordinate_base)
        return frame

    def _all_images(self, base: Path, folders: Folders) -> list[Path]:
        images = folders.images(base)
        inside = [image for image in images if IMAGES in map(str.lower, image.parts[:-1])]
        if not inside:
            msg = f"{base}: no images in a folder {IMAGES!r} there; expected DATASET/{IMAGES}/.../NAME.jpg; set `path`"
            raise InputError(msg)
        if len(inside) < len(images):
            self.findings.notes[f"images outside of folders called {IMAGES!r}, left out"] += len(images) - len(inside)
        return inside

    def _listed_images(self, lists: list[_List], base: Path, folders: Folders) -> list[list[Path]]:
        """Find the images of each list; what is not there is noted as missing."""
        images = []
        for item in lists:
            found = [folders.file(base / line) for line in item.lines]
            images.append([path for path in found if path is not None])
            self.findings.missing += [line for line, path in zip(item.lines, found, strict=True) if path is None]
        if not any(images):
            msg = (
                f"{lists[0].file}: none of the {len(self.findings.missing)} listed images is below {base}, first "
                f"{self.findings.missing[0]}; set `path` to the folder that the lines of the list begin in"
            )
            raise InputError(msg)
        return images

    def _lists(self, root: Path) -> tuple[Path, list[_List]]:
        """Read the lists, and tell the folder that their lines begin in."""
        base = find(root, self.path) or root / self.path
        if self.lists is None:
            return base, []
        named = self.lists
        above = [base, root]
        if isinstance(named, str) and named.lower().endswith(".json"):
            file = self._find_list(named, above)
            stated, named = _read_json(file, self.split)
            base = stated if stated is not None and self.findings.use(stated).is_dir() else base
            above = [*file.absolute().parents[: _LEVELS_ABOVE_JSON + 1], base, root]
        names = [named] if isinstance(named, str) else list(named.values() if isinstance(named, dict) else named)
        if not names:
            msg = f"lists of {self.name} is empty, expected files with one image path per line, or null for a folder"
            raise InputError(msg)
        files = [self._find_list(name, above) for name in names]
        return base, [_List(file, read_list(file)) for file in files]

    def _find_list(self, name: str, above: list[Path]) -> Path:
        tried = list(dict.fromkeys(folder / Path(name).expanduser() for folder in above))
        for file in tried:
            if self.findings.use(file).is_file():
                return file
        msg = f"{tried[0]}: no such list"
        if len(tried) > 1:
            msg += f", nor {' nor '.join(map(str, tried[1:]))}"
        raise InputError(msg + "; correct `lists`, which is relative to `path` or the data root")


class _List(NamedTuple):
    """A list of images: its file and its lines."""

    file: Path
    lines: list[str]


def _read_json(file: Path, split: str) -> tuple[Path | None, dict[str, str]]:
    """Read JDE's JSON: the root that it states, if any, and the lists of a split by name."""
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{file}: no JSON ({error}); expected `root` and, by split, `{{name: list file}}`"
        raise InputError(msg) from error
    splits = content if isinstance(content, dict) else {}
    lists = splits.get(split)
    if not isinstance(lists, dict) or not lists or not all(isinstance(value, str) for value in lists.values()):
        known = ", ".join(key for key, value in splits.items() if isinstance(value, dict)) or "none"
        msg = f"{file}: no lists of split {split!r}, found {known}; expected {{name: list file}}, or set `split`"
        raise InputError(msg)
    root = splits.get("root")
    return (Path(root).expanduser() if isinstance(root, str) and root else None), lists


def _problem(row: Row, num_classes: int | None) -> str:
    """Say what is wrong with a row; empty if nothing is."""
    if len(row) != 6:
        hint = ", which is YOLO text without identities: use the reader YOLOText" if len(row) == 5 else ""
        return f"{len(row)} columns{hint}"
    category, identity = row[:2]
    if not whole(identity):
        return (
            f"the identity (column 2) is {identity:g}, no whole number; if the identity is column 6, use the reader "
            "YOLOText with `sixth_column: identity`"
        )
    if not whole(category) or category < 0 or (num_classes is not None and category >= num_classes):
        known = "a whole number from 0" if num_classes is None else f"0 to {num_classes - 1}, set `class_names`"
        return f"the class (column 1) is {category:g}, not {known}"
    return ""
