"""The synthetic crowd as somebody with a camera and a labelling tool has it: pictures, YOLO labels, no identities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from jde_lightning.data.synthetic.crowd import render_sequence, render_still
from jde_lightning.data.synthetic.layouts import write_jpeg, write_text
from jde_lightning.data.synthetic.render import RenderedFrame
from jde_lightning.data.synthetic.street import PERSON, STATIC_PERSON


def write_labelled_folder(
    folder: Path, train: int = 80, val: int = 20, video_frames: int = 60, seed: int = 0, progress: bool = False
) -> None:
    """Write ``data.yaml``, ``images`` and ``labels`` of two splits, and ``camera``: the frames of a video to track in.

    Files that are there are written again, with the same content.

    Args:
        folder: to write to; created.
        train: pictures to train on.
        val: pictures to validate on.
        video_frames: frames of the video, at 15 a second.
        seed: another seed gives other streets and people.
        progress: show a progress bar on stderr.
    """
    with tqdm(total=train + val + video_frames, desc="render", unit="image", disable=None if progress else True) as bar:
        for split, numbers in (("train", range(train)), ("val", range(train, train + val))):
            images, labels = folder / "images" / split, folder / "labels" / split
            images.mkdir(parents=True, exist_ok=True)
            for number in numbers:
                frame = render_still(number, seed=seed)
                write_jpeg(images / f"{number:04d}.jpg", frame.image)
                write_text(labels / f"{number:04d}.txt", yolo_lines(frame))
                bar.update()
        (folder / "camera").mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(render_sequence(0, "val", video_frames, seed=seed), start=1):
            write_jpeg(folder / "camera" / f"{number:06d}.jpg", frame.image)
            bar.update()
    lines = ("path: .", "train: images/train", "val: images/val", "names: [person]")
    write_text(folder / "data.yaml", lines)


def yolo_lines(frame: RenderedFrame, min_visibility: float = 0.1) -> list[str]:
    """The lines of a label file: class 0, centre and size of whole people in fractions of the picture.

    Args:
        frame: the picture.
        min_visibility: people of whom less is seen are not labelled.
    """
    height, width = frame.image.shape[:2]
    people = np.isin(frame.categories, (PERSON, STATIC_PERSON)) & (frame.visibility >= min_visibility)
    boxes = frame.boxes[people] / np.array([width, height, width, height])
    centers, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return [f"0 {x:.6f} {y:.6f} {w:.6f} {h:.6f}" for (x, y), (w, h) in zip(centers, sizes, strict=True)]
