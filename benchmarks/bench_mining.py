"""Mining, triplet loss and its gradient: ours next to pytorch-metric-learning's, in time and memory.

Run from the repository root: ``OMP_NUM_THREADS=1 python benchmarks/bench_mining.py``. The library is measured up to
``--library-up-to`` rows; at 20,000 it needs 11.5 GB and a minute. Every case has a process of its own, so that its peak
memory is its own. Time is CPU time of the process, the median of a few runs, so that waiting for others does not count
(with one thread; more threads add up). Extra memory is the peak above what the process held before: torch, the
embeddings and, after a run on a few rows, what libraries keep for themselves.

With a GPU it also prints milliseconds there, next to the product of all rows with all rows alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchEasyHardMiner

from jde_lightning.losses import BlockwiseEasyHardMiner, PairTripletMarginLoss

DIM = 128
ROWS_PER_IDENTITY = 25


def rows(count: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings that a network in training might give: rows of an identity lie together, but not far from others."""
    generator = torch.Generator().manual_seed(0)
    identities = torch.randint(max(count // ROWS_PER_IDENTITY, 1), (count,), generator=generator)
    centers = torch.randn(max(count // ROWS_PER_IDENTITY, 1), DIM, generator=generator)
    embeddings = centers[identities].add_(torch.randn(count, DIM, generator=generator))
    return embeddings.to(device).requires_grad_(), identities.to(device)


def step(which: str, embeddings: torch.Tensor, identities: torch.Tensor) -> float:
    """Mine, compute the loss, and go backwards."""
    if which == "ours":
        miner, loss = BlockwiseEasyHardMiner("hard", "semihard"), PairTripletMarginLoss(margin=0.075)
    else:
        miner, loss = BatchEasyHardMiner("hard", "semihard"), TripletMarginLoss(margin=0.075)
    embeddings.grad = None
    value = loss(embeddings, identities, miner(embeddings, identities))
    value.backward()
    return value.item()


def peak() -> float:
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(which: str, count: int, repeats: int) -> dict[str, float]:
    """One case, in this process."""
    step(which, *rows(64))
    embeddings, identities = rows(count)
    before, times, value = peak(), [], 0.0
    for _ in range(repeats):
        start = time.process_time()
        value = step(which, embeddings, identities)
        times.append(time.process_time() - start)
    return {"seconds": median(times), "megabytes": peak() - before, "loss": value}


def in_new_process(which: str, count: int, repeats: int) -> dict[str, float]:
    """One case, in a process of its own."""
    command = [sys.executable, __file__, "--one", which, str(count), "--repeats", str(repeats)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output)
    return result


def on_gpu(count: int) -> tuple[float, float]:
    """Milliseconds of ours and of the product of all rows with all rows, in blocks that fit."""
    embeddings, identities = rows(count, "cuda")
    unit = torch.nn.functional.normalize(embeddings.detach())

    def product() -> None:
        for block in unit.split(2048):
            torch.mm(block, unit.T)

    def milliseconds(function) -> float:
        times = []
        for _ in range(12):
            torch.cuda.synchronize()
            start = time.perf_counter()
            function()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return median(times[2:]) * 1e3

    return milliseconds(lambda: step("ours", embeddings, identities)), milliseconds(product)


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 5000, 14_400, 20_000, 57_600])
    parser.add_argument("--library-up-to", type=int, default=5000, help="most rows for the library; 0 leaves it out")
    parser.add_argument("--repeats", type=int, default=3, help="runs per case; one above 10,000 rows for the library")
    parser.add_argument("--one", nargs=2, metavar=("WHICH", "ROWS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        which, count = arguments.one
        sys.stdout.write(json.dumps(measure(which, int(count), arguments.repeats)))
        return
    heads = f"{'rows':>7}{'ours s':>10}{'library s':>11}{'times':>7}{'ours MB':>10}{'library MB':>12}"
    print(f"{heads}{'loss difference':>17}")
    for count in arguments.rows:
        ours = in_new_process("ours", count, arguments.repeats)
        line = f"{count:>7}{ours['seconds']:>10.3f}"
        if count <= arguments.library_up_to:
            library = in_new_process("library", count, arguments.repeats if count <= 10_000 else 1)
            line += f"{library['seconds']:>11.3f}{library['seconds'] / ours['seconds']:>7.1f}"
            line += f"{ours['megabytes']:>10.0f}{library['megabytes']:>12.0f}{ours['loss'] - library['loss']:>17.1e}"
        else:
            line += f"{'-':>11}{'-':>7}{ours['megabytes']:>10.0f}{'-':>12}{'-':>17}"
        print(line, flush=True)
    if torch.cuda.is_available():
        print(f"{'rows':>7}{'GPU ms':>10}{'product ms':>12}")
        for count in arguments.rows:
            print("{:>7}{:>10.2f}{:>12.2f}".format(count, *on_gpu(count)))


if __name__ == "__main__":
    main()
