"""The pages of every key of `fit` and of every class that a configuration can name, from signatures and docstrings."""

from __future__ import annotations

import collections.abc
import inspect
import re
import textwrap
import typing
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
from fit_parser import fit_parser
from jsonargparse import ArgumentParser
from torch import nn

import jde_lightning.data.readers
import jde_lightning.data.synthetic
import jde_lightning.tracking
from jde_lightning.cli import resuming
from jde_lightning.cli.lightning_verbs import _FORCED_CALLBACKS
from jde_lightning.data.readers import Reader
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.losses import AllPairs, BlockwiseEasyHardMiner, PairTripletMarginLoss
from jde_lightning.module import JDEModule
from jde_lightning.tracking import Tracker

# what stands where a key asks for a base class
_READERS = [getattr(jde_lightning.data.readers, name) for name in jde_lightning.data.readers.__all__]
_TRACKERS = [getattr(jde_lightning.tracking, name) for name in jde_lightning.tracking.__all__]
_CHOICES = {
    Reader: [kind for kind in _READERS if kind is not Reader],
    Tracker: [kind for kind in _TRACKERS if kind is not Tracker],
    nn.Module: [AllPairs, BlockwiseEasyHardMiner, PairTripletMarginLoss],  # of ReIDLoss
}
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_RST_LINK = re.compile(r"`+([^`<]+?)\s*<(https?:[^>]+)>`+_*")


@dataclass(frozen=True)
class Key:
    """A key of a configuration.

    Attributes:
        name: with dots, such as ``model.embed_dim``.
        hint: its type.
        default: its default.
        text: what it does.
        linked: where its value comes from, if it cannot be set; otherwise empty.
    """

    name: str
    hint: Any
    default: Any
    text: str
    linked: str = ""


def all_keys() -> list[Key]:
    """All keys of ``fit``, in the order of ``--print_config``."""
    found = [*_keys_of(fit_parser())]
    return [replace(key, text=resuming.HELP.partition(": ")[2]) if key.name == "ckpt_path" else key for key in found]


def _keys_of(parser: ArgumentParser, prefix: str = "") -> collections.abc.Iterator[Key]:
    """The keys that a parser has arguments for."""
    for action in parser._actions:
        kind = type(action).__name__
        if kind == "ActionLink":
            source = action.option_strings[0].rpartition(" --> ")[0]
            yield Key(action.dest, action.type, None, action.help or "", linked=source)
        elif kind == "ActionTypeHint":
            yield Key(action.dest.removeprefix(prefix), action._typehint, action.default, action.help or "")


def keys_page() -> str:
    """Markdown of the page of all keys."""
    groups: dict[str, list[Key]] = {}
    for key in all_keys():
        groups.setdefault(key.name.partition(".")[0] if "." in key.name else "", []).append(key)
    about: dict[str, type] = {"trainer": pl.Trainer, "model": JDEModule, "data": JDEDataModule, **_FORCED_CALLBACKS}
    lines = [
        "# Configuration keys",
        "",
        "Every key of `jde-lightning fit --print_config`, with its type, its default and what it does. Keys are the",
        "same in a YAML file, nested, and on the command line, with dots: `--model.embed_dim 64`. What a key whose",
        "type is a class takes as `init_args` stands on [the page of the classes](classes.md). The page is made from",
        "the code; how configurations are laid over each other is told in [configurations](../../configs/README.md).",
        "",
    ]
    for group in ["", *about]:
        lines += ["## Top level" if not group else f"## {group}", ""]
        if group == "trainer":
            lines += ["The arguments of Lightning's `Trainer`, in Lightning's words.", ""]
        elif group:
            lines += [_first_paragraph(about[group]), ""]
        lines += [line for key in groups.pop(group, []) for line in _entry(key)]
    if groups:
        msg = f"keys that no group of the configuration reference shows: {sorted(groups)}"
        raise ValueError(msg)
    return "\n".join(lines)


