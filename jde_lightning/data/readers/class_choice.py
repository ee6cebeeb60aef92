"""Which of the annotated classes are looked for, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping

from jde_lightning.errors import InputError

Classes = list[str] | dict[str, str] | None
"""Classes by annotated name; a mapping gives them other names, and two of the same name become one class."""


class ClassChoice:
    """The part of a dataset's classes that is looked for.

    Args:
        annotated: names of the dataset's classes by their numbers.
        classes: the classes that are looked for; ``None`` takes all.
        source: file and key that the names come from, for error messages.

    Attributes:
        names: the classes that are looked for, in the order of their label.
        labels: label of each annotated class number that is looked for.

    Raises:
        InputError: if a class is looked for that the dataset does not have.
    """

    def __init__(self, annotated: Mapping[int, str], classes: Classes, source: str) -> None:
        known = list(dict.fromkeys(annotated.values()))
        wanted = dict.fromkeys(known) if classes is None else dict.fromkeys(classes)
        renamed = {name: classes[name] if isinstance(classes, dict) else name for name in wanted}
        for name in wanted:
            if name not in known:
                msg = f"{source}: no class {name!r}, found {', '.join(known)}; correct `classes`"
                raise InputError(msg)
        self.names: tuple[str, ...] = tuple(dict.fromkeys(renamed.values()))
        self.labels: dict[int, int] = {
            number: self.names.index(renamed[name]) for number, name in annotated.items() if name in renamed
        }
