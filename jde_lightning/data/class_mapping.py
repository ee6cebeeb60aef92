"""From the class numbers of a dataset to those of ``data.class_names``, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError
from jde_lightning.structures import IntArray, Role

_LISTED = 12


def map_classes(
    labels: IntArray,
    roles: npt.NDArray[np.int8],
    names: Sequence[str] | None,
    wanted: Sequence[str],
    dataset: str,
) -> tuple[IntArray, npt.NDArray[np.int8], Counter[str]]:
    """Give objects the class numbers of ``wanted``; those of other classes become ``Role.OTHER``.

    Names match exactly, or else without regard to upper and lower case. Only positives have a class: what is to be
    ignored is ignored for all classes.

    Args:
        labels: ``(N,)`` int64 class numbers as the dataset counts them.
        roles: ``(N,)`` int8.
        names: what the numbers of the dataset stand for; ``None`` if they are those of ``wanted`` already.
        wanted: names of the classes to look for.
        dataset: name of the dataset, for messages.

    Returns:
        Labels and roles, the same arrays where nothing changes, and how many boxes of each class became OTHER.

    Raises:
        InputError: if a class number has no name, or the dataset has objects but none of the wanted classes.
    """
    _refuse_unnamed(labels, roles, names, wanted, dataset)
    if names is None or tuple(names) == tuple(wanted):
        return labels, roles, Counter()
    positive = roles == Role.POSITIVE
    numbers = np.array([_number(name, wanted) for name in names], dtype=np.int64)
    if (numbers < 0).all() and positive.any():
        msg = (
            f"dataset {dataset!r} has the classes {_list(names)}, data.class_names has {_list(wanted)}: none in "
            "common; name in data.class_names those classes of the dataset that are to be learned"
        )
        raise InputError(msg)
    mapped = np.zeros(len(labels), dtype=np.int64)
    mapped[positive] = numbers[labels[positive]]
    unwanted = mapped < 0
    counts = np.bincount(labels[unwanted], minlength=len(names)).tolist()
    others = Counter({name: count for name, count in zip(names, counts, strict=True) if count})
    return (
        np.where(unwanted, 0, mapped),
        np.where(unwanted, Role.OTHER, roles).astype(np.int8),
        others,
    )


def describe_unwanted(classes: Counter[str]) -> str:
    """Name what :func:`map_classes` made OTHER, the most frequent classes first."""
    names = [name for name, _ in classes.most_common()]
    return f"boxes of classes not in data.class_names: {_list(names)}"


def _number(name: str, wanted: Sequence[str]) -> int:
    """Position of a name in ``wanted``, -1 if it is not there."""
    if name in wanted:
        return list(wanted).index(name)
    folded = [other.casefold() for other in wanted]
    return folded.index(name.casefold()) if folded.count(name.casefold()) == 1 else -1


def _refuse_unnamed(
    labels: IntArray, roles: npt.NDArray[np.int8], names: Sequence[str] | None, wanted: Sequence[str], dataset: str
) -> None:
    known = wanted if names is None else names
    used = labels[roles == Role.POSITIVE]
    wrong = used[(used < 0) | (used >= len(known))]
    if len(wrong) == 0:
        return
    if names is None:
        msg = (
            f"dataset {dataset!r} has class number {wrong[0]}, but data.class_names has {len(known)} names "
            f"({_list(known)}); its annotations know numbers only, so data.class_names must name all of them, from 0"
        )
    else:
        msg = f"dataset {dataset!r} has class number {wrong[0]}, but names {len(known)} classes ({_list(known)})"
    raise InputError(msg)


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
