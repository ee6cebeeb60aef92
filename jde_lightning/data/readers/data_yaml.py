"""The ``data.yaml`` of Ultralytics: where the images of each split are, and how the classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from jde_lightning.data.readers.findings import Findings
from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml


class DataYAML(NamedTuple):
    """What a ``data.yaml`` says of one split.

    Attributes:
        folder: the folder that its paths are relative to.
        images: folders and lists of images.
        names: names of the classes by number, ``None`` if it has none.
        keypoint_columns: columns that key points take in a line after the box, 0 if it has none.
    """

    folder: Path
    images: list[Path]
    names: dict[int, str] | None
    keypoint_columns: int


def read_data_yaml(file: Path, split: str, root: Path, findings: Findings) -> DataYAML:
    """Read one split of a ``data.yaml``.

    A relative ``path`` is looked for beside the file, then below the data root; without ``path`` the file's own folder
    counts. A split that begins with ``../`` and leads nowhere is tried without that, because Roboflow's exports are
    written so.

    Args:
        file: the YAML file.
        split: its key, ``train``, ``val`` or ``test``.
        root: the data root.
        findings: notes the folders that were looked for.

    Raises:
        InputError: if the file cannot be read, lacks the split, or a path leads nowhere.
    """
    content = read_yaml(file, "the keys path, train, val and names")
    folder = _folder(content.get("path"), file, root, findings)
    key = "validation" if split == "val" and "val" not in content else split
    value = content.get(key)
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) and entry for entry in entries):
        known = ", ".join(name for name in ("train", "val", "validation", "test") if content.get(name)) or "none"
        msg = (
            f"{file}: {split!r} is {value!r}, expected a folder of images, a text list, or a list of them (splits "
            f"found: {known}); add the key, or set `split`"
        )
        raise InputError(msg)
    images = [_place(folder, entry, split, file, findings) for entry in entries]
    return DataYAML(folder, images, _names(content, file), _keypoint_columns(content, file))


def _folder(path: Any, file: Path, root: Path, findings: Findings) -> Path:
    if path is None or path == "":
        return file.parent
    tried = list(dict.fromkeys(base / Path(str(path)).expanduser() for base in (file.parent, root)))
    for folder in tried:
        if findings.use(folder).is_dir():
            return folder
    msg = (
        f"{file}: path is {str(path)!r}, but there is no folder {' nor '.join(map(str, tried))}; correct it, or remove "
        "the line if images are beside this file"
    )
    raise InputError(msg)


def _place(folder: Path, entry: str, split: str, file: Path, findings: Findings) -> Path:
    tried = [folder / entry]
    if entry.startswith("../"):
        tried.append(folder / entry.removeprefix("../"))
    for place in tried:
        if findings.use(place).exists():
            return place
    msg = f"{file}: {split} is {entry!r}, but there is no {' nor '.join(map(str, tried))}; correct {split} or path"
    raise InputError(msg)


def _names(content: dict[str, Any], file: Path) -> dict[int, str] | None:
    names = content.get("names")
    if names is None:
        return None
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(numbered, dict) or not numbered or not all(_is_name(*item) for item in numbered.items()):
        msg = (
            f"{file}: names is {str(names)[:80]}, expected a list of class names or {{number: name}}; put names that "
            "YAML takes for something else (yes, no, on, off) in quotes"
        )
        raise InputError(msg)
    count = content.get("nc")
    if count is not None and str(count) != str(len(numbered)):
        msg = f"{file}: nc is {count}, but names has {len(numbered)} classes; correct one of them, or remove nc"
        raise InputError(msg)
    return {number: str(name) for number, name in numbered.items()}


def _is_name(number: Any, name: Any) -> bool:
    is_number = isinstance(number, int) and not isinstance(number, bool) and number >= 0
    return is_number and isinstance(name, str | int | float) and not isinstance(name, bool)


def _keypoint_columns(content: dict[str, Any], file: Path) -> int:
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(side, int) for side in shape):
        msg = f"{file}: kpt_shape is {shape!r}, expected [number of key points, 2 or 3]"
        raise InputError(msg)
    return shape[0] * shape[1]
