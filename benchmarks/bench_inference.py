"""What each way to run the network takes: late embeddings, precision, compilation, and selecting detections.

    python benchmarks/bench_inference.py modes --scale s --size 736x1280
    python benchmarks/bench_inference.py modes --scale n --size 384x640 --people 30 --compile
    python benchmarks/bench_inference.py gather --scale s
    python benchmarks/bench_inference.py select

Each compares ways to do the same in one run, taking turns, by the median of the CPU time of the process, so that what
else runs on the machine matters little; times of different runs do not compare. ``modes``: prepared images to
detections, per frame. ``gather``: the Re-ID branch alone against the number of anchor points, which is where
``DENSE_SHARE`` comes from. ``select``: raw maps to detections with embeddings, against Ultralytics' NMS that carries
all embeddings.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch

from jde_lightning._ultralytics import Detect
from jde_lightning.inference.kept_memory import keep_freed_memory
from jde_lightning.models import YOLO11JDE, RawMaps, decode
from jde_lightning.models.compiling import CompiledForward
from jde_lightning.models.late_embeddings import embeddings_at
from jde_lightning.models.reid_branch import ReIDBranch

STRIDES = (8, 16, 32)
NOT_FOLDED = ", batch norms not folded"
PERSON = (40, 100)  # pixels of width and height in a frame of 1280 pixels: a street


def take_turns(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of CPU time of each way."""
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    return {name: 1000 * float(np.median(values)) for name, values in times.items()}


def show(times: dict[str, float], baseline: str) -> None:
    """Print a table, each row beside the baseline."""
    for name, value in times.items():
        change = 100 * (value / times[baseline] - 1)
        print(f"| {name} | {value:.1f} | {change:+.0f} % | {times[baseline] / value:.2f} |")


