"""Milliseconds per frame of the trackers on synthetic crowds, next to named peers, as ratios of one run.

Run with one thread, from the repository root: ``OMP_NUM_THREADS=1 python benchmarks/bench_tracker.py``.
Times are CPU time of the thread, median over the frames, so that waiting for others does not count; of several rounds,
in which the trackers take turns, the fastest counts. Every tracker gets the same detections in the form that it likes
best, made before the clock starts. Peers run their own algorithms with their own default parameters:

* Ultralytics' BYTETracker, without appearance, and BOTSORT with given features and without camera motion;
* Roboflow's ByteTrack, if ``trackers`` is installed (``pip install trackers``);
* the trackers of YOLO11-JDE's authors are not public on PyPI. They take 2.8 times as long as BYTETracker: 13 ms at 100
  objects where BYTETracker takes 4.6, which is how the lines "authors" are made;
* the plain object-per-track version of the tests (``--plain-frames``).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jde_lightning.structures import Detections
from jde_lightning.tracking import FairMOTTracker, Tracker, YOLO11JDETracker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tracking"))
from plain_tracker import PlainTracker
from tracking_scenes import random_scene

AUTHORS_TO_BYTETRACKER = 13 / 4.6
WARM_UP = 10
TARGETS = [
    ("YOLO11JDETracker", "ultralytics BYTETracker", 100, 8.0),
    ("YOLO11JDETracker", "ultralytics BOTSORT + features", 100, 12.0),
    ("YOLO11JDETracker", "roboflow ByteTrack", 100, 4.0),
    ("YOLO11JDETracker", "roboflow ByteTrack", 250, 4.0),
    ("FairMOTTracker", "authors (BYTETracker x 2.8)", 100, 8.0),
]

Step = Callable[[Any], Any]


def ultralytics_peers(scene: list[Detections]) -> dict[str, tuple[Callable[[], Step], list[Any]]]:
    """BYTETracker and BOTSORT with the library's own parameters and boxes."""
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers import BOTSORT, BYTETracker
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    def parameters(name: str, **changes: object) -> IterableSimpleNamespace:
        return IterableSimpleNamespace(**{**YAML.load(check_yaml(name)), **changes})

    frames = [
        (Boxes(np.concatenate((d.boxes, d.scores[:, None], d.labels[:, None]), axis=1), (1080, 1920)), d.embeddings)
        for d in scene
    ]

    def bytetracker() -> Step:
        tracker = BYTETracker(parameters("bytetrack.yaml"))
        return lambda frame: tracker.update(frame[0])

    def botsort() -> Step:
        tracker = BOTSORT(parameters("botsort.yaml", gmc_method="none", with_reid=True, model="auto"))
        return lambda frame: tracker.update(frame[0], None, frame[1])

    return {"ultralytics BYTETracker": (bytetracker, frames), "ultralytics BOTSORT + features": (botsort, frames)}


def roboflow_peers(scene: list[Detections]) -> dict[str, tuple[Callable[[], Step], list[Any]]]:
    """Roboflow's ByteTrack, or nothing and a note where it is not installed."""
    try:
        import supervision
        from trackers import ByteTrackTracker
    except ImportError as error:
        print(f"roboflow ByteTrack is left out: {error}", file=sys.stderr)
        return {}
    frames = [supervision.Detections(xyxy=d.boxes, confidence=d.scores, class_id=d.labels) for d in scene]
    return {"roboflow ByteTrack": (lambda: ByteTrackTracker().update, frames)}


def milliseconds(step: Step, frames: list[Any]) -> np.ndarray:
    """Median and 95th percentile of the thread's CPU time per frame, without the first frames."""
    times = []
    for frame in frames:
        start = time.thread_time()
        step(frame)
        times.append(time.thread_time() - start)
    return np.percentile(times[WARM_UP:], [50, 95]) * 1e3


def contestants(
    scene: list[Detections], plain_frames: int, peers: bool
) -> dict[str, tuple[Callable[[], Step], list[Any]]]:
    """What makes a fresh tracker, and the frames that it is fed with, by name."""

    def ours(cls: type[Tracker], **parameters: object) -> Callable[[], Step]:
        return lambda: cls(**parameters).update

    found: dict[str, tuple[Callable[[], Step], list[Any]]] = {
        "YOLO11JDETracker": (ours(YOLO11JDETracker), scene),
        "YOLO11JDETracker, motion only": (ours(YOLO11JDETracker, appearance=False), scene),
        "FairMOTTracker": (ours(FairMOTTracker), scene),
    }
    if peers:
        found |= ultralytics_peers(scene) | roboflow_peers(scene)
    if plain_frames:
        short = scene[: WARM_UP + plain_frames]
        found["plain yolo11_jde"] = (lambda: PlainTracker("yolo11_jde").update, short)
        found["plain fairmot"] = (lambda: PlainTracker("fairmot").update, short)
    return found


def main() -> None:
    """Print one line per crowd and tracker, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[30, 100, 250])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true", help="only the trackers of this package")
    parser.add_argument("--plain-frames", type=int, default=0, help="frames for the plain version; 0 leaves it out")
    arguments = parser.parse_args()
    times: dict[tuple[str, int], float] = {}
    print(f"{'objects':>7}  {'tracker':<32}{'median ms':>10}{'p95 ms':>9}")
    for objects in arguments.objects:
        scene = random_scene(
            1, frames=arguments.frames, objects=objects, dim=128, arena=(1920, 1080), look_noise=0.15, empty=0.0
        )
        entries = contestants(scene, arguments.plain_frames, not arguments.no_peers)
        rounds = [[milliseconds(make(), frames) for make, frames in entries.values()] for _ in range(arguments.rounds)]
        for name, (median, high) in zip(entries, np.min(rounds, axis=0), strict=True):
            print(f"{objects:>7}  {name:<32}{median:>10.3f}{high:>9.3f}")
            times[name, objects] = median
        if ("ultralytics BYTETracker", objects) in times:
            authors = times["ultralytics BYTETracker", objects] * AUTHORS_TO_BYTETRACKER
            times["authors (BYTETracker x 2.8)", objects] = authors
    targets = {target[:3]: target[3] for target in TARGETS}
    print(f"\n{'objects':>7}  {'ours':<32}{'peer':<32}{'times as fast':>13}  target")
    for (peer, objects), theirs in times.items():
        for mine in ("YOLO11JDETracker", "YOLO11JDETracker, motion only", "FairMOTTracker"):
            if peer.startswith(("ultralytics", "roboflow", "authors")):
                goal = targets.get((mine, peer, objects))
                note = f"{goal:g}" if goal else ""
                print(f"{objects:>7}  {mine:<32}{peer:<32}{theirs / times[mine, objects]:>13.1f}  {note}")


if __name__ == "__main__":
    main()
