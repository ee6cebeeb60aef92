"""What ``predict`` leaves behind: detections and embeddings of every sequence in one file each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np

from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.callbacks.validation import gather_from_ranks
from jde_lightning.files import written_whole
from jde_lightning.structures import Detections, FrameAnnotations

_LOG = logging.getLogger(__name__)


class PredictionWriter(pl.Callback):
    """Writes ``predictions/<sequence>.npz`` in the run's folder after ``predict``.

    Each file holds ``frame`` ``(N,)`` the frame number of each detection (for single images the position, with
    their paths in ``image``), ``boxes`` ``(N, 4)`` xyxy pixels of the original image, ``scores`` ``(N,)``, ``labels``
    ``(N,)`` and ``embeddings`` ``(N, D)`` of unit norm.

    Args:
        folder: name of the folder below the run's.
    """

    def __init__(self, folder: str = "predictions") -> None:
        self.folder = folder
        self._frames: list[tuple[FrameAnnotations, Detections]] = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the detections of a batch."""
        self._frames.extend(zip(outputs.frames, outputs.detections, strict=True))

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write one file per sequence, all ranks together."""
        every = [pair for part in gather_from_ranks(self._frames) for pair in part]
        self._frames = []
        folder = (run_folder(trainer) or Path(trainer.default_root_dir)) / self.folder
        if not trainer.is_global_zero:
            return
        sequences: dict[str, list[tuple[FrameAnnotations, Detections]]] = {}
        for frame, found in every:
            sequences.setdefault(frame.sequence or frame.dataset, []).append((frame, found))
        for name, pairs in sequences.items():
            _write(folder / f"{name}.npz", pairs)
        _LOG.info("detections of %d sequences written to %s", len(sequences), folder)


def _write(path: Path, pairs: list[tuple[FrameAnnotations, Detections]]) -> None:
    """Write the detections of one sequence, in the order of its frames."""
    pairs = sorted(pairs, key=lambda pair: pair[0].key)
    counts = [len(found) for _, found in pairs]
    numbers = [frame.frame if frame.sequence else position for position, (frame, _) in enumerate(pairs)]
    with written_whole(path) as temporary:
        np.savez(
            temporary,
            frame=np.repeat(np.asarray(numbers, np.int64), counts),
            image=np.array([str(frame.image_path) for frame, _ in pairs]),
            boxes=np.concatenate([found.boxes for _, found in pairs]),
            scores=np.concatenate([found.scores for _, found in pairs]),
            labels=np.concatenate([found.labels for _, found in pairs]),
            embeddings=np.concatenate([found.embeddings for _, found in pairs if found.embeddings is not None]),
        )
