"""What a search may try: a range or a list of values for each parameter of a tracker."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_NO_NUMBERS = ("appearance", "class_aware", "camera_motion", "explain")  # what a tracker is, rather than how strict
_DIGITS = 10  # multiples of a step come as 0.15000000000000002


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers between two bounds.

    Attributes:
        low: the smallest value.
        high: the largest value.
        step: values are ``low`` plus multiples of it; any number in between if ``None``.
        at_most: name of a parameter whose value is a further upper bound; larger values are cut to it. (A bound that
            moves would hide the parameter from the part of the search that looks at several of them together.)
    """

    low: float
    high: float
    step: float | None = None
    at_most: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Some values.

    Attributes:
        values: flags, numbers or words.
    """

    values: tuple[Any, ...]


SearchSpace = dict[str, "Range | Choice"]
"""Name of each parameter, and what may be tried."""

_FRACTION = Range(0.0, 1.0, 0.05)
_FLAG = Choice((False, True))
_BUFFER = Range(0, 100, 10)

# The spaces of YOLO11-JDE's authors (their search for HOTA on MOT17); that of FairMOT's tracker by analogy.
_SPACES: dict[str, SearchSpace] = {
    "YOLO11JDETracker": {
        "track_high_thresh": Range(0.1, 0.7, 0.05),
        "track_low_thresh": Range(0.1, 0.7, 0.05, at_most="track_high_thresh"),
        "new_track_thresh": _FRACTION,
        "first_match_thresh": _FRACTION,
        "second_match_thresh": _FRACTION,
        "new_match_thresh": _FRACTION,
        "first_fuse": _FLAG,
        "second_fuse": _FLAG,
        "new_fuse": _FLAG,
        "proximity_thresh": _FRACTION,
        "appearance_thresh": _FRACTION,
        "gate_thresh": _FRACTION,
        "appearance_weight": _FRACTION,
        "min_weight": _FRACTION,
        "track_buffer": _BUFFER,
    },
    "FairMOTTracker": {
        "conf_thresh": Range(0.1, 0.7, 0.05),
        "first_match_thresh": _FRACTION,
        "second_match_thresh": _FRACTION,
        "new_match_thresh": _FRACTION,
        "track_buffer": _BUFFER,
    },
}
# What has no effect where embeddings are not compared.
_OF_APPEARANCE = {
    "YOLO11JDETracker": {
        *("proximity_thresh", "appearance_thresh", "gate_thresh"),
        *("appearance_weight", "min_weight"),
    },
    "FairMOTTracker": {"first_match_thresh"},
}


def default_space(tracker: type[Any], appearance: bool = True) -> SearchSpace:
    """Return the space of a tracker of this package.

    Args:
        tracker: its class; a subclass has the space of its base.
        appearance: whether embeddings are compared; if not, what only concerns them is left out.

    Raises:
        InputError: if there is none.
    """
    name = next((base.__name__ for base in tracker.__mro__ if base.__name__ in _SPACES), None)
    if name is None:
        msg = f"there is no search space for {tracker.__name__}; describe one in a YAML file and give it with --space"
        raise InputError(msg)
    known = inspect.signature(tracker).parameters
    left_out = set() if appearance else _OF_APPEARANCE[name]
    return {key: value for key, value in _SPACES[name].items() if key in known and key not in left_out}


def read_space(path: Path, tracker: type[Any], arguments: Mapping[str, Any] | None = None) -> SearchSpace:
    """Read a space from a YAML file: for each parameter ``{low, high, step, at_most}`` or a list of values.

    Args:
        path: the file; ``step`` and ``at_most`` may be missing.
        tracker: whose parameters they are.
        arguments: of the tracker that the search begins with; its defaults if omitted.

    Raises:
        InputError: if the file is missing, a name is no parameter, a range is none, or the tracker refuses its values.
    """
    if not path.is_file():
        msg = f"--space {path}: no such file"
        raise InputError(msg)
    expected = "parameters, each with {low, high, step} or a list of values"
    content = read_yaml(path, expected)
    known = [name for name in inspect.signature(tracker).parameters if name != "frame_rate"]
    space: SearchSpace = {}
    for key, value in content.items():
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1)
            names = ", ".join(name for name in known if name not in _NO_NUMBERS)
            hint = f"the nearest is {nearest[0]}" if nearest else f"{tracker.__name__} has {names}"
            msg = f"{path}: unknown parameter {key!r}; {hint}"
            raise InputError(msg)
        space[key] = _entry(path, key, value)
    for key, entry in space.items():
        bound = entry.at_most if isinstance(entry, Range) else None
        if bound is not None and not isinstance(space.get(bound), Range):
            msg = f"{path}: {key} is at_most {bound!r}, which has no range in this file"
            raise InputError(msg)
    if not space:
        msg = f"{path}: nothing to search, expected {expected}"
        raise InputError(msg)
    _check_values(path, space, tracker, arguments or {})
    return space


def space_as_json(space: SearchSpace) -> dict[str, Any]:
    """Return a space as values that JSON can hold."""
    return {key: asdict(entry) if isinstance(entry, Range) else list(entry.values) for key, entry in space.items()}


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return a space in the terms of Optuna."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for key, entry in space.items():
        if isinstance(entry, Choice):
            made[key] = CategoricalDistribution(entry.values)
        elif _is_whole(entry):
            made[key] = IntDistribution(int(entry.low), int(entry.high), step=int(entry.step or 1))
        else:
            made[key] = FloatDistribution(entry.low, entry.high, step=entry.step)
    return made


def arguments_of(space: SearchSpace, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tracker's arguments that values of a trial stand for.

    Args:
        space: where they come from.
        values: by name of the parameter.

    Returns:
        The same, rounded, with ``at_most`` applied.
    """
    rounded = {key: round(value, _DIGITS) if isinstance(value, float) else value for key, value in values.items()}
    cut = dict(rounded)
    for key, entry in space.items():
        if isinstance(entry, Range) and entry.at_most is not None:
            cut[key] = min(rounded[key], rounded[entry.at_most])
    return cut


