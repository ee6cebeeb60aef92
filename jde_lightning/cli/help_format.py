"""How a verb's help looks: one short line of usage, and texts that need not be wrapped at every third word."""

from __future__ import annotations

import argparse

_WIDTH = 118
_MIDDLE = 40


class WideHelp(argparse.RawDescriptionHelpFormatter):
    """Lines as wide as those of the examples, whatever the terminal, and texts beside the longest options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_MIDDLE, width=_WIDTH)


def sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def short_usage(parser: argparse.ArgumentParser, more: str = "") -> str:
    """What a verb cannot do without; what it can do besides is listed below it.

    Args:
        parser: of the verb.
        more: what else it takes, such as ``[--data.KEY VALUE ...]``.
    """
    either = {action: group for group in parser._mutually_exclusive_groups for action in group._group_actions}
    told: list[str] = []
    for action in sorted(parser._actions, key=lambda action: bool(action.option_strings)):
        group = either.get(action)
        if group is not None and group.required:
            if action is group._group_actions[0]:
                told.append(f"({' | '.join(map(_with_value, group._group_actions))})")
        elif action.required and action.option_strings:
            told.append(_with_value(action))
        elif not action.option_strings:
            name = str(action.metavar or action.dest)
            told.append(f"[{name}]" if action.nargs == "?" else name)
    return " ".join(["%(prog)s", *told, "[options]", more]).rstrip().replace("%%", "%")


def _with_value(action: argparse.Action) -> str:
    """An option and what it takes."""
    value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    return f"{action.option_strings[0]} {value}"
