"""Trials per minute of CPU time of a search on a cache, what Optuna and its file take included.

Run with one thread, from the repository root:
``OMP_NUM_THREADS=1 python benchmarks/bench_tune.py CACHE --gt DIR``, with a file of ``jde-lightning cache``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from jde_lightning.inference.cache import read_cache
from jde_lightning.inference.tuning.evaluation import TrackerChoice
from jde_lightning.inference.tuning.search_space import default_space
from jde_lightning.inference.tuning.sequences import tuning_sequences
from jde_lightning.inference.tuning.study import search
from jde_lightning.inference.tuning.workers import Workers


def main() -> None:
    """Print one line per tracker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=20)
    args = parser.parse_args()
    cache = read_cache(args.cache)
    sequences = tuning_sequences(cache, args.gt)
    frames = sum(len(sequence.detections) for sequence in sequences)
    for name in ("yolo11_jde", "fairmot"):
        for appearance in (True, False) if cache.embed_dim else (False,):
            choice = TrackerChoice.load(name, appearance)
            space = default_space(choice.tracker, appearance)
            with tempfile.TemporaryDirectory() as folder, Workers(sequences) as workers:
                search(workers, sequences, choice, space, Path(folder) / "warm.db", 1)  # imports
                start = time.process_time()
                search(workers, sequences, choice, space, Path(folder) / "study.db", args.trials)
                seconds = time.process_time() - start
            look = "appearance" if appearance else "motion only"
            rate = 60 * args.trials / seconds
            print(f"{name}, {look}: {frames} frames, {rate:.0f} trials per CPU minute ({seconds / args.trials:.2f} s)")


if __name__ == "__main__":
    main()
