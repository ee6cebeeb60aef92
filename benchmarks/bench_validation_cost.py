"""What a validation costs beyond the forward pass: decoding, the tracker twice, AP, embeddings, all metrics.

    python benchmarks/bench_validation_cost.py [SEQUENCE] [--weights yolo11n.pt] [--scales n s] [--image-size 640]

SEQUENCE is a folder in the MOT layout, such as MOT17/train/MOT17-09-FRCNN, of which the second half is validated;
without it a synthetic crowd is rendered. With --weights (of the first scale) detections are those of a trained network;
a random one finds nothing or everything. The validation is Trainer.validate with all callbacks of `jde-lightning fit`.
What comes after the forward pass depends on the detections and not on the scale, so for further scales only the forward
pass is measured. Figures are CPU time of the process on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from jde_lightning import JDEDataModule, JDEModule
from jde_lightning.callbacks import DetectionAP, EmbeddingQuality, Pictures, Retrieval, TrackingHOTA
from jde_lightning.data.datasets import FrameDataset
from jde_lightning.data.readers import MOTChallenge
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.models import network
from jde_lightning.models.network import YOLO11JDE

CALLBACKS = (DetectionAP, EmbeddingQuality, Retrieval, TrackingHOTA, Pictures)


class Stopwatch:
    """CPU time by part; a part inside another one counts for itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def run(self, part: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call and add what it took."""
        self._inner.append(0.0)
        start = time.process_time()
        try:
            return call(*args, **kwargs)
        finally:
            taken = time.process_time() - start
            self.seconds[part] = self.seconds.get(part, 0.0) + taken - self._inner.pop()
            if self._inner:
                self._inner[-1] += taken

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Time every call of a function or method as a part."""
        call = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: self.run(part, call, *args, **kwargs))


def watch_parts(watch: Stopwatch) -> None:
    """Say which calls are which part."""
    watch.watch(YOLO11JDE, "forward", "forward")
    watch.watch(JDEModule, "_prepare", "to float")
    watch.watch(network, "decode", "decode and NMS")
    watch.watch(FrameDataset, "__getitem__", "load images")
    watch.watch(JDEDataModule, "setup", "read annotations")
    for callback in CALLBACKS[:-1]:
        watch.watch(callback, "collect", f"{callback.__name__}: collect")
        watch.watch(callback, "compute", f"{callback.__name__}: compute")
    watch.watch(TrackingHOTA, "_track", "TrackingHOTA: tracker, twice")
    watch.watch(TrackingHOTA, "_draw", "TrackingHOTA: pictures")
    for name in ("on_validation_batch_end", "on_validation_epoch_end"):
        watch.watch(Pictures, name, "Pictures")


def make_data(args: argparse.Namespace, folder: Path) -> JDEDataModule:
    """The validation half of the sequence, or a synthetic sequence as long."""
    reader = MOTChallenge(split="val_half", half_convention="centertrack")
    root = args.sequence
    if root is None:
        SyntheticCrowd(train_sequences=1, val_sequences=1, frames=args.frames, stills=1, people=20).write(folder)
        root, reader = folder, MOTChallenge(path="MOT17/val")
    return JDEDataModule(
        root=str(root),
        train=[reader],
        val=[reader],
        image_size=args.image_size,
        batch_size=args.batch_size,
        num_workers=0,
        index_cache=False,
    )


def validate(args: argparse.Namespace, watch: Stopwatch, folder: Path) -> tuple[int, torch.Tensor, dict[str, float]]:
    """Validate once; frames, a batch's images, and the metrics."""
    torch.manual_seed(0)
    module = JDEModule(args.scales[0], weights=args.weights, image_size=args.image_size)
    seen: dict[str, Any] = {"frames": 0, "boxes": 0}

    class Counter(pl.Callback):
        """Counts frames and detections, and keeps the first images."""

        def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *rest: Any) -> None:
            """Count."""
            seen["frames"] += len(outputs.frames)
            seen["boxes"] += sum(len(found.boxes) for found in outputs.detections)
            seen.setdefault("images", batch["images"])

    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[*(callback() for callback in CALLBACKS), Counter()],
        default_root_dir=folder,
        enable_progress_bar=False,
    )
    metrics = watch.run("Lightning and the rest", trainer.validate, module, make_data(args, folder), verbose=False)[0]
    print(
        f"{seen['frames']} frames of {tuple(seen['images'].shape[2:])}, {seen['boxes'] / seen['frames']:.0f} boxes each"
    )
    return seen["frames"], seen["images"], metrics


def forward_seconds(scale: str, images: torch.Tensor, repeats: int) -> float:
    """Median CPU seconds of a forward pass per frame."""
    module = JDEModule(scale).eval()
    seconds = []
    with torch.inference_mode():
        prepared = module._prepare(images)
        for _ in range(repeats + 1):
            start = time.process_time()
            module.network(prepared)
            seconds.append((time.process_time() - start) / len(images))
    return sorted(seconds[1:])[repeats // 2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequence", type=Path, nargs="?")
    parser.add_argument("--weights")
    parser.add_argument("--scales", nargs="+", default=["n", "s"])
    parser.add_argument("--image-size", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--frames", type=int, default=100, help="frames of the synthetic sequence")
    parser.add_argument("--repeats", type=int, default=3, help="forward passes of a batch for each further scale")
    args = parser.parse_args()
    torch.set_num_threads(1)
    watch = Stopwatch()
    watch_parts(watch)
    with tempfile.TemporaryDirectory() as folder:
        frames, images, metrics = validate(args, watch, Path(folder))
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items() if name in ("val/hota", "val/map50")))
    forward = watch.seconds.pop("forward")
    loading, reading = watch.seconds.pop("load images"), watch.seconds.pop("read annotations")
    print(f"\n{'part':34}{'ms a frame':>12}   share of the forward pass of {args.scales[0]}")
    print(f"{'forward':34}{1e3 * forward / frames:12.2f}")
    for part, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        print(f"{part:34}{1e3 * seconds / frames:12.2f}{100 * seconds / forward:10.2f} %")
    print(f"{'(loading images, in the workers)':34}{1e3 * loading / frames:12.2f}")
    print(f"{'(reading annotations, once a run)':34}{1e3 * reading / frames:12.2f}")
    beyond = sum(watch.seconds.values())
    print(f"\nbeyond the forward pass {1e3 * beyond / frames:.2f} ms a frame (needed: below 15 %)")
    print(
        f"  scale {args.scales[0]}: forward {1e3 * forward / frames:7.1f} ms a frame, {100 * beyond / forward:5.1f} %"
    )
    watch.seconds.clear()
    for scale in args.scales[1:]:
        other = forward_seconds(scale, images, args.repeats)
        print(f"  scale {scale}: forward {1e3 * other:7.1f} ms a frame, {100 * beyond / frames / other:5.1f} %")


if __name__ == "__main__":
    main()
