"""``jde-lightning cache``: the network runs once over sequences; ``tune`` then needs no network."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jde_lightning.cli.early_checks import check_weights
from jde_lightning.cli.options import (
    WEIGHTS_HELP,
    add_backend_option,
    add_detection_options,
    add_half_options,
    add_network_speed_options,
    network_speed,
)

if TYPE_CHECKING:
    from jde_lightning.inference.cache import CacheOrigin, DetectionCache

HELP = "keep what the network finds in sequences in one file, on which `tune` works"

_EPILOG = """\
examples:
  jde-lightning cache MOT17/train --weights last.ckpt --split val_half --output mot17_val_half.npz
  jde-lightning cache MOT17/train --detections yolox --output yolox.npz     (of another detector: no images needed)

The file holds boxes, scores, labels and embeddings in float32, and the fingerprint of weights and settings. If it is
there already, with the same, nothing is done.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("source", metavar="SOURCE", help="MOT sequence or folder of such, video file, folder of images")
    add("--output", required=True, type=Path, metavar="FILE", help="the cache, FILE.npz")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--weights", type=Path, metavar="FILE", help=WEIGHTS_HELP)
    what.add_argument(
        "--detections",
        type=Path,
        metavar="PATH",
        help="detections of another detector instead: SEQ.txt in MOT format, or SEQ.npz with the arrays frame, tlwh, "
        "score and embedding; or a folder of such, for the sequences of SOURCE (only their seqinfo.ini is read)",
    )
    add("--overwrite", action="store_true", help="replace a file that is of something else")
    add_half_options(parser)
    group = parser.add_argument_group("detection")
    add_detection_options(group, conf=0.05, conf_note="; low, so that tune can try thresholds above it")
    group = parser.add_argument_group("speed")
    add = group.add_argument
    add("--batch-size", type=int, default=8, metavar="N", help="frames detected at once (default: 8)")
    add_network_speed_options(group)
    add_backend_option(group)


def run(args: argparse.Namespace) -> int:
    """Write the cache, and say on stdout what is in it.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if source, weights, detections, output or a value cannot be used.
    """
    from jde_lightning.errors import UsageError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    if args.output.suffix != ".npz":
        msg = f"--output {args.output}: a cache is a .npz file; call it {args.output.name}.npz"
        raise UsageError(msg)
    if args.batch_size < 1:
        msg = f"--batch-size must be at least 1, got {args.batch_size}"
        raise UsageError(msg)
    if not 0 <= args.conf <= 1:
        msg = f"--conf must be in 0..1, got {args.conf}"
        raise UsageError(msg)
    cache = _of_detections(args) if args.detections else _of_network(args)
    boxes = sum(sequence.boxes for sequence in cache.sequences)
    frames = sum(map(len, cache.sequences))
    looks = f"embeddings of width {cache.embed_dim}" if cache.embed_dim else "no embeddings"
    for sequence in cache.sequences:
        sys.stdout.write(f"{sequence.name}: {len(sequence)} frames, {sequence.boxes} boxes\n")
    sys.stdout.write(f"{args.output}: {len(cache.sequences)} sequences, {frames} frames, {boxes} boxes, {looks}\n")
    return 0


def _of_network(args: argparse.Namespace) -> DetectionCache:
    """Detect, unless the file is there."""
    from jde_lightning.inference.sources import open_sources

    sources = open_sources(args.source, args.split, args.half_convention)
    check_weights(args.weights)

    from jde_lightning.inference.cache import DetectionCache, write_cache
    from jde_lightning.inference.cache_building import detect_sequences, origin_of_network
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
    expected = {source.name: source.length for source in sources}
    there = _there(args, origin, expected)
    if there is not None:
        return there
    cache = DetectionCache(detect_sequences(sources, predictor, args.batch_size, progress=True), origin, args.split)
    write_cache(args.output, cache)
    return cache


def _of_detections(args: argparse.Namespace) -> DetectionCache:
    """Read the detections of another detector, unless the file is there."""
    from jde_lightning.inference.cache import DetectionCache, write_cache
    from jde_lightning.inference.detection_files import read_detection_files

    sequences, origin = read_detection_files(
        Path(args.source), args.detections, args.conf, args.split, args.half_convention
    )
    there = _there(args, origin, {sequence.name: len(sequence) for sequence in sequences})
    if there is not None:
        return there
    cache = DetectionCache(sequences, origin, args.split)
    write_cache(args.output, cache)
    return cache


def _there(args: argparse.Namespace, origin: CacheOrigin, expected: dict[str, int | None]) -> DetectionCache | None:
    """The cache that the output file already is; ``None`` if there is none, or it may be replaced.

    Raises:
        InputError: if the file is of something else.
    """
    from jde_lightning.errors import InputError
    from jde_lightning.inference.cache import read_cache

    if args.overwrite or not args.output.exists():
        return None
    cache = read_cache(args.output)
    found = {sequence.name: len(sequence) for sequence in cache.sequences}
    difference = cache.origin.difference(origin)
    if difference is None and (cache.split != args.split or list(found) != list(expected)):
        difference = f"it holds {cache.split} of {', '.join(found)}, not {args.split} of {', '.join(expected)}"
    for name, length in expected.items():
        # the count in the header of a video is an estimate, so only folders are held to theirs
        if difference is None and Path(args.source).is_dir() and found[name] != length:
            difference = f"it holds {found[name]} frames of {name}, not {length}"
    if difference is not None:
        msg = f"{args.output}: is there, and {difference}; name another --output, or give --overwrite"
        raise InputError(msg)
    logging.getLogger(__name__).info("%s: is there, of the same weights and settings; nothing to do", args.output)
    return cache
