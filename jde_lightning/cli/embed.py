"""``jde-lightning embed``: embeddings, boxes, identities and crops of any frames in one table, to be looked at."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jde_lightning.cli.early_checks import check_weights
from jde_lightning.cli.options import (
    CONFIG_HELP,
    WEIGHTS_HELP,
    add_backend_option,
    add_detection_options,
    add_half_options,
    add_network_speed_options,
    network_speed,
)
from jde_lightning.packaged_configs import find_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jde_lightning.inference.annotated_frames import AnnotatedFrame

HELP = "embeddings and crops of a dataset, video or folder in one table, to be explored"

TAKES_DATA_FLAGS = True
"""``--data...`` flags go to the configuration, as in ``fit``."""

_EPILOG = """\
examples:
  jde-lightning embed MOT17/train --weights last.ckpt --split val_half --output embeddings
  jde-lightning embed --config runs/version_0/config.yaml --weights best.ckpt --output embeddings
  jde-lightning embed street.mp4 --weights last.ckpt --every 10 --output street.npz
  jde-lightning embed street.mp4 --weights model.onnx --output street.npz      (of export; needs no torch)

Identities come from the ground truth of MOT sequences, or from what the configuration reads: a box takes that of the
annotated object that it overlaps. Every --data... flag of `fit` works with --config. Read the table with

  from jde_lightning.inference import read_embeddings, EmbeddingTable
  frame = read_embeddings("embeddings"); crop = EmbeddingTable.open("embeddings").crop(0)

More in docs/exploring_embeddings.md."""

_SPLITS = ("train", "val", "test", "predict")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("source", metavar="SOURCE", nargs="?", help="video file, folder of images or MOT sequence(s); or give --config")
    add("--config", action="append", type=Path, metavar="FILE", help=f"instead, take its frames: {CONFIG_HELP}")
    add("--weights", required=True, type=Path, metavar="FILE", help=WEIGHTS_HELP)
    add("--output", required=True, type=Path, metavar="PATH", help="folder, or file that ends with .parquet or .npz")
    add("--overwrite", action="store_true", help="replace a table that is there")
    group = parser.add_argument_group("frames")
    add = group.add_argument
    add("--frames", choices=_SPLITS, default="val", help="which frames of the configuration (default: val)")
    add_half_options(group)
    add("--every", type=int, default=1, metavar="N", help="take every n-th frame of each sequence (default: 1)")
    group = parser.add_argument_group("boxes")
    add = group.add_argument
    add(
        "--boxes",
        choices=("detected", "annotated"),
        default="detected",
        help="what is described: what the detector finds, or the annotated objects, each by its own best anchor, found "
        "or not (default: detected)",
    )
    add("--only-identified", action="store_true", help="leave out boxes without identity")
    add(
        "--match-iou",
        type=float,
        default=0.5,
        metavar="F",
        help="overlap, 0 to 1, from which a box takes an identity (default: 0.5)",
    )
    add(
        "--crop-size",
        type=int,
        nargs=2,
        default=(64, 128),
        metavar=("W", "H"),
        help="width and height of the crops in pixels (default: 64 128)",
    )
    group = parser.add_argument_group("detection")
    add_detection_options(group)
    group = parser.add_argument_group("speed")
    add = group.add_argument
    add("--batch-size", type=int, default=8, metavar="N", help="frames described at once (default: 8)")
    add_network_speed_options(group)
    add_backend_option(group)


def run(args: argparse.Namespace) -> int:
    """Write the table, and say on stdout what is in it.

    Args:
        args: the parsed arguments of :func:`add_arguments`, and ``data``: the flags for the configuration.

    Returns:
        The exit code.

    Raises:
        InputError: if source, configuration, weights, output or a value cannot be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    _check(args)
    output = _output_file(args.output, args.overwrite)
    if args.config:
        for path in args.config:
            find_config(path)
        check_weights(args.weights)  # before a crowd is rendered
        chosen = _frames_of_config(args)
    else:
        chosen = _frames_of_source(args)
        check_weights(args.weights)

    from jde_lightning.inference.box_embeddings import describe_annotated, describe_detected
    from jde_lightning.inference.cache_building import origin_of_network
    from jde_lightning.inference.embedding_collection import collect_embeddings
    from jde_lightning.inference.embedding_table import crops_path
    from jde_lightning.inference.kept_memory import keep_freed_memory
    from jde_lightning.inference.predictor_loading import load_predictor

    keep_freed_memory()
    predictor = load_predictor(
        args.weights,
        image_size=args.imgsz,
        conf=args.conf,
        iou=args.iou,
        max_det=args.max_det,
        scale=args.scale,
        backend=args.backend,
        **network_speed(args),
    )
    origin = origin_of_network(predictor, args.weights)
    # an exported network gets here with detected boxes only, see _check
    describe = describe_detected(predictor) if args.boxes == "detected" else describe_annotated(predictor)  # type: ignore[arg-type]
    table = collect_embeddings(
        chosen.frames,
        describe,
        output,
        batch_size=args.batch_size,
        iou=args.match_iou,
        only_identified=args.only_identified,
        crop_size=tuple(args.crop_size),
        meta={
            "boxes": args.boxes,
            "source": chosen.name,
            "class_names": predictor.class_names,
            "origin": {"detector": origin.detector, "sha256": origin.sha256, "version": origin.version}
            | {"settings": origin.settings},
        },
        total=chosen.total,
        progress=True,
    )
    facts = table.meta
    sys.stdout.write(
        f"{len(table)} boxes of {facts['images']} images, {facts['identified']} of them of {facts['identities']} "
        f"identities, embeddings of width {facts['embed_dim']}\n  {table.path}\n  {crops_path(table.path)}\n"
    )
    if not facts["identified"]:
        logging.getLogger(__name__).warning("no box has an identity: %s", _why_nobody_is_known(args, len(table)))
    return 0


