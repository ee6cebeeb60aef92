"""The configurations that a command names, found before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jde_lightning.files import read_yaml
from jde_lightning.packaged_configs import find_config

_CONFIG_FLAGS = ("--config", "-c")
_EXPECTED = "keys such as trainer, model and data (`jde-lightning configs quickstart`)"


def with_config_files(words: Sequence[str]) -> list[str]:
    """Replace the names of packaged configurations among the words of a command by their files.

    Args:
        words: the words.

    Raises:
        UsageError: if a configuration is neither a file nor the name of a packaged one.
        InputError: if it is no YAML, or holds no keys.
    """
    found = list(words)
    for place, word in enumerate(words):
        flag, given, value = word.partition("=")
        if place and words[place - 1] in _CONFIG_FLAGS:
            found[place] = _config_file(word)
        elif given and flag in _CONFIG_FLAGS:
            found[place] = f"{flag}={_config_file(value)}"
    return found


def config_files(words: Sequence[str]) -> list[Path]:
    """The files that follow ``--config`` among the words of a command."""
    values = [words[place + 1] for place, word in enumerate(words[:-1]) if word in _CONFIG_FLAGS]
    values += [word.partition("=")[2] for word in words if word.partition("=")[0] in _CONFIG_FLAGS and "=" in word]
    return [Path(value) for value in values if "\n" not in value and Path(value).is_file()]


def _config_file(text: str) -> str:
    """The file that is meant; settings themselves, which jsonargparse takes in its place, and addresses stay."""
    if ":" in text and not Path(text).is_file():
        return text
    path = find_config(text)
    read_yaml(path, _EXPECTED)  # whose error names the file, which the parser's does not
    return str(path)
