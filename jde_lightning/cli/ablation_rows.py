"""The rows of an ablation: small configurations over one base, each with what was published for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml
from jde_lightning.packaged_configs import find_config

METRICS = ("hota", "mota", "idf1")
"""What the paper's tables report."""
FURTHER_METRICS = ("hota_motion", "retrieval_map", "rank1", "silhouette")
"""What our tables report besides: the same tracker without appearance, and the embedding by itself."""
_PUBLISHED = "# published:"
_EXPECTED_COMMENT = '{table: 1, row: "name", hota: 56.37, mota: 56.38, idf1: 66.45}'


@dataclass(frozen=True)
class AblationRow:
    """One row: a configuration, and the run folder that it trains in.

    Attributes:
        path: the row's own file.
        table: number of the paper's table, or the name of the file's folder where nothing was published.
        name: the row as the table calls it, or the file's name.
        published: percent by name of the metric; empty where nothing was published.
        settings: what the base, the row and the arguments set, by key as in the YAML.
        root: folder of the row's runs (``trainer.default_root_dir``); rows with equal settings may share one.
        words: the command that trains it, without the program: ``fit --config ...``.
        seed: of everything random in it; ``None`` where nobody chose one.
        own: what base and row set by themselves, without the arguments.
    """

    path: Path
    table: str
    name: str
    published: dict[str, float]
    settings: dict[str, Any]
    root: Path
    words: tuple[str, ...]
    seed: int | None = None
    own: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Path, int | None]:
        """What tells it from all others: its file and its seed."""
        return self.path, self.seed

    @property
    def epochs(self) -> int:
        """How many epochs it trains."""
        return int(self.settings["trainer"]["max_epochs"])

    @property
    def last_validation(self) -> int:
        """The last epoch, counted from 0, that is validated; -1 if none is."""
        every = int(self.settings["trainer"].get("check_val_every_n_epoch") or 1)
        return self.epochs // every * every - 1


def load_rows(
    paths: Sequence[Path],
    bases: Sequence[Path],
    runs: Path,
    arguments: Sequence[str],
    seeds: Sequence[int | None] = (None,),
) -> list[AblationRow]:
    """Read rows and lay them over their base.

    Args:
        paths: files of rows, and folders of such, or packaged names; what is named twice is read once.
        bases: configurations below the rows, files or names; later ones win.
        runs: folder in which the run folders lie that are not absolute.
        arguments: words for ``fit`` that win over base and row: ``--key value``, ``--key=value``, ``--config FILE``.
        seeds: each row comes once with each, in a folder ``seed_N`` of its own; ``None`` leaves the seed alone.

    Returns:
        The rows in the order of ``paths``, those of a folder by table and name (numbers by value); all rows of the
        first seed come before those of the second, so that a table soon has every row.

    Raises:
        InputError: if there is no such file or name, a file is broken, a folder holds no row, the arguments choose the
            run folder, or the number of epochs is left open.
    """
    base: dict[str, Any] = {}
    bases = [find_config(path) for path in bases]
    for path in bases:
        base = merge(base, read_yaml(path, "a configuration to lay the rows over"))
    explicit = settings_of(arguments)
    if "default_root_dir" in explicit.get("trainer", {}):
        msg = "--trainer.default_root_dir after -- would put all rows in one folder; use --runs DIR before it"
        raise InputError(msg)
    rows = []
    for seed, path in product(seeds, _files(paths)):
        table, name, published = _published(path)
        # `fit` seeds what Lightning draws, the data module what its loaders draw.
        by_seed = [] if seed is None else ["--seed_everything", str(seed), "--data.seed", str(seed)]
        own = merge(base, _read_row(path))
        settings = merge(own, merge(explicit, settings_of(by_seed)))
        trainer = settings.setdefault("trainer", {})
        if not isinstance(trainer.get("max_epochs"), int) or trainer["max_epochs"] < 1:
            found = trainer.get("max_epochs")
            msg = f"{path}: trainer.max_epochs is {found}; set it in the row or its base, or no run is ever finished"
            raise InputError(msg)
        chosen = trainer.get("default_root_dir")
        root = runs / (chosen or Path("runs") / path.parent.name / path.stem) / ("" if seed is None else f"seed_{seed}")
        configs = [word for config in (*bases, path) for word in ("--config", str(config))]
        place = [] if str(root) == chosen else ["--trainer.default_root_dir", str(root)]
        words = ("fit", *configs, *place, *arguments, *by_seed)
        rows.append(AblationRow(path, table, name, published, settings, root, words, seed, own))
    return rows


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one configuration over another, as ``fit`` does with two ``--config``.

    Args:
        below: the first.
        above: the second, which wins. A list replaces a list; another ``class_path`` drops the arguments of the first.

    Returns:
        A new mapping.
    """
    if "class_path" in above and above["class_path"] != below.get("class_path", above["class_path"]):
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def settings_of(arguments: Sequence[str]) -> dict[str, Any]:
    """What words of a command line set, as a configuration.

    Args:
        arguments: ``--key value``, ``--key=value`` and ``--config FILE``, in the order in which they win.

    Raises:
        InputError: if a word is no option and no value of one, or an option has no value.
    """
    import yaml

    settings: dict[str, Any] = {}
    words = list(arguments)
    while words:
        key, given, text = words.pop(0).partition("=")
        if not key.startswith("--"):
            msg = f"after --, found {key!r}, expected arguments of fit such as --data.root DATASETS"
            raise InputError(msg)
        if not given:
            if not words:
                msg = f"after --, {key} has no value"
                raise InputError(msg)
            text = words.pop(0)
        if key == "--config":
            settings = merge(settings, read_yaml(find_config(text), "a configuration"))
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        for part in reversed(key.removeprefix("--").split(".")):
            value = {part: value}
        settings = merge(settings, value)
    return settings


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files of rows, each once."""
    found: dict[Path, Path] = {}
    for name in paths:
        path = find_config(name, folders=True)
        inside = sorted(path.rglob("*.yaml"), key=_natural) if path.is_dir() else [path]
        if not inside:
            msg = f"{path}: no .yaml in this folder; expected rows such as those of configs/ablations/table1"
            raise InputError(msg)
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _natural(path: Path) -> list[tuple[bool, float, str]]:
    """Order of names in which 64 comes before 128."""
    parts = re.split(r"(\d+(?:\.\d+)?)", str(path.with_suffix("")))
    return [(not part[:1].isdigit(), float(part) if part[:1].isdigit() else 0.0, part) for part in parts]


def _read_row(path: Path) -> dict[str, Any]:
    """Read the settings of a row; a tracker's parameters or the like are none."""
    settings = read_yaml(path, "the settings of a row")
    wrong = [key for key, value in settings.items() if key in ("class_path", "init_args") or "." in key]
    if wrong or not any(isinstance(value, dict) for value in settings.values()):
        msg = f"{path}: its keys are {', '.join(settings) or 'none'}; a row sets trainer, model, data or a callback"
        raise InputError(msg)
    return settings


def _published(path: Path) -> tuple[str, str, dict[str, float]]:
    """Table, row and published percentages from the comment of a row's file."""
    import yaml

    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.startswith(_PUBLISHED):
            try:
                facts = yaml.safe_load(line.removeprefix(_PUBLISHED))
                return str(facts["table"]), str(facts["row"]), {name: float(facts[name]) for name in METRICS}
            except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
                msg = f"{path}, line {number}: cannot read {line!r}; expected {_PUBLISHED} {_EXPECTED_COMMENT}"
                raise InputError(msg) from error
    return path.parent.name, path.stem, {}