class _Chosen(NamedTuple):
    """The frames to describe, how many there are, and what to call them."""

    frames: Iterator[AnnotatedFrame]
    total: int | None
    name: str


def _check(args: argparse.Namespace) -> None:
    """Refuse a command that contradicts itself.

    Raises:
        UsageError: if it does.
    """
    from jde_lightning.errors import UsageError

    for wrong, msg in (
        (bool(args.source) == bool(args.config), "give either SOURCE or --config: whose frames are to be described?"),
        (args.data and not args.config, f"{' '.join(args.data)}: --data flags change a configuration: give --config"),
        (args.config and args.split != "all", "--split is of MOT sequences; with --config, use --frames"),
        (
            args.boxes == "annotated" and args.weights.suffix.lower() == ".onnx",
            f"--boxes annotated needs the network itself, and {args.weights} is an exported one, which describes what "
            "it finds: give the checkpoint, or leave --boxes annotated out",
        ),
        (args.every < 1, f"--every must be at least 1, got {args.every}"),
        (args.batch_size < 1, f"--batch-size must be at least 1, got {args.batch_size}"),
        (not 0 < args.match_iou <= 1, f"--match-iou must be above 0 and at most 1, got {args.match_iou:g}"),
        (min(args.crop_size) < 1, f"--crop-size must be at least 1 pixel, got {args.crop_size[0]} {args.crop_size[1]}"),
    ):
        if wrong:
            raise UsageError(msg)


def _output_file(output: Path, overwrite: bool) -> Path:
    """The file to write.

    Raises:
        UsageError: if its suffix is of no format, or of one that is not installed.
        InputError: if it is there already.
    """
    from jde_lightning.errors import InputError, UsageError

    arrow = find_spec("pyarrow") is not None
    if output.suffix in (".parquet", ".npz") and not output.is_dir():
        file = output
    elif output.suffix and not output.is_dir():
        msg = f"--output {output}: a table is a .parquet or .npz file; or give a folder, without a suffix"
        raise UsageError(msg)
    else:
        file = output / ("embeddings.parquet" if arrow else "embeddings.npz")
    if file.suffix == ".parquet" and not arrow:
        msg = f"--output {output}: Parquet needs pyarrow (pip install 'jde-lightning[explore]'); or write a .npz file"
        raise UsageError(msg)
    if file.exists() and not overwrite:
        msg = f"{file}: is there already; name another --output, or give --overwrite"
        raise InputError(msg)
    return file


def _frames_of_source(args: argparse.Namespace) -> _Chosen:
    """The frames of a source as for ``track``."""
    from jde_lightning.inference.annotated_frames import frames_of_sources
    from jde_lightning.inference.sources import open_sources

    sources = open_sources(args.source, args.split, args.half_convention)
    lengths = [source.length for source in sources]
    total = None if None in lengths else sum(-(-(length or 0) // args.every) for length in lengths)
    return _Chosen(frames_of_sources(sources, args.every), total, args.source)


def _frames_of_config(args: argparse.Namespace) -> _Chosen:
    """The frames that the data module of a configuration reads."""
    from jde_lightning.cli.data_config import data_module_from_configs
    from jde_lightning.inference.annotated_frames import every_nth, frames_of_index

    data = data_module_from_configs(args.config, args.data)
    if data.synthetic is not None and not data.synthetic.is_written(data.root):
        text = "%s: no synthetic crowd in its data.root %s, as seen from %s; --data.root DIR says where there is one"
        logging.getLogger(__name__).warning(text, args.config[-1], data.root, Path.cwd())
        data.synthetic.write(data.root)
    index = data.frame_index(args.frames)
    return _Chosen(frames_of_index(index, args.every), len(every_nth(index, args.every)), f"{args.frames} of data")


def _why_nobody_is_known(args: argparse.Namespace, boxes: int) -> str:
    if not boxes:
        return "there is no box at all; is --conf too high?" if args.boxes == "detected" else "nothing is annotated"
    if args.config:
        return "the data have none, or no box overlaps an annotated one"
    return "only MOT sequences with gt/gt.txt have them, or no box overlaps an annotated one"
