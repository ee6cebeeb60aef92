"""Options that several verbs share, so that they say and do the same."""

from __future__ import annotations

import argparse
from typing import Any

HALF_HELP = "first half of N frames ends at N//2+1 (centertrack, ByteTrack) or N//2 (fairmot, YOLO11-JDE)"

TRACKERS = "yolo11_jde, fairmot, fairmot_original, bytetrack, low_frame_rate, short_training, or a YAML file"

TRACKER_HELP = f"{TRACKERS} (default: yolo11_jde, or what an exported network names)"

CONFIG_HELP = "file, or name of a packaged configuration, as for fit; may repeat"

IMAGE_SIZE_HELP = (
    "longest side of the network's input in pixels, a multiple of 32 (default: as the checkpoint was validated; "
    "640 for plain YOLO11 weights)"
)

WEIGHTS_HELP = "checkpoint of fit; a file of export (.onnx, needs no torch); or YOLO11 weights with --scale"


def add_detection_options(parser: argparse._ActionsContainer, conf: float = 0.1, conf_note: str = "") -> None:
    """Add the options that say what the detector finds, and which network plain weights are of.

    Those that are not given are ``None``: an exported network may have been made for other values.

    Args:
        parser: or a group of one.
        conf: what ``--conf`` is if it is not given; only the verb that differs from the network's 0.1 sets it.
        conf_note: why the verb differs, for the help.
    """
    add = parser.add_argument
    default = None if conf == 0.1 else conf
    add("--imgsz", type=int, metavar="N", help=IMAGE_SIZE_HELP)
    add(
        "--conf",
        type=float,
        default=default,
        metavar="F",
        help=f"smallest confidence, 0 to 1{conf_note} (default: {conf:g})",
    )
    add(
        "--iou",
        type=float,
        metavar="F",
        help="overlap, 0 to 1, above which the weaker of two boxes goes (default: 0.7)",
    )
    add("--max-det", type=int, metavar="N", help="most detections per image (default: 300)")
    add("--scale", choices=tuple("nsmlx"), help="size of the network, for plain YOLO11 weights")


def add_half_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say which half of each MOTChallenge sequence is taken.

    Args:
        parser: or a group of one.
    """
    add = parser.add_argument
    add(
        "--split",
        choices=("all", "train_half", "val_half"),
        default="all",
        help="part of each MOT sequence (default: all)",
    )
    add(
        "--half-convention",
        choices=("centertrack", "fairmot"),
        default="centertrack",
        help=f"{HALF_HELP} (default: centertrack)",
    )


def add_network_speed_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how the network runs: where, how precisely, compiled, and which embeddings.

    Args:
        parser: or a group of one.
    """
    add = parser.add_argument
    add(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: auto, a GPU if there is one)"
    )
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="arithmetic of the network (default: fp32)")
    add(
        "--embeddings",
        choices=("dense", "late", "auto"),
        default="auto",
        help="compute them everywhere, late (for what was found only), or as is faster (default: auto)",
    )
    add(
        "--compile",
        choices=("none", "default", "reduce-overhead"),
        default="none",
        metavar="MODE",
        help="torch.compile: default pays in long runs, reduce-overhead records CUDA graphs, untested (default: none)",
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
        help="what runs an exported network (default: auto, the first that is installed)",
    )
