"""Keys of a configuration that there are not: where they stand, and which ones may be meant."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

_WORDS = re.compile(r"unrecognized arguments: (.+)", re.DOTALL)
_KEY = re.compile(
    r"(?:Subcommand '\w+' does not accept option|Group '(?P<section>[\w.]+)' does not accept option|Option) "
    r"'(?P<key>[^']+)'(?: is not accepted)?"
)
_SHOWN = 3  # keys that an error suggests, and unknown ones that it names
_CLOSE = 0.8  # how alike keys of other sections must be to be suggested

NAMES_ELSEWHERE = {
    "lr": "model.optimizer.init_args.lr",
    "lr0": "model.optimizer.init_args.lr",
    "learning_rate": "model.optimizer.init_args.lr",
    "epochs": "trainer.max_epochs",
    "max_steps": "trainer.max_steps",
    "imgsz": "data.image_size",
    "img_size": "data.image_size",
    "batch": "data.batch_size",
    "workers": "data.num_workers",
    "device": "trainer.devices",
    "gpus": "trainer.devices",
    "amp": "trainer.precision",
    "fp16": "trainer.precision",
    "pretrained": "model.weights",
    "checkpoint": "ckpt_path",
    "resume": "ckpt_path",
    "seed": "seed_everything",
    "project": "trainer.default_root_dir",
    "output": "trainer.default_root_dir",
}
"""What other programs call our keys."""


def keys_of(parser: ArgumentParser) -> list[str]:
    """The keys of a parser, dotted, and the sections that they are in."""
    leaves = [action.dest for action in parser._actions]
    known = {dest for dest in leaves if dest.rpartition(".")[2] not in ("help", "print_config")}
    return sorted({".".join(key.split(".")[:depth]) for key in known for depth in range(1, key.count(".") + 2)})


def explain_unknown(text: str, keys: Sequence[str], files: Sequence[Path], all_keys: str) -> str | None:
    """Say which key there is not, where it stands with which value, and which ones may be meant.

    Args:
        text: the error of jsonargparse.
        keys: of :func:`keys_of`.
        files: the configurations that were read.
        all_keys: the command that lists all keys, for what is like none of them.

    Returns:
        One line; ``None`` if the error is about something else.
    """
    if match := _WORDS.fullmatch(text.strip()):
        told = [_explain(place, key, "", keys, all_keys) for place, key in _flags(match[1].split())]
        return "; ".join(told[:_SHOWN]) if told else None
    if match := _KEY.fullmatch(text.strip()):
        key = _unknown_part(".".join(filter(None, (match["section"], match["key"]))), keys)
        place, value = next((found for file in files if (found := _find(file, key))), ("the configuration", ""))
        return _explain(place, key, value, keys, all_keys)
    return None


def nearest_keys(key: str, keys: Iterable[str]) -> list[str]:
    """The known keys that may be meant by an unknown one, the likeliest first.

    Args:
        key: dotted, such as ``data.imagesize``.
        keys: the known ones.

    Returns:
        At most three: of the same section, of the same name in another one, and those that look alike.
    """
    keys = list(keys)
    section, _, name = key.rpartition(".")
    names: dict[str, list[str]] = {}
    for each in keys:
        names.setdefault(each.rpartition(".")[2], []).append(each)
    beside = {each.rpartition(".")[2]: each for each in keys if each.rpartition(".")[0] == section}
    found = [beside[each] for each in difflib.get_close_matches(name, beside, n=_SHOWN)]
    if name in NAMES_ELSEWHERE:
        found.append(NAMES_ELSEWHERE[name])
    found += names.get(name, [])
    if not found:
        found += [NAMES_ELSEWHERE[each] for each in difflib.get_close_matches(name, NAMES_ELSEWHERE, cutoff=_CLOSE)]
        found += [other for each in difflib.get_close_matches(name, names, cutoff=_CLOSE) for other in names[each]]
        found += difflib.get_close_matches(key, keys, n=_SHOWN, cutoff=_CLOSE)
    return list(dict.fromkeys(found))[:_SHOWN]


def _explain(place: str, key: str, value: str, keys: Sequence[str], all_keys: str) -> str:
    """The line about one key."""
    near = nearest_keys(key, keys)
    hint = f"did you mean {' or '.join(near)}?" if near else f"`{all_keys}` lists all"
    return f"{place}: there is no key {key}{f' (value {value})' if value else ''}; {hint}"


def _flags(words: Sequence[str]) -> list[tuple[str, str]]:
    """Each flag among words as it was given, with its values, and its key."""
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    ends = [*starts[1:], len(words)] if starts else []
    return [
        (" ".join(words[start:end]), words[start].removeprefix("--").partition("=")[0].rstrip("+"))
        for start, end in zip(starts, ends, strict=True)
    ]


def _unknown_part(key: str, keys: Sequence[str]) -> str:
    """The shortest beginning of a key that is none: ``modle`` of ``modle.scale``."""
    parts = key.split(".")
    beginnings = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return next((each for each in beginnings if each not in keys), key)


def _find(path: Path, key: str) -> tuple[str, str] | None:
    """File and line in which a key stands, and its value, shortened; ``None`` if it is not in the file."""
    node = yaml.compose(path.read_text(encoding="utf-8-sig"))
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = next((pair for pair in node.value if pair[0].value == part), None)
        if pair is None:
            return None
        line, node = pair[0].start_mark.line + 1, pair[1]
        if depth == len(parts) - 1:
            value = node.value if isinstance(node, yaml.ScalarNode) else ""
            return f"{path}, line {line}", value[:40]
    return None
