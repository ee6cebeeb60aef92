"""The JSON of COCO as columns, with errors that name the file and the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, IntArray

Entry = dict[str, Any]

_LARGEST_IDENTITY = 2**63 - 1


class COCOFile(NamedTuple):
    """The parts of a COCO file that are read; each annotation has an ``image_id``, each image a file name and an id.

    Attributes:
        file: the JSON file.
        images: its images.
        annotations: its annotations.
        categories: names of the categories by number.
        videos: its videos by number, empty for single images.
    """

    file: Path
    images: list[Entry]
    annotations: list[Entry]
    categories: dict[int, str]
    videos: dict[Any, Entry]


def read_coco(file: Path) -> COCOFile:
    """Read a COCO file.

    Args:
        file: the JSON file.

    Raises:
        InputError: if it is no JSON, lacks one of the lists, or an entry lacks what ties it to the others.
    """
    try:
        content = json.loads(file.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{file}: no JSON ({error}); write or download the file again"
        raise InputError(msg) from error
    lists = ("images", "annotations", "categories")
    found = content if isinstance(content, dict) else {}
    missing = [name for name in lists if not isinstance(found.get(name), list)]
    if missing:
        what = f"the keys {', '.join(found) or 'of an empty object'}" if found is content else type(content).__name__
        msg = f"{file}: no list {missing[0]!r}, found {what}; expected COCO's lists {', '.join(lists)}"
        raise InputError(msg)
    for name, keys in (("images", ("id", "file_name")), ("annotations", ("image_id",)), ("categories", ("id", "name"))):
        _require(found[name], keys, name, file)
    _check_images(found["images"], file)
    videos = found.get("videos") or []
    _require(videos, ("id",), "videos", file)
    return COCOFile(
        file=file,
        images=found["images"],
        annotations=found["annotations"],
        categories={category["id"]: str(category["name"]) for category in found["categories"]},
        videos={video["id"]: video for video in videos},
    )


def read_boxes(annotations: list[Entry], file: Path) -> npt.NDArray[np.float64]:
    """Return ``(N, 4)`` float64 left, top, width, height.

    Raises:
        InputError: if a box is missing, is not four finite numbers, or has a negative size.
    """
    try:
        boxes = np.array([annotation["bbox"] for annotation in annotations], dtype=np.float64).reshape(-1, 4)
    except (KeyError, TypeError, ValueError):
        boxes = None
    if boxes is None or len(boxes) != len(annotations) or not (np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all()):
        wrong = next(annotation for annotation in annotations if not _is_box(annotation.get("bbox")))
        msg = (
            f"{file}: annotation {wrong.get('id')}: bbox is {str(wrong.get('bbox'))[:80]}, expected [left, top, width, "
            "height] in pixels with width and height of 0 or more; correct or remove the annotation"
        )
        raise InputError(msg)
    return boxes


def read_identities(annotations: list[Entry], key: str | None, file: Path) -> IntArray:
    """Return ``(N,)`` int64 identities, ``NO_IDENTITY`` where a value is negative, null or absent.

    Args:
        annotations: the annotations.
        key: key of the identity, ``None`` for no identities.
        file: the JSON file, for messages.

    Raises:
        InputError: if a value is no whole number.
    """
    values: list[Any] = [NO_IDENTITY if key is None else annotation.get(key) for annotation in annotations]
    for i, value in enumerate(values):
        if value is None:
            values[i] = NO_IDENTITY
        elif type(value) is not int or value > _LARGEST_IDENTITY:
            values[i] = _whole(value, annotations[i], key, file)
    return np.array([max(value, NO_IDENTITY) for value in values], dtype=np.int64)


def _whole(value: Any, annotation: Entry, key: str | None, file: Path) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    msg = f"{file}: annotation {annotation.get('id')}: {key} is {value!r}, expected a whole number, or -1 for none"
    raise InputError(msg)


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    return numbers and bool(np.isfinite(box).all()) and box[2] >= 0 and box[3] >= 0


def _check_images(images: list[Entry], file: Path) -> None:
    """Refuse numbers that two images share, which happens where files are joined, and names that are no names."""
    ids: set[Any] = set()
    for image in images:
        if image["id"] in ids or not isinstance(image["file_name"], str):
            problem = f"file_name is {image['file_name']!r}" if image["id"] not in ids else "a second image of this id"
            msg = f"{file}: image {image['id']}: {problem}, expected an id of its own and the path of a file; number"
            raise InputError(msg + " images (and their annotations) anew where files were joined")
        ids.add(image["id"])


def _require(entries: list[Any], keys: tuple[str, ...], name: str, file: Path) -> None:
    for position, entry in enumerate(entries):
        missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
        if missing:
            known = ", ".join(entry) if isinstance(entry, dict) else repr(entry)[:60]
            msg = f"{file}: {name}[{position}]: no key {missing[0]!r}, found {known}; expected {', '.join(keys)}"
            raise InputError(msg)
