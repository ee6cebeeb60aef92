"""Frames per second of the ``track`` verb's run, one stage after the other and overlapping, with the same parts.

The network is a stand-in that keeps its device busy for a given time per frame, as a GPU does; everything else is real:
JPEG files are decoded, boxes are tracked, drawn and encoded. From the repository root:

    python benchmarks/bench_track.py --network-ms 10

``--images MOT17-09-FRCNN`` takes a sequence of one's own instead of made-up images of 1920x1080. The wall clock counts,
so the machine has to be idle.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.inference.painting import Painter
from jde_lightning.inference.sources import FrameSource, open_source
from jde_lightning.inference.stopwatch import Stopwatch
from jde_lightning.inference.tracking_run import TrackingSummary, track_source
from jde_lightning.structures import Detections
from jde_lightning.tracking import YOLO11JDETracker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tracking"))
from tracking_scenes import random_scene


class Network:
    """Finds the people of a made-up scene, frame by frame, and takes its time."""

    class_names = ("person",)

    def __init__(self, scene: list[Detections], seconds: float) -> None:
        self.scene = iter(scene)
        self.seconds = seconds

    def detect(self, images):
        """Wait for the device, as torch does, without holding Python's lock."""
        time.sleep(self.seconds * len(images))
        return [next(self.scene) for _ in images]


def serial(source: FrameSource, network: Network, output: Path, batch_size: int) -> TrackingSummary:
    """Read, detect, track, draw and write in one loop."""
    times, tracker, frames = Stopwatch(), YOLO11JDETracker(source.frame_rate), 0
    images = times.iterate("read", source)
    with Painter(source, network.class_names, times, output / "serial.mp4") as painter:
        while batch := list(islice(images, batch_size)):
            with times.stage("detect"):
                found = network.detect([frame.image for frame in batch])
            for frame, detections in zip(batch, found, strict=True):
                with times.stage("track"):
                    tracks = tracker.update(detections)
                painter.paint(frame, tracks)
                frames += 1
    return TrackingSummary("serial", output, frames=frames, elapsed=times.elapsed, seconds=times.seconds)


def made_up_images(folder: Path, frames: int) -> None:
    """Write smooth noise that moves, as JPEG files of 1920x1080."""
    rng = np.random.default_rng(0)
    street = cv2.resize(rng.integers(0, 255, (90, 200, 3), np.uint8), (2400, 1080), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        cv2.imwrite(str(folder / f"{number + 1:06d}.jpg"), street[:, 4 * number % 480 :][:, :1920])


def main() -> None:
    """Print a line for each way, and how many times as fast the second is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder of images; made up if omitted")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--objects", type=int, default=30)
    parser.add_argument("--network-ms", type=float, default=10.0, help="milliseconds of the network for a frame")
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.images is None:
            made_up_images(Path(folder), arguments.frames)
        source = open_source(arguments.images or folder)
        source.files = source.files[: arguments.frames]
        length = len(source.files)
        scene = random_scene(
            1, frames=length, objects=arguments.objects, dim=128, arena=(1920, 1080), look_noise=0.15, empty=0.0
        )
        seconds, output = arguments.network_ms / 1000, Path(folder) / "out"
        one = serial(source, Network(scene, seconds), output, arguments.batch_size)
        overlapping = track_source(
            source, Network(scene, seconds), YOLO11JDETracker, output, arguments.batch_size, video=True
        )
    for name, run in (("one after the other", one), ("overlapping", overlapping)):
        stages = "  ".join(f"{stage} {value:.1f}" for stage, value in run.milliseconds().items())
        print(f"{name:<20} {run.frames_per_second:6.1f} frames/s   ms per frame: {stages}")
    print(f"{'ratio':<20} {overlapping.frames_per_second / one.frames_per_second:6.2f}")


if __name__ == "__main__":
    main()
