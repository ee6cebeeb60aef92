"""What appearance is worth as the frame rate falls: IDF1 and HOTA with and without it, on crowded synthetic streets.

Run from the repository root with weights that know the synthetic crowd; a few minutes for each rate on two cores:
``python benchmarks/study_frame_rate.py --weights runs/quickstart/version_0/checkpoints/last.ckpt --output results``.

At each frame rate the network detects once. ``tune`` then searches the parameters of the tracker with appearance and
of the one without, in as many trials, on half of the sequences; the other half is held out and gives the scores.
No person or street is shared by the halves, nor with the network's training. Writes a table and a picture.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from jde_lightning.cli import main as verb
from jde_lightning.files import written_whole

MOTION = """class_path: jde_lightning.tracking.YOLO11JDETracker
init_args: {track_high_thresh: 0.35, new_track_thresh: 0.5, first_match_thresh: 0.95, second_match_thresh: 0.5,
            new_match_thresh: 0.95, track_buffer: 90}
"""
"""Where the search of the tracker without appearance begins; that of the other begins with the preset."""


def run(words: Sequence[str | int | Path]) -> None:
    """Run a verb of the command line, and stop if it fails."""
    if verb([str(word) for word in words]):
        raise SystemExit(1)


def scores_at(rate: int, arguments: argparse.Namespace) -> dict[bool, dict[str, float]]:
    """Scores on the held-out sequences by whether appearance is used, at one frame rate."""
    folder: Path = arguments.output / f"{rate}_per_second"
    gt, cache, motion = folder / "streets" / "MOT17" / "val", folder / "detections.npz", folder / "motion.yaml"
    size = ["--val-sequences", arguments.sequences, "--frames", arguments.frames, "--people", arguments.people]
    nothing = ["--train-sequences", 0, "--stills", 0]
    run(["data", "synthesize", "--output", folder / "streets", "--seed", 1000, "--frame-rate", rate, *size, *nothing])
    run(["cache", gt, "--weights", arguments.weights, "--output", cache, "--precision", arguments.precision])
    motion.write_text(MOTION, encoding="utf-8")
    names = sorted(path.name for path in gt.iterdir())
    found = {}
    for appearance, tracker in ((True, ["low_frame_rate"]), (False, [motion, "--no-appearance"])):
        output = folder / ("with_appearance" if appearance else "motion_alone")
        search = ["--objective", "idf1", "--trials", arguments.trials, "--holdout", *names[len(names) // 2 :]]
        run(["tune", cache, "--gt", gt, "--output", output, *search, "--tracker", *tracker])
        scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
        found[appearance] = scores["held_out"]["after"]["combined"]
    return found


def write_picture(path: Path, rates: Sequence[int], found: Sequence[dict[bool, dict[str, float]]]) -> None:
    """Draw IDF1 and HOTA against the frame rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("IDF1", "HOTA"), strict=True):
        for appearance, label, style in ((True, "with appearance", "o-"), (False, "motion alone", "s--")):
            axes.plot(rates, [100 * scores[appearance][name] for scores in found], style, label=label)
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
    parser.add_argument("--trials", type=int, default=200, help="parameter sets for each tracker and rate")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    lines = [
        "| frames/s | IDF1 with / without appearance | HOTA with / without | identity switches with / without |",
        "| --- | --- | --- | --- |",
    ]
    found = []
    for rate in arguments.rates:
        found.append(scores_at(rate, arguments))
        looks, moves = found[-1][True], found[-1][False]
        cells = [f"{100 * looks[name]:.1f} / {100 * moves[name]:.1f}" for name in ("IDF1", "HOTA")]
        lines.append(f"| {rate} | {' | '.join(cells)} | {looks['IDSW']} / {moves['IDSW']} |")
    with written_whole(arguments.output / "frame_rate.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_picture(arguments.output / "frame_rate.png", arguments.rates, found)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
