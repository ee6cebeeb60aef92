"""CityPersons: person boxes on the street scenes of Cityscapes, as MATLAB cells or one JSON file per image.

Format and counts as published at github.com/cvgroup-njust/CityPersons and cityscapes-dataset.com.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import area, ltwh_to_xyxy
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.locate import first_file, first_folder, images_by_stem, no_images
from jde_lightning.data.readers.matlab import column, elements, field, read_variable, stack, text
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

PersonClass = Literal["pedestrian", "rider", "sitting person", "person (other)", "person group"]

CLASSES: tuple[str, ...] = ("ignore", "pedestrian", "rider", "sitting person", "person (other)", "person group")
"""Labels of the JSON files, in the order of the class numbers of the MATLAB files."""

POSITIVES: dict[str, tuple[str, ...]] = {
    "pedestrian": ("pedestrian",),
    "persons": CLASSES[1:5],
    "jde": CLASSES[1:],
}
"""Named choices of what is to be found: the benchmark's, every single person, and what JDE and YOLO11-JDE train on."""

_GROUP = CLASSES.index("person group")
_SIZE = (2048, 1024)  # of every Cityscapes image
_COLUMNS = 10  # class, x, y, w, h, instance, and x, y, w, h of the visible part
_JSON_ENDING, _IMAGE_ENDING = "_gtBboxCityPersons", "_leftImg8bit"
_ROOTS = ("", "CityPersons/", "Cityscapes/", "cityscapes/")
_DOWNLOAD_BOXES = (
    "take annotations/anno_train.mat and anno_val.mat from github.com/cvgroup-njust/CityPersons, or register (free) at "
    "cityscapes-dataset.com and unpack gtBbox_cityPersons_trainval.zip"
)
_DOWNLOAD_IMAGES = "register (free) at cityscapes-dataset.com and unpack leftImg8bit_trainvaltest.zip (11 GB)"

Rows = npt.NDArray[np.float64]


