"""A contact sheet of a synthetic crowd, for the eye."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from jde_lightning.data.synthetic.crowd import SyntheticCrowd, render_sequence, render_still
from jde_lightning.data.synthetic.render import RenderedFrame

_COLOURS = {1: (80, 220, 60), 3: (220, 150, 40), 9: (200, 80, 200)}
_IGNORED = (60, 60, 235)


def draw_annotations(frame: RenderedFrame) -> np.ndarray:
    """The picture with its boxes: people green with identity, cars blue, occluders purple, ignored ones red."""
    image = frame.image.copy()
    for identity, category, box in zip(frame.identities, frame.categories.tolist(), frame.boxes, strict=True):
        left, top, right, bottom = (int(edge) for edge in box)
        colour = _COLOURS.get(category, _IGNORED)
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, 1)
        if category == 1:
            corner = (max(left, 0) + 2, max(top, 0) + 10)
            cv2.putText(image, str(identity), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 2, cv2.LINE_AA)
            cv2.putText(image, str(identity), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1, cv2.LINE_AA)
    return image


def contact_sheet(crowd: SyntheticCrowd, columns: int = 3, rows: int = 4) -> np.ndarray:
    """First frames of the sequences and some stills, with boxes.

    Args:
        crowd: the set.
        columns: pictures side by side.
        rows: pictures below each other, at most.

    Returns:
        ``(H, W, 3)`` uint8 BGR; grey where there are fewer pictures.
    """
    p = crowd.parameters
    size = {"width": p["width"], "height": p["height"], "people": p["people"], "seed": p["seed"]}
    splits: tuple[Literal["train", "val"], ...] = ("train", "val")
    sequences = [(split, k) for split in splits for k in range(p[f"{split}_sequences"])]
    tiles = [
        draw_annotations(next(render_sequence(k, split, 1, frame_rate=p["frame_rate"], **size)))
        for split, k in sequences[: columns * rows]
    ]
    missing = columns * rows - len(tiles)
    tiles += [draw_annotations(render_still(k, **size)) for k in range(min(p["stills"], missing))]
    rows = max(-(-len(tiles) // columns), 1)
    blank = np.full((p["height"], p["width"], 3), 128, np.uint8)
    tiles += [blank] * (columns * rows - len(tiles))
    return np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])
