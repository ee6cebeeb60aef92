"""Detection average precision at validation."""

from __future__ import annotations

import lightning.pytorch as pl

from jde_lightning.callbacks.validation import ValidationCallback
from jde_lightning.metrics.detection import DetectionAP as DetectionAPMetric
from jde_lightning.structures import ValidationOutput


class DetectionAP(ValidationCallback):
    """Logs COCO's average precision: ``map50_95`` and ``map50``.

    Unlike COCO's own limit of 100, up to 1,000 detections of an image count, since crowds have more than 100 people.

    Args:
        every_n_epochs: measure at every n-th epoch; 0 is off.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self._metric = DetectionAPMetric()

    def reset(self) -> None:
        """Forget what was collected."""
        self._metric.reset()

    def collect(self, output: ValidationOutput) -> None:
        """Add the detections of a batch."""
        self._metric.update(output.frames, output.detections)

    def compute(self, trainer: pl.Trainer) -> dict[str, float]:
        """Average precision over all ranks; nothing where there is no annotated object."""
        return self._metric.compute()