class CityPersons(Reader):
    """Read CityPersons.

    The classes in ``positive`` are POSITIVE with their full-body box, everything else annotated is IGNORE: fake people
    (posters, reflections), groups unless asked for, and people of the other classes. Visibility is the area of the
    visible box over the area of the full box; groups have no visible box and count as visible. The images are not
    opened: all are 2048 x 1024. The instance numbers hold within one image only and are no identities.

    Args:
        split: ``train`` (2,975 images) or ``val`` (500); the boxes of the test images are not public.
        positive: what is to be found, one of :data:`POSITIVES` or a list of classes.
        annotations: ``mat`` reads ``anno_{split}.mat``, ``json`` the folder ``gtBboxCityPersons/{split}``, ``auto``
            whichever is there, the former first.
        images: folder of the images of the split below ``path``; ``None`` tries the official ``leftImg8bit/{split}``
            and JDE's ``images/{split}``. They may lie in sub-folders and have another image suffix than ``.png``.
        keep_empty: keep images without a positive box, as background; ``False`` leaves them out, as JDE's lists do.
        path: folder of the dataset below the data root.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`; there are no identities, so anything but
            ``"full"`` gives each box its own.
        name: name of the dataset.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
    """

    def __init__(
        self,
        split: Literal["train", "val"] = "train",
        positive: Literal["pedestrian", "persons", "jde"] | list[PersonClass] = "persons",
        annotations: Literal["auto", "mat", "json"] = "auto",
        images: str | None = None,
        keep_empty: bool = True,
        path: str = ".",
        supervision: Supervision = "self",
        name: str = "CityPersons",
        min_visibility: float = 0.0,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        unknown = [] if isinstance(positive, str) else [c for c in positive if c not in CLASSES[1:]]
        if unknown or (isinstance(positive, str) and positive not in POSITIVES):
            msg = f"positive of CityPersons: found {unknown[0] if unknown else positive!r}, expected one of "
            raise InputError(msg + f"{', '.join(POSITIVES)} or a list of {', '.join(CLASSES[1:])}")
        self.split = split
        self.positive = positive
        self.annotations = annotations
        self.images = images
        self.keep_empty = keep_empty
        self.path = path

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images that are on disk, in the order of their names.

        Raises:
            InputError: if the annotations or all images are missing, or an annotation is broken.
        """
        base = root / self.path
        annotated = self._annotated(base)
        folders = [self.images] if self.images is not None else self._usual_image_folders()
        paths = images_by_stem(base, folders, self.findings)
        chosen = POSITIVES[self.positive] if isinstance(self.positive, str) else self.positive
        is_positive = np.array([name in chosen for name in CLASSES])
        found, missing = 0, self.findings.missing
        for stem, rows in annotated:
            path = paths.get(stem)
            if path is None:
                missing.append(f"{stem}.png")
                continue
            found += 1
            frame = self._frame(Path(path), rows, is_positive)
            if not self.keep_empty and not frame.positive.any():
                self.findings.notes["images without a person to be found left out"] += 1
                continue
            yield frame
        if missing and not found:
            raise no_images(base, folders, missing, _DOWNLOAD_IMAGES)

    def _annotated(self, base: Path) -> Iterator[tuple[str, Rows]]:
        """Find the annotations and open them; ``(stem of the image, (N, 10) rows)`` per image."""
        mat = [f"{root}{below}anno_{self.split}.mat" for root in _ROOTS for below in ("", "annotations/")]
        inside = ("", "gtBbox_cityPersons_trainval/")
        json_folders = [f"{root}{below}gtBboxCityPersons/{self.split}" for root in _ROOTS for below in inside]
        if self.annotations != "json":
            file = first_file(base, mat, self.findings)
            if file is not None:
                return _read_mat(file, self.split)
        if self.annotations != "mat":
            folder = first_folder(base, json_folders, self.findings)
            if folder is not None:
                return self._read_json(folder)
        tried = {"mat": mat[:2], "json": json_folders[:1], "auto": [*mat[:2], json_folders[0]]}[self.annotations]
        msg = f"{base}: no annotations of CityPersons, tried {', '.join(tried)}; {_DOWNLOAD_BOXES}, or set `path`"
        raise InputError(msg)

    def _usual_image_folders(self) -> list[str]:
        # JDE's name comes last, and last of all without a folder of its own: other datasets use it too.
        official = (f"leftImg8bit/{self.split}", f"leftImg8bit_trainvaltest/leftImg8bit/{self.split}")
        below_root = [f"{root}{below}" for root in _ROOTS for below in official]
        return below_root + [f"{root}images/{self.split}" for root in reversed(_ROOTS)]

    def _read_json(self, folder: Path) -> Iterator[tuple[str, Rows]]:
        self.findings.use(folder)
        for city in sorted(child for child in folder.iterdir() if child.is_dir()):
            self.findings.use(city)
            for file in sorted(city.glob(f"*{_JSON_ENDING}.json")):
                rows = _parse_json(self.findings.use(file))
                yield file.stem.removesuffix(_JSON_ENDING) + _IMAGE_ENDING, rows

    def _frame(self, path: Path, rows: Rows, is_positive: npt.NDArray[np.bool_]) -> FrameAnnotations:
        has_area = (rows[:, 3] > 0) & (rows[:, 4] > 0)
        if not has_area.all():
            self.findings.dropped["no width or height"] += int(np.count_nonzero(~has_area))
            rows = rows[has_area]
        classes = rows[:, 0].astype(np.int64)
        boxes, visible = ltwh_to_xyxy(rows[:, 1:5]), ltwh_to_xyxy(rows[:, 6:10])
        visibility = (area(visible) / area(boxes)).clip(0, 1)
        # Groups have no visible box (all zero). A single person's may be empty too: nothing of that person is seen.
        visibility[(classes == _GROUP) & (visibility == 0)] = 1
        return FrameAnnotations(
            image_path=path,
            width=_SIZE[0],
            height=_SIZE[1],
            boxes=boxes.astype(np.float32),
            labels=np.zeros(len(rows), np.int64),
            identities=np.full(len(rows), NO_IDENTITY),
            roles=np.where(is_positive[classes], Role.POSITIVE, Role.IGNORE),
            visibility=visibility,
            dataset=self.name,
        )


def _read_mat(file: Path, split: str) -> Iterator[tuple[str, Rows]]:
    cells = read_variable(file, [f"anno_{split}_aligned"])
    for number, cell in enumerate(elements(cells), start=1):
        where = f"{file}: image {number}"
        image = text(field(cell, "im_name", where), where)
        rows, _ = stack(column(cell, "bbs", where), _COLUMNS, f"{where} ({image})")
        strange = rows[~np.isin(rows[:, 0], range(len(CLASSES))), 0]
        if len(strange):
            msg = f"{where} ({image}): found class {strange[0]:g}, expected 0 to {len(CLASSES) - 1} as the first of "
            raise InputError(msg + "class, x, y, w, h, instance, visible x, y, w, h; download the file again")
        yield Path(image).stem, rows


def _parse_json(file: Path) -> Rows:
    """Read one JSON file into the rows of the MATLAB files."""
    try:
        objects = json.loads(file.read_text(encoding="utf-8-sig"))["objects"]
        return np.array([_json_row(found) for found in objects], dtype=np.float64).reshape(-1, _COLUMNS)
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        msg = f"{file}: broken ({reason}), expected a JSON object with `objects` of label, bbox and bboxVis, label one "
        raise InputError(msg + f"of {', '.join(CLASSES)}; unpack gtBbox_cityPersons_trainval.zip again") from error


def _json_row(found: dict[str, Any]) -> list[float]:
    box, visible, label = found["bbox"], found.get("bboxVis", found["bbox"]), found["label"]
    if label not in CLASSES or len(box) != 4 or len(visible) != 4:
        msg = f"found label {label!r}, bbox {box}, bboxVis {visible}"
        raise ValueError(msg)
    return [CLASSES.index(label), *box, found.get("instanceId", 0), *visible]
