"""Writers of the official layouts of MOT17 and CrowdHuman."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.data.synthetic.render import RenderedFrame
from jde_lightning.data.synthetic.street import PERSON, STATIC_PERSON
from jde_lightning.files import written_whole

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write a picture; the folder must exist."""
    path.write_bytes(cv2.imencode(".jpg", image, _JPEG)[1].tobytes())


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write lines with LF ends, the same on every system."""
    with written_whole(path) as temporary:
        temporary.write_bytes("".join(f"{line}\n" for line in lines).encode())


def write_mot_sequence(
    folder: Path, frames: Iterable[RenderedFrame], frame_rate: int, rng: np.random.Generator
) -> None:
    """Write one sequence as the official MOT17 has it: ``img1``, ``gt/gt.txt``, ``det/det.txt``, ``seqinfo.ini``.

    Args:
        folder: the folder of the sequence, named like it; created.
        frames: at least one.
        frame_rate: frames per second.
        rng: source of the detector's errors in ``det.txt``.
    """
    (folder / "img1").mkdir(parents=True, exist_ok=True)
    truth: list[tuple[int, int, str]] = []
    detections: list[str] = []
    number, shape = 0, (0, 0)
    for number, frame in enumerate(frames, start=1):
        write_jpeg(folder / "img1" / f"{number:06d}.jpg", frame.image)
        shape = frame.image.shape[:2]
        for identity, category, box, visibility in zip(
            frame.identities.tolist(), frame.categories.tolist(), frame.boxes.tolist(), frame.visibility, strict=True
        ):
            left, top, right, bottom = box
            flag = int(category == PERSON)
            # Left and top are 1-based in this format.
            place = f"{left + 1},{top + 1},{right - left},{bottom - top}"
            line = f"{number},{identity},{place},{flag},{category},{visibility:.5g}"
            truth.append((identity, number, line))
        detections += _detections(number, frame, rng)
    write_text(folder / "gt" / "gt.txt", (line for _, _, line in sorted(truth)))
    write_text(folder / "det" / "det.txt", detections)
    seqinfo = (
        "[Sequence]", f"name={folder.name}", "imDir=img1", f"frameRate={frame_rate}", f"seqLength={number}",
        f"imWidth={shape[1]}", f"imHeight={shape[0]}", "imExt=.jpg", "",
    )  # fmt: skip
    write_text(folder / "seqinfo.ini", seqinfo)


def _detections(number: int, frame: RenderedFrame, rng: np.random.Generator) -> list[str]:
    """What a detector of moderate quality might find: noisy boxes, misses, false alarms on lookalikes; 7 columns."""
    lines = []
    for category, box, visibility in zip(frame.categories, frame.boxes, frame.visibility, strict=True):
        noise, luck = rng.normal(0, 0.03, 4), rng.random()
        lookalike = category in (STATIC_PERSON, 8)
        if visibility < 0.3 or luck > (0.95 if category == PERSON else 0.4) or not (category == PERSON or lookalike):
            continue
        left, top, right, bottom = box + noise * np.tile([box[2] - box[0], box[3] - box[1]], 2)
        score = float(np.clip(0.35 + 0.6 * visibility + rng.normal(0, 0.05), 0.05, 1.0))
        lines.append(f"{number},-1,{left + 1:.1f},{top + 1:.1f},{right - left:.1f},{bottom - top:.1f},{score:.3f}")
    return lines


def crowdhuman_record(image_id: str, frame: RenderedFrame, rng: np.random.Generator) -> str:
    """One line of an ``.odgt`` file.

    Args:
        image_id: name of the image without suffix.
        frame: the picture.
        rng: decides which of the optional keys are left out, as they are in the official file.

    Returns:
        The JSON text. People of whom nothing is to be seen are left out, as annotators would.
    """
    boxes = []
    for row in range(len(frame.identities)):
        seen = frame.visible_box(row)
        category = int(frame.categories[row])
        if seen is None or category in (3, 9):
            continue
        if category not in (PERSON, STATIC_PERSON):
            boxes.append(_mask(frame.boxes[row]))
            continue
        full, occluded = frame.boxes[row], bool(frame.visibility[row] < 0.9)
        extra = {"box_id": len(boxes), "occ": int(occluded)}
        if not occluded and rng.random() < 0.2:
            del extra["occ"]
        if frame.visibility[row] < 0.08:
            extra["ignore"] = 1
        head = frame.heads[row]
        head_box = [int(np.floor(head[0])), int(np.floor(head[1])), int(np.ceil(head[2])), int(np.ceil(head[3]))]
        head_hidden = head_box[1] < seen[1] - 2 or head_box[0] < 0 or head_box[2] > frame.image.shape[1]
        boxes.append({
            "tag": "person", "fbox": _xywh(full), "vbox": _xywh(seen), "hbox": _xywh(head_box),
            "head_attr": {"ignore": 0, "occ": int(head_hidden), "unsure": 0}, "extra": extra,
        })  # fmt: skip
    return json.dumps({"ID": image_id, "gtboxes": boxes})


def _xywh(box: Iterable[int]) -> list[int]:
    left, top, right, bottom = (int(edge) for edge in box)
    return [left, top, right - left, bottom - top]


def _mask(box: Iterable[int]) -> dict[str, object]:
    area = _xywh(box)
    return {"tag": "mask", "fbox": area, "vbox": area, "hbox": area, "head_attr": {}, "extra": {"ignore": 1}}
