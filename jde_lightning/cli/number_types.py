"""Whole numbers stay whole: ``--trainer.limit_train_batches 1`` is one batch, and 1.0 would be all of them."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Union, get_args


def whole_numbers_first(parser: ArgumentParser) -> None:
    """Have options that take a whole or any number try the whole one first, whatever order their types are in.

    The order of a ``Union`` is not what its author wrote where ``Optional`` is around it: Python takes equal ones from
    a cache, in the order of whoever came first, so that it depends on which packages are installed.

    Args:
        parser: of jsonargparse; its options are changed.
    """
    for action in parser._actions:
        types = get_args(getattr(action, "_typehint", None))
        if int in types and float in types:
            ordered = (int, *(each for each in types if each is not int))
            action._typehint = Union[ordered]  # type: ignore[attr-defined]  # noqa: UP007  # not known when written
