"""Configurations by name: ``--config quickstart`` works wherever the package is installed.

The files lie in ``configs/`` of the repository and, in a wheel, in ``jde_lightning/configs/``. Their name is their path
below that folder without ``.yaml``: ``quickstart``, ``overlays/debug``, ``trackers/bytetrack``.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from jde_lightning.errors import UsageError

_SUFFIX = ".yaml"
_NOT_OURS = ("cluster",)  # manifests of other programs, which no verb takes
_NEAR = 3  # names that an error suggests


def configs_folder() -> Path:
    """Return the folder of the packaged configurations.

    Raises:
        UsageError: if the installation has none.
    """
    package = Path(str(files("jde_lightning")))
    for folder in (package / "configs", package.parent / "configs"):  # of a wheel; of a clone, also installed with -e
        if folder.is_dir():
            return folder
    msg = f"{package}: no configs/ inside or beside it; the installation is not whole, install jde-lightning again"
    raise UsageError(msg)


def config_names(under: str = "") -> list[str]:
    """Return the names of the packaged configurations, sorted, those that are in no folder first.

    Args:
        under: only those in this folder of ``configs/``, and then named from there: ``bytetrack`` under ``trackers``.
    """
    root = configs_folder() / under
    paths = (path.relative_to(root).with_suffix("") for path in root.rglob(f"*{_SUFFIX}"))
    names = [path.as_posix() for path in paths if under or path.parts[0] not in _NOT_OURS]
    return sorted(names, key=lambda name: ("/" in name, name))


def find_config(name: str | Path, under: str = "", folders: bool = False) -> Path:
    """Find a configuration by its path or its name.

    A file of exactly that path wins. Otherwise it is a name, which may also be written with ``.yaml`` and, as in a
    clone of the repository, with ``configs/`` before it.

    Args:
        name: as the user gave it.
        under: folder of ``configs/`` in which names are looked for first, such as ``trackers``.
        folders: whether a folder will do, such as ``ablations/table2``.

    Returns:
        The file, or the folder.

    Raises:
        UsageError: if there is neither such a file nor such a name.
    """
    path = Path(name).expanduser()
    if path.is_file() or (folders and path.is_dir()):
        return path
    root = configs_folder()
    text = Path(name).as_posix().removeprefix("./").removeprefix("configs/").removesuffix(_SUFFIX)
    if text and ".." not in Path(text).parts and not Path(text).is_absolute():
        for folder in dict.fromkeys((root / under, root)):
            if (found := folder / f"{text}{_SUFFIX}").is_file():
                return found
            if folders and (found := folder / text).is_dir():
                return found
    msg = f"{name}: no such file"
    if not path.is_absolute():
        msg += f", and no packaged configuration has this name{_suggestion(text, under)}"
    raise UsageError(msg)


def _suggestion(text: str, under: str) -> str:
    """The names that look most like this one, or all where there are few, in brackets."""
    names = config_names(under)
    if under:
        return f" (there are {', '.join(names)}{_nearest(text, names)})"
    by_last = {name.rpartition("/")[2]: name for name in reversed(names)}
    last = text.rpartition("/")[2]
    near = [*difflib.get_close_matches(text, names, n=_NEAR, cutoff=0.75)]
    near += [by_last[word] for word in difflib.get_close_matches(last, by_last, n=_NEAR, cutoff=0.75)]
    shown = list(dict.fromkeys(near))[:_NEAR] or [name for name in names if "/" not in name]
    return f" ({'nearest' if near else 'first steps'}: {', '.join(shown)}; `jde-lightning configs` lists all)"


def _nearest(text: str, names: list[str]) -> str:
    """The one name that looks most like this one, if any does."""
    found = difflib.get_close_matches(text, names, n=1)
    return f"; nearest: {found[0]}" if found else ""
