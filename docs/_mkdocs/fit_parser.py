"""The parser of `fit` and its neighbours, without building anything that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jde_lightning.cli.lightning_verbs import JDELightningCLI


class ParseOnly(JDELightningCLI):
    """Parses a command as `jde-lightning` does, and stops there: no module, no data, no trainer, no checkpoint."""

    def _set_seed(self) -> None:
        """Leave the random generators alone."""

    def _parse_ckpt_path(self) -> None:
        """Look for no checkpoint."""

    def before_instantiate_classes(self) -> None:
        """Read no checkpoint."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def parse(words: Sequence[str]) -> Any:
    """Parse the words of `fit`, `validate`, `test` or `predict`.

    Args:
        words: the verb and its options.

    Returns:
        What they mean: keys and values, as in ``config.yaml``.

    Raises:
        jsonargparse.ArgumentError: if `jde-lightning` would refuse them.
    """
    return ParseOnly(words).config[words[0]]


def fit_parser() -> Any:
    """The parser of `fit`."""
    return ParseOnly(["fit"])._parser("fit")
