"""``jde-lightning benchmark``: milliseconds of each stage and frames per second, on this machine."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jde_lightning.cli.early_checks import check_weights
from jde_lightning.cli.options import (
    TRACKER_HELP,
    WEIGHTS_HELP,
    add_backend_option,
    add_detection_options,
    add_network_speed_options,
    network_speed,
)

if TYPE_CHECKING:
    from jde_lightning.inference.frames import FrameSource
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.predictor import Predictor
    from jde_lightning.inference.speed import Speed

HELP = "measure how fast a network and a tracker are here, stage by stage and end to end"

_EPILOG = """\
examples:
  jde-lightning benchmark street.mp4 --weights best.ckpt
  jde-lightning benchmark --weights best.ckpt --frames 100                (frames that are rendered first)
  jde-lightning benchmark MOT17-09-FRCNN --weights best.ckpt --vs ultralytics

Stages are measured alone, one after the other; frames per second end to end are those of `track`, whose stages
overlap. --vs ultralytics runs Ultralytics' model.track (BoT-SORT with native Re-ID, default settings) with the same
detector on the same frames, in a process of its own. Nothing else should run meanwhile. More in docs/inference.md."""

_RENDERED_SIZE = (1280, 720)
_RENDERED_PEOPLE = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "source", metavar="SOURCE", nargs="?", help="video file, folder of images or MOT sequence; else rendered frames"
    )
    add("--weights", required=True, type=Path, metavar="FILE", help=WEIGHTS_HELP)
    add("--frames", type=int, default=200, metavar="N", help="most frames that are measured (default: 200)")
    add("--repeats", type=int, default=3, metavar="N", help="runs from end to end; the median counts (default: 3)")
    add("--video", action="store_true", help="draw and encode an annotated video too")
    add(
        "--output",
        type=Path,
        default=Path("benchmark.json"),
        metavar="FILE",
        help="JSON file of all numbers (default: benchmark.json)",
    )
    group = parser.add_argument_group("comparison")
    group.add_argument("--vs", choices=("ultralytics",), help="run this peer too, on the same frames")
    group.add_argument("--vs-weights", type=Path, metavar="FILE", help="its checkpoint, where --weights is an export")
    group = parser.add_argument_group("tracking and detection")
    add = group.add_argument
    add("--tracker", metavar="NAME", help=TRACKER_HELP)
    add_detection_options(group)
    group = parser.add_argument_group("speed")
    add = group.add_argument
    add("--batch-size", type=int, default=1, metavar="N", help="frames detected at once (default: 1, as of a camera)")
    add_network_speed_options(group)
    add_backend_option(group)


def run(args: argparse.Namespace) -> int:
    """Measure, print a table and save it.

    Args:
        args: the parsed arguments of :func:`add_arguments`.

    Returns:
        The exit code.

    Raises:
        InputError: if source, weights or tracker cannot be used, or the peer fails.
        UsageError: if a value cannot be used.
    """
    from jde_lightning.errors import UsageError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    for name in ("frames", "repeats", "batch_size"):
        if getattr(args, name) < 1:
            msg = f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}"
            raise UsageError(msg)
    if args.vs and args.vs_weights is None and args.weights.suffix.lower() == ".onnx":
        msg = f"--vs {args.vs} runs a checkpoint, and {args.weights} is an exported network: give --vs-weights FILE"
        raise UsageError(msg)
    check_weights(args.weights)
    if args.vs_weights is not None:
        check_weights(args.vs_weights)
    if args.tracker is not None:
        from jde_lightning.inference.tracker_config import load_tracker_factory

        load_tracker_factory(args.tracker)

    from jde_lightning.files import written_whole
    from jde_lightning.inference.environment import describe_environment
    from jde_lightning.inference.kept_memory import keep_freed_memory
    from jde_lightning.inference.predictor_loading import load_predictor, tracker_factory_for
    from jde_lightning.inference.speed import FirstFrames, measure_end_to_end, measure_stages

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole, path = _open(args.source, args.frames, folder)
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
        factory = tracker_factory_for(predictor, args.weights, args.tracker)
        source = FirstFrames(whole, args.frames)
        speed = measure_stages(
            source,
            predictor,
            factory,
            folder,
            args.batch_size,
            video=args.video,
            synchronize=predictor.synchronize,
        )
        for _ in range(args.repeats):
            speed.repeats.append(measure_end_to_end(source, predictor, factory, folder, args.batch_size, args.video))
        peer = _measure_peer(args, predictor, path) if args.vs else None
    given = ("source", "tracker", "batch_size", *network_speed(args), "video")
    settings = {name: getattr(args, name) for name in given}
    settings["runtime"] = getattr(predictor, "description", predictor.backend)
    report: dict[str, Any] = {
        "environment": describe_environment(),
        "settings": {**settings, "weights": str(args.weights), "image_size": predictor.image_size},
        "speed": speed.as_json(),
    }
    if peer is not None:
        report["ultralytics"] = peer
        report["times_as_fast"] = round(speed.end_to_end / peer["fps"], 3)
    sys.stdout.write(_table(report, speed))
    with written_whole(args.output) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"\nsaved: {args.output}\n")
    return 0


def _open(source: str | None, frames: int, folder: Path) -> tuple[FrameSource, Path]:
    """Open the source, or render one; return the path that a peer can read too."""
    from jde_lightning.errors import InputError
    from jde_lightning.inference.sources import ImageFolder, open_source

    if source is None:
        source = str(_render(folder / "rendered", frames))
    opened = open_source(source)
    if opened.live:
        msg = f"{source}: a camera or stream gives frames in its own time; benchmark a video file or a folder of images"
        raise InputError(msg)
    return opened, opened.files[0][1].parent if isinstance(opened, ImageFolder) else Path(source)


def _render(folder: Path, frames: int) -> Path:
    """Render a sequence of the synthetic street."""
    import numpy as np
    from tqdm import tqdm

    from jde_lightning.data.synthetic import render_sequence
    from jde_lightning.data.synthetic.layouts import write_mot_sequence

    width, height = _RENDERED_SIZE
    rendered = render_sequence(frames=frames, width=width, height=height, people=_RENDERED_PEOPLE, frame_rate=30)
    progress = tqdm(rendered, total=frames, desc="rendering", unit="frame", disable=None, leave=False)
    write_mot_sequence(folder, progress, 30, np.random.default_rng(0))
    return folder


def _measure_peer(args: argparse.Namespace, predictor: Predictor | OnnxPredictor, path: Path) -> dict[str, Any]:
    """Run Ultralytics on the same frames with the same detector, as often as ours; its median run."""
    from jde_lightning.inference.loading import load_network
    from jde_lightning.inference.ultralytics_peer import measure_ultralytics

    network = load_network(args.vs_weights or args.weights, args.scale).network
    settings = (args.frames, predictor.image_size, predictor.conf, predictor.iou, predictor.max_det)
    runs = [measure_ultralytics(network, path, *settings) for _ in range(args.repeats)]
    runs.sort(key=lambda each: each["fps"])
    return {**runs[len(runs) // 2], "fps_of_each_repeat": [round(each["fps"], 2) for each in runs]}


def _table(report: dict[str, Any], speed: Speed) -> str:
    """The report as text."""
    lines = [f"{name:<14} {value}" for name, value in report["environment"].items()]
    settings = report["settings"]
    lines += ["", f"{settings['weights']}, {settings['image_size']} px, {settings['precision']}, {settings['runtime']}"]
    if settings["runtime"] == "torch":
        lines += [f"embeddings: {settings['embeddings']}, compile: {settings['compile']}"]
    lines.append(f"{speed.frames} frames after those that warm up, in batches of {settings['batch_size']}")
    lines += [f"{speed.people:.1f} detections in each", ""]
    lines += [f"{'ms per frame':<14}{'p50':>9}{'p95':>9}"]
    for name in speed.milliseconds:
        lines.append(f"{name:<14}{speed.percentile(name, 50):>9.2f}{speed.percentile(name, 95):>9.2f}")
    spread = f"   median of {len(speed.repeats)}, {min(speed.repeats):.2f} to {max(speed.repeats):.2f}"
    lines += ["", "frames/s", f"  {'end to end':<24}{speed.end_to_end:>8.2f}{spread}"]
    lines.append(f"  {'forward pass alone':<24}{speed.forward_alone:>8.2f}")
    if "ultralytics" in report:
        peer = report["ultralytics"]
        lines.append(f"  {'Ultralytics ' + peer['version']:<24}{peer['fps']:>8.2f}   BoT-SORT with native Re-ID")
        lines.append(f"  {'ratio to Ultralytics':<24}{report['times_as_fast']:>8.2f}")
    return "\n".join(lines) + "\n"
