"""A trained network, ready for images as cameras and files give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from jde_lightning.data.images import letterbox
from jde_lightning.errors import InputError
from jde_lightning.inference.loading import load_network
from jde_lightning.inference.prediction_options import check_options
from jde_lightning.inference.prepared import PreparedImages, prepare_images, restore_order
from jde_lightning.models.architecture import Scale
from jde_lightning.models.compiling import CompiledForward, CompileMode
from jde_lightning.models.head import LateMaps, RawMaps
from jde_lightning.models.network import YOLO11JDE, EmbeddingMode
from jde_lightning.structures import Detections

_DEFAULT_IMAGE_SIZE = 640


class Predictor:
    """Detects and embeds in BGR images of any size; prepares them exactly as validation does.

    Args:
        network: with trained weights; a copy works on the device.
        image_size: longest side of the network's input in pixels, a multiple of 32.
        conf: smallest confidence of a detection, in 0..1.
        iou: overlap above which non-maximum suppression drops the weaker box.
        max_det: most detections per image.
        device: ``auto`` takes the first GPU if there is one; otherwise as torch names devices.
        precision: ``bf16`` runs the network under autocast; boxes and scores are float32 either way.
        class_names: names of the classes; those of the network if omitted.
        appearance: whether the embeddings are trained; if not, detections come without them.
        embeddings: where the Re-ID branch runs: ``dense``, ``late``, ``auto`` or ``none``; see
            :meth:`~jde_lightning.models.network.YOLO11JDE.detect`. The first three differ in time only.
        compile: ``default`` runs the network through ``torch.compile``, which pays in long runs on images of one size;
            ``reduce-overhead`` records CUDA graphs too, which is untested; ``none`` does not compile.
        fold: fold batch norms into convolutions, which is faster and rounds differently; ``False`` gives the very
            numbers of validation.

    Attributes:
        backend: what runs the network: ``torch``.

    Raises:
        InputError: if a value is out of its range, the device is not there, or this machine cannot compile.
    """

    backend = "torch"

    def __init__(
        self,
        network: YOLO11JDE,
        image_size: int = _DEFAULT_IMAGE_SIZE,
        conf: float = 0.1,
        iou: float = 0.7,
        max_det: int = 300,
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        class_names: Sequence[str] | None = None,
        appearance: bool = True,
        embeddings: EmbeddingMode = "auto",
        compile: CompileMode = "none",
        fold: bool = True,
    ) -> None:
        check_options(image_size, conf, iou, max_det)
        self.device = _device(device)
        self.network = (
            (network.fused() if fold else deepcopy(network).eval())
            .to(self.device)
            .to(memory_format=torch.channels_last)
        )
        self.image_size = image_size
        self.conf, self.iou, self.max_det = conf, iou, max_det
        self.precision: Literal["fp32", "bf16"] = precision
        self.class_names = list(network.class_names if class_names is None else class_names)
        self.appearance = appearance and embeddings != "none"
        self.embeddings: EmbeddingMode = embeddings if appearance else "none"
        self.compile: CompileMode = compile
        late = self.network.computes_late(self.embeddings)
        self._maps: Callable[[torch.Tensor], RawMaps | LateMaps] = (
            self.network.forward_late if late else self.network.forward
        )
        if compile != "none":
            self._maps = CompiledForward(self.network, late, compile)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        image_size: int | None = None,
        conf: float = 0.1,
        iou: float = 0.7,
        max_det: int = 300,
        device: str = "auto",
        precision: Literal["fp32", "bf16"] = "fp32",
        scale: Scale | None = None,
        embeddings: EmbeddingMode = "auto",
        compile: CompileMode = "none",
        fold: bool = True,
    ) -> Predictor:
        """Build the predictor from a checkpoint alone.

        Args:
            path: a checkpoint of this package; or, with ``scale``, YOLO11 weights of ultralytics or of the authors.
            image_size: as for the class; the size that the checkpoint was validated at if omitted.
            conf: as for the class.
            iou: as for the class.
            max_det: as for the class.
            device: as for the class.
            precision: as for the class.
            scale: size of the network, which only weights of others leave open.
            embeddings: as for the class.
            compile: as for the class.
            fold: as for the class.

        Returns:
            The predictor. Where the weights have no trained embedding, its ``appearance`` is ``False``.

        Raises:
            InputError: if the file is missing or holds something else.
        """
        loaded = load_network(Path(path), scale)
        size = (loaded.image_size or _DEFAULT_IMAGE_SIZE) if image_size is None else image_size
        return cls(
            loaded.network,
            size,
            conf,
            iou,
            max_det,
            device,
            precision,
            loaded.class_names,
            appearance=loaded.appearance,
            embeddings=embeddings,
            compile=compile,
            fold=fold,
        )

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Detections]:
        """Find objects in images, all of one batch in one pass where their shapes allow.

        Args:
            images: ``(H, W, 3)`` uint8 BGR each, of any sizes.

        Returns:
            Per image its detections, most confident first, xyxy in original pixels, unclipped.
        """
        prepared = self.prepare(images)
        return self.postprocess([self.forward(batch) for batch in prepared.batches], prepared)

    def prepare(self, images: Sequence[npt.NDArray[np.uint8]]) -> PreparedImages:
        """Fit images into the network's input, one batch per shape; the first of three steps of :meth:`detect`.

        Args:
            images: as for :meth:`detect`.

        Returns:
            The batches on the device, and how the images were fitted.
        """
        return prepare_images(images, lambda image: letterbox(image, self.image_size), self._to_device)

    def forward(self, batch: torch.Tensor) -> RawMaps | LateMaps:
        """Run the network; the second step of :meth:`detect`.

        Args:
            batch: one of :meth:`prepare`.

        Returns:
            The raw maps; without embeddings where these are computed late, or not at all.
        """
        with torch.inference_mode(), self._reduced():
            return self._maps(batch)

    def postprocess(self, maps: Sequence[RawMaps | LateMaps], prepared: PreparedImages) -> list[Detections]:
        """Find the detections in the maps, and describe them; the last step of :meth:`detect`.

        Args:
            maps: of each batch.
            prepared: what :meth:`prepare` returned.

        Returns:
            As :meth:`detect`.
        """
        settings = self.conf, self.iou, self.max_det, self.embeddings
        with torch.inference_mode(), self._reduced():
            found = [self.network.decode(raw, *settings) for raw in maps]
        return restore_order([[self._trained(each) for each in batch] for batch in found], prepared)

    def warm_up(self, height: int, width: int, batch_size: int = 1) -> None:
        """Compile, choose kernels and allocate for images of a size, so that the first of them are not slow.

        Args:
            height: of the images, in pixels.
            width: of the images, in pixels.
            batch_size: images that will be detected at once.

        Raises:
            InputError: if this machine cannot compile.
        """
        for _ in range(2):  # CUDA graphs are recorded the second time
            self.detect([np.zeros((height, width, 3), np.uint8)] * batch_size)

    def synchronize(self) -> None:
        """Wait until the device has done what it was given; a clock has to."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _reduced(self) -> AbstractContextManager[None]:
        """The precision in which the layers run."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def _to_device(self, images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
        """Turn ``(H, W, 3)`` uint8 BGR images of one shape into the network's input."""
        tensor = torch.from_numpy(np.stack(images)).to(self.device).permute(0, 3, 1, 2).flip(1)
        return tensor.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)

    def _trained(self, found: Detections) -> Detections:
        """Drop embeddings that nobody trained."""
        return found if self.appearance else Detections(found.boxes, found.scores, found.labels)


def _device(name: str) -> torch.device:
    """The device of that name, or an error if this machine has none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # of a name that it does not know, torch lists all that it has ever heard of
        first = str(error).splitlines()[0]
        why = "there is no such device" if first.startswith("Expected one of") else first
        msg = f"device {name!r} cannot be used here ({why}); expected auto, cpu, cuda or cuda:0"
        raise InputError(msg) from error
    return device
