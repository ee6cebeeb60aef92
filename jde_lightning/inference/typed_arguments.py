"""Values of a YAML or JSON file against the types of a constructor, with the standard library only.

Exported networks track where jsonargparse, which checks the configurations of ``fit``, is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jde_lightning.errors import InputError


def typed_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check arguments against the annotations of a function or constructor: float, int, bool and Literal.

    Args:
        function: that they are for; annotations of other types are not checked.
        arguments: by name. A number may be text (YAML reads ``1e-3``, which lacks the dot, as text), and a whole
            number may have been written as a fraction (``30.0``).

    Returns:
        The arguments, numbers as the type that the function wants.

    Raises:
        InputError: if one is of another type, or not in its literals; the message names it.
    """
    hints = get_type_hints(function.__init__ if isinstance(function, type) else function)  # type: ignore[misc]
    return {name: _typed(name, value, hints.get(name)) for name, value in arguments.items()}


def _typed(name: str, value: Any, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        wanted, fits = f"one of {', '.join(map(str, get_args(hint)))}", value in get_args(hint)
    elif hint is bool:
        wanted, fits = "true or false", isinstance(value, bool)
    elif hint is float or hint is int:
        number = _number(value)
        wanted, fits = ("a number", True) if hint is float else ("a whole number", number.is_integer())
        if fits and not math.isnan(number):
            return hint(number)
        fits = False
    else:
        return value
    if not fits:
        msg = f"{name} must be {wanted}, got {value!r}"
        raise InputError(msg)
    return value


def _number(value: Any) -> float:
    """The number that a value is or spells; NaN where it is none."""
    if isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
