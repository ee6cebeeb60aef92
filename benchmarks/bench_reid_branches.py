"""Parameters and FLOPs of every scale and Re-ID branch, as the table of docs/reid_branches.md.

    python benchmarks/bench_reid_branches.py [--size 640] [--embed-dim 128]

FLOPs are those of torch's FlopCounter, which counts convolutions and matrix products with 1 multiply-add = 2 FLOPs, of
one image. The networks lie on the meta device: nothing is computed, so it takes seconds.
"""

from __future__ import annotations

import argparse
import itertools

import torch
from torch.utils.flop_counter import FlopCounterMode

from jde_lightning.models import YOLO11JDE
from jde_lightning.models.architecture import SCALES
from jde_lightning.models.reid_branch import REID_KINDS

HEADER = (
    "| scale | branch | parameters | of the branch | GFLOPs | of the branch | on top of the detector |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
)


def measure(network: YOLO11JDE, size: int) -> tuple[int, int, int, int]:
    """Parameters of the network and of its branch, and FLOPs of both for one square image of ``size`` pixels."""
    branch = network.model[-1].cv4
    parameters = [sum(p.numel() for p in module.parameters()) for module in (network, branch)]
    network = network.to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, size, size, device="meta"))
    flops = next(counts for name, counts in counter.get_flop_counts().items() if name.endswith(".cv4"))
    return parameters[0], parameters[1], counter.get_total_flops(), sum(flops.values())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=640, help="side of the image in pixels")
    parser.add_argument("--embed-dim", type=int, default=128)
    arguments = parser.parse_args()
    print(HEADER)
    for scale in SCALES:
        rows = []
        for kind, fusion in itertools.product(REID_KINDS, (False, True)):
            network = YOLO11JDE(scale, 1, arguments.embed_dim, kind, fusion)
            rows.append((f"{kind}, fused" if fusion else kind, *measure(network, arguments.size)))
        _, total, own, flops, own_flops = rows[0]
        detector, detector_flops = total - own, flops - own_flops
        for name, total, own, flops, own_flops in [("none", detector, 0, detector_flops, 0), *rows]:
            gflops = f"{flops / 1e9:.2f} | {own_flops / 1e9:.2f} | {100 * own_flops / detector_flops:.1f} %"
            print(f"| {scale} | {name} | {total:,} | {own:,} | {gflops} |")


if __name__ == "__main__":
    main()
