"""CrowdHuman: one JSON object per line, images in up to three archives, no identities.

Format, counts and traps as published at crowdhuman.org; image sizes are not stored and come from the image headers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import area, ltwh_to_xyxy
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.folders import find, is_image
from jde_lightning.data.readers.locate import first_folder
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, FrameAnnotations, Role

_SPLITS = ("train", "val")
_ARCHIVES = ("CrowdHuman_train01", "CrowdHuman_train02", "CrowdHuman_train03", "train01", "train02", "train03")
IMAGE_FOLDERS: tuple[str, ...] = (
    "Images",
    *(f"{archive}/Images" for archive in _ARCHIVES),
    *(f"CrowdHuman_{split}/Images" for split in _SPLITS),
    *(f"CrowdHuman_{split}" for split in _SPLITS),
    *(f"{split}/Images" for split in _SPLITS),
    *(f"images/{split}" for split in _SPLITS),
    *_SPLITS,
)
"""Where other tools and the archives themselves put the images; upper and lower case do not matter."""


class CrowdHuman(Reader):
    """Read CrowdHuman.

    A person without ``extra.ignore`` is POSITIVE with its full-body box; masks (crowds, reflections, posters) and
    ignored persons are IGNORE. Visibility is the area of the visible box over the area of the full box.

    Args:
        annotations: the annotation file, also looked for in a folder ``annotations``.
        images: folders of images below ``path``, all of which are searched; ``None`` tries :data:`IMAGE_FOLDERS`, so
            merged and unmerged archives both work.
        path: folder of the dataset below the data root.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`; there are no identities, so anything but
            ``"full"`` gives each box its own.
        name: name of the dataset.
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
    """

    def __init__(
        self,
        annotations: str = "annotation_train.odgt",
        images: list[str] | None = None,
        path: str = ".",
        supervision: Supervision = "self",
        name: str = "CrowdHuman",
        min_visibility: float = 0.0,
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        self.annotations = annotations
        self.images = images
        self.path = path

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images that are on disk.

        Raises:
            InputError: if the annotation file or all images are missing, or a line is broken.
        """
        base = root / self.path
        file = self._annotation_file(base)
        folders = self.images if self.images is not None else IMAGE_FOLDERS
        paths = self._image_paths(base, folders)
        found, missing = 0, self.findings.missing
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                record = _parse(line, file, number)
                path = paths.get(record["ID"])
                if path is None:
                    missing.append(f"{record['ID']}.jpg")
                    continue
                found += 1
                size = self.size_of(path)
                if size is not None:
                    yield self._frame(record, path, size, file, number)
        if missing and not found:
            msg = (
                f"{file}: none of its {len(missing)} images is in any of the folders {', '.join(folders)} of {base}; "
                "unpack CrowdHuman_train01.zip to CrowdHuman_train03.zip there, or set `images` to their folders"
            )
            raise InputError(msg)

    def _annotation_file(self, base: Path) -> Path:
        tried = [self.annotations, f"annotations/{self.annotations}"]
        for candidate in tried:
            file = find(base, candidate)
            if file is not None and file.is_file():
                return self.findings.use(file)
        msg = f"{base / self.annotations}: no such file, nor {tried[1]} there; download it from crowdhuman.org"
        raise InputError(msg + " or set `path` to the folder that contains it")

    def _image_paths(self, base: Path, folders: Sequence[str]) -> dict[str, Path]:
        """Map image names without suffix to files, over all folders that exist; the first folder wins."""
        paths: dict[str, Path] = {}
        for name in folders:
            folder = first_folder(base, [name], self.findings)
            for file in [] if folder is None else sorted(folder.iterdir()):
                if is_image(file.name):
                    paths.setdefault(file.stem, file)
        return paths

    def _frame(
        self, record: dict[str, Any], path: Path, size: tuple[int, int], file: Path, number: int
    ) -> FrameAnnotations:
        objects = record["gtboxes"]
        try:
            full = _corners([o["fbox"] for o in objects])
            visible = _corners([o.get("vbox", o["fbox"]) for o in objects])
            learned = np.array([_is_person(o) for o in objects], dtype=bool)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"{file}:{number}: a box is broken ({error}), expected tag, fbox and vbox of four numbers each"
            raise InputError(msg) from error
        boxes = ltwh_to_xyxy(full)
        full_area = area(boxes)
        share = np.divide(area(ltwh_to_xyxy(visible)), full_area, out=np.zeros_like(full_area), where=full_area > 0)
        return FrameAnnotations(
            image_path=path,
            width=size[0],
            height=size[1],
            boxes=boxes.astype(np.float32),
            labels=np.zeros(len(boxes), np.int64),
            identities=np.full(len(boxes), NO_IDENTITY),
            # A person box without area cannot be learned; as a region to ignore it does no harm.
            roles=np.where(learned & (full_area > 0), Role.POSITIVE, Role.IGNORE),
            visibility=share.clip(0, 1),
            dataset=self.name,
        )


def _corners(boxes: list[Any]) -> npt.NDArray[np.float64]:
    """``(N, 4)`` numbers of ``N`` boxes."""
    broken = next((box for box in boxes if not isinstance(box, list) or len(box) != 4), None)
    if broken is not None:
        msg = f"found {json.dumps(broken)[:60]}"
        raise ValueError(msg)
    return np.array(boxes, dtype=np.float64).reshape(len(boxes), 4)


def _is_person(annotation: dict[str, Any]) -> bool:
    return annotation["tag"] == "person" and annotation.get("extra", {}).get("ignore", 0) != 1


def _parse(line: str, file: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        msg = f"{file}:{number}: no JSON object ({error}), expected one per line; download the file again"
        raise InputError(msg) from error
    if not isinstance(record, dict) or not isinstance(record.get("ID"), str) or "gtboxes" not in record:
        msg = f"{file}:{number}: expected a JSON object with the keys ID and gtboxes, found {line[:60].strip()!r}"
        raise InputError(msg)
    return record
