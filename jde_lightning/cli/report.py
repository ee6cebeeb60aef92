"""``jde-lightning report``: one HTML file that shows a run to a colleague."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jde_lightning.data.index import FrameIndex
    from jde_lightning.inference.report.run import Run

HELP = "write one HTML file about a run: curves, scores per sequence, embeddings, where it fails"

TAKES_DATA_FLAGS = True
"""``--data...`` flags go to the configuration, as in ``fit``."""

_EPILOG = """\
examples:
  jde-lightning report runs/quickstart
  jde-lightning report runs/mot17/version_3 --output mot17.html --data.root /datasets/MOT17/train

The page needs neither network nor server. The network of the best checkpoint goes once over the validation data of
config.yaml; what it finds is kept in RUN_DIR/report for the next time. Relative paths of config.yaml begin in the
folder that the command runs in; --data.root says where the data is now. What is gone is left out, and the page says
so."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "run",
        metavar="RUN_DIR",
        type=Path,
        help="folder of a run, or of its versions, of which the newest training is taken",
    )
    add("--output", type=Path, metavar="FILE", help="the page (default: RUN_DIR/report.html)")
    add("--checkpoint", default="best", metavar="NAME", help="best, last, or a checkpoint of the run (default: best)")
    add("--no-network", action="store_true", help="never run the network: use what an earlier report has kept")
    add(
        "--projections",
        nargs="+",
        default=["tsne", "pca"],
        choices=("tsne", "pca", "umap"),
        help="of the embedding map, the first is shown first (default: tsne pca)",
    )
    add("--max-switches", type=int, default=10, metavar="N", help="most identity switches with pictures (default: 10)")
    add("--batch-size", type=int, metavar="N", help="frames that are detected at once (default: as in validation)")
    add(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: auto, a GPU if there is one)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page, and say on stdout where it is.

    Args:
        args: the parsed arguments of :func:`add_arguments`, and ``data``: the flags for the configuration.

    Returns:
        The exit code.

    Raises:
        InputError: if the folder is none of a run, or a value cannot be used.
    """
    from jde_lightning.errors import InputError, UsageError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)
    if args.max_switches < 0:
        msg = f"--max-switches must be at least 0, got {args.max_switches}"
        raise UsageError(msg)
    if args.batch_size is not None and args.batch_size < 1:
        msg = f"--batch-size must be at least 1, got {args.batch_size}"
        raise UsageError(msg)
    if not args.run.is_dir():
        msg = f"{args.run}: no such folder; expected that of a run, such as runs/quickstart/version_0"
        raise InputError(msg)

    from jde_lightning.inference.report.run import open_run
    from jde_lightning.inference.report.writing import ReportOptions, write_report

    opened = open_run(args.run, args.checkpoint)
    indices, batch_size = _indices(opened, args.data)
    output = args.output or opened.folder / "report.html"
    options = ReportOptions(
        batch_size=args.batch_size or batch_size,
        device=args.device,
        network=not args.no_network,
        projections=tuple(dict.fromkeys(args.projections)),
        max_switches=args.max_switches,
        progress=True,
    )
    write_report(output, opened, indices, options)
    for note in opened.notes:
        logging.getLogger(__name__).warning("%s", note)
    sys.stdout.write(f"{output} ({output.stat().st_size / 1e6:.1f} MB)\n")
    return 0


def _indices(run: Run, flags: list[str]) -> tuple[dict[str, FrameIndex | str], int]:
    """Read the data of a run, or say why it cannot be read; and its validation batch size."""
    from jde_lightning.cli.data_config import data_module_from_configs
    from jde_lightning.errors import InputError, UsageError

    unknown = "The configuration of the run is missing or damaged, and with it where the data is."
    if not run.config.get("data"):
        return {"train": unknown, "val": unknown}, 8
    try:
        data = data_module_from_configs([run.folder / "config.yaml"], flags)
    except UsageError as error:
        if flags:
            raise
        return dict.fromkeys(("train", "val"), f"The configuration is of another version: {error}."), 8
    indices: dict[str, FrameIndex | str] = {}
    for split in ("train", "val"):
        if not data.readers[split]:
            continue
        try:
            # without prepare_data: a report must not begin to render a synthetic crowd that is gone
            indices[split] = data.frame_index(split)
        except (InputError, OSError) as error:
            indices[split] = f"{error} (--data.root says where the data is now)"
    return indices, data.val_batch_size
