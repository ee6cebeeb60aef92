"""Coloured rectangles that walk through grey images, and a detector that finds them, well enough to be measured."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from jde_lightning.data.readers.base import Reader
from jde_lightning.structures import NO_IDENTITY, Detections, FrameAnnotations

GREY = 114
PERSON = np.array([14, 30])
COLORS = np.array([[230, 40, 40], [40, 200, 60], [50, 70, 240], [230, 200, 30], [210, 50, 220], [40, 210, 220]])


class Scene(NamedTuple):
    """A sequence, or single images.

    Attributes:
        name: name of the sequence; ``None`` for single images.
        frames: number of images.
        people: how many are annotated.
        identities: whether they have identities.
        painted: whether they can be seen, and so found.
        size: width and height of the images in pixels.
    """

    name: str | None
    frames: int
    people: int = 4
    identities: bool = True
    painted: bool = True
    size: tuple[int, int] = (128, 96)


class Painted(Reader):
    """Reads scenes as one dataset; the images are painted where they are missing."""

    def __init__(self, scenes: list[Scene], name: str = "D") -> None:
        super().__init__(name)
        self.scenes = scenes

    def frames(self, root: Path) -> Iterator[FrameAnnotations]:
        for number, scene in enumerate(self.scenes):
            rng = np.random.default_rng([number, 7])
            width, height = scene.size
            start = np.stack([rng.uniform(0, width - 20, scene.people), rng.uniform(0, height - 34, scene.people)], 1)
            speed = rng.uniform(-9, 9, (scene.people, 2))
            for frame in range(1, scene.frames + 1):
                room = np.array([width - 20, height - 34])
                corners = np.round(room - abs((start + speed * frame) % (2 * room) - room))  # turns round at the edges
                boxes = np.concatenate([corners, corners + PERSON], axis=1)
                path = root / self.name / f"{number}" / f"{frame:06d}.png"
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    assert cv2.imwrite(str(path), paint(boxes if scene.painted else boxes[:0], scene.size))
                identities = np.arange(1, scene.people + 1) if scene.identities else np.full(scene.people, NO_IDENTITY)
                yield FrameAnnotations(
                    image_path=path,
                    width=width,
                    height=height,
                    boxes=boxes,
                    labels=np.zeros(scene.people),
                    identities=identities,
                    roles=np.zeros(scene.people),
                    visibility=np.ones(scene.people),
                    dataset=self.name,
                    sequence=scene.name,
                    frame=frame if scene.name else 0,
                    frame_rate=30.0 if scene.name else 0.0,
                )


def paint(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A BGR image with a rectangle of its own colour for each box."""
    image = np.full((size[1], size[0], 3), GREY, np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int).tolist()):
        image[y1:y2, x1:x2] = COLORS[number % len(COLORS)]
    return image


def find_colors(images: torch.Tensor, blindness: float = 0.1) -> list[Detections]:
    """Find what is not grey, with errors that follow from the pixels of the image alone.

    Args:
        images: ``(B, 3, H, W)`` float RGB in 0..1.
        blindness: share of the people who are not found.
    """
    return [_find(image.permute(1, 2, 0).numpy(), blindness) for image in images]


def _find(image: np.ndarray, blindness: float) -> Detections:
    rng = np.random.default_rng(zlib.crc32(image.tobytes()))
    mask = (image.max(axis=2) - image.min(axis=2) > 0.2).astype(np.uint8)
    _, _, stats, centers = cv2.connectedComponentsWithStats(mask)
    stats, centers = stats[1:][stats[1:, 4] > 40], centers[1:][stats[1:, 4] > 40]
    boxes = np.concatenate([stats[:, :2], stats[:, :2] + stats[:, 2:4]], axis=1) + rng.normal(0, 1, (len(stats), 4))
    looks = np.array([image[round(y), round(x)] for x, y in centers]).reshape(-1, 3)
    strays = rng.integers(0, 2) if len(boxes) else 0
    corner = rng.uniform(0, 60, (strays, 2))
    boxes = np.concatenate([boxes, np.concatenate([corner, corner + PERSON], axis=1)])
    looks = np.concatenate([looks, rng.uniform(0, 1, (strays, 3))]) + rng.normal(0, 0.25, (len(boxes), 3))
    # scores of a few steps only, so that many are equal
    scores = np.concatenate([rng.choice([0.7, 0.8, 0.9], len(stats)), np.full(strays, 0.7)])
    seen = rng.random(len(boxes)) >= blindness
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    return Detections(boxes[seen], scores[seen], None, looks[seen])
