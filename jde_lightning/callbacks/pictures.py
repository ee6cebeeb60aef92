"""Pictures of what the network sees and finds, in the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl

from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.files import written_whole
from jde_lightning.plots.frames import draw_training_batch, draw_validation


class Pictures(pl.Callback):
    """Saves a training batch with its identities, and validation detections beside the truth.

    Args:
        every_n_epochs: draw at every n-th epoch, over the pictures of the last; 0 is off.
        max_images: images in a picture.
        min_score: validation detections below are not drawn.
    """

    def __init__(self, every_n_epochs: int = 1, max_images: int = 6, min_score: float = 0.25) -> None:
        self.every_n_epochs = every_n_epochs
        self.max_images = max_images
        self.min_score = min_score
        self._folder: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask for the run's folder here: later a process may have no batch, and all must ask together."""
        self._folder = run_folder(trainer)

    def _due(self, trainer: pl.Trainer) -> Path | None:
        """The folder to draw to, if this epoch is drawn, by this process."""
        if not self.every_n_epochs or trainer.sanity_checking or trainer.current_epoch % self.every_n_epochs:
            return None
        return self._folder

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw the first batch of an epoch; a box is thick where its identity occurs twice."""
        folder = self._due(trainer) if batch_idx == 0 else None
        if folder is None:
            return
        picture = draw_training_batch(
            batch["images"].cpu().numpy(),
            batch["boxes"].cpu().numpy(),
            batch["identities"].cpu().numpy(),
            batch["batch_idx"].cpu().numpy(),
            max_images=self.max_images,
        )
        self._save(folder, "training_batch.jpg", picture)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the detections of the first batch on the original images."""
        folder = self._due(trainer) if batch_idx == 0 else None
        if folder is None:
            return
        frames = outputs.frames[: self.max_images]
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        images: list[Any] = [cv2.imread(str(frame.image_path), flags) for frame in frames]
        picture = draw_validation(
            images, outputs.detections[: self.max_images], frames, min_score=self.min_score, tile=640
        )
        self._save(folder, "validation_detections.jpg", picture)

    on_test_batch_end = on_validation_batch_end

    @staticmethod
    def _save(folder: Path, name: str, picture: Any) -> None:
        """Write a picture whole."""
        with written_whole(folder / "pictures" / name) as path:
            cv2.imwrite(str(path), picture)
