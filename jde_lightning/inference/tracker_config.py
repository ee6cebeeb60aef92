"""Trackers by name or by YAML file, made anew for every sequence."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import yaml

import jde_lightning.tracking
from jde_lightning.errors import InputError
from jde_lightning.files import yaml_problem
from jde_lightning.inference.typed_arguments import typed_arguments
from jde_lightning.packaged_configs import find_config
from jde_lightning.structures import Detections, Tracks

_PACKAGE = "jde_lightning.tracking"


class TrackerLike(Protocol):
    """What tracks: fed with the detections of one frame after the other."""

    def update(self, detections: Detections, image: npt.NDArray[np.uint8] | None = None) -> Tracks:
        """Take in the next frame."""


TrackerFactory = Callable[[float], TrackerLike]
"""Makes a fresh tracker for a sequence of so many frames per second."""


def load_tracker_factory(name_or_path: str | Path, appearance: bool = True, explain: bool = False) -> TrackerFactory:
    """Read which tracker is wanted, and check its parameters before anything runs.

    Args:
        name_or_path: a YAML file ``{class_path: ..., init_args: {...}}``, or the parameters alone where only one
            tracker has them all; or the name of one in ``configs/trackers``: ``yolo11_jde``, ``fairmot``,
            ``fairmot_original``, ``bytetrack`` and so on. A ``frame_rate`` in the file wins over that of the sequence.
        appearance: ``False`` makes the tracker ignore embeddings, whatever the file says.
        explain: ``True`` makes the tracker record its decisions, whatever the file says.

    Returns:
        A function from the frames per second of a sequence to a fresh tracker.

    Raises:
        InputError: if name, file, class, key or value are not what they should be.
    """
    where = str(name_or_path)
    tracker, arguments = _read_yaml(find_tracker(name_or_path))
    return _factory(tracker, arguments, where, appearance, explain)


def tracker_spec(name_or_path: str | Path) -> dict[str, Any]:
    """Describe a tracker so that JSON can hold it, for the metadata of an exported network.

    Args:
        name_or_path: as for :func:`load_tracker_factory`.

    Returns:
        ``class_path`` and ``init_args``; infinity as text.

    Raises:
        InputError: as :func:`load_tracker_factory`.
    """
    load_tracker_factory(name_or_path)
    tracker, arguments = _read_yaml(find_tracker(name_or_path))
    told = {key: str(v) if isinstance(v, float) and not math.isfinite(v) else v for key, v in arguments.items()}
    return {"class_path": f"{_PACKAGE}.{tracker.__name__}", "init_args": told}


def tracker_factory_from_spec(spec: Any, where: str, appearance: bool = True, explain: bool = False) -> TrackerFactory:
    """Make the factory of a tracker that :func:`tracker_spec` describes.

    Args:
        spec: ``class_path`` and ``init_args``.
        where: the file that it comes from, for errors.
        appearance: as for :func:`load_tracker_factory`.
        explain: as for :func:`load_tracker_factory`.

    Raises:
        InputError: if class, key or value are not what they should be.
    """
    return _factory(*_checked_spec(spec, where), where, appearance, explain)


def _factory(
    tracker: type[Any], arguments: dict[str, Any], where: str, appearance: bool, explain: bool
) -> TrackerFactory:
    """Check the arguments of a tracker and make its factory."""
    known = list(inspect.signature(tracker).parameters)
    unknown = [key for key in arguments if key not in known]
    if unknown:
        guess = _nearest(str(unknown[0]), known)
        msg = f"{where}: init_args has unknown key {unknown[0]!r}{guess}; {tracker.__name__} knows {', '.join(known)}"
        raise InputError(msg)
    if not appearance:
        arguments = {**arguments, "appearance": False}
    if explain:
        arguments = {**arguments, "explain": True}

    def factory(frame_rate: float) -> TrackerLike:
        return _instantiate(tracker, {"frame_rate": float(frame_rate), **arguments}, where)

    factory(30.0)
    return factory


def find_tracker(name_or_path: str | Path) -> Path:
    """Find the file of a tracker.

    Args:
        name_or_path: as for :func:`load_tracker_factory`.

    Raises:
        InputError: if there is none.
    """
    try:
        return find_config(name_or_path, under="trackers")
    except InputError as error:
        msg = f"--tracker {error}"
        raise InputError(msg) from error


def _tracker_classes() -> dict[str, type[Any]]:
    """The public classes of the tracking package that can be updated with a frame."""
    names = jde_lightning.tracking.__all__
    classes = {name: getattr(jde_lightning.tracking, name) for name in names}
    return {
        name: value
        for name, value in classes.items()
        if inspect.isclass(value) and hasattr(value, "update") and not inspect.isabstract(value)
    }


def _read_yaml(path: Path) -> tuple[type[Any], dict[str, Any]]:
    """Read class and arguments from a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not a YAML file ({yaml_problem(error)}); expected the keys class_path and init_args"
        raise InputError(msg) from error
    return _checked_spec(_with_class(content, str(path)), str(path))


def _with_class(content: Any, path: str) -> Any:
    """Name the class of parameters that stand alone, if only one tracker has them all.

    Raises:
        InputError: if several trackers have them, or none.
    """
    if not isinstance(content, dict) or not content or "class_path" in content:
        return content
    known = {name: set(inspect.signature(value).parameters) for name, value in _tracker_classes().items()}
    fitting = [name for name, parameters in known.items() if set(content) <= parameters]
    if len(fitting) == 1:
        return {"class_path": f"{_PACKAGE}.{fitting[0]}", "init_args": content}
    found = ", ".join(map(str, content))
    which = f"of several trackers ({', '.join(fitting)})" if fitting else "not all of one tracker"
    name = fitting[0] if fitting else max(known, key=lambda each: len(known[each] & set(content)))
    msg = f"{path}: expected the keys class_path and init_args, found {found}, which are {which}; "
    msg += f"write class_path: {name} in the first line, init_args: in the second, and indent the others below it"
    raise InputError(msg)


def _checked_spec(content: Any, path: str) -> tuple[type[Any], dict[str, Any]]:
    """Class and arguments that a file names."""
    if not isinstance(content, dict) or "class_path" not in content or set(content) - {"class_path", "init_args"}:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        msg = f"{path}: expected the keys class_path and init_args, found {found or 'nothing'}"
        raise InputError(msg)
    class_path, arguments = str(content["class_path"]), content.get("init_args") or {}
    if not isinstance(arguments, dict):
        msg = f"{path}: init_args must be a mapping of names to values, found {type(arguments).__name__}"
        raise InputError(msg)
    module, _, name = class_path.rpartition(".")
    classes = _tracker_classes()
    # Only trackers of this package: a configuration file must not decide what code runs.
    if name not in classes or module not in ("", _PACKAGE, classes[name].__module__):
        expected = ", ".join(f"{_PACKAGE}.{name}" for name in classes)
        msg = f"{path}: class_path {class_path!r} is no tracker; expected one of {expected}"
        raise InputError(msg)
    return classes[name], arguments


def _nearest(word: str, known: list[str]) -> str:
    """The known word that looks most like this one, in brackets; nothing where none does."""
    found = difflib.get_close_matches(word, known, n=1)
    return f" (nearest: {found[0]})" if found else ""


def _instantiate(tracker: type[Any], arguments: dict[str, Any], where: str) -> TrackerLike:
    """Check the arguments against the types of the constructor and make the tracker."""
    try:
        made: TrackerLike = tracker(**typed_arguments(tracker, arguments))
    except (ValueError, TypeError) as error:
        msg = f"{where}: {' '.join(str(error).split())}"
        raise InputError(msg) from error
    return made
