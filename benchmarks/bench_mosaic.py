"""Mosaic throughput of one process on one thread: ours against ultralytics' YOLODataset with the same augmentation.

    python benchmarks/bench_mosaic.py [FOLDER_OF_IMAGES] [--size 640] [--batch 16] [--samples 400]

Without a folder it renders 1080p JPEGs of its own. Speeds are CPU time; on a shared machine the ratio counts.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jde_lightning import _ultralytics  # noqa: F401  # imports ultralytics without its side effects
from jde_lightning.boxes import xyxy_to_cxcywh
from jde_lightning.data import FrameIndex, MosaicBatchSampler, MosaicDataset, assign_training_identities
from jde_lightning.data.collate import collate_training
from jde_lightning.data.images import IMAGE_SUFFIXES, TileCache, image_size
from jde_lightning.structures import Batch, FrameAnnotations

BOXES_PER_IMAGE = 22  # CrowdHuman's mean


def render_images(folder: Path, count: int, rng: np.random.Generator) -> None:
    """Write 1080p JPEGs with coarse and fine structure, about 400 kB each as street scenes have."""
    for i in range(count):
        coarse = cv2.resize(rng.integers(0, 256, (27, 48, 3), dtype=np.uint8), (1920, 1080))
        fine = cv2.resize(rng.integers(0, 40, (360, 640, 3), dtype=np.uint8), (1920, 1080))
        cv2.imwrite(str(folder / f"{i:06d}.jpg"), cv2.add(coarse, fine), [cv2.IMWRITE_JPEG_QUALITY, 90])


def annotate(paths: list[Path], rng: np.random.Generator) -> list[FrameAnnotations]:
    """Invent upright boxes inside each image."""
    frames = []
    for path in paths:
        width, height = image_size(path)
        sides = rng.uniform(0.05, 0.3, (BOXES_PER_IMAGE, 1)) * height * [0.4, 1.0]
        corner = rng.uniform(0, 1, (BOXES_PER_IMAGE, 2)) * ([width, height] - sides)
        n = BOXES_PER_IMAGE
        boxes = np.concatenate([corner, corner + sides], axis=1)
        frames.append(
            FrameAnnotations(path, width, height, boxes, np.zeros(n), np.full(n, -1), np.zeros(n), np.ones(n), "bench")
        )
    return frames


def ours(frames: list[FrameAnnotations], size: int, batch: int, mode: str, reduced: bool) -> Iterator[Batch]:
    """Our batches without end."""
    index = FrameIndex.from_frames(frames)
    identities, _ = assign_training_identities(index)
    dataset = MosaicDataset(index, identities, size, cache=TileCache(10 * batch), reduced_decode=reduced)
    sampler = MosaicBatchSampler(len(index), batch, mode)
    for epoch in itertools.count():
        sampler.set_epoch(epoch)
        for requests in sampler:
            yield collate_training(dataset[requests])


def theirs(frames: list[FrameAnnotations], size: int, batch: int, folder: Path) -> Iterator[Any]:
    """The batches of ultralytics' YOLODataset without end; the labels are written as its text files."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.utils import DEFAULT_CFG

    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for frame in frames:
        (folder / "images" / frame.image_path.name).symlink_to(frame.image_path.resolve())
        rows = np.zeros((len(frame), 5))
        rows[:, 1:] = xyxy_to_cxcywh(frame.boxes) / ([frame.width, frame.height] * 2)
        np.savetxt(folder / "labels" / f"{frame.image_path.stem}.txt", rows, fmt="%d %.6f %.6f %.6f %.6f")
    hyp = get_cfg(DEFAULT_CFG, {"mosaic": 1.0, "scale": 0.5, "translate": 0.1, "fliplr": 0.5, "mixup": 0.0})
    data = {"names": {0: "person"}, "channels": 3}
    dataset = YOLODataset(
        img_path=str(folder / "images"), imgsz=size, augment=True, hyp=hyp, batch_size=batch, data=data, task="detect"
    )
    for epoch in itertools.count():
        order = np.random.default_rng(epoch).permutation(len(dataset))[: len(dataset) // batch * batch]
        for positions in order.reshape(-1, batch).tolist():
            yield dataset.collate_fn([dataset[i] for i in positions])


def measure(contenders: dict[str, Iterator[Any]], batch: int, samples: int) -> dict[str, float]:
    """Images per second of CPU time, after three queue lengths each, the contenders taking turns batch by batch."""
    for batches in contenders.values():
        for _ in range(24):
            next(batches)
    seconds = dict.fromkeys(contenders, 0.0)
    rounds = -(-samples // batch)
    for _ in range(rounds):
        for name, batches in contenders.items():
            start = time.process_time()
            next(batches)
            seconds[name] += time.process_time() - start
    return {name: rounds * batch / taken for name, taken in seconds.items()}


def main() -> None:
    """Run both and write the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=400)
    args = parser.parse_args()
    cv2.setNumThreads(0)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if args.folder is None:
            render_images(folder, 200, rng)
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        frames = annotate(paths, rng)
        with tempfile.TemporaryDirectory() as labels:
            contenders: dict[str, Iterator[Any]] = {
                "ultralytics": theirs(frames, args.size, args.batch, Path(labels)),
                "ours, buffer": ours(frames, args.size, args.batch, "buffer", True),
                "ours, buffer, full decode": ours(frames, args.size, args.batch, "buffer", False),
                "ours, paired": ours(frames, args.size, args.batch, "paired", True),
            }
            speeds = measure(contenders, args.batch, args.samples)
    for name, speed in speeds.items():
        sys.stdout.write(f"{name:26} {speed:6.1f} img/s, ratio {speed / speeds['ultralytics']:.2f}\n")


if __name__ == "__main__":
    main()