def classes() -> list[type]:
    """Our classes that a configuration can name, each once, those that keys name first."""
    found: dict[type, None] = {}
    waiting = [hint for key in all_keys() for hint in _classes_in(key.hint)]
    while waiting:
        base = waiting.pop(0)
        for kind in _CHOICES.get(base, [base]):
            if not kind.__module__.startswith("jde_lightning.") or kind in found:
                continue
            found[kind] = None
            waiting += [hint for key in class_keys(kind) for hint in _classes_in(key.hint)]
    return list(found)


def class_keys(kind: type) -> list[Key]:
    """The ``init_args`` of a class."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "x")
    return [*_keys_of(parser, "x.")]


def classes_page() -> str:
    """Markdown of the page of all classes."""
    lines = [
        "# Classes of a configuration",
        "",
        "Where a configuration chooses a class, it is a `class_path` with `init_args`. The short name is enough for",
        "ours: `class_path: CrowdHuman`. Miners and losses of pytorch-metric-learning, optimisers of torch and",
        "callbacks of Lightning go by their full path. `jde-lightning fit --data.train.help CrowdHuman` prints one.",
        "",
    ]
    for kind in classes():
        lines += [f"## {kind.__name__}", "", f"`{kind.__module__}.{kind.__qualname__}`", "", _first_paragraph(kind), ""]
        arguments = class_keys(kind)
        lines += [line for key in arguments for line in _entry(key, f"{kind.__name__}.")]
        lines += [] if arguments else ["It takes no arguments.", ""]
    return "\n".join(lines)


def _entry(key: Key, anchor: str = "") -> list[str]:
    """A key as an entry of a definition list, with an anchor of its own."""
    default = f"comes from `{key.linked}`" if key.linked else f"default `{_default(key.default)}`"
    text = _markdown(key.text) or "(no description)"
    return [
        f"`{key.name}`{{ #{anchor}{key.name} }} `{type_name(key.hint)}`, {default}",
        textwrap.indent(text, "    ").replace("    ", ":   ", 1),
        "",
    ]


def type_name(hint: Any) -> str:
    """A type in the words of a docstring: ``int or null``, ``"n" or "s"``, ``list of Reader``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (None, type(None)):
        return "null"
    if origin is typing.Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        parts = sorted(arguments, key=lambda part: part is type(None))
        return " or ".join(dict.fromkeys(map(type_name, parts)))
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is collections.abc.Callable:
        return f"{type_name(arguments[-1])} class"
    if origin in (list, collections.abc.Sequence, collections.abc.Iterable, tuple, set):
        inner = [type_name(part) for part in arguments if part is not Ellipsis]
        name = "tuple" if origin is tuple else "list"
        return f"{name} of {', '.join(dict.fromkeys(inner))}" if inner else name
    if origin in (dict, collections.abc.Mapping):
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    return getattr(hint, "__name__", str(hint))


def _classes_in(hint: Any) -> list[type]:
    """The classes that a type is made of."""
    if inspect.isclass(hint) and typing.get_origin(hint) is None:
        return [hint]
    return [kind for part in typing.get_args(hint) if not isinstance(part, list) for kind in _classes_in(part)]


def _default(value: Any) -> str:
    """A default as YAML has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _first_paragraph(kind: type) -> str:
    """What a class is, up to its arguments."""
    text = inspect.getdoc(kind) or ""
    return _markdown(re.split(r"\n(?:Args|Attributes|Example|Raises|Returns):\n", text)[0].strip())


def _markdown(text: str) -> str:
    """Docstring text as Markdown: roles become the names that they mean, paragraphs stay, angle brackets are text."""
    text = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", inspect.cleandoc(text))
    text = _RST_LINK.sub(r"[\1](\2)", re.sub(r"(?m)^ +(?=\S)", "", text))
    return re.sub(r"<(?=[a-zA-Z/])", "&lt;", text)
