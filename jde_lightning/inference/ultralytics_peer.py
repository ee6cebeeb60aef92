"""Ultralytics' own ``model.track`` with the detector of one of our networks, as the peer that ``benchmark`` times.

Its weights, image size and thresholds are ours, so that both find the same boxes. Its tracker is BoT-SORT with native
Re-ID, which is what Ultralytics offers for tracking with appearance.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import yaml

from jde_lightning import _ultralytics
from jde_lightning.errors import InputError
from jde_lightning.models.architecture import yolo11
from jde_lightning.models.network import YOLO11JDE


def save_for_ultralytics(network: YOLO11JDE, path: Path) -> None:
    """Write the detector of a network, without its Re-ID branch, as a checkpoint that ``ultralytics.YOLO`` opens.

    Args:
        network: any; it stays as it is.
        path: the file to write, ``.pt``.
    """
    plain = _ultralytics.DetectionModel(yolo11(network.scale, network.num_classes), ch=3, verbose=False)
    own = copy.deepcopy(network.model).cpu()
    for index, layer in enumerate(own[:-1]):
        for name in ("i", "f", "type", "np"):
            setattr(layer, name, getattr(plain.model[index], name))
        plain.model[index] = layer
    head = plain.model[-1]
    head.cv2, head.cv3 = own[-1].cv2, own[-1].cv3
    plain.names = dict(enumerate(network.class_names))
    plain.args, plain.task = {}, "detect"
    torch.save({"model": plain.eval(), "train_args": {}, "version": _ultralytics.VERSION}, path)


def measure_ultralytics(
    network: YOLO11JDE, source: Path, frames: int, image_size: int, conf: float, iou: float, max_det: int
) -> dict[str, Any]:
    """Run ``model.track`` in a process of its own, in its default settings, with results written to text files.

    Args:
        network: whose detector is used.
        source: video file or folder of images.
        frames: how many frames, at most.
        image_size: longest side of the network's input in pixels.
        conf: smallest confidence.
        iou: overlap limit of the suppression.
        max_det: most detections per image.

    Returns:
        ``frames``, ``fps`` from the first frame read to the last one written, ``milliseconds`` of its own stages as
        it reports them, ``version``, ``threads`` that its torch uses, and ``detections_per_frame``.

    Raises:
        InputError: if the run fails; it says how.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "detector.pt"
        save_for_ultralytics(network, weights)
        words = [str(weights), str(source), folder, str(frames), str(image_size), str(conf), str(iou), str(max_det)]
        command = [sys.executable, "-m", "jde_lightning.inference.ultralytics_peer", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        msg = f"Ultralytics' model.track failed with exit code {done.returncode}: {last}"
        raise InputError(msg)
    return dict(json.loads(lines[-1]))


def _track(
    weights: str, source: str, output: str, frames: int, image_size: int, conf: float, iou: float, max_det: int
) -> dict[str, Any]:
    """Track; in the process that :func:`measure_ultralytics` starts."""
    model = _ultralytics.load_yolo(weights)
    tracker = Path(output) / "botsort.yaml"
    tracker.write_text(yaml.safe_dump({**_ultralytics.default_tracker("botsort"), "with_reid": True, "model": "auto"}))
    settings = {"imgsz": image_size, "conf": conf, "iou": iou, "max_det": max_det, "classes": None}
    start = time.perf_counter()
    results = model.track(
        source, tracker=str(tracker), stream=True, save_txt=True, project=output, verbose=False, **settings
    )
    speeds, people = [], 0
    for result in islice(results, frames):
        speeds.append(result.speed)
        people += len(result.boxes)
    seconds = time.perf_counter() - start
    count = max(len(speeds), 1)
    return {
        "frames": len(speeds),
        "fps": len(speeds) / seconds,
        "milliseconds": {name: sum(s[name] for s in speeds) / count for name in (speeds[0] if speeds else {})},
        "detections_per_frame": people / count,
        "version": _ultralytics.VERSION,
        "threads": torch.get_num_threads(),
    }


def _main() -> None:
    """Read the words of :func:`measure_ultralytics`, and print the result as the last line of stdout."""
    parser = argparse.ArgumentParser()
    for name in ("weights", "source", "output"):
        parser.add_argument(name)
    for name in ("frames", "image_size"):
        parser.add_argument(name, type=int)
    for name in ("conf", "iou"):
        parser.add_argument(name, type=float)
    parser.add_argument("max_det", type=int)
    result = _track(**vars(parser.parse_args()))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    _main()
