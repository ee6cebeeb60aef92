"""Every key of `fit` and its neighbours, or those of one section: `--help all`, `--help data`."""

from __future__ import annotations

import difflib
import sys
from argparse import ArgumentParser

from jde_lightning.cli.lightning_verbs import JDELightningCLI
from jde_lightning.errors import UsageError


def print_help(verb: str, section: str) -> None:
    """Print the keys of a verb on stdout.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        section: ``all``, or the first word of the keys, such as ``data``.

    Raises:
        UsageError: if there is no such section.
    """
    parser = _ParserOnly([verb])._parser(verb)
    parser.prog = f"jde-lightning {verb}"
    sys.stdout.write(parser.format_help() if section == "all" else section_help(parser, section))


def section_help(parser: ArgumentParser, section: str) -> str:
    """The help of the keys that begin with a word. The parser is of no other use afterwards.

    Args:
        parser: of a verb.
        section: the word.

    Raises:
        UsageError: if no key begins so.
    """
    groups = []
    sections: list[str] = []
    for group in parser._action_groups:
        sections += [action.dest.partition(".")[0] for action in group._group_actions]
        group._group_actions = [
            action
            for action in group._group_actions
            if action.dest.partition(".")[0] == section and not action.dest.endswith(".help")
        ]
        groups += [group] if group._group_actions else []
    if not groups:
        known = [name for name in dict.fromkeys(sections) if name not in ("help", "print_config")]
        near = difflib.get_close_matches(section, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected all or one of {', '.join(known)}"
        msg = f"--help {section}: there is no section {section}; {hint}"
        raise UsageError(msg)
    parser._action_groups = groups
    parser.usage, parser.epilog = f"%(prog)s [--{section}.KEY VALUE ...]", None
    return parser.format_help()


class _ParserOnly(JDELightningCLI):
    """Makes the parsers, and stops there."""

    def _set_seed(self) -> None:
        """Leave the random generators alone."""

    def before_instantiate_classes(self) -> None:
        """Read no checkpoint."""

    def instantiate_classes(self) -> None:
        """Build nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""
