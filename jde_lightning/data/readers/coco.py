"""COCO JSON, and its extensions for video: COCO-VID (mmdetection, mmtracking), ByteTrack, TAO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import area, ltwh_to_xyxy
from jde_lightning.data.readers.base import Reader, Supervision
from jde_lightning.data.readers.class_choice import ClassChoice, Classes
from jde_lightning.data.readers.coco_file import COCOFile, read_boxes, read_coco, read_identities
from jde_lightning.data.readers.copies import COPIES_LEFT_OUT, one_copy
from jde_lightning.data.readers.folders import Folders, find
from jde_lightning.errors import InputError
from jde_lightning.structures import FloatArray, FrameAnnotations, IntArray, Role

_IDENTITY_KEYS = ("track_id", "mot_instance_id", "instance_id")
# mmtracking keeps the number of the file beside its own from 0; TAO counts frames of the undivided video.
_FRAME_KEYS = ("mot_frame_id", "frame_id", "frame_index")
_VISIBILITY_KEYS = ("visibility", "vis_ratio")
_VISIBLE_BOX_KEYS = ("bbox_vis", "vis_bbox")
_FRAME_RATE_KEYS = ("fps", "frame_rate")


class COCO(Reader):
    """Read COCO JSON with or without videos and identities.

    Annotations of the wanted categories are POSITIVE, or IGNORE with ``iscrowd`` or ``ignore``; other categories are
    OTHER, or IGNORE if listed in ``ignored_classes``. Visibility comes from ``visibility`` (or ``vis_ratio``), else
    from the share of ``bbox_vis`` (or ``vis_bbox``).

    Images with ``video_id`` form sequences, called as their entry in ``videos`` and numbered by ``mot_frame_id``,
    ``frame_id`` or ``frame_index``. Images that are their own previous and next image are single images: ByteTrack's
    mixing scripts make one video of all of CrowdHuman. Of MOT17's three identical copies, which mmtracking's converter
    all puts into one file, one is read.

    Args:
        annotations: the JSON file below ``path``.
        images: folder below ``path`` that each ``file_name`` begins in.
        path: folder of the dataset below the data root.
        classes: names of the categories that are looked for, or ``{name: another name for it}``; all if omitted.
        ignored_classes: names of the categories that are neither objects nor background.
        identity_key: the key of annotations that says who it is. ``auto`` takes ``track_id`` or ``mot_instance_id``,
            or ``instance_id`` if the file has videos (without, it counts the objects of one image, as in CityPersons);
            ``none`` takes none. Negative numbers and null are no identity.
        coordinate_base: number of the first pixel of an image: 1 for what ByteTrack's and mmtracking's converters make
            of MOTChallenge's files, which count from 1 (and they do not subtract it).
        min_visibility: see :class:`~jde_lightning.data.readers.base.Reader`.
        supervision: see :class:`~jde_lightning.data.readers.base.Reader`.
        name: name of the dataset.

    Attributes:
        class_names: known when the first frame has been read.

    Raises:
        InputError: if an argument is out of range.
    """

    def __init__(
        self,
        annotations: str = "annotations/train.json",
        images: str = ".",
        path: str = ".",
        classes: Classes = None,
        ignored_classes: list[str] | None = None,
        identity_key: str = "auto",
        coordinate_base: Literal[0, 1] = 0,
        min_visibility: float = 0.0,
        supervision: Supervision = "self",
        name: str = "COCO",
    ) -> None:
        super().__init__(name, supervision, min_visibility)
        if coordinate_base not in (0, 1):
            msg = f"coordinate_base of {name} is {coordinate_base!r}, expected 0 or 1, the number of the first pixel"
            raise InputError(msg)
        self.annotations = annotations
        self.images = images
        self.path = path
        self.classes = classes
        self.ignored_classes = ignored_classes
        self.identity_key = identity_key
        self.coordinate_base = coordinate_base

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        """Read all images that are on disk, those of a video in order.

        Raises:
            InputError: if the file or all images are missing, or an entry of the file is broken.
        """
        base = root / self.path
        content = read_coco(self._annotation_file(base))
        columns = self._columns(content)
        places = self._one_copy(_places(content))
        folders = Folders(self.findings)
        folder = find(base, self.images) or base / self.images
        found = 0
        for place in places:
            image = content.images[place.position]
            path = folders.file(folder / image["file_name"])
            if path is None:
                self.findings.missing.append(image["file_name"])
                continue
            found += 1
            size = _stated_size(image) or self.size_of(path)
            if size is not None:
                yield self._frame(path, size, place, columns)
        if places and not found:
            msg = (
                f"{content.file}: none of its {len(places)} images is below {folder}, first "
                f"{self.findings.missing[0]}; set `images` to the folder that each file_name begins in"
            )
            raise InputError(msg)

    def _annotation_file(self, base: Path) -> Path:
        file = find(base, self.annotations)
        if file is not None and file.is_file():
            return self.findings.use(file)
        msg = f"{base / self.annotations}: no such file, expected COCO JSON; set `annotations`, relative to `path`"
        raise InputError(msg)

    def _columns(self, content: COCOFile) -> _Columns:
        """Turn the annotations into columns, those of an image together."""
        annotations, file = content.annotations, content.file
        positions = {image["id"]: position for position, image in enumerate(content.images)}
        image = np.array([positions.get(a["image_id"], -1) for a in annotations], dtype=np.int64)
        lost = int(np.count_nonzero(image < 0))
        if lost:
            self.findings.dropped["annotation of an image that the file does not have"] += lost
        order = np.argsort(image, kind="stable")[lost:]
        annotations = [annotations[i] for i in order.tolist()]
        boxes = read_boxes(annotations, file)
        labels, roles = self._labels_and_roles(annotations, content)
        flat = (boxes[:, 2:] == 0).any(axis=1) & (roles == Role.POSITIVE)
        if flat.any():
            self.findings.notes["boxes without area, ignored"] += int(np.count_nonzero(flat))
            roles[flat] = Role.IGNORE
        visibility = _visibility(annotations, boxes)
        boxes[:, :2] -= self.coordinate_base
        return _Columns(
            offsets=np.searchsorted(image[order], np.arange(len(content.images) + 1)),
            boxes=ltwh_to_xyxy(boxes).astype(np.float32),
            labels=labels,
            roles=roles,
            identities=self._identities(annotations, content),
            visibility=visibility,
        )

    def _labels_and_roles(
        self, annotations: list[dict[str, Any]], content: COCOFile
    ) -> tuple[IntArray, npt.NDArray[np.int8]]:
        source = f"{content.file}: categories"
        ignored = self.ignored_classes or []
        choice = ClassChoice(content.categories, self._wanted(content, ignored), source)
        self.class_names = choice.names
        ignored_numbers = ClassChoice(content.categories, ignored, source).labels
        role_of = dict.fromkeys(content.categories, Role.OTHER)
        role_of |= dict.fromkeys(ignored_numbers, Role.IGNORE) | dict.fromkeys(choice.labels, Role.POSITIVE)
        try:
            numbers = [a["category_id"] for a in annotations]
            roles = np.array([role_of[number] for number in numbers], dtype=np.int8)
        except (KeyError, TypeError) as error:
            wrong = next(a for a in annotations if a.get("category_id") not in list(role_of))
            known = ", ".join(f"{number} {name}" for number, name in content.categories.items())
            found = f"category_id is {wrong.get('category_id')!r}"
            msg = f"{content.file}: annotation {wrong.get('id')}: {found}, expected one of the categories {known}"
            raise InputError(msg) from error
        crowd = np.array([bool(a.get("iscrowd") or a.get("ignore")) for a in annotations], dtype=bool)
        roles[crowd & (roles == Role.POSITIVE)] = Role.IGNORE
        labels = np.array([choice.labels.get(number, 0) for number in numbers], dtype=np.int64)
        return labels, roles

    def _wanted(self, content: COCOFile, ignored: list[str]) -> Classes:
        """The classes that are looked for: all that are not ignored, if nobody says."""
        if self.classes is None and ignored:
            return [name for name in content.categories.values() if name not in ignored]
        return self.classes

    def _identities(self, annotations: list[dict[str, Any]], content: COCOFile) -> IntArray:
        key: str | None = None if self.identity_key == "none" else self.identity_key
        if key == "auto":
            key = next((key for key in _IDENTITY_KEYS if any(key in a for a in annotations)), None)
            if key == "instance_id" and not content.videos:
                self.findings.notes["annotations with an instance_id, no identity in a file without videos"] += sum(
                    key in a for a in annotations
                )
                key = None
        elif key is not None and annotations and not any(key in a for a in annotations):
            known = ", ".join(dict.fromkeys(name for a in annotations[:100] for name in a))
            msg = f"{content.file}: no annotation has the key {key!r}, found {known}; correct `identity_key`"
            raise InputError(msg)
        return read_identities(annotations, key, content.file)

    def _one_copy(self, places: list[_Place]) -> list[_Place]:
        """Leave out all but one of MOT17's copies of a sequence, which show the same images and people."""
        kept = one_copy(place.sequence for place in places if place.sequence is not None)
        left = [place for place in places if place.sequence is None or place.sequence in kept]
        if len(left) < len(places):
            self.findings.notes[COPIES_LEFT_OUT] += len(places) - len(left)
        return left

    def _frame(self, path: Path, size: tuple[int, int], place: _Place, columns: _Columns) -> FrameAnnotations:
        rows = slice(columns.offsets[place.position], columns.offsets[place.position + 1])
        return FrameAnnotations(
            image_path=path,
            width=size[0],
            height=size[1],
            boxes=columns.boxes[rows],
            labels=columns.labels[rows],
            identities=columns.identities[rows],
            roles=columns.roles[rows],
            visibility=columns.visibility[rows],
            dataset=self.name,
            sequence=place.sequence,
            frame=place.frame,
            frame_rate=place.frame_rate,
        )


