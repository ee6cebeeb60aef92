"""What appearance is worth as the frame rate falls: IDF1 and HOTA with and without it, on crowded synthetic streets.

Run from the repository root with weights that know the synthetic crowd; a few minutes for each rate on two cores:
``python benchmarks/study_frame_rate.py --weights runs/quickstart/version_0/checkpoints/last.ckpt --output results``.

At each frame rate the network detects once. ``tune`` then searches the parameters of three trackers, in as many trials,
on half of the sequences; the other half is held out and gives the scores. No person or street is shared by the halves,
nor with the network's training. Writes a table and a picture. The trackers:

* with appearance: matches without overlap too, by the embedding and the distance from where somebody is expected;
* the same rules and the same search, but everybody looks the same: what the freer rules are worth without a look;
* motion alone (``appearance=False``), which needs overlap.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from jde_lightning.cli import main as verb
from jde_lightning.files import written_whole
from jde_lightning.inference.cache import read_cache, write_cache

MOTION = """class_path: jde_lightning.tracking.YOLO11JDETracker
init_args: {track_high_thresh: 0.35, new_track_thresh: 0.5, first_match_thresh: 0.95, second_match_thresh: 0.5,
            new_match_thresh: 0.95, track_buffer: 90}
"""
APPEARANCE = """class_path: jde_lightning.tracking.YOLO11JDETracker
init_args: {track_high_thresh: 0.45, new_track_thresh: 0.5, first_match_thresh: 0.9, second_match_thresh: 0.8,
            first_fuse: false, proximity_thresh: 1.0, gate_thresh: 0.6, min_weight: 0.1, motion_gate: 40.0,
            new_appearance: true, track_buffer: 90}
"""
"""Where the searches begin."""
SPACE = """track_high_thresh: {low: 0.1, high: 0.7, step: 0.05}
track_low_thresh: {low: 0.1, high: 0.7, step: 0.05, at_most: track_high_thresh}
new_track_thresh: {low: 0.2, high: 0.8, step: 0.05}
first_match_thresh: {low: 0.3, high: 1.0, step: 0.05}
second_match_thresh: {low: 0.0, high: 1.0, step: 0.1}
first_fuse: [true, false]
proximity_thresh: [0.9, 0.95, 1.0]
appearance_thresh: {low: 0.3, high: 1.0, step: 0.05}
gate_thresh: {low: 0.3, high: 1.0, step: 0.05}
appearance_weight: {low: 0.3, high: 1.0, step: 0.05}
min_weight: {low: 0.0, high: 1.0, step: 0.05}
motion_gate: [9.4877, 20.0, 40.0, 80.0, 160.0]
motion_weight: [0.0, 0.005, 0.01, 0.02]
track_buffer: {low: 0, high: 100, step: 10}
"""
"""What the first two searches may choose; motion alone has the space of ``tune``."""
TRACKERS = ("with appearance", "the same, all alike", "motion alone")


def run(words: Sequence[str | int | Path]) -> None:
    """Run a verb of the command line, and stop if it fails."""
    if verb([str(word) for word in words]):
        raise SystemExit(1)


def all_alike(cache: Path, copy: Path) -> None:
    """Copy a cache in which everybody has the same embedding."""
    found = read_cache(cache)
    look = np.eye(1, found.embed_dim, dtype=np.float32)
    sequences = [
        replace(s, detections=[replace(d, embeddings=np.repeat(look, len(d), axis=0)) for d in s.detections])
        for s in found.sequences
    ]
    write_cache(copy, replace(found, sequences=sequences))


def scores_at(rate: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Scores on the held-out sequences by tracker, at one frame rate."""
    folder: Path = arguments.output / f"{rate}_per_second"
    gt, cache, alike = folder / "streets" / "MOT17" / "val", folder / "detections.npz", folder / "all_alike.npz"
    size = ["--val-sequences", arguments.sequences, "--frames", arguments.frames, "--people", arguments.people]
    nothing = ["--train-sequences", 0, "--stills", 0]
    run(["data", "synthesize", "--output", folder / "streets", "--seed", 1000, "--frame-rate", rate, *size, *nothing])
    run(["cache", gt, "--weights", arguments.weights, "--output", cache, "--precision", arguments.precision])
    all_alike(cache, alike)
    for name, text in (("motion", MOTION), ("appearance", APPEARANCE), ("space", SPACE)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    freely = ["--tracker", folder / "appearance.yaml", "--space", folder / "space.yaml"]
    plans = ([cache, *freely], [alike, *freely], [cache, "--tracker", folder / "motion.yaml", "--no-appearance"])
    names = sorted(path.name for path in gt.iterdir())
    found = {}
    for tracker, plan in zip(TRACKERS, plans, strict=True):
        output = folder / tracker.replace(",", "").replace(" ", "_")
        search = ["--objective", "idf1", "--trials", arguments.trials, "--holdout", *names[len(names) // 2 :]]
        run(["tune", *plan, "--gt", gt, "--output", output, *search])
        scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
        found[tracker] = scores["held_out"]["after"]["combined"]
    return found


def write_picture(path: Path, rates: Sequence[int], found: Sequence[dict[str, dict[str, float]]]) -> None:
    """Draw IDF1 and HOTA against the frame rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("IDF1", "HOTA"), strict=True):
        for tracker, style in zip(TRACKERS, ("o-", "^:", "s--"), strict=True):
            axes.plot(rates, [100 * scores[tracker][name] for scores in found], style, label=tracker)
        axes.set_xscale("log")
        axes.set_xticks(rates, [str(rate) for rate in rates])
        axes.minorticks_off()
        axes.set_xlabel("frames per second")
        axes.set_title(f"{name} (%)")
        axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def main() -> None:
    """Go through the frame rates, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for sequences, table and picture")
    parser.add_argument("--rates", type=int, nargs="+", default=[15, 4, 2, 1], help="frames per second")
    parser.add_argument("--people", type=int, default=16, help="people in view at a time, about")
    parser.add_argument("--sequences", type=int, default=16, help="half of them for the search, half for the scores")
    parser.add_argument("--frames", type=int, default=40, help="frames of a sequence")
    parser.add_argument("--trials", type=int, default=300, help="parameter sets for each tracker and rate")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    lines = ["| frames/s | tracker | IDF1 | HOTA | AssA | identity switches |", "| --- | --- | --- | --- | --- | --- |"]
    found = []
    for rate in arguments.rates:
        found.append(scores_at(rate, arguments))
        for tracker, scores in found[-1].items():
            cells = [f"{100 * scores[name]:.1f}" for name in ("IDF1", "HOTA", "AssA")]
            lines.append(f"| {rate} | {tracker} | {' | '.join(cells)} | {scores['IDSW']} |")
    with written_whole(arguments.output / "frame_rate.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_picture(arguments.output / "frame_rate.png", arguments.rates, found)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
