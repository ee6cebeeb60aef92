"""An exported network, ready for images as cameras and files give them. It needs numpy, OpenCV and a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jde_lightning.data.images import letterbox, letterbox_into, to_rgb_planes
from jde_lightning.errors import InputError
from jde_lightning.inference.export_facts import ExportFacts
from jde_lightning.inference.onnx_sessions import Backend, Outputs, open_session
from jde_lightning.inference.prediction_options import check_options
from jde_lightning.inference.prepared import PreparedImages, prepare_images, restore_order
from jde_lightning.inference.suppression import select_detections
from jde_lightning.structures import Detections, Letterbox

ImageArray = npt.NDArray[np.uint8]


class OnnxPredictor:
    """Detects and embeds in BGR images of any size, as :class:`~jde_lightning.inference.predictor.Predictor` does.

    Args:
        path: file of ``jde-lightning export``.
        image_size: longest side of the network's input in pixels, a multiple of 32; as exported if omitted. A file of
            fixed size takes no other.
        conf: smallest confidence of a detection, in 0..1; 0.1 if omitted, or as exported where the graph suppresses.
        iou: overlap above which non-maximum suppression drops the weaker box; 0.7 if omitted, or as exported.
        max_det: most detections per image; 300 if omitted, or as exported.
        device: ``auto``, ``cpu``, or what the backend knows, see
            :func:`~jde_lightning.inference.onnx_sessions.open_session`.
        precision: ``bf16`` is for the backend ``openvino``; boxes and scores are float32 either way.
        backend: ``onnxruntime``, ``openvino``, or ``auto``: the first of them that is installed.
        threads: of the CPU; ``OMP_NUM_THREADS`` if omitted, and all where that is not set.
        appearance: whether embeddings are wanted, if the file has any.

    Attributes:
        backend: what runs the graph: ``onnxruntime`` or ``openvino``.
        facts: what the file says about itself.
        class_names: names of the classes.
        appearance: whether detections come with embeddings.
        tracker: ``class_path`` and ``init_args`` of the tracker that the file was exported with.
        description: runtime, version, device and arithmetic.

    Raises:
        InputError: if the file is missing, damaged or of somebody else, a value is out of its range or differs from
            what is fixed in the file, or the runtime or the device is not there.
    """

    def __init__(
        self,
        path: str | Path,
        image_size: int | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        backend: Backend = "auto",
        threads: int | None = None,
        appearance: bool = True,
    ) -> None:
        self._session = open_session(Path(path), backend, device, precision, threads)
        self.facts = facts = ExportFacts.from_metadata(self._session.metadata, path)
        inside = facts.suppression or {}
        self.image_size = facts.image_size if image_size is None else image_size
        self.conf = inside.get("conf", 0.1) if conf is None else conf
        self.iou = inside.get("iou", 0.7) if iou is None else iou
        self.max_det = int(inside.get("max_det", 300)) if max_det is None else max_det
        self.precision: Literal["fp32", "bf16"] = precision
        check_options(self.image_size, self.conf, self.iou, self.max_det)
        self._check_fixed(path)
        self.class_names = list(facts.class_names)
        self.appearance = appearance and facts.embed_dim is not None
        self.tracker = facts.tracker
        self.backend = self._session.description.split()[0]
        self.description = self._session.description

    def detect(self, images: Sequence[ImageArray]) -> list[Detections]:
        """Find objects in images, all of one batch in one pass where their shapes allow.

        Args:
            images: ``(H, W, 3)`` uint8 BGR each, of any sizes.

        Returns:
            Per image its detections, most confident first, xyxy in original pixels, unclipped.
        """
        prepared = self.prepare(images)
        return self.postprocess([self.forward(batch) for batch in prepared.batches], prepared)

    def prepare(self, images: Sequence[ImageArray]) -> PreparedImages:
        """Fit images into the network's input, one batch per shape; the first of three steps of :meth:`detect`.

        Args:
            images: as for :meth:`detect`.

        Returns:
            The batches, ``(B, 3, H, W)`` float32, and how the images were fitted.
        """
        return prepare_images(images, self._fit, _to_input)

    def forward(self, batch: npt.NDArray[np.float32]) -> Outputs:
        """Run the graph; the second step of :meth:`detect`.

        Args:
            batch: one of :meth:`prepare`.

        Returns:
            The outputs of the graph by name, see docs/export.md.
        """
        return self._session.run(batch)

    def postprocess(self, outputs: Sequence[Outputs], prepared: PreparedImages) -> list[Detections]:
        """Find the detections in the outputs; the last step of :meth:`detect`.

        Args:
            outputs: of each batch.
            prepared: what :meth:`prepare` returned.

        Returns:
            As :meth:`detect`.
        """
        find = self._select if self.facts.suppression is None else self._sort
        found = [find(each, len(indices)) for each, indices in zip(outputs, prepared.indices, strict=True)]
        return restore_order(found, prepared)

    def warm_up(self, height: int, width: int, batch_size: int = 1) -> None:
        """Compile and allocate for images of a size, so that the first of them are not slow.

        Args:
            height: of the images, in pixels.
            width: of the images, in pixels.
            batch_size: images that will be detected at once.
        """
        self.detect([np.zeros((height, width, 3), np.uint8)] * batch_size)

    def synchronize(self) -> None:
        """Nothing is left to wait for: :meth:`forward` returns when its arrays are there."""

    def _fit(self, image: ImageArray) -> tuple[ImageArray, Letterbox]:
        if self.facts.fixed_size is not None:
            return letterbox_into(image, *self.facts.fixed_size)
        return letterbox(image, self.image_size, self.facts.stride)

    def _select(self, outputs: Outputs, count: int) -> list[Detections]:
        """Suppress among all anchors of each image."""
        looks = outputs["embeddings"] if self.appearance else None
        return [
            select_detections(
                outputs["boxes"][i],
                outputs["scores"][i],
                outputs["labels"][i],
                None if looks is None else looks[i],
                self.conf,
                self.iou,
                self.max_det,
                self.facts.pooling,
            )
            for i in range(count)
        ]

    def _sort(self, outputs: Outputs, count: int) -> list[Detections]:
        """Part by image what the graph has kept, and sort it: the graph goes class by class."""
        sure = outputs["scores"] > np.float32(self.conf)
        found = []
        for i in range(count):
            rows = np.flatnonzero(sure & (outputs["image_indices"] == i))
            rows = rows[np.argsort(-outputs["scores"][rows], kind="stable")[: self.max_det]]
            looks = outputs["embeddings"][rows] if self.appearance else None
            found.append(Detections(outputs["boxes"][rows], outputs["scores"][rows], outputs["labels"][rows], looks))
        return found

    def _check_fixed(self, path: str | Path) -> None:
        """Refuse values that differ from what is fixed in the file."""
        facts = self.facts
        if facts.fixed_size is not None and self.image_size != facts.image_size:
            told = "x".join(map(str, facts.fixed_size))
            msg = f"{path}: the input has the fixed height x width {told}, so image_size cannot be {self.image_size}; "
            raise InputError(msg + "leave it out, or export with --dynamic-size")
        inside: dict[str, Any] = facts.suppression or {}
        if not inside:
            return
        if self.conf < inside["conf"] or self.iou != inside["iou"] or self.max_det > inside["max_det"]:
            fixed = f"conf {inside['conf']}, iou {inside['iou']}, max_det {inside['max_det']}"
            asked = f"conf {self.conf}, iou {self.iou}, max_det {self.max_det}"
            msg = f"{path}: suppresses inside the graph with {fixed}, so that {asked} cannot be had; "
            raise InputError(msg + "export with these values, or without --nms")


def _to_input(images: list[ImageArray]) -> npt.NDArray[np.float32]:
    """Turn ``(H, W, 3)`` uint8 BGR images of one shape into the network's input."""
    batch = np.empty((len(images), 3, *images[0].shape[:2]), np.float32)
    for image, out in zip(images, batch, strict=True):
        np.divide(to_rgb_planes(image), np.float32(255), out=out)
    return batch
