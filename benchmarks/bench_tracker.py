"""Milliseconds per frame of the trackers on synthetic crowds, next to the plain object-per-track version of the tests.

Run with one thread, from the repository root: ``OMP_NUM_THREADS=1 python benchmarks/bench_tracker.py``.
Times are CPU time of the thread, median over the frames, so that waiting for others does not count.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tracking"))
from plain_tracker import PlainTracker
from tracking_scenes import random_scene


def milliseconds(tracker: YOLO11JDETracker | FairMOTTracker | PlainTracker, scene: list[Detections]) -> np.ndarray:
    """Median and 95th percentile of the thread's CPU time per frame, without the first ten frames."""
    times = []
    for detections in scene:
        start = time.thread_time()
        tracker.update(detections)
        times.append(time.thread_time() - start)
    return np.percentile(times[10:], [50, 95]) * 1e3


def main() -> None:
    """Print one line per crowd and tracker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[30, 100, 250])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--plain-frames", type=int, default=20, help="frames for the plain version; 0 leaves it out")
    arguments = parser.parse_args()
    print(f"{'objects':>7}  {'tracker':<28}{'median ms':>10}{'p95 ms':>9}")
    for objects in arguments.objects:
        scene = random_scene(
            1, frames=arguments.frames, objects=objects, dim=128, arena=(1920, 1080), look_noise=0.15, empty=0.0
        )
        peers = {
            "YOLO11JDETracker": (YOLO11JDETracker(), scene),
            "YOLO11JDETracker, motion only": (YOLO11JDETracker(appearance=False), scene),
            "FairMOTTracker": (FairMOTTracker(), scene),
        }
        if arguments.plain_frames:
            short = scene[: 10 + arguments.plain_frames]
            peers["plain yolo11_jde"] = (PlainTracker("yolo11_jde"), short)
            peers["plain fairmot"] = (PlainTracker("fairmot"), short)
        for name, (tracker, frames) in peers.items():
            median, high = milliseconds(tracker, frames)
            print(f"{objects:>7}  {name:<28}{median:>10.3f}{high:>9.3f}")


if __name__ == "__main__":
    main()
