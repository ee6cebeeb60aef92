"""Options that several verbs share, so that they say and do the same."""

from __future__ import annotations

import argparse
from typing import Any

TRACKER_HELP = (
    "yolo11_jde (default), fairmot, fairmot_original, bytetrack, low_frame_rate, short_training, or a YAML file"
)

CONFIG_HELP = "file, or name of a packaged configuration, as for fit; may repeat"

IMAGE_SIZE_HELP = (
    "longest side of the network's input (default: as the checkpoint was validated; 640 for plain YOLO11 weights)"
)

WEIGHTS_HELP = "checkpoint of fit; a file of export (.onnx, needs no torch); or YOLO11 weights with --scale"


def add_network_speed_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how the network runs: where, how precisely, compiled, and which embeddings.

    Args:
        parser: or a group of one.
    """
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, ...")
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="arithmetic of the network (default: fp32)")
    add(
        "--embeddings",
        choices=("dense", "late", "auto"),
        default="auto",
        help="compute them everywhere, late (for what was found only), or as is faster (auto, default)",
    )
    add(
        "--compile",
        choices=("none", "default", "reduce-overhead"),
        default="none",
        metavar="MODE",
        help="torch.compile: none (default), default (pays in long runs), reduce-overhead (with CUDA graphs; untested)",
    )


def network_speed(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of a predictor that :func:`add_network_speed_options` asked for."""
    return {name: getattr(args, name) for name in ("device", "precision", "embeddings", "compile")}


def add_backend_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that says what runs an exported network.

    Args:
        parser: or a group of one.
    """
    parser.add_argument(
        "--backend",
        choices=("auto", "onnxruntime", "openvino"),
        default="auto",
        help="what runs an exported network (default: the first that is installed)",
    )
