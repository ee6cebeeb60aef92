"""Time of an exported network in onnxruntime and OpenVINO against eager torch, on the same images, with the same steps.

From the repository root:

    OMP_NUM_THREADS=1 python benchmarks/bench_export.py --scale s --image-size 1280

Without ``--weights`` the network is untrained: the arithmetic is the same. All ways take turns in every round, and the
median of the process's CPU time counts, so that others on the machine disturb little. torch computes all embeddings as
the graph does, and once more only those of what was found. ``forward`` is the network and, where it is exported, the
decoding of all boxes, with ``nms`` the suppression too; ``select`` is what is left to do.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from jde_lightning.inference.onnx_export import Suppression, export_onnx
from jde_lightning.inference.onnx_predictor import OnnxPredictor
from jde_lightning.inference.predictor import Predictor
from jde_lightning.models.network import YOLO11JDE

FRAME = (1080, 1920)


def main() -> None:
    """Print a line per way: milliseconds of a frame, and how many times as fast as eager torch it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="checkpoint; an untrained network if omitted")
    parser.add_argument("--scale", default="s")
    parser.add_argument("--image-size", type=int, default=1280)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--conf", type=float, default=0.1)
    parser.add_argument("--image", type=Path, help="a frame; noise if omitted")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Export, take turns, print."""
    weights, size = arguments.weights, arguments.image_size
    if weights is None:
        weights = untrained(arguments.scale, size, folder / "untrained.ckpt")
    files = {
        "dynamic": export_onnx(weights, folder / "dynamic.onnx", size, dynamic_size=True).path,
        "nms": export_onnx(
            weights, folder / "nms.onnx", size, dynamic_size=True, suppression=Suppression(arguments.conf)
        ).path,
    }
    if arguments.image is None:
        images = list(np.random.default_rng(0).integers(0, 255, (arguments.batch_size, *FRAME, 3), dtype=np.uint8))
    else:
        import cv2

        images = [cv2.imread(str(arguments.image))] * arguments.batch_size
    conf = arguments.conf
    torch_predictor = Predictor.from_checkpoint(weights, image_size=size, conf=conf, device="cpu", embeddings="dense")
    height, width = torch_predictor.prepare(images).batches[0].shape[2:]
    files["fixed"] = export_onnx(weights, folder / "fixed.onnx", (height, width)).path
    ways = {
        "torch dense": torch_predictor,
        "torch late": Predictor.from_checkpoint(weights, image_size=size, conf=conf, device="cpu", embeddings="late"),
        "onnxruntime": OnnxPredictor(files["dynamic"], conf=conf, backend="onnxruntime"),
        "onnxruntime fixed": OnnxPredictor(files["fixed"], conf=conf, backend="onnxruntime"),
        "onnxruntime nms": OnnxPredictor(files["nms"], backend="onnxruntime"),
        "openvino fp32": OnnxPredictor(files["dynamic"], conf=conf, backend="openvino"),
        "openvino fp32 nms": OnnxPredictor(files["nms"], backend="openvino"),
        "openvino bf16": OnnxPredictor(files["dynamic"], conf=conf, backend="openvino", precision="bf16"),
    }
    times = {name: {"prepare": [], "forward": [], "select": []} for name in ways}
    found = 0
    for turn in tqdm(range(arguments.repeats + 1), desc="rounds", disable=None):
        for name, predictor in ways.items():
            clock = [time.process_time()]
            prepared = predictor.prepare(images)
            clock.append(time.process_time())
            outputs = [predictor.forward(batch) for batch in prepared.batches]
            clock.append(time.process_time())
            found = len(predictor.postprocess(outputs, prepared)[0])
            clock.append(time.process_time())
            if turn:  # the first is for warming up
                for stage, took in zip(times[name].values(), np.diff(clock), strict=True):
                    stage.append(1000 * took / len(images))
    print(f"{width}x{height}, batches of {len(images)}, {found} detections, {torch.get_num_threads()} thread(s)")
    print(f"{'ms CPU per frame':<20}{'prepare':>9}{'forward':>9}{'select':>9}{'all':>9}{'times as fast':>15}")
    sums = {name: np.median(np.sum(list(stages.values()), axis=0)) for name, stages in times.items()}
    for name, stages in times.items():
        told = "".join(f"{np.median(values):9.2f}" for values in stages.values())
        print(f"{name:<20}{told}{sums[name]:9.2f}{sums['torch dense'] / sums[name]:15.2f}")


def untrained(scale: str, size: int, path: Path) -> Path:
    """Write a checkpoint of an untrained network."""
    torch.manual_seed(0)
    network = YOLO11JDE(scale, 1, 128)
    facts = {"scale": scale, "embed_dim": 128, "class_names": ["person"], "image_size": size}
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": {}, "jde_lightning": facts}, path)
    return path


if __name__ == "__main__":
    main()
