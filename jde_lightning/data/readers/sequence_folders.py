"""Videos that lie on disk as folders of frames: the sequence, the frame numbers, the image size."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from jde_lightning.errors import InputError

_NOT_A_NAME = frozenset({"images", "image", "imgs", "img", "img1", "frames", "rgb"})
# Roboflow appends a random hexadecimal word to every name, whose digits are no frame number.
_ROBOFLOW = re.compile(r"(_(jpe?g|png|bmp|webp))?\.rf\.[0-9A-Za-z]+$", re.IGNORECASE)
_LARGEST = 2**63 - 1

Key = TypeVar("Key", int, str)


class VideoFrame(NamedTuple):
    """An image as a frame of a video.

    Attributes:
        image: the image file.
        sequence: name of the video's folder.
        number: frame number from the name of the file.
    """

    image: Path
    sequence: str
    number: int


def video_frames(images: Sequence[Path]) -> list[VideoFrame]:
    """Take the images of one folder as the frames of one video.

    A sequence is called as its folder; folders ``img1``, ``images``, ``frames`` and the like give it their parent's
    name, so MOT17's layout gives ``MOT17-02-SDP``. The frame number is the last number in a file's name that tells all
    files of the folder apart: 7 in ``000007.jpg``, ``cam2_000007.jpg`` and ``image_00000007_0.png``.

    Args:
        images: image files in any order.

    Returns:
        The frames, sequence by sequence in order of appearance, those of a sequence by number.

    Raises:
        InputError: if two folders have the same name, or the names of a folder give no frame numbers.
    """
    folders: dict[Path, list[Path]] = {}
    for image in images:
        folders.setdefault(image.parent, []).append(image)
    names: dict[str, Path] = {}
    frames = []
    for folder, files in folders.items():
        name = _sequence_name(folder)
        if name in names:
            msg = (
                f"{folder}: {names[name]} would be a sequence {name!r} too, and identities hold within a sequence; "
                "rename one of the folders, or read them with two readers of different `name`"
            )
            raise InputError(msg)
        names[name] = folder
        numbered = zip(_frame_numbers(folder, files), files, strict=True)
        frames += [VideoFrame(image, name, number) for number, image in sorted(numbered)]
    return frames


def size_of_video(images: dict[Key, Path], size_of: Callable[[Path], tuple[int, int] | None]) -> tuple[int, int] | None:
    """Read the size that all images of a video have from the first one that is an image.

    Args:
        images: the images by frame number or name; those that are tried in vain are taken out.
        size_of: reads a size, ``None`` if a file is no image.

    Returns:
        Width and height in pixels, ``None`` if no file is an image.
    """
    for key in sorted(images):
        size = size_of(images[key])
        if size is not None:
            return size
        del images[key]
    return None


def _sequence_name(folder: Path) -> str:
    named = (part for part in (folder, *folder.parents) if part.name and part.name.lower() not in _NOT_A_NAME)
    return next(named, folder).name


def _frame_numbers(folder: Path, files: Sequence[Path]) -> list[int]:
    numbers = [re.findall(r"\d+", _ROBOFLOW.sub("", file.stem)) for file in files]
    for position in range(1, min(len(found) for found in numbers) + 1):
        column = [int(found[-position]) for found in numbers]
        if len(set(column)) == len(column) and max(column) <= _LARGEST:
            return column
    without = next((file for file, found in zip(files, numbers, strict=True) if not found), None)
    reason = f"{without.name} has no number" if without else "no number in the names tells all its files apart"
    msg = (
        f"{folder}: taken as a sequence ({len(files)} files, {files[0].name} first), but {reason}; expected one folder "
        "per video and names like 000001.jpg, or set `sequence_from_folder: false`"
    )
    raise InputError(msg)
