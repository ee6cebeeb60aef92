"""What a configuration got wrong, in one line: jsonargparse tells every way in which a value could have been right."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re

_CONTEXT = re.compile(
    r"Parser key |Does not validate against any of|Subtypes: |Errors:$|Given value|Expected a <class 'NoneType'>"
    r"|Expected a path but "
)
_CLASS = re.compile(r"(?:Problem with given class_path |class_path=)'([\w.]+)'")
_CALLABLE = re.compile(r"Type (?:collections\.abc|typing)\.Callable\[.*\] expects a function or a callable class: (.*)")
_NO_CLASS_YET = re.compile(
    r"Dict must include a class_path and optionally init_args, but got NestedArg\(key='([\w.]+)'"
)
_OPTION = re.compile(r"Option '([\w.]+)' is not accepted")
_NO_CLASS = re.compile(r"Expected a dot import path string: (\S+)")
_CLASSES_IN = (
    "jde_lightning.data",
    "jde_lightning.losses",
    "jde_lightning.tracking",
    "pytorch_metric_learning.losses",
    "pytorch_metric_learning.miners",
)


def in_plain_words(text: str) -> str:
    """Shorten an error of jsonargparse to the key and what is wrong with its value.

    Args:
        text: the message, with its line breaks.

    Returns:
        One line; the whole message in one line if it has none of the known forms.
    """
    keys = re.findall(r'Parser key "([^"]+)":', text)
    found: dict[str, None] = {}
    class_path = ""
    for line in (line.strip().removeprefix("- ") for line in text.splitlines()):
        if names := _CLASS.findall(line):
            class_path = names[0]
        if not line or _CONTEXT.match(line) or line.startswith("Problem with given class_path"):
            continue
        if named := _CALLABLE.match(line):
            line = named[1]
        if setting := _NO_CLASS_YET.match(line):
            first = f"name the class first, as in --{'.'.join(keys)} CLASS"
            line = f"{setting[1]} is a setting of a class that is not named; {first}"
        elif option := _OPTION.search(line):
            line = _unknown_option(option[1], class_path)
        elif name := _NO_CLASS.match(line):
            line = _unknown_class(name[1])
        found[line.replace("a typing.Literal", "one of ").replace("<class 'int'>", "whole number")] = None
    if not found:
        return " ".join(text.split())
    return ": ".join([*([".".join(keys)] if keys else []), "; ".join(found)])


def _unknown_option(option: str, class_path: str) -> str:
    """Say which option a class does not have, and what it has instead."""
    module, _, name = class_path.rpartition(".")
    if not module:
        return f"there is no option {option}"
    known = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    nearest = difflib.get_close_matches(option, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(known)}"
    return f"{name} has no option {option}; {hint}"


def _unknown_class(name: str) -> str:
    """Say that there is no such class, and which one has nearly that name."""
    known: dict[str, str] = {}
    for path in _CLASSES_IN:
        module = importlib.import_module(path)
        known |= {each: f"{path}.{each}" for each in dir(module) if inspect.isclass(getattr(module, each))}
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {known[nearest[0]]}?" if nearest else "give its dotted path, such as package.module.Class"
    return f"there is no class {name}; {hint}"
