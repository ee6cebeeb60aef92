"""Mosaic throughput of one process on one thread: ours against ultralytics' YOLODataset with the same augmentation.

    python benchmarks/bench_mosaic.py [FOLDER_OF_IMAGES] [--sizes 640 1280] [--batch 16] [--samples 480]

Without a folder it renders 1080p JPEGs of its own. Speeds are CPU time and the contenders take turns batch by batch; on
a shared machine the ratio counts. Like for like: the same images, boxes and augmentation, batches of uint8 images, no
cache on disk or in memory but the buffer of eight batches of decoded images from which ultralytics takes its tiles, and
ours of the same length (which keeps a quarter more, the data module's default). Both decode each image about once in an
epoch; ``paired`` twice, in other batches. ``ours, shared cache`` is not like for like: it decodes each image only once.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jde_lightning import _ultralytics  # noqa: F401  # imports ultralytics without its side effects
from jde_lightning.boxes import xyxy_to_cxcywh
from jde_lightning.data import FrameIndex, MosaicBatchSampler, MosaicDataset, assign_training_identities, collate
from jde_lightning.data.color import ColorChanger
from jde_lightning.data.fused import FusedPainter
from jde_lightning.data.images import IMAGE_SUFFIXES, TileCache, image_size
from jde_lightning.data.painting import UnfusedPainter
from jde_lightning.data.shared_cache import SharedTileCache
from jde_lightning.structures import Batch, FrameAnnotations

BOXES_PER_IMAGE = 22  # CrowdHuman's mean
WARM_UP_IMAGES = 600
STAGES = ("decode", "geometry", "colour", "rest")


class Stopwatch:
    """CPU time by contender and stage; a stage inside another one counts for itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = {}
        self.contender = ""
        self._inner: list[float] = []

    def run(self, stage: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call and add what it took."""
        self._inner.append(0.0)
        start = time.process_time()
        try:
            return call(*args, **kwargs)
        finally:
            taken = time.process_time() - start
            own = self.seconds.setdefault(self.contender, dict.fromkeys(STAGES, 0.0))
            own[stage] += taken - self._inner.pop()
            if self._inner:
                self._inner[-1] += taken

    def watch(self, owner: type, name: str, stage: str) -> None:
        """Time every call of a method as a stage."""
        method = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: self.run(stage, method, *args, **kwargs))


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


def ours(
    index: FrameIndex, size: int, batch: int, mode: str = "buffer", fused: bool = True, shared: bool = False
) -> Iterator[Batch]:
    """Our batches without end."""
    identities, _ = assign_training_identities(index)
    cache: Any = TileCache(10 * batch)
    if shared:
        cache = SharedTileCache(len(index), 16 * 10**9, cache)
    dataset = MosaicDataset(index, identities, size, cache=cache, fused=fused, reduced_decode=fused)
    sampler = MosaicBatchSampler(len(index), batch, mode)
    for epoch in itertools.count():
        sampler.set_epoch(epoch)
        for requests in sampler:
            yield collate.collate_training(dataset[requests])


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


def watch_stages(watch: Stopwatch) -> None:
    """Say which calls of either side are which stage; decoding includes ultralytics' resizing to the tile."""
    from ultralytics.data import augment as theirs_augment
    from ultralytics.data.base import BaseDataset

    watch.watch(BaseDataset, "load_image", "decode")
    watch.watch(theirs_augment.Mosaic, "apply_image", "geometry")
    watch.watch(theirs_augment.RandomPerspective, "apply_image", "geometry")
    watch.watch(theirs_augment.RandomHSV, "__call__", "colour")
    watch.watch(MosaicDataset, "_load", "decode")
    watch.watch(FusedPainter, "paint", "geometry")
    watch.watch(UnfusedPainter, "paint", "geometry")
    watch.watch(ColorChanger, "write", "colour")


def measure(watch: Stopwatch, contenders: dict[str, Iterator[Any]], batch: int, samples: int) -> None:
    """Let the contenders take turns batch by batch, when their buffers and caches are full."""
    for batches in contenders.values():
        for _ in range(max(24, WARM_UP_IMAGES // batch)):
            next(batches)
    watch.seconds.clear()
    for _ in range(-(-samples // batch)):
        for watch.contender, batches in contenders.items():
            watch.run("rest", next, batches)


def report(watch: Stopwatch, size: int, samples: int) -> None:
    """Write speeds, ratios, and milliseconds of each stage."""
    totals = {name: sum(stages.values()) for name, stages in watch.seconds.items()}
    reference = next(iter(totals))
    sys.stdout.write(f"\n{size} px{'':19}  img/s  ratio   ms per image: {'  '.join(f'{s:>14}' for s in STAGES)}\n")
    for name, stages in watch.seconds.items():
        parts = [
            f"{stages[stage] / samples * 1e3:6.2f} ({watch.seconds[reference][stage] / max(stages[stage], 1e-9):4.1f}x)"
            for stage in STAGES
        ]
        speed, ratio = samples / totals[name], totals[reference] / totals[name]
        sys.stdout.write(f"{name:24} {speed:6.1f}   {ratio:4.2f}                  {'  '.join(parts)}\n")
    sys.stdout.flush()


def main() -> None:
    """Run all and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sizes", type=int, nargs="+", default=[640, 1280])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--samples", type=int, default=480)
    args = parser.parse_args()
    cv2.setNumThreads(0)
    watch = Stopwatch()
    watch_stages(watch)
    samples = -(-args.samples // args.batch) * args.batch
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if args.folder is None:
            render_images(folder, 200, rng)
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            parser.error(f"{folder}: no images in this folder, expected files that end in {', '.join(IMAGE_SUFFIXES)}")
        frames = annotate(paths, rng)
        index = FrameIndex.from_frames(frames)
        for size in args.sizes:
            with tempfile.TemporaryDirectory() as labels:
                contenders: dict[str, Iterator[Any]] = {
                    "ultralytics": theirs(frames, size, args.batch, Path(labels)),
                    "ours, buffer": ours(index, size, args.batch),
                    "ours, buffer, unfused": ours(index, size, args.batch, fused=False),
                    "ours, paired": ours(index, size, args.batch, "paired"),
                    "ours, shared cache": ours(index, size, args.batch, shared=True),
                }
                measure(watch, contenders, args.batch, samples)
            report(watch, size, samples)


if __name__ == "__main__":
    main()
