"""The index of a training set of CrowdHuman's size: reading it, loading it from the cache, handing it to workers.

    python benchmarks/bench_index.py [--frames 15000] [--boxes 440000]

The images are hard links to one small JPEG, so reading their headers comes from memory; a real disk adds its latency.
Memory is read from /proc, so this runs on Linux only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jde_lightning.data import CrowdHuman, FrameIndex, MosaicDataset, assign_training_identities
from jde_lightning.data.identities import ambiguity_scopes
from jde_lightning.data.index_cache import IndexCache
from jde_lightning.data.overlaps import find_duplicates, find_overlaps
from jde_lightning.data.samples import MosaicRequest

SAMPLES = 300
SIZE = 64


def write_dataset(root: Path, frames: int, boxes: int, rng: np.random.Generator) -> None:
    """Write annotations with the keys of CrowdHuman, and as many images."""
    folder = root / "Images"
    folder.mkdir(parents=True)
    original = root / "original.jpg"
    cv2.imwrite(str(original), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    counts = np.diff(np.linspace(0, boxes, frames + 1).astype(int))
    with (root / "annotation_train.odgt").open("w") as file:
        for number, count in enumerate(counts.tolist()):
            name = f"{100000 + number},{number:016x}"
            (folder / f"{name}.jpg").hardlink_to(original)
            corners = rng.integers(-5, 50, (count, 2))
            sides = rng.integers(4, 20, (count, 2))
            objects = [
                {
                    "tag": "person" if i % 5 else "mask",
                    "fbox": box,
                    "vbox": box,
                    "hbox": box,
                    "head_attr": {"ignore": 0, "occ": 0, "unsure": 0},
                    "extra": {"box_id": i, "occ": 0} if i % 5 else {"ignore": 1},
                }
                for i, box in enumerate(np.concatenate([corners, sides], axis=1).tolist())
            ]
            file.write(json.dumps({"ID": name, "gtboxes": objects}) + "\n")


def dataset_of(index: FrameIndex) -> MosaicDataset:
    """The training dataset as the data module makes it."""
    identities, table = assign_training_identities(index)
    scopes = ambiguity_scopes(index, identities, table)
    return MosaicDataset(index, identities, SIZE, cache_images=0, scopes=scopes)


def work(dataset: MosaicDataset, connection: Any) -> None:
    """What a worker does: draw samples. Sends its memory in MB by kind."""
    rng = np.random.default_rng(0)
    for number in range(SAMPLES):
        frames = tuple(rng.integers(0, len(dataset), 4).tolist())
        dataset[MosaicRequest(frames, (0, 0, number))]
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    connection.send({"RSS": kilobytes["Rss"] / 1024, "PSS": kilobytes["Pss"] / 1024, "private": private / 1024})


def worker_memory(dataset: MosaicDataset) -> dict[str, float]:
    """Memory of a worker that was started, not forked, with a dataset."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(dataset, theirs))
    process.start()
    theirs.close()
    memory: dict[str, float] = ours.recv()
    process.join()
    return memory


def report(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def timed(function: Any, *args: Any) -> tuple[Any, float, float]:
    """Return what a function returns, its seconds, and its seconds of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def speed(frames: int, wall: float, cpu: float) -> str:
    """Frames per second; a shared machine makes the wall clock wait for others."""
    return f"{frames / wall:.0f} frames/s ({wall:.2f} s; {frames / cpu:.0f} frames/s of CPU time)"


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=15_000)
    parser.add_argument("--boxes", type=int, default=440_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root, folder = Path(temporary) / "CrowdHuman", Path(temporary) / "index"
        write_dataset(root, args.frames, args.boxes, np.random.default_rng(0))
        index, *times = timed(FrameIndex.from_readers, [CrowdHuman()], root)
        size = sum(column.nbytes for column in vars(index).values() if isinstance(column, np.ndarray))
        report(f"index                    {len(index)} frames, {len(index.boxes)} boxes, {size / 1e6:.1f} MB")
        report(f"read                     {speed(len(index), *times)}")
        _, *times = timed(IndexCache(folder).index, [CrowdHuman()], root)
        report(f"read and write           {speed(len(index), *times)}")
        stored, seconds, _ = timed(IndexCache(folder).index, [CrowdHuman()], root)
        assert stored.folder is not None
        report(f"load from the cache      {seconds * 1e3:.1f} ms")
        dataset, seconds, _ = timed(dataset_of, stored)
        report(f"number the identities    {seconds * 1e3:.0f} ms")
        _, seconds, _ = timed(find_overlaps, stored, stored)
        _, more, _ = timed(find_duplicates, stored)
        report(f"look for overlaps        {(seconds + more) * 1e3:.0f} ms")
        for what, value, in_memory in (("index", stored, index), ("dataset", dataset, dataset_of(index))):
            sizes = [len(pickle.dumps(one)) / 1e6 for one in (value, in_memory)]
            report(f"pickle of the {what:10} {sizes[0]:.3f} MB from disk, {sizes[1]:.3f} MB from memory")
        base = worker_memory(dataset_of(index.take([0])))
        for what, value in (("disk", dataset), ("memory", dataset_of(index))):
            memory = worker_memory(value)
            growth = ", ".join(f"{kind} {memory[kind] - base[kind]:+.1f} MB" for kind in memory)
            report(f"a worker, index from {what:6} {growth} over {base['RSS']:.0f} MB (RSS)")


if __name__ == "__main__":
    main()