def _check_values(path: Path, space: SearchSpace, tracker: type[Any], arguments: Mapping[str, Any]) -> None:
    """Refuse bounds and values that the tracker refuses, before anything is tried.

    A value may be right or wrong depending on others. So each is tried with the others as the search begins, and with
    those of the space at their upper and lower ends; it is wrong if none of these is accepted.
    """
    ends = {key: e.values if isinstance(e, Choice) else (e.low, e.high) for key, e in space.items()}
    surroundings = [{}, *({key: values[end] for key, values in ends.items()} for end in (-1, 0))]
    for key, values in ends.items():
        for value in values:
            refusals = []
            for others in surroundings:
                try:
                    tracker(**{**arguments, **others, key: value})
                    break
                except (InputError, TypeError) as error:
                    refusals.append(error)
            else:
                msg = f"{path}: {key} {value!r} is refused by {tracker.__name__}: {refusals[0]}"
                raise InputError(msg) from refusals[0]


def _is_whole(entry: Range) -> bool:
    """Whether a range is of whole numbers: all that describes it is."""
    return all(isinstance(value, int) for value in (entry.low, entry.high, *([entry.step] if entry.step else [])))


def _entry(path: Path, key: str, value: Any) -> Range | Choice:
    """Read what may be tried of one parameter."""
    if isinstance(value, list) and value and all(isinstance(v, bool | int | float | str) for v in value):
        return Choice(tuple(value))
    names = {"low", "high", "step", "at_most"}
    if not isinstance(value, dict) or set(value) - names or {"low", "high"} - set(value):
        msg = f"{path}: {key} is {value!r}, expected {{low, high, step, at_most}} or a list of values"
        raise InputError(msg)
    low, high, step = value["low"], value["high"], value.get("step")
    numbers = [low, high, *([] if step is None else [step])]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        msg = f"{path}: low, high and step of {key} must be numbers, got {numbers}"
        raise InputError(msg)
    if low > high or (step is not None and step <= 0):
        msg = f"{path}: {key} needs low <= high and a step above 0, got low {low}, high {high}, step {step}"
        raise InputError(msg)
    return Range(low, high, step, value.get("at_most"))
