"""Whether the embedding recognises a box in another view of its image, at validation, without annotated identities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import lightning.pytorch as pl
import numpy as np
import torch

from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.callbacks.validation import ValidationCallback, gather_from_ranks
from jde_lightning.callbacks.view_pairs import PairedEmbeddings, ViewedBoxes, image_generator, view_boxes
from jde_lightning.data.views import ViewAugmentation, make_views
from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.metrics.cross_view import cross_view_metrics
from jde_lightning.plots.frames import draw_training_batch
from jde_lightning.structures import (
    NO_IDENTITY,
    Batch,
    BoolArray,
    Detections,
    FloatArray,
    FrameAnnotations,
    ValidationOutput,
)

_PICTURED = 6
"""Pairs of views in the picture."""
_FEW = 20
"""Fewer boxes that were compared say nothing, however well they do."""


class ViewRetrieval(ValidationCallback):
    """Logs how well the embedding recognises a box in another view of its image; no identity is needed.

    Of some validation images two views are made, changed as training changes images but always the same, so that
    epochs compare. The network runs on both, and detections that match the same box in both views are compared:

    * ``view_map`` and ``view_rank1``: each box of the first view is searched among the boxes of the second view, of all
      images. With one right answer, average precision is the reciprocal of its rank. Frames of one sequence may show
      the same person: they are not searched for each other's boxes.
    * ``view_cosine_gap``: mean cosine similarity of the same box in both views, less that of different boxes of one
      image, who are certainly different people.
    * ``view_found``: share of the boxes that were found in both views, which the above are about, and ``view_boxes``,
      their number. Guessing gives a rank-1 of one over it. More boxes are harder to tell apart: compare numbers
      with a similar ``view_found``.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
        data: which datasets are measured: those in which no box has an identity, where other measures of the embedding
            are undefined, or all.
        boxes: what is looked for: annotated boxes, or, where nothing is annotated, what is detected in the plain image.
        max_images: how many images are measured, about, spread over the whole set; each takes two forward passes.
        conf: lowest confidence of a detection that is measured.
        iou: lowest overlap of a detection and its box.
        min_visible: smallest share of a box that both views must show.
        augmentation: how much the views may differ; as in the paper's training if omitted.
        seed: seed of the choice of images and of the views.
        pictures: save some pairs of views in the run's folder; a box is thick where it was found in both.
    """

    def __init__(
        self,
        every_n_epochs: int = 1,
        data: Literal["without_identities", "all"] = "without_identities",
        boxes: Literal["annotated", "detected"] = "annotated",
        max_images: int = 200,
        conf: float = 0.1,
        iou: float = 0.5,
        min_visible: float = 0.5,
        augmentation: ViewAugmentation | None = None,
        seed: int = 0,
        pictures: bool = True,
    ) -> None:
        super().__init__(every_n_epochs)
        if max_images < 1:
            msg = f"view_retrieval.max_images is {max_images}, expected at least 1; every_n_epochs: 0 is off"
            raise InputError(msg)
        for name, value in (("conf", conf), ("iou", iou), ("min_visible", min_visible)):
            if not 0 <= value <= 1:
                msg = f"view_retrieval.{name} is {value}, expected a number from 0 to 1"
                raise InputError(msg)
        self.data = data
        self.boxes = boxes
        self.max_images = max_images
        self.conf = conf
        self.iou = iou
        self.min_visible = min_visible
        self.augmentation = augmentation or ViewAugmentation()
        self.seed = seed
        self.pictures = pictures
        self._identified: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Forget what was collected; datasets in which an identity was seen stay known."""
        self._pairs: list[PairedEmbeddings] = []
        self._drawn: list[tuple[Any, FloatArray, Any]] = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Run the network on two views of the images that are measured; it holds the averaged weights, if there are."""
        if not self._active:
            return
        viewed = self._viewed(trainer, outputs, batch)
        for row in [row for row, boxes in viewed.items() if not len(boxes)]:
            self._add(outputs.frames[row], viewed.pop(row), None)
        if not viewed:
            return
        images = batch["images"][list(viewed)]
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            pixels = [make_views(images, [boxes.views[k] for boxes in viewed.values()]) for k in range(2)]
            found = [pl_module(one) for one in pixels]
        for position, (row, boxes) in enumerate(viewed.items()):
            both = self._add(outputs.frames[row], boxes, (found[0][position], found[1][position]))
            if self.pictures and trainer.is_global_zero and len(self._drawn) < _PICTURED:
                self._keep_picture(pixels[0][position], pixels[1][position], boxes, both)

    on_test_batch_end = on_validation_batch_end

    def _viewed(self, trainer: pl.Trainer, outputs: ValidationOutput, batch: Batch) -> dict[int, ViewedBoxes]:
        """The images of a batch that are measured, by their number, with their boxes in both views."""
        for frame in outputs.frames:
            if (frame.identities[frame.positive] != NO_IDENTITY).any():
                self._identified.add(frame.dataset)
        share = self.max_images / max(_num_images(trainer), 1)
        height, width = batch["images"].shape[-2:]
        viewed = {}
        for row, (frame, found) in enumerate(zip(outputs.frames, outputs.detections, strict=True)):
            rng = image_generator(frame, self.seed)
            if rng.random() >= share or (self.data != "all" and frame.dataset in self._identified):
                continue
            boxes = frame.boxes[frame.positive] if self.boxes == "annotated" else found.boxes[found.scores >= self.conf]
            fit = batch["letterboxes"][row]
            viewed[row] = view_boxes(boxes, frame, fit, (height, width), self.augmentation, self.min_visible, rng)
        return viewed

    def _add(
        self, frame: FrameAnnotations, boxes: ViewedBoxes, found: tuple[Detections, Detections] | None
    ) -> BoolArray:
        """Keep the embeddings of the boxes that were found in both views, and return ``(N,)`` bool which these are."""
        if found is None or found[0].embeddings is None or found[1].embeddings is None:
            empty = np.zeros((0, 1), np.float32)
            self._pairs.append(PairedEmbeddings(frame.key, len(boxes), empty, empty))
            return np.zeros(len(boxes), bool)
        rows = [boxes.found(view, one, self.conf, self.iou) for view, one in enumerate(found)]
        both = (rows[0] >= 0) & (rows[1] >= 0)
        first, second = (one.embeddings[row[both]] for one, row in zip(found, rows, strict=True))  # type: ignore[index]
        self._pairs.append(PairedEmbeddings(frame.key, len(boxes), first, second))
        return both

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Compute over all ranks; what is undefined is left out."""
        parts = gather_from_ranks((self._pairs, self._identified))
        self._identified = set().union(*(identified for _, identified in parts))
        # in an order that does not depend on who had which image
        pairs = sorted((pair for part, _ in parts for pair in part), key=lambda pair: pair.key)
        if self.data != "all":
            # images that were measured before the first identity of their dataset was seen
            pairs = [pair for pair in pairs if pair.key[0] not in self._identified]
        folder = run_folder(trainer)
        if self._drawn and folder is not None:
            self._save_picture(folder / "pictures")
        seen, compared = sum(pair.seen for pair in pairs), [pair for pair in pairs if len(pair.first)]
        count = sum(len(pair.first) for pair in compared)
        values = _compare(compared)
        if trainer.is_global_zero and not {"map", "cosine_gap"} <= set(values):
            self._warn(len(pairs), seen, count, "map" in values)
        if trainer.is_global_zero and "map" in values and count < _FEW:
            text = (
                f"view_map and view_rank1 compare {count} boxes only, of {seen}: they say nothing about the embedding"
            )
            self.warn_once(f"{text}; see view_boxes in later epochs", key="few")
        logged = {f"view_{name}": value for name, value in values.items()}
        return logged | ({"view_found": count / seen, "view_boxes": count} if seen else {})

    def _warn(self, images: int, seen: int, count: int, searched: bool) -> None:
        """Say what is left out and why; that all data have identities needs no word."""
        if not images:
            return
        if not seen:
            why = f"none of {images} images has a box that two views show"
            if self.boxes == "annotated":
                why += "; without annotations, set view_retrieval.boxes: detected"
        elif not count:
            why = f"none of {seen} boxes was found in both views (view_retrieval.conf {self.conf}, iou {self.iou})"
        elif not searched:
            why = f"{count} of {seen} boxes were found in both views, and none that certainly shows somebody else"
        else:
            self.warn_once("view_cosine_gap is left out: no image has two boxes that were found in both views")
            return
        self.warn_once(f"view_map, view_rank1 and view_cosine_gap are left out: {why}", key="left out")

    def _keep_picture(self, first: torch.Tensor, second: torch.Tensor, boxes: ViewedBoxes, both: BoolArray) -> None:
        """Keep two views side by side for the picture, if they are as large as the others."""
        picture = (torch.cat((first, second), dim=2) * 255).round().byte().cpu().numpy()
        if self._drawn and self._drawn[0][0].shape != picture.shape:
            return
        shift = np.array([first.shape[2], 0, first.shape[2], 0], np.float32)
        self._drawn.append((picture, np.concatenate((boxes.boxes[0], boxes.boxes[1] + shift)), np.tile(both, 2)))

    def _save_picture(self, folder: Path) -> None:
        """Draw the pairs of views over those of the last epoch."""
        pictures, boxes, found = zip(*self._drawn, strict=True)
        counts = [len(one) for one in boxes]
        # the same number in both halves of a picture: what occurs twice is drawn thick
        ends = np.cumsum(counts) // 2
        numbers = [np.tile(np.arange(end - n // 2, end), 2) for end, n in zip(ends, counts, strict=True)]
        picture = draw_training_batch(
            np.stack(pictures),
            np.concatenate(boxes),
            np.where(np.concatenate(found), np.concatenate(numbers), NO_IDENTITY),
            np.repeat(np.arange(len(counts)), counts),
            tile=960,
        )
        with written_whole(folder / "view_pairs.jpg") as path:
            cv2.imwrite(str(path), picture)


def _compare(pairs: list[PairedEmbeddings]) -> dict[str, float]:
    """Cross-view metrics of all images together."""
    if not pairs:
        return {}
    counts = [len(pair.first) for pair in pairs]
    names = [pair.key[:2] if pair.key[1] else None for pair in pairs]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names)) if name is not None}
    return cross_view_metrics(
        np.concatenate([pair.first for pair in pairs]),
        np.concatenate([pair.second for pair in pairs]),
        np.repeat(np.arange(len(pairs)), counts),
        np.repeat([-1 if name is None else numbers[name] for name in names], counts),
    )


def _num_images(trainer: pl.Trainer) -> int:
    """Images in the set that is validated, over all processes; 0, so that all are measured, where it has no length."""
    loaders = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    datasets = [getattr(loader, "dataset", ()) for loader in loaders]
    return sum(len(dataset) for dataset in datasets if hasattr(dataset, "__len__"))
