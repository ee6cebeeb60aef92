"""What is refused before anything heavy is imported: files that are not there, options that there are not."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from jde_lightning.errors import InputError, UsageError

_UNRECOGNIZED = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
CHECKPOINT_WORDS = ("last", "previous", "last_or_new")
"""What ``--ckpt_path`` takes beside files and folders."""
_LIGHTNINGS_WORDS = ("best", "hpc")


class VerbParser(argparse.ArgumentParser):
    """A parser of one of our own verbs, whose errors are one line with the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command.

        Raises:
            UsageError: always.
        """
        if match := _UNRECOGNIZED.fullmatch(message):
            known = [option for action in self._actions for option in action.option_strings]
            unknown = [word.partition("=")[0] for word in match[1].split() if word.startswith("--")]
            near = [each for word in unknown for each in difflib.get_close_matches(word, known, n=1)]
            message += f"; did you mean {', '.join(near)}?" if near else ""
        msg = f"{message} (`{self.prog} --help`)"
        raise UsageError(msg)


def check_sections(verb: str, words: Sequence[str]) -> None:
    """Refuse keys of Lightning's verbs that are in no section, where it is plain which one is meant.

    Others are left to the parser, which knows all keys, but takes long to be imported.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        words: of the command.

    Raises:
        UsageError: if there is no such key.
    """
    from jde_lightning.cli.short_help import GROUPS, SECTIONS
    from jde_lightning.cli.unknown_keys import explain_unknown, nearest_keys

    keys = [*SECTIONS, *(option.key for options in GROUPS.values() for option in options)]
    for place, word in enumerate(words):
        key = word.removeprefix("--").partition("=")[0].rstrip("+")
        section = key.partition(".")[0]
        # the parser takes beginnings of keys too
        if not word.startswith("--") or any(known.startswith(section) for known in SECTIONS):
            continue
        value = "" if "=" in word else " ".join(words[place + 1 : place + 2])
        given = word if value.startswith("--") else f"{word} {value}".strip()
        told = explain_unknown(f"unrecognized arguments: {given}", keys, [], f"jde-lightning {verb} --help all")
        if told and nearest_keys(key, keys):
            raise UsageError(told)


def check_weights(path: Path) -> None:
    """Refuse weights that are not there.

    Args:
        path: of the weights.

    Raises:
        InputError: if there is no such file.
    """
    if not path.is_file():
        msg = f"{path}: no such weights file; expected a checkpoint such as runs/version_0/checkpoints/last.ckpt"
        raise InputError(msg)


def check_paths(**paths: Path | None) -> None:
    """Refuse files and folders that are not there.

    Args:
        **paths: by the name of their option; ``None`` if it was not given.

    Raises:
        InputError: if there is no such file or folder.
    """
    for name, path in paths.items():
        if path is not None and not path.exists():
            msg = f"--{name.replace('_', '-')} {path}: no such file or folder"
            raise InputError(msg)


def check_checkpoint(words: Sequence[str]) -> None:
    """Refuse a ``--ckpt_path`` that is neither there nor a word that it takes.

    Args:
        words: of the command.

    Raises:
        InputError: if it is none.
    """
    for place, word in enumerate(words):
        flag, given, value = word.partition("=")
        if flag != "--ckpt_path":
            continue
        asked = value if given else words[place + 1] if place + 1 < len(words) else "last"
        known = asked in (*CHECKPOINT_WORDS, *_LIGHTNINGS_WORDS, "null") or asked.startswith("registry:")
        if not known and not Path(asked).exists():
            raise no_such_checkpoint(asked)


def no_such_checkpoint(asked: str) -> InputError:
    """The error about a ``--ckpt_path`` that is nowhere.

    Args:
        asked: what was given.
    """
    expected = f"expected a checkpoint, a run's folder, or one of {', '.join(CHECKPOINT_WORDS)}"
    return InputError(f"--ckpt_path {asked}: no such file; {expected}")