class _Columns(NamedTuple):
    """All annotations; those of image ``i`` are rows ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: IntArray
    boxes: FloatArray
    labels: IntArray
    roles: npt.NDArray[np.int8]
    identities: IntArray
    visibility: FloatArray


class _Place(NamedTuple):
    """An image by its position in the file, as a frame of a video or by itself."""

    position: int
    sequence: str | None = None
    frame: int = 0
    frame_rate: float = 30.0


def _places(content: COCOFile) -> list[_Place]:
    """Place the images in their videos: sequence by sequence in order of appearance, then the single images.

    Raises:
        InputError: if a frame has no number, or two videos have one name.
    """
    videos: dict[str, list[_Place]] = {}
    owners: dict[str, Any] = {}
    single = []
    for position, image in enumerate(content.images):
        video_id = image.get("video_id")
        if video_id is None or image.get("prev_image_id") == image.get("next_image_id") == image["id"]:
            single.append(_Place(position))
            continue
        video = content.videos.get(video_id, {})
        # names with folders, as TAO has them, are to serve as names of files
        name = str(video.get("name") or video.get("file_name") or video_id).replace("/", "-")
        if owners.setdefault(name, video_id) != video_id:
            msg = f"{content.file}: videos {owners[name]!r} and {video_id!r} are both called {name!r}; rename one"
            raise InputError(msg)
        frame_rate = next((float(video[key]) for key in _FRAME_RATE_KEYS if video.get(key)), 30.0)
        videos.setdefault(name, []).append(_Place(position, name, _frame_number(image, content.file), frame_rate))
    ordered = [place for places in videos.values() for place in sorted(places, key=lambda place: place.frame)]
    return ordered + single


def _frame_number(image: dict[str, Any], file: Path) -> int:
    number = next((image[key] for key in _FRAME_KEYS if image.get(key) is not None), None)
    if isinstance(number, int):
        return number
    msg = (
        f"{file}: image {image['id']}: has video_id {image['video_id']!r} and the frame number {number!r}, expected a "
        f"whole number in one of {', '.join(_FRAME_KEYS)}; add it, or remove video_id from single images"
    )
    raise InputError(msg)


def _stated_size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _visibility(annotations: list[dict[str, Any]], boxes: npt.NDArray[np.float64]) -> FloatArray:
    """Visible share of each object, 1 where nothing usable is said.

    Args:
        annotations: the ``N`` annotations.
        boxes: ``(N, 4)`` float64 left, top, width, height.
    """
    visibility = np.ones(len(annotations), np.float32)
    full = area(ltwh_to_xyxy(boxes))
    for i, annotation in enumerate(annotations):
        stated = next((annotation[key] for key in _VISIBILITY_KEYS if key in annotation), None)
        if isinstance(stated, int | float):
            visibility[i] = 1 if stated < 0 else min(stated, 1)
            continue
        visible = next((annotation[key] for key in _VISIBLE_BOX_KEYS if key in annotation), None)
        if isinstance(visible, list) and len(visible) == 4 and full[i] > 0:
            visibility[i] = min(max(visible[2], 0) * max(visible[3], 0) / full[i], 1)
    return visibility
