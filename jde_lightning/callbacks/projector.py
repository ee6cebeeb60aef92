"""Embeddings of validation in TensorBoard's projector, with what they are embeddings of."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np

from jde_lightning.callbacks.projector_files import write_embedding
from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.callbacks.validation import ValidationCallback, gather_from_ranks
from jde_lightning.data.images import decode
from jde_lightning.errors import InputError
from jde_lightning.metrics.box_matching import match_one_to_one
from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.sprites import cut_out, sprite_sheet
from jde_lightning.structures import NO_IDENTITY, Detections, FloatArray, FrameAnnotations, ValidationOutput

_LARGEST_SPRITE = 8192
"""Side in pixels of the largest picture that browsers take for the points."""

Person = tuple[str, str, int]
"""Dataset, sequence and identity; the identity is -1 for everybody of whom nothing is known."""


class ProjectedBox(NamedTuple):
    """One detection that may be shown.

    Attributes:
        turn: random number of its image: in every group, boxes of the images with the smallest numbers come first.
        person: whom it shows.
        frame: number of the frame.
        image_path: the image file.
        box: ``(4,)`` float32 xyxy pixels of the image.
        score: confidence of the detection.
        label: class index.
        embedding: ``(D,)`` float32.
    """

    turn: int
    person: Person
    frame: int
    image_path: Path
    box: FloatArray
    score: float
    label: int
    embedding: FloatArray


class Projector(ValidationCallback):
    """Writes embeddings of validation with crops for the projector of a stock TensorBoard, into the run's folder.

    ``tensorboard --logdir RUN`` shows them under "Projector": PCA, t-SNE and UMAP in the browser, with the crops as
    points, and identity, sequence, frame and confidence to colour and search by. Each epoch is one entry.

    Shown are detections that match an annotated identity, as many of one person as of another, as far as there are
    that many; of images without any identity, detections as they come, each sequence counting as one person. The
    choice depends on the image's name only, so that epochs show the same moments, and few images have to be read.

    Args:
        every_n_epochs: write at the validation of every n-th epoch, and after the last one; 0 is off.
        max_boxes: how many detections are shown at most.
        tile: side of a crop in pixels.
        conf: lowest confidence of a detection that is shown.
        iou: lowest overlap of a detection and the annotation that gives it its identity.
    """

    def __init__(
        self, every_n_epochs: int = 10, max_boxes: int = 500, tile: int = 64, conf: float = 0.25, iou: float = 0.5
    ) -> None:
        super().__init__(every_n_epochs)
        if tile < 8 or max_boxes < 1 or max_boxes > (_LARGEST_SPRITE // max(tile, 1)) ** 2:
            msg = (
                f"projector.max_boxes is {max_boxes} and projector.tile is {tile}, expected 1 or more boxes, tiles of "
                f"8 px or more, and a square of them of {_LARGEST_SPRITE} px or less; every_n_epochs: 0 is off"
            )
            raise InputError(msg)
        for name, value in (("conf", conf), ("iou", iou)):
            if not 0 <= value <= 1:
                msg = f"projector.{name} is {value}, expected a number from 0 to 1"
                raise InputError(msg)
        self.max_boxes = max_boxes
        self.tile = tile
        self.conf = conf
        self.iou = iou
        self.reset()

    def reset(self) -> None:
        """Forget what was collected."""
        self._boxes: dict[Person, list[ProjectedBox]] = defaultdict(list)

    def is_due(self, trainer: pl.Trainer) -> bool:
        """Every n-th epoch, and the last."""
        return super().is_due(trainer) or trainer.current_epoch + 1 == trainer.max_epochs

    def collect(self, output: ValidationOutput) -> None:
        """Add the detections of a batch whose identity is known, and those of images without identities."""
        for frame, found in zip(output.frames, output.detections, strict=True):
            if found.embeddings is None:
                continue
            shown, identities = self._with_identities(frame, found)
            scope, turn = (frame.dataset, frame.sequence or ""), _turn(frame)
            for row, identity in zip(shown, identities, strict=True):
                embedding = found.embeddings[row]
                if not np.isfinite(embedding).all():
                    self.warn_once("projector: embeddings with NaN or infinity are left out")
                    continue
                person = (*scope, int(identity))
                score, label = float(found.scores[row]), int(found.labels[row])
                seen = frame.frame, frame.image_path, found.boxes[row].copy(), score, label, embedding.copy()
                self._boxes[person].append(ProjectedBox(turn, person, *seen))
                if len(self._boxes[person]) >= 2 * self.max_boxes:  # nobody can have more
                    self._boxes[person] = sorted(self._boxes[person], key=_order)[: self.max_boxes]

    def _with_identities(self, frame: FrameAnnotations, found: Detections) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the detections that are shown, and their identities."""
        sure = np.flatnonzero(found.scores >= self.conf)
        known = frame.positive & (frame.identities != NO_IDENTITY)
        if not known.any():
            return sure, np.full(len(sure), NO_IDENTITY)
        rows, columns = match_one_to_one(found.boxes[sure], frame.boxes[known], self.iou)
        return sure[rows], frame.identities[known][columns]

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Choose over all ranks and write; nothing is logged."""
        for boxes in self._boxes.values():
            boxes.sort(key=_order)
        counts: Counter[Person] = Counter()
        for part in gather_from_ranks({person: len(boxes) for person, boxes in self._boxes.items()}):
            counts.update(part)
        most = fair_share(list(counts.values()), self.max_boxes) + 1
        parts = gather_from_ranks([box for boxes in self._boxes.values() for box in boxes[:most]])
        folder, fn = run_folder(trainer), trainer.state.fn
        if folder is not None and fn is not None:
            chosen = balanced([box for part in parts for box in part], self.max_boxes)
            if chosen:
                name = f"epoch_{trainer.current_epoch:04d}" if fn == "fit" else fn.value
                self._write(folder, name, chosen, list(getattr(trainer.lightning_module, "class_names", [])))
            else:
                self.warn_once(f"projector: no detection with a confidence of {self.conf} to show (projector.conf)")
        return {}

    def _write(self, folder: Path, name: str, chosen: list[ProjectedBox], class_names: list[str]) -> None:
        """Write the files of one entry."""
        columns: dict[str, list[Any]] = {
            "person": [_person_name(box.person) for box in chosen],
            "identity": [box.person[2] for box in chosen],
            "sequence": ["/".join(part for part in box.person[:2] if part) or "-" for box in chosen],
            "frame": [box.frame for box in chosen],
            "image": [box.image_path.name for box in chosen],
            "score": [f"{box.score:.3f}" for box in chosen],
        }
        if len(class_names) > 1:
            columns["class"] = [class_names[box.label] for box in chosen]
        sprites = sprite_sheet(self._crops(chosen), self.tile)
        write_embedding(folder, name, np.stack([box.embedding for box in chosen]), columns, sprites, self.tile)

    def _crops(self, chosen: list[ProjectedBox]) -> list[Picture | None]:
        """What each box shows; nothing where the image cannot be read any more. Each image is read once."""
        crops: list[Picture | None] = [None] * len(chosen)
        by_image: dict[Path, list[int]] = defaultdict(list)
        for position, box in enumerate(chosen):
            by_image[box.image_path].append(position)
        for path, positions in by_image.items():
            try:
                image = decode(path)
            except InputError as error:
                self.warn_once(f"projector: boxes without a crop: {error}", key="unreadable")
                continue
            for position in positions:
                crop = cut_out(image, chosen[position].box)
                crops[position] = None if crop is None else crop.copy()  # the image itself need not be kept
        return crops


def fair_share(counts: list[int], total: int) -> int:
    """The largest number that may be taken of every group, as far as it has that many, without exceeding a total.

    Args:
        counts: size of each group.
        total: how many may be taken of all together.

    Returns:
        The number, at most the size of the largest group.
    """
    share, left = 0, total
    sizes = sorted(counts)
    for position, size in enumerate(sizes):
        groups = len(sizes) - position
        step = min(size - share, left // groups)
        share, left = share + step, left - step * groups
        if share < size:
            break
    return share


def balanced(boxes: list[ProjectedBox], total: int) -> list[ProjectedBox]:
    """Choose boxes in rounds: one of everybody, then a second of everybody who has one, up to a total.

    Args:
        boxes: candidates in any order.
        total: how many may be chosen.

    Returns:
        The chosen ones, by person and frame.
    """
    rounds: Counter[Person] = Counter()
    numbered = []
    for box in sorted(boxes, key=_order):
        numbered.append((rounds[box.person], *_order(box), box))
        rounds[box.person] += 1
    numbered.sort(key=lambda entry: entry[:-1])
    return sorted((entry[-1] for entry in numbered[:total]), key=lambda box: (box.person, box.frame, _order(box)))


def _order(box: ProjectedBox) -> tuple[int, Person, str, list[float]]:
    """What boxes are taken in the order of; it does not depend on who had which image."""
    return box.turn, box.person, str(box.image_path), box.box.tolist()


def _turn(frame: FrameAnnotations) -> int:
    """A random number that depends on the image's name only."""
    name = "/".join([frame.dataset, frame.sequence or "", str(frame.frame), frame.image_path.name])
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=6).digest(), "little")


def _person_name(person: Person) -> str:
    """What a point is called."""
    dataset, sequence, identity = person
    return f"{sequence or dataset}/{identity}" if identity != NO_IDENTITY else "unknown"
