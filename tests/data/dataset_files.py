"""Small datasets on disk in the official layouts, with their official and unofficial quirks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from jde_lightning.structures import FrameAnnotations


def write_image(path: Path, width: int = 64, height: int = 48, color: tuple[int, int, int] = (90, 120, 60)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), color, np.uint8))


def write_sequence(
    folder: Path, lines: list[str], frames: int = 4, seqinfo: str | None = "official", suffix: str = ".jpg"
) -> Path:
    """Write one MOTChallenge sequence; ``seqinfo`` is the file's text, ``"official"``, or ``None`` for no file."""
    for frame in range(1, frames + 1):
        write_image(folder / "img1" / f"{frame:06d}{suffix}")
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("\n".join(lines) + "\n")
    if seqinfo == "official":
        seqinfo = (
            f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=25\nseqLength={frames}\n"
            f"imWidth=64\nimHeight=48\nimExt={suffix}\n\n"
        )
    if seqinfo is not None:
        (folder / "seqinfo.ini").write_text(seqinfo)
    return folder


def make_frame(path: Path | str = "x.jpg", count: int = 2, **changes: object) -> FrameAnnotations:
    """One annotated frame of 64 x 48 pixels with ``count`` boxes; the file need not exist."""
    values = {
        "image_path": Path(path),
        "width": 64,
        "height": 48,
        "boxes": np.tile([4, 6, 20, 40], (count, 1)) + np.arange(count)[:, None],
        "labels": np.zeros(count),
        "identities": np.arange(count),
        "roles": np.zeros(count),
        "visibility": np.ones(count),
        "dataset": "D",
    }
    return FrameAnnotations(**{**values, **changes})
