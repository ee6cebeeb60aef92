"""What appearance is worth as the frame rate falls: IDF1 and HOTA with and without it, on crowded synthetic streets.

Run from the repository root with a checkpoint of the quickstart; about ten minutes on two cores:
``python benchmarks/study_frame_rate.py --weights runs/quickstart/version_0/checkpoints/last.ckpt --output results``.

At each frame rate the network detects once. Then the same number of random parameter sets is tried for the tracker
with appearance and for the one without, on half of the sequences; the best one of each is scored on the other half.
No person or street is shared by the halves, nor with the network's training. Writes a table and a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jde_lightning.data.images import decode
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.files import written_whole
from jde_lightning.inference.predictor import Predictor
from jde_lightning.metrics import TrackingMetrics
from jde_lightning.metrics.in_memory import ground_truth_from_annotations, result_rows
from jde_lightning.structures import Detections, FrameAnnotations
from jde_lightning.tracking import YOLO11JDETracker

SPACE: dict[str, tuple[Any, ...]] = {
    "track_high_thresh": (0.25, 0.35, 0.45),
    "new_track_thresh": (0.4, 0.5, 0.6),
    "first_match_thresh": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "second_match_thresh": (0.2, 0.5, 0.8),
    "new_match_thresh": (0.7, 0.8, 0.95, 1.0),
    "first_fuse": (True, False),
    "track_buffer_frames": (3, 8, 20),
}
"""What both trackers vary; a limit of 1 lets everything overlap that overlaps at all."""
SPACE_OF_APPEARANCE: dict[str, tuple[Any, ...]] = {
    "proximity_thresh": (0.8, 0.95, 1.0),
    "gate_thresh": (0.4, 0.6, 1.0),
    "appearance_weight": (0.3, 0.5, 0.7, 1.0),
    "min_weight": (0.1, 0.2, 0.3, 0.5, 0.8),
}
"""What only the tracker with appearance has."""


@dataclass(frozen=True)
class Scene:
    """One sequence: its annotations, and what the network found in each frame."""

    frames: list[FrameAnnotations]
    detections: list[Detections]


def detect(folder: Path, predictor: Predictor) -> list[Scene]:
    """Detect in every sequence of a synthetic crowd."""
    by_sequence: dict[str, list[FrameAnnotations]] = {}
    for frame in MOTChallenge().read(folder):
        by_sequence.setdefault(frame.sequence, []).append(frame)
    scenes = []
    for name, frames in sorted(by_sequence.items()):
        found: list[Detections] = []
        for start in tqdm(range(0, len(frames), 8), desc=name, leave=False):
            found += predictor.detect([decode(frame.image_path) for frame in frames[start : start + 8]])
        scenes.append(Scene(frames, found))
    return scenes


def score(scenes: Sequence[Scene], frame_rate: float, parameters: dict[str, Any], appearance: bool) -> dict[str, float]:
    """Track all scenes with one set of parameters, and measure."""
    parameters = dict(parameters)
    # The tracker counts its buffer at 30 frames per second, whatever the video has.
    parameters["track_buffer"] = int(np.ceil(parameters.pop("track_buffer_frames") * 30 / frame_rate))
    metrics = TrackingMetrics()
    for scene in scenes:
        tracker = YOLO11JDETracker(frame_rate, appearance=appearance, **parameters)
        tracks = [tracker.update(detections) for detections in scene.detections]
        rows = result_rows([frame.frame for frame in scene.frames], tracks)
        metrics.update(ground_truth_from_annotations(scene.frames), rows)
    return {name: float(value) for name, value in metrics.compute().items()}


def best_parameters(
    scenes: Sequence[Scene], frame_rate: float, appearance: bool, trials: int, seed: int
) -> dict[str, Any]:
    """The parameters with the highest IDF1 of so many random ones."""
    rng = np.random.default_rng(seed)
    space = {**SPACE, **(SPACE_OF_APPEARANCE if appearance else {})}
    tried = []
    for _ in tqdm(range(trials), desc=f"{frame_rate} frames/s, appearance {appearance}", leave=False):
        parameters = {name: values[rng.integers(len(values))] for name, values in space.items()}
        tried.append((score(scenes, frame_rate, parameters, appearance)["IDF1"], len(tried), parameters))
    return max(tried)[2]


def write_picture(path: Path, rates: Sequence[int], rows: dict[bool, list[dict[str, float]]]) -> None:
    """Draw IDF1 and HOTA against the frame rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("IDF1", "HOTA"), strict=True):
        for appearance, label, style in ((True, "with appearance", "o-"), (False, "motion alone", "s--")):
            axes.plot(rates, [row[name] for row in rows[appearance]], style, label=label)
        axes.set_xscale("log")
        axes.set_xticks(rates, [str(rate) for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel("frames per second")
        axes.set_title(name)
        axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def main() -> None:
    """Render, detect, search, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for sequences, table and picture")
    parser.add_argument("--rates", type=int, nargs="+", default=[15, 5, 2, 1], help="frames per second")
    parser.add_argument("--people", type=int, default=24, help="people in view at a time, about")
    parser.add_argument("--sequences", type=int, default=6, help="half of them for the search, half for the scores")
    parser.add_argument("--frames", type=int, default=40, help="frames of a sequence")
    parser.add_argument("--trials", type=int, default=150, help="parameter sets for each tracker and rate")
    parser.add_argument("--seed", type=int, default=1000, help="of the streets and of the search")
    arguments = parser.parse_args()
    predictor = Predictor.from_checkpoint(arguments.weights, conf=0.1)
    rows: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    lines = [
        "| frames/s | IDF1 with / without appearance | HOTA with / without | identity switches with / without |",
        "| --- | --- | --- | --- |",
    ]
    for rate in arguments.rates:
        folder = arguments.output / f"streets_{rate}"
        SyntheticCrowd(
            train_sequences=0, val_sequences=arguments.sequences, frames=arguments.frames, stills=0,
            people=arguments.people, frame_rate=rate, seed=arguments.seed,
        ).write(folder)  # fmt: skip
        scenes = detect(folder / "MOT17" / "val", predictor)
        search, test = scenes[: len(scenes) // 2], scenes[len(scenes) // 2 :]
        for appearance in (True, False):
            chosen = best_parameters(search, rate, appearance, arguments.trials, arguments.seed)
            rows[appearance].append(score(test, rate, chosen, appearance))
            print(f"{rate} frames/s, {'with' if appearance else 'without'} appearance: {chosen}")
        looks, moves = rows[True][-1], rows[False][-1]
        cells = [f"{looks[name]:.3f} / {moves[name]:.3f}" for name in ("IDF1", "HOTA")]
        lines.append(f"| {rate} | {' | '.join(cells)} | {looks['IDSW']:.0f} / {moves['IDSW']:.0f} |")
        print(lines[-1], flush=True)
    with written_whole(arguments.output / "frame_rate.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_picture(arguments.output / "frame_rate.png", arguments.rates, rows)


if __name__ == "__main__":
    main()
