"""COCO's average precision, for crowds: up to 1000 detections of an image, and ignored regions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.detection import MeanAveragePrecision

from jde_lightning.metrics.processes import gathered_states
from jde_lightning.structures import Detections, FrameAnnotations

_Target = dict[str, torch.Tensor]


class DetectionAP(MeanAveragePrecision):
    """Average precision over all frames (Lin et al., COCO, 2014), mean over classes.

    Differs from COCO's usual evaluation in one point: COCO keeps 100 detections of an image, which halves the
    precision of an image with 300 people. A detection on an ignored box (more than the IoU threshold of its own area)
    that matches no object is not counted; annotations of other classes are unknown to this metric.

    Processes may hold different numbers of images, and the metric may stay on the CPU under NCCL. Detections with the
    same score count in an order that their images' names decide, whoever held them.

    Args:
        max_detections: number of detections of an image that count, best scores first.
    """

    warn_on_many_detections = False

    def __init__(self, max_detections: int = 1000) -> None:
        super().__init__(
            box_format="xyxy",
            backend="faster_coco_eval",
            max_detection_thresholds=[1, 10, max_detections],
            # COCO's own thresholds; torchmetrics' default has them in float32, which misses a recall of exactly 0.3.
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
        )
        self.add_state("image_key", default=[], dist_reduce_fx=None)
        self.image_key: list[torch.Tensor]

    def update(  # type: ignore[override]  # our structures instead of torchmetrics' dictionaries
        self, frames: Sequence[FrameAnnotations], detections: Sequence[Detections]
    ) -> None:
        """Add frames.

        Args:
            frames: annotations, xyxy pixels of the original images.
            detections: what was found in each, in the same pixels.
        """
        pairs = list(zip(frames, detections, strict=True))
        predictions = [self._prediction(found) for _, found in pairs]
        super().update(predictions, [self._target(frame, found) for frame, found in pairs])
        self.image_key += [torch.tensor(_number(frame)) for frame in frames]

    def compute(self) -> dict[str, float]:
        """Return ``map50_95`` (mean over IoU 0.50:0.05:0.95) and ``map50``; nothing where there is no object."""
        self._sort_images()
        values = super().compute()
        named = {"map50_95": float(values["map"]), "map50": float(values["map_50"])}
        return {name: value for name, value in named.items() if value >= 0}  # COCO says -1 for "undefined"

    def precision_recall(self) -> dict[float, npt.NDArray[np.float64]]:
        """Return the curves whose areas the average precisions are, mean over the classes that have objects.

        For one process: what others hold is not gathered.

        Returns:
            By IoU threshold, 0.5 and 0.75, the ``(101,)`` precision at a recall of 0, 0.01, ..., 1. Empty where there
            is no object.
        """
        self._sort_images()
        self.extended_summary = True
        try:
            values = super().compute()
        finally:
            self.extended_summary = False
        # threshold, recall, class, size of objects, limit of detections
        precision = np.asarray(values["precision"])[:, :, :, 0, -1]
        precision = precision[:, :, (precision >= 0).all(axis=(0, 1))]
        if not precision.shape[2]:
            return {}
        return {self.iou_thresholds[row]: precision[row].mean(axis=1).astype(np.float64) for row in (0, 5)}

    def _sort_images(self) -> None:
        """Put the images in an order that does not depend on who held them."""
        order = np.argsort([int(key) for key in self.image_key], kind="stable").tolist()
        for name in self._reductions:
            if state := getattr(self, name):  # of masks there are none
                setattr(self, name, [state[position] for position in order])

    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Gather the images of all processes; torchmetrics' own way hangs where they have different numbers of them."""
        states = {name: [value.cpu().numpy() for value in getattr(self, name)] for name in self._reductions}
        parts = gathered_states(states, process_group or self.process_group)
        for name in states:
            values = [torch.from_numpy(value).to(self.device) for part in parts for value in part[name]]
            setattr(self, name, values)

    def _prediction(self, found: Detections) -> _Target:
        """Detections of one image as torchmetrics takes them."""
        return {
            "boxes": torch.from_numpy(found.boxes).to(self.device),
            "scores": torch.from_numpy(found.scores).to(self.device),
            "labels": torch.from_numpy(found.labels).to(self.device),
        }

    def _target(self, frame: FrameAnnotations, found: Detections) -> _Target:
        """Annotations of one image as torchmetrics takes them.

        An ignored box has no class: it is repeated for every class that was detected in the image.
        """
        classes = np.unique(found.labels)
        positive, ignored = frame.boxes[frame.positive], frame.boxes[frame.ignore]
        boxes = np.concatenate([positive, np.repeat(ignored, len(classes), axis=0)])
        labels = np.concatenate([frame.labels[frame.positive], np.tile(classes, len(ignored))])
        crowd = np.arange(len(boxes)) >= len(positive)
        return {
            "boxes": torch.from_numpy(boxes).to(self.device),
            "labels": torch.from_numpy(labels).to(self.device),
            "iscrowd": torch.from_numpy(crowd.astype(np.int64)).to(self.device),
        }


def _number(frame: FrameAnnotations) -> int:
    """A number that stands for an image on every process."""
    return int.from_bytes(hashlib.blake2b(repr(frame.key).encode(), digest_size=7).digest(), "little")
