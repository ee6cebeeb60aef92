"""The page of all verbs, from their parsers."""

from __future__ import annotations

import argparse
import re

from jde_lightning import cli


def page() -> str:
    """Markdown: each verb with its usage, its options and its examples."""
    lines = [
        "# Command line",
        "",
        "`jde-lightning VERB ...`, or `python -m jde_lightning VERB ...`. Results go to stdout, messages to stderr.",
        "The exit code is 0 (done), 1 (failed, with one line that says why), 2 (wrong usage), 75 (interrupted by a",
        "signal of the cluster, start it again) or 130 (Ctrl-C). `--debug` after any verb shows the traceback of an",
        "error.",
        "",
        "This page is written by the parsers themselves.",
        "",
    ]
    lines += [f"## {', '.join(cli._LIGHTNING_VERBS)}", "", "```text"]
    lines += ["jde-lightning fit --config FILE [--config FILE ...] [--KEY VALUE ...]", "```", ""]
    for verb, what in cli._LIGHTNING_VERBS.items():
        lines += [f"`{verb}`", f":   {_sentence(what)}", ""]
    lines += [
        "Every key of [the configuration](configuration.md) is an option; later ones win. `--help` shows those of the",
        "first day, `--help all` every one, `--help data` those of a section.",
        "",
    ]
    for verb in cli._OWN_VERBS:
        lines += _verb(verb)
    return "\n".join(lines)


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The parser of one of our own verbs, such as ``data check``."""
    parser = argparse.ArgumentParser(prog=f"jde-lightning {verb}", add_help=False)
    cli._module(verb).add_arguments(parser)
    return parser


def _verb(verb: str) -> list[str]:
    """The section of one of our own verbs."""
    parser, module = parser_of(verb), cli._module(verb)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    if getattr(module, "TAKES_FIT_ARGUMENTS", False):
        usage += " [-- options of fit]"
    if getattr(module, "PASSES_UNKNOWN_ARGUMENTS", False):
        usage += " [--data.KEY VALUE ...]"
    lines = [f"## {verb}", "", _sentence(module.HELP), "", "```text", *_wrapped(usage), "```", ""]
    for action in parser._actions:
        name = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest}`"
        value = "" if action.nargs == 0 or not action.option_strings else f" `{_value(action)}`"
        lines += [f"{name}{value}", f":   {_text(action)}", ""]
    if parser.epilog:
        lines += ["```text", parser.epilog.strip(), "```", ""]
    return lines


def _value(action: argparse.Action) -> str:
    """What the option takes."""
    if action.choices is not None and action.metavar is None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    name = action.metavar or action.dest.upper()
    name = " ".join(name) if isinstance(name, tuple) else name
    return f"{name} ..." if action.nargs in ("*", "+") else name


def _text(action: argparse.Action) -> str:
    """What the option does, with its default."""
    text = " ".join((action.help or "").replace("%%", "%").split())
    text = text.replace("%(default)s", str(action.default))
    text = text.replace("<", "&lt;")
    kept = action.default in (None, False, argparse.SUPPRESS) or "default" in text
    return _sentence(text) + ("" if kept else f" Default: `{action.default}`.")


def _sentence(text: str) -> str:
    """A text with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _wrapped(usage: str, width: int = 78) -> list[str]:
    """A usage line, broken between its options."""
    lines, line = [], ""
    for part in re.findall(r"\[[^\]]*\]|\S+", usage):
        if line and len(line) + len(part) > width:
            lines.append(line)
            line = "   "
        line = f"{line} {part}".lstrip() if not line.strip() and not lines else f"{line} {part}"
    return [*lines, line]
