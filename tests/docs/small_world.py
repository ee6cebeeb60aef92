"""A folder with everything that the commands of the documentation speak of, as small as can be."""

from pathlib import Path

import cv2
import numpy as np
import torch
from painted_people import paint
from walking_people import EMBED_DIM

from jde_lightning.inference.onnx_export import export_onnx
from jde_lightning.inference.video import VideoWriter
from jde_lightning.metrics.submission import SEQUENCE_LENGTHS
from jde_lightning.models.network import YOLO11JDE

FRAMES, SIZE = 8, (128, 96)
RUNS = ("own_images", "quickstart")


def write_world(folder: Path) -> None:
    """Write sequences, videos, own images, weights, results and detections below a folder, under the pages' names."""
    for name in ("MOT17-02-FRCNN", "MOT17-09-FRCNN"):
        _sequence(folder / "MOT17" / "train" / name, annotated=True)
        _sequence(folder / "datasets" / "synthetic" / "MOT17" / "val" / name, annotated=True)
    _sequence(folder / "MOT17" / "test" / "MOT17-01-FRCNN", annotated=False)
    _sequence(folder / "crowd" / "MOT17-04-FRCNN", annotated=True, frames=60)
    _sequence(folder / "traffic" / "val" / "crossing", annotated=True)
    for name in ("street.mp4", "video.mp4"):
        with VideoWriter(folder / name, 10.0) as video:
            for frame in range(1, FRAMES + 1):
                video.write(paint(_boxes(frame), SIZE))
    _own_images(folder / "street")
    for name in ("best.ckpt", "last.ckpt", *(f"runs/{run}/version_0/checkpoints/best.ckpt" for run in RUNS)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _weights(folder / name)
    export_onnx(folder / "best.ckpt", folder / "model.onnx", dynamic_size=True)
    for name in ("results", "results_of_halves", "results_of_classes", "results_of_all"):
        (folder / name).mkdir()
    for name in ("MOT17-02-FRCNN", "MOT17-09-FRCNN"):
        row = "{frame},{id},{box},1,-1,-1,-1\n"
        (folder / "results" / f"{name}.txt").write_text(_rows(row))
        (folder / "results_of_halves" / f"{name}.txt").write_text(_rows(row, first=FRAMES // 2 + 2))
    (folder / "results_of_classes" / "crossing.txt").write_text(_rows("{frame},{id},{box},1,1,-1,-1\n"))
    for name in SEQUENCE_LENGTHS["mot17"]:
        (folder / "results_of_all" / f"{name}-FRCNN.txt").write_text("1,1,10,10,20,40,0.9,-1,-1,-1\n")
    (folder / "yolox").mkdir()
    for path in (folder / "yolox" / "MOT17-02-FRCNN.npz", folder / "yolox" / "MOT17-09-FRCNN.npz"):
        _detections(path)
    _detections(folder / "mot17_09_osnet.npz")


def _boxes(frame: int) -> np.ndarray:
    """Two people who walk to the right, ``(2, 4)`` xyxy."""
    left = (np.array([5.0, 60.0]) + 4 * frame) % 104
    return np.stack([left, [20.0, 50.0], left + 20, [60.0, 90.0]], axis=1)


def _rows(pattern: str, first: int = 1, last: int = FRAMES) -> str:
    lines = []
    for frame in range(first, last + 1):
        for number, (x1, y1, x2, y2) in enumerate(_boxes(frame), 1):
            box = f"{x1 + 1:.0f},{y1 + 1:.0f},{x2 - x1:.0f},{y2 - y1:.0f}"
            lines.append(pattern.format(frame=frame, id=number, box=box))
    return "".join(lines)


def _sequence(folder: Path, annotated: bool, frames: int = FRAMES) -> None:
    (folder / "img1").mkdir(parents=True)
    for frame in range(1, frames + 1):
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), paint(_boxes(frame), SIZE))
    lines = [f"name={folder.name}", "imDir=img1", "frameRate=30", f"seqLength={frames}", "imWidth=128", "imHeight=96"]
    (folder / "seqinfo.ini").write_text("\n".join(["[Sequence]", *lines, "imExt=.jpg", ""]))
    if annotated:
        (folder / "gt").mkdir()
        (folder / "gt" / "gt.txt").write_text(_rows("{frame},{id},{box},1,1,1\n", last=frames))


def _own_images(folder: Path) -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for frame in range(1, FRAMES + 1):
            boxes = _boxes(frame + FRAMES * (split == "val"))
            cv2.imwrite(str(folder / "images" / split / f"{frame:04d}.jpg"), paint(boxes, SIZE))
            centers, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2 / SIZE, (boxes[:, 2:] - boxes[:, :2]) / SIZE
            rows = [f"0 {x:.4f} {y:.4f} {w:.4f} {h:.4f}" for (x, y), (w, h) in zip(centers, sizes, strict=True)]
            (folder / "labels" / split / f"{frame:04d}.txt").write_text("\n".join(rows) + "\n")
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [person]\n")


def _weights(path: Path) -> None:
    """Write a checkpoint whose network finds something everywhere."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=EMBED_DIM)
    with torch.no_grad():
        for branch in network.model[-1].cv3:
            branch[2].bias.fill_(3.0)
    facts = {"scale": "n", "embed_dim": EMBED_DIM, "class_names": ["person"], "image_size": 64}
    card = {"epoch": 3, "steps": 40, "measured": {"val/hota": 0.4}}
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save(
        {"state_dict": state, "hyper_parameters": {}, "jde_lightning": facts, "model_card": card, "config_yaml": "{}"},
        path,
    )


def _detections(path: Path) -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(2, EMBED_DIM))
    frames = np.repeat(np.arange(1, FRAMES + 1), 2)
    boxes = np.concatenate([_boxes(frame) for frame in range(1, FRAMES + 1)])
    tlwh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    embedding = np.tile(looks, (FRAMES, 1)) + rng.normal(0, 0.1, (2 * FRAMES, EMBED_DIM))
    np.savez(path, frame=frames, tlwh=tlwh, score=np.full(2 * FRAMES, 0.9), embedding=embedding)
