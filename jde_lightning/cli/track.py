"""``jde-lightning track``: a video, a camera, images or MOTChallenge sequences in, tracks out."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jde_lightning.cli.early_checks import check_weights
from jde_lightning.cli.options import (
    TRACKER_HELP,
    WEIGHTS_HELP,
    add_backend_option,
    add_detection_options,
    add_half_options,
    add_network_speed_options,
    network_speed,
)

if TYPE_CHECKING:
    from jde_lightning.inference.frames import FrameSource
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.predictor import Predictor

HELP = "track people in a video, a camera, a folder of images or MOTChallenge sequences"

_EPILOG = """\
examples:
  jde-lightning track street.mp4 --weights last.ckpt --output results --video
  jde-lightning track MOT17/train --weights last.ckpt --split val_half --output results
  jde-lightning track street.mp4 --weights model.onnx --output results      (of export; needs no torch)
  jde-lightning track 0 --weights last.ckpt --output results --video     (camera; Ctrl-C ends it)

Reading, the network, tracking and drawing overlap. What is interrupted before its end is written too, complete up to
there, as NAME.partial.txt, NAME.partial.mp4 and NAME.partial.npz. More in docs/tracking_videos.md."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("source", metavar="SOURCE", help="video file, folder of images, MOT sequence(s), camera number or address")
    add("--weights", required=True, type=Path, metavar="FILE", help=WEIGHTS_HELP)
    add(
        "--output",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder for NAME.txt (MOTChallenge format) and NAME.mp4",
    )
    add("--video", action="store_true", help="write an annotated video too")
    add("--pictures", action="store_true", help="write annotated frames too, as DIR/NAME/000001.jpg")
    group = parser.add_argument_group("source")
    add = group.add_argument
    add(
        "--fps",
        type=float,
        metavar="N",
        help="frames per second that trackers reckon with (default: as the source tells; 30 for image folders)",
    )
    add(
        "--reconnect", type=int, default=5, metavar="N", help="tries to reopen a dropped stream (default: 5, 0 is none)"
    )
    add("--explain", action="store_true", help="write NAME.npz too: embeddings, and why who was matched (see evaluate)")
    group = parser.add_argument_group("tracking")
    add = group.add_argument
    add("--tracker", metavar="NAME", help=TRACKER_HELP)
    add("--no-appearance", action="store_true", help="track by motion only")
    add_half_options(group)
    group = parser.add_argument_group("detection")
    add_detection_options(group)
    group = parser.add_argument_group("speed")
    add = group.add_argument
    add("--batch-size", type=int, default=8, metavar="N", help="frames detected at once (default: 8)")
    add_network_speed_options(group)
    add_backend_option(group)


def run(args: argparse.Namespace) -> int:
    """Track, and say on stdout what was written.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if source, weights or tracker cannot be used.
        UsageError: if a value cannot be used.
    """
    from jde_lightning.errors import UsageError
    from jde_lightning.inference.sources import open_sources
    from jde_lightning.inference.tracker_config import load_tracker_factory

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    if args.batch_size < 1:
        msg = f"--batch-size must be at least 1, got {args.batch_size}"
        raise UsageError(msg)
    sources = open_sources(args.source, args.split, args.half_convention, args.fps, args.reconnect)
    check_weights(args.weights)
    # The tracker's file is checked before the network is loaded, which takes longer.
    if args.tracker is not None:
        load_tracker_factory(args.tracker)

    from jde_lightning.inference.kept_memory import keep_freed_memory
    from jde_lightning.inference.predictor_loading import load_predictor, tracker_factory_for
    from jde_lightning.inference.tracking_run import track_sources

    keep_freed_memory()
    speed = network_speed(args)
    if args.no_appearance and not args.explain:
        speed["embeddings"] = "none"
    predictor = load_predictor(
        args.weights,
        image_size=args.imgsz,
        conf=args.conf,
        iou=args.iou,
        max_det=args.max_det,
        scale=args.scale,
        backend=args.backend,
        **speed,
    )
    factory = tracker_factory_for(predictor, args.weights, args.tracker, not args.no_appearance, args.explain)
    if args.compile != "none" or predictor.backend == "openvino":
        _warm_up(predictor, sources, args.batch_size)
    wanted = {"video": args.video, "pictures": args.pictures, "explain": args.explain}
    for summary in track_sources(sources, predictor, factory, args.output, args.batch_size, **wanted):
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in summary.milliseconds().items())
        dropped = f" ({summary.dropped} dropped)" if summary.dropped else ""
        sys.stdout.write(
            f"{summary.name}: {summary.frames} frames{dropped}, {summary.identities} identities, "
            f"{summary.boxes} boxes, {summary.frames_per_second:.1f} frames/s (ms per frame: {stages})\n"
        )
        for path in (summary.result, summary.video, summary.pictures, summary.diary):
            if path is not None:
                sys.stdout.write(f"  {path}\n")
        sys.stdout.flush()
    return 0


def _warm_up(predictor: Predictor | OnnxPredictor, sources: Sequence[FrameSource], batch_size: int) -> None:
    """Compile for the first image of each source, so that it does not count as tracking time."""
    warm: set[tuple[int, ...]] = set()
    for source in sources:
        # Opening a camera twice would disturb it, and its first frames may wait.
        first = None if source.live else next(iter(source), None)
        if first is not None and first.image.shape not in warm:
            warm.add(first.image.shape)
            height, width = first.image.shape[:2]
            predictor.warm_up(height, width, batch_size)
