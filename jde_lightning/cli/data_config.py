"""The data module of a configuration, without its network and trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

# Readers are imported so that a bare class name works as class_path.
import jde_lightning.data.readers
import jde_lightning.data.synthetic  # noqa: F401
from jde_lightning.cli.parser_errors import in_plain_words
from jde_lightning.cli.unknown_keys import explain_unknown, keys_of
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.errors import UsageError
from jde_lightning.files import read_yaml
from jde_lightning.packaged_configs import find_config


def data_module_from_configs(configs: Sequence[Path], flags: Sequence[str] = ()) -> JDEDataModule:
    """Build the data module that ``fit`` would build from the same files and flags.

    Args:
        configs: configurations as for ``fit``, files or names; later ones win. Only their ``data`` is looked at.
        flags: ``--data...`` words of a command line.

    Returns:
        The data module; nothing is read yet.

    Raises:
        InputError: if a file is broken.
        UsageError: if there is no such file or name, or it, or a flag, has a key or value that the data module does not
            know.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(JDEDataModule, "data")
    # The section goes in as text: a parser that knows nothing of trainer and model would refuse the whole file.
    sections = [word for path in configs for word in ("--config", yaml.safe_dump({"data": _data_of(path)}))]
    try:
        values = parser.parse_args([*sections, *flags])
    except ArgumentError as error:
        files = [find_config(path) for path in configs]
        told = explain_unknown(str(error), keys_of(parser), files, "jde-lightning fit --help all")
        msg = told or f"{', '.join(map(str, configs))}: {in_plain_words(str(error))}"
        raise UsageError(msg) from error
    # deprecated in favour of a method that the oldest supported version does not have
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    return instantiate(values).data


def _data_of(path: Path) -> dict[str, Any]:
    """The ``data`` section of a configuration; empty if it has none."""
    return read_yaml(find_config(path), "a mapping with the key data").get("data") or {}
