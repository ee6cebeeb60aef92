"""Several classes: each is evaluated on its own, then they are combined in TrackEval's two ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jde_lightning.errors import UsageError
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.scores import Scores


def named_classes(numbers: Sequence[int] | None, names: Sequence[str] | None) -> dict[str, int] | None:
    """Give the classes of an evaluation their names.

    Args:
        numbers: the numbers in column 8; 1, 2, ... in the order of ``names`` if ``None``.
        names: their names; the numbers themselves if ``None``.

    Returns:
        Number of each class by its name; ``None`` if both are ``None``: there is one class, whatever it is called.

    Raises:
        UsageError: if the two differ in length, or a number or name occurs twice.
    """
    if numbers is None and names is None:
        return None
    numbers = list(range(1, len(names or ()) + 1)) if numbers is None else list(numbers)
    names = [str(number) for number in numbers] if names is None else list(names)
    if len(names) != len(numbers):
        msg = f"--class-names has {len(names)} names, but --classes {len(numbers)} numbers; give one name per number"
        raise UsageError(msg)
    given: dict[str, list[Any]] = {"--classes": numbers, "--class-names": names}
    for option, values in given.items():
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            msg = f"{option}: {', '.join(twice)} is given twice"
            raise UsageError(msg)
    return dict(zip(names, numbers, strict=True))


def rows_by_class(
    gt: MOTRows, result: MOTRows, classes: Mapping[str, int]
) -> Iterator[tuple[str, tuple[MOTRows, MOTRows]]]:
    """Part the rows of a sequence by class.

    Args:
        gt: ground truth of all classes.
        result: tracker boxes of all classes.
        classes: number of each class in column 8, by its name.

    Yields:
        Name of a class, and its rows of both.
    """
    for name, number in classes.items():
        yield name, (gt[gt.classes == number], result[result.classes == number])


def class_averaged(scores: Iterable[Scores]) -> Scores:
    """Combine classes with equal weight, whatever their number of boxes (TrackEval's ``cls_comb_cls_av``).

    The other way, in which each box has the same weight (``cls_comb_det_av``), is the score of the summed counts.

    Args:
        scores: the scores of each class, at least one. A class without any box counts too, as in TrackEval.

    Returns:
        Means of the fractions and sums of the counts.
    """
    every = list(scores)
    return {
        name: sum(values) if isinstance(values[0], int) else float(np.mean(values))
        for name, values in ((name, [score[name] for score in every]) for name in every[0])
    }