def lively(network: YOLO11JDE, height: int, width: int) -> YOLO11JDE:
    """Give an untrained network batch norms that normalise, so that its maps hold what a trained one's might."""
    for layer in network.train().modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    with torch.no_grad():
        network(torch.rand(1, 3, height // 2 // 32 * 32, width // 2 // 32 * 32))
    return network.eval()


def crowd(shapes: list[tuple[int, int]], people: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of boxes and scores in which so many people stand, each found by about nine cells around its centre.

    Trained networks found 8.5 to 9.4 per detection in frames of MOT17.

    Returns:
        ``(1, 64, A)`` and ``(1, 1, A)`` logits.
    """
    rng = np.random.default_rng(seed)
    height, width = shapes[0][0] * STRIDES[0], shapes[0][1] * STRIDES[0]
    scale = width / 1280
    centres = rng.uniform(0, 1, (people, 2)) * (width, height)
    sizes = np.array(PERSON) * scale * np.exp(rng.normal(0, 0.4, (people, 1)))
    boxes, scores = [], []
    for (rows, columns), stride in zip(shapes, STRIDES, strict=True):
        y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
        points = np.stack((x.ravel(), y.ravel()), axis=1) * stride
        offset = np.abs(points[:, None] - centres) / sizes
        nearest = offset.max(axis=2).argmin(axis=1)
        away = offset[np.arange(len(points)), nearest].max(axis=1)
        centre, half = centres[nearest], sizes[nearest] / 2
        corners = np.concatenate((points - (centre - half), centre + half - points), axis=1) / stride
        bins = np.arange(16)
        boxes.append(-2 * np.abs(bins - np.clip(corners, 0, 15)[..., None]).reshape(len(points), 64))
        # The scale of a person decides which level finds it.
        level = np.abs(np.log2(sizes[nearest, 1] / (10 * stride)))
        scores.append(3 - 22 * away - 3.5 * level + rng.normal(0, 0.3, len(points)))
    to = partial(torch.as_tensor, dtype=torch.float32)
    return to(np.concatenate(boxes)).T[None].contiguous(), to(np.concatenate(scores))[None, None]


def modes(arguments: argparse.Namespace) -> None:
    """Prepared images to detections, in every way."""
    height, width = map(int, arguments.size.split("x"))
    torch.manual_seed(0)
    unfused = lively(YOLO11JDE(arguments.scale), height, width).to(memory_format=torch.channels_last)
    network = unfused.fused()
    images = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    boxes, scores = crowd([(height // s, width // s) for s in STRIDES], arguments.people)
    baseline = "fp32, dense"

    def run(net: YOLO11JDE, forward: Callable[[torch.Tensor], object], precision: str, mode: str) -> list[object]:
        reduced = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with torch.inference_mode(), reduced:
            # The network is untrained: it does all of its work, and people are put into its maps.
            return net.decode(forward(images)._replace(boxes=boxes, scores=scores), embeddings=mode)

    ways: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16"):
        for mode, net in ((m, n) for n in (unfused, network) for m in ("dense", "late")):
            forward = net.forward if mode == "dense" else net.forward_late
            if net is unfused:
                ways[f"{precision}, {mode}{NOT_FOLDED}"] = partial(run, net, forward, precision, mode)
                continue
            ways[f"{precision}, {mode}"] = partial(run, network, forward, precision, mode)
            if arguments.compile:
                compiled = CompiledForward(network, mode == "late")
                ways[f"{precision}, {mode}, compiled"] = partial(run, network, compiled, precision, mode)
    times = take_turns(ways, arguments.repeats)
    found = len(ways[baseline]()[0])
    print(f"scale {arguments.scale}, {width}x{height}, {found} detections, {torch.get_num_threads()} thread(s)\n")
    print("| network | ms | change | times as fast |\n| --- | ---: | ---: | ---: |")
    show(times, baseline)
    pairs = [(p, c) for p in ("fp32", "bf16") for c in (NOT_FOLDED, "", ", compiled") if f"{p}, late{c}" in times]
    for precision, compiled in pairs:
        dense, late = (times[f"{precision}, {mode}{compiled}"] for mode in ("dense", "late"))
        print(f"\nlate against dense, {precision}{compiled}: {100 * (late / dense - 1):+.1f} %", end="")
    print()


def gather(arguments: argparse.Namespace) -> None:
    """The Re-ID branch: everywhere, and for some anchor points."""
    height, width = map(int, arguments.size.split("x"))
    channels = [branch[0].conv.in_channels for branch in YOLO11JDE(arguments.scale).model[-1].cv2]
    branch = ReIDBranch(channels, 128).eval().to(memory_format=torch.channels_last)
    shapes = [(height // s, width // s) for s in STRIDES]
    features = [
        torch.randn(1, c, *shape).contiguous(memory_format=torch.channels_last)
        for c, shape in zip(channels, shapes, strict=True)
    ]
    total = sum(h * w for h, w in shapes)
    print(f"scale {arguments.scale}, {width}x{height}, {total} anchor points\n")
    print("| anchor points | share | fp32 ms | against dense | bf16 ms | against dense |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    columns = {}
    for precision in ("fp32", "bf16"):
        reduced = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with torch.inference_mode(), reduced:
            ways: dict[str, Callable[[], object]] = {"all": lambda: branch(features)}
            for count in (30, 100, 300, 1000, 2000, 4000):
                rows = torch.randperm(total, generator=torch.Generator().manual_seed(0))[:count]
                ways[str(count)] = partial(embeddings_at, branch, features, torch.zeros_like(rows), rows)
            columns[precision] = take_turns(ways, arguments.repeats)
    for name in columns["fp32"]:
        share = 100 if name == "all" else 100 * int(name) / total
        cells = [f"{c[name]:.1f} | {100 * c[name] / c['all']:.0f} %" for c in columns.values()]
        print(f"| {name} | {share:.1f} % | {' | '.join(cells)} |")


def select(arguments: argparse.Namespace) -> None:
    """Raw maps to detections with embeddings of unit norm."""
    from ultralytics.utils.nms import non_max_suppression

    height, width = map(int, arguments.size.split("x"))
    shapes = [(height // s, width // s) for s in STRIDES]
    total = sum(h * w for h, w in shapes)
    head = Detect(1, 16, False, (16, 16, 16))
    head.stride = torch.tensor(STRIDES, dtype=torch.float32)
    print(f"{width}x{height}, embeddings of 128 numbers\n")
    print("| people | candidates | detections | carried ms | ours ms | times as fast | the same |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for people in (30, 100, 250):
        boxes, scores = crowd(shapes, people)
        raw = RawMaps(boxes, scores, torch.randn(1, 128, total), tuple(shapes))
        # As our network leaves them: the values of an anchor point lie together.
        own = RawMaps(*(t.transpose(1, 2).contiguous().transpose(1, 2) for t in raw[:3]), raw.shapes)
        features = [torch.empty(1, 1, *shape) for shape in shapes]

        def carried(raw: RawMaps = raw, features: list[torch.Tensor] = features) -> torch.Tensor:
            """As the authors do: decode all boxes, join them with all embeddings, and suppress."""
            decoded = head._inference({"boxes": raw.boxes, "scores": raw.scores, "feats": features})
            found = non_max_suppression(torch.cat((decoded, raw.embeddings), dim=1), 0.1, 0.7, nc=1, max_time_img=99)[0]
            found[:, 6:] = torch.nn.functional.normalize(found[:, 6:], dim=1)
            return found

        with torch.inference_mode():
            ways = {"carried": carried, "ours": partial(decode, own, STRIDES, 0.1, 0.7)}
            times = take_turns(ways, arguments.repeats)
            theirs, ours = carried(), decode(own, STRIDES, 0.1, 0.7)[0]
        same = len(theirs) == len(ours) and np.allclose(theirs[:, 6:], ours.embeddings, atol=1e-5)
        same = same and np.allclose(theirs[:, :4], ours.boxes, atol=1e-2)
        candidates = int((scores.sigmoid() > 0.1).sum())
        cells = f"{times['carried']:.2f} | {times['ours']:.2f} | {times['carried'] / times['ours']:.2f}"
        print(f"| {people} | {candidates} | {len(ours)} | {cells} | {'yes' if same else 'NO'} |")


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("modes", "gather", "select"))
    parser.add_argument("--scale", choices=tuple("nsmlx"), default="s")
    parser.add_argument("--size", default="736x1280", metavar="HxW", help="of the network's input")
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--compile", action="store_true", help="compiled networks too")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    keep_freed_memory()  # as the verbs do
    torch.set_num_threads(arguments.threads)
    {"modes": modes, "gather": gather, "select": select}[arguments.what](arguments)


if __name__ == "__main__":
    main()
