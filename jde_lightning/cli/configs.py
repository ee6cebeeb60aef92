"""``jde-lightning configs``: the configurations that the package brings, to be run by name or copied."""

from __future__ import annotations

import argparse
import sys

HELP = "list the packaged configurations, or print one to copy it"

_EPILOG = """\
examples:
  jde-lightning configs
  jde-lightning configs own_images > street.yaml && jde-lightning fit --config street.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.add_argument("name", nargs="?", metavar="NAME", help="configuration to print, such as quickstart")
    parser.add_argument("--path", action="store_true", help="print the path of the file, or of the folder of all")


def run(args: argparse.Namespace) -> int:
    """Print names with what they are for, a file, or a path.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        UsageError: if there is no such configuration.
    """
    from jde_lightning.packaged_configs import config_names, configs_folder, find_config

    if args.path:
        sys.stdout.write(f"{find_config(args.name) if args.name else configs_folder()}\n")
    elif args.name:
        sys.stdout.write(find_config(args.name).read_text(encoding="utf-8"))
    else:
        names = config_names()
        width = max(map(len, names))
        for name in names:
            first = find_config(configs_folder() / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[0]
            sys.stdout.write(f"{name:<{width}}  {first.removeprefix('# ')}\n")
    return 0
