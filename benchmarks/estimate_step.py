"""FLOPs, bytes, memory and time of a training step on paper: the tables and the picture of docs/performance.md.

    python benchmarks/estimate_step.py [--scale s] [--image-size 1280] [--batch-size 64] [--gpus 8] [--picture FILE.png]

Counted, with the real network on the meta device: FLOPs of the forward pass (torch's FlopCounterMode), what the
convolutions put out, and what autograd keeps for the backward pass. The backward pass is taken as twice the forward:
FlopCounterMode counts that of grouped convolutions as if they were not grouped. Assumed, as arguments: what a GPU can
do. Everything else follows from these; nothing here is measured.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jde_lightning.models import YOLO11JDE

GB = 1e9
TOP_K = 10  # anchors that the assigner gives an object
ASSIGNER_TENSORS = 8  # of (batch, boxes, anchors) float32, alive at a time in ultralytics' TaskAlignedAssigner
PASSES_OVER_ACTIVATIONS = 13  # conv writes, norm reads twice and writes, SiLU reads and writes; about the same backward
MINING_TILE = 128 * 8192 * 4 * 3


@dataclass
class Counts:
    """What is counted for one image.

    Attributes:
        forward_flops: of a forward pass, one multiply-add is 2.
        step_flops: of a forward and a backward pass, three times the forward.
        conv_outputs: elements of the outputs of all convolutions.
        saved: elements of what autograd keeps for the backward pass, parameters left out.
        parameters: of the network.
        anchors: of all levels.
    """

    forward_flops: float
    step_flops: float
    conv_outputs: int
    saved: int
    parameters: int
    anchors: int


def count(scale: str, image_size: int) -> Counts:
    """Count for one square image; nothing is computed."""
    network = YOLO11JDE(scale).train().to("meta")
    own = {t.untyped_storage()._cdata for t in (*network.parameters(), *network.buffers())}
    conv_outputs = 0
    kept: dict[int, torch.UntypedStorage] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal conv_outputs
        conv_outputs += output.numel()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    images = torch.empty(1, 3, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as flops, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        raw = network(images)
    saved = sum(storage.nbytes() for storage in kept.values()) // 4
    parameters = sum(p.numel() for p in network.parameters())
    forward = flops.get_total_flops()
    return Counts(forward, 3 * forward, conv_outputs, saved, parameters, raw.scores.shape[2])


def memory(counts: Counts, batch: int, boxes: int, bytes_per_value: int, mined: int) -> dict[str, float]:
    """GB by part on one GPU, for ``batch`` images with up to ``boxes`` boxes."""
    return {
        "activations": counts.saved * batch * bytes_per_value / GB,
        "assigner": batch * boxes * counts.anchors * 4 * ASSIGNER_TENSORS / GB,
        "mining": (mined * 128 * 4 * 6 + MINING_TILE) / GB,
        "weights": counts.parameters * 4 / GB,
        "gradients (and DDP's buckets)": counts.parameters * 4 * 2 / GB,
        "optimiser (SGD; AdamW twice)": counts.parameters * 4 / GB,
        "EMA": counts.parameters * 4 / GB,
    }


def draw(parts: dict[str, dict[str, float]], capacity: float, path: Path) -> None:
    """Memory by part as stacked bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(parts, 0.0)
    for part in next(iter(parts.values())):
        values = [parts[name][part] for name in parts]
        axes.barh(list(parts), values, left=list(left.values()), label=part)
        left = {name: left[name] + value for name, value in zip(parts, values, strict=True)}
    axes.axvline(capacity, color="black", linestyle="--", linewidth=1)
    axes.text(capacity, -0.6, f" {capacity:.0f} GB", va="bottom", fontsize=8)
    axes.set_xlabel("GB on one GPU, estimated")
    axes.invert_yaxis()
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="s")
    parser.add_argument("--image-size", type=int, default=1280)
    parser.add_argument("--batch-size", type=int, default=64, help="images of a step, over all GPUs")
    parser.add_argument("--boxes", type=int, default=300, help="boxes of the densest image, which the assigner pads to")
    parser.add_argument("--mean-boxes", type=int, default=90, help="boxes of a mosaic (4 x 22 of CrowdHuman)")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--bf16", type=float, default=790, help="TFLOP/s that large bf16 products sustain (H200)")
    parser.add_argument("--fp32", type=float, default=60, help="TFLOP/s in float32 without tensor cores (H200)")
    parser.add_argument("--bandwidth", type=float, default=4.8, help="TB/s of the GPU's memory (H200)")
    parser.add_argument("--link", type=float, default=0.3, help="TB/s of an all-reduce between the GPUs of a node")
    parser.add_argument("--capacity", type=float, default=141, help="GB of the GPU's memory (H200)")
    parser.add_argument("--eager", type=float, nargs=2, default=[3, 5], help="a real run is so many times slower")
    parser.add_argument("--mosaic-rate", type=float, default=95, help="images/s of one core, bench_mosaic.py")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    counts = count(args.scale, args.image_size)
    print(f"scale {args.scale}, {args.image_size} px; of one image:")
    print(f"  forward {counts.forward_flops / 1e9:.1f} GFLOP, forward and backward {counts.step_flops / 1e9:.1f}")
    print(f"  outputs of convolutions {counts.conv_outputs / 1e6:.0f} M, kept for backward {counts.saved / 1e6:.0f} M")
    print(f"  parameters {counts.parameters / 1e6:.2f} M, anchors {counts.anchors:,}\n")
    print("| | 1 GPU | " + f"{args.gpus} GPUs |\n| --- | ---: | ---: |")
    rows: dict[str, list[str]] = {}
    bars = {}
    for gpus in (1, args.gpus):
        batch = args.batch_size // gpus
        mined = batch * args.mean_boxes * TOP_K
        flops = counts.step_flops * batch
        moved = counts.conv_outputs * batch * 2 * PASSES_OVER_ACTIVATIONS
        pairs = batch * args.boxes * counts.anchors * 4
        times = {
            "products in bf16, ms": flops / (args.bf16 * 1e12),
            "activations through memory in bf16, ms": moved / (args.bandwidth * 1e12),
            "assigner, 2 passes over 8 tensors, ms": pairs * ASSIGNER_TENSORS * 2 / (args.bandwidth * 1e12),
            f"mining in float32 (N = {mined:,}), ms": mined**2 * 128 * 2 / (args.fp32 * 1e12)
            + mined**2 * 4 * 4 / (args.bandwidth * 1e12),
            "all-reduce of the gradients (hidden in backward), ms": 0.0
            if gpus == 1
            else 2 * counts.parameters * 4 / (args.link * 1e12),
        }
        first, second, assigner, mining, _ = times.values()
        ideal = max(first, second) + assigner + mining
        rows.setdefault("images of a GPU", []).append(str(batch))
        rows.setdefault("TFLOP of a GPU", []).append(f"{flops / 1e12:.1f}")
        for name, seconds in times.items():
            rows.setdefault(name.split(" (N")[0], []).append(
                f"{1e3 * seconds:.1f}" + (f" (N = {mined:,})" if "(N" in name else "")
            )
        rows.setdefault("**step, physical limit, ms**", []).append(f"{1e3 * ideal:.0f}")
        slow = [1e3 * ideal * factor for factor in args.eager]
        rows.setdefault("**step expected (3 to 5 times that), ms**", []).append(f"{slow[0]:.0f} to {slow[1]:.0f}")
        speed = [args.batch_size / (1e-3 * s) for s in slow[::-1]]
        rows.setdefault("images/s that the loaders must deliver", []).append(f"{speed[0]:.0f} to {speed[1]:.0f}")
        cores = [rate / args.mosaic_rate for rate in speed]
        rows.setdefault(f"cores at {args.mosaic_rate:.0f} images/s each", []).append(
            f"{cores[0]:.0f} to {cores[1]:.0f}"
        )
        for name, size in (("bf16-mixed", 2), ("float32", 4)):
            bars[f"{gpus} GPU{'s' * (gpus > 1)}, {name}"] = memory(counts, batch, args.boxes, size, mined)
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| GB of a GPU | " + " | ".join(bars) + " |\n| --- |" + " ---: |" * len(bars))
    for part in next(iter(bars.values())):
        print(f"| {part} | " + " | ".join(f"{bar[part]:.2f}" for bar in bars.values()) + " |")
    print("| **all** | " + " | ".join(f"**{sum(bar.values()):.0f}**" for bar in bars.values()) + " |")
    if args.picture is not None:
        draw(bars, args.capacity, args.picture)


if __name__ == "__main__":
    main()
