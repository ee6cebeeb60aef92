"""CPU seconds of HOTA, CLEAR and identity metrics next to TrackEval, on the same arrays, and whether they agree.

Run with one thread, from the repository root: ``OMP_NUM_THREADS=1 python benchmarks/bench_tracking_metrics.py``.
Both sides get arrays in memory; overlaps and the removal of distractors are included. Needs ``trackeval``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import trackeval

from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts, summed

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "metrics"))
from trackeval_oracle import in_memory_dataset, perturbed, preprocessed, raw_data, trackeval_results

SCENES = {  # name: frames, people in a frame, sequences
    "like MOT17, second halves": (380, 26, 7),
    "like MOT20": (300, 180, 1),
}


def walk(rng: np.random.Generator, frames: int, people: int) -> MOTRows:
    """Ground truth of people who cross a Full HD image, one in seven of another class."""
    lifetimes = rng.integers(frames // 4, frames, people * 2)
    births = rng.integers(-frames // 3, frames, people * 2)
    left, top = rng.uniform(0, 1800, people * 2), rng.uniform(300, 700, people * 2)
    speed = rng.normal(0, 2, people * 2)
    height = (top - 150) * 0.6
    parts = []
    for frame in range(1, frames + 1):
        alive = np.flatnonzero((births <= frame) & (frame < births + lifetimes))
        x = left[alive] + speed[alive] * (frame - births[alive])
        box = np.stack([x, top[alive], height[alive] * 0.4, height[alive]], axis=1).round()
        parts.append((np.full(len(alive), frame), alive + 1, box))
    numbers, ids, boxes = (np.concatenate(column) for column in zip(*parts, strict=True))
    classes = np.where(ids % 7 == 0, np.array([7, 8, 3, 11])[ids % 4], 1)
    return MOTRows(numbers, ids, boxes, (classes == 1).astype(float), classes, np.ones(len(ids)))


def best_time(work, repeats: int) -> float:
    """Shortest CPU time of several runs; ``work`` returns a function so that its preparation is not timed."""
    times = []
    for _ in range(repeats):
        run = work()
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print one line per scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    quiet = {"PRINT_CONFIG": False}
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]
    dataset = in_memory_dataset(trackeval, "mot17")
    print(f"{'scene':<28}{'boxes':>8}{'TrackEval s':>13}{'ours s':>9}{'ratio':>7}{'largest difference':>20}")
    for name, (frames, people, count) in SCENES.items():
        rng = np.random.default_rng(0)
        truths = [walk(rng, frames, people) for _ in range(count)]
        sequences = {f"S{number}": (gt, perturbed(gt, rng)) for number, gt in enumerate(truths)}

        def theirs(sequences=sequences):
            raw = [raw_data(key, *pair) for key, pair in sequences.items()]

            def run():
                for entry in raw:
                    data = preprocessed(dataset, entry)
                    for metric in metrics:
                        metric.eval_sequence(data)

            return run

        def ours(sequences=sequences):
            return lambda: [sequence_counts(*pair) for pair in sequences.values()]

        seconds = best_time(theirs, arguments.repeats), best_time(ours, arguments.repeats)
        expected = trackeval_results(trackeval, sequences, "mot17")[None]
        scores = scores_from_counts(summed(sequence_counts(*pair) for pair in sequences.values()))
        difference = max(abs(scores[key] - float(expected[key])) for key in scores)
        boxes = sum(len(gt) for gt, _ in sequences.values())
        ratio = seconds[0] / seconds[1]
        print(f"{name:<28}{boxes:>8}{seconds[0]:>13.2f}{seconds[1]:>9.2f}{ratio:>7.1f}{difference:>20.1e}")


if __name__ == "__main__":
    main()
