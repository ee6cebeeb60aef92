"""``jde-lightning export``: a checkpoint becomes one ONNX file that runs without torch."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jde_lightning.cli.early_checks import check_weights
from jde_lightning.cli.options import TRACKERS

if TYPE_CHECKING:
    from jde_lightning.inference.onnx_export import Exported

HELP = "write a network as one ONNX file, which `track`, `cache`, `embed` and `benchmark` run without torch"

_EPILOG = """\
examples:
  jde-lightning export --weights best.ckpt --output model.onnx --dynamic-size
  jde-lightning export --weights best.ckpt --output model.onnx --imgsz 736 1280 --nms      (height, width)
  jde-lightning track street.mp4 --weights model.onnx --output results

The file is written only if onnxruntime computes what torch computes, on batches of 1 and 4 images: boxes within 0.1 px,
scores within 0.001, cosine of the embeddings at least 0.9999. Batches may have any size. With --dynamic-size images get
as little padding as in torch; a fixed size pads them all to it. Inputs and outputs, OpenVINO, TensorRT, and what has to
be installed where the file is used: docs/export.md."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--weights", required=True, type=Path, metavar="FILE", help="checkpoint of fit; or YOLO11 weights with --scale")
    add("--output", required=True, type=Path, metavar="FILE", help="the file, NAME.onnx")
    add(
        "--imgsz",
        type=int,
        nargs="+",
        metavar="N",
        help="side of the square input in pixels, or its height and width; with --dynamic-size the longest side that "
        "images are fitted to (default: as the checkpoint was validated; 640 for plain YOLO11 weights)",
    )
    add("--dynamic-size", action="store_true", help="any height and width that are multiples of 32")
    add("--scale", choices=tuple("nsmlx"), help="size of the network, for plain YOLO11 weights")
    add(
        "--tracker",
        default="yolo11_jde",
        metavar="NAME",
        help=f"what track takes by default: {TRACKERS} (default: yolo11_jde)",
    )
    group = parser.add_argument_group("suppression inside the graph")
    add = group.add_argument
    add("--nms", action="store_true", help="return what is left after non-maximum suppression, instead of all anchors")
    add("--conf", type=float, metavar="F", help="smallest confidence, 0 to 1, with --nms (default: 0.1)")
    add(
        "--iou",
        type=float,
        metavar="F",
        help="overlap, 0 to 1, above which the weaker of two boxes goes, with --nms (default: 0.7)",
    )
    add("--max-det", type=int, metavar="N", help="most detections per image and class, with --nms (default: 300)")


def run(args: argparse.Namespace) -> int:
    """Export, and say on stdout what was written.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if the weights or a value cannot be used, or the runtimes disagree.
    """
    from jde_lightning.errors import UsageError
    from jde_lightning.inference.tracker_config import tracker_spec

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for name in ("onnx_ir", "onnxscript", "torch"):  # they tell every constant that they fold
        logging.getLogger(name).setLevel(logging.WARNING)
    if args.imgsz is not None and len(args.imgsz) > 2:
        msg = f"--imgsz takes one side, or height and width, got {' '.join(map(str, args.imgsz))}"
        raise UsageError(msg)
    inside = {name: value for name in ("conf", "iou", "max_det") if (value := getattr(args, name)) is not None}
    if inside and not args.nms:
        told = ", ".join(f"--{name.replace('_', '-')}" for name in inside)
        msg = f"{told} only with --nms; without it, `track` and `cache` choose when they run the file"
        raise UsageError(msg)
    tracker = tracker_spec(args.tracker)
    check_weights(args.weights)

    from jde_lightning.inference.onnx_export import Suppression, export_onnx

    size = None if args.imgsz is None else args.imgsz[0] if len(args.imgsz) == 1 else tuple(args.imgsz)
    exported = export_onnx(
        args.weights,
        args.output,
        size,
        args.dynamic_size,
        Suppression(**inside) if args.nms else None,
        tracker,
        args.scale,
    )
    sys.stdout.write(_told(exported))
    return 0


def _told(exported: Exported) -> str:
    """What was written, in a few lines."""
    facts = exported.facts
    looks = "no embeddings" if facts.embed_dim is None else f"embeddings of width {facts.embed_dim}"
    megabytes = exported.path.stat().st_size / 1e6
    lines = [f"{exported.path}: {megabytes:.1f} MB, {len(facts.class_names)} classes, {looks}"]
    for name, shapes in (("in", exported.inputs), ("out", exported.outputs)):
        lines += [f"  {name:<4}{key:<14} ({', '.join(map(str, shape))})" for key, shape in shapes.items()]
    parity = facts.parity
    cosine = f", cosine {1 - parity['cosine']:.7f}" if "cosine" in parity else ""
    told = f"boxes within {parity['boxes']:.2g} px, scores within {parity['scores']:.2g}{cosine}"
    return "\n".join([*lines, f"  onnxruntime agrees with torch: {told}", ""])
