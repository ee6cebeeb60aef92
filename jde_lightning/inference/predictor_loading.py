"""The predictor that fits a weights file: torch for checkpoints, a runtime without torch for exported networks."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jde_lightning.errors import InputError
from jde_lightning.inference.tracker_config import TrackerFactory, load_tracker_factory, tracker_factory_from_spec

if TYPE_CHECKING:
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.onnx_sessions import Backend
    from jde_lightning.inference.predictor import Predictor
    from jde_lightning.models.architecture import Scale
    from jde_lightning.models.compiling import CompileMode
    from jde_lightning.models.network import EmbeddingMode

EXPORTED = ".onnx"
DEFAULT_TRACKER = "yolo11_jde"


def load_predictor(
    weights: Path,
    image_size: int | None = None,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    device: str = "auto",
    precision: Literal["fp32", "bf16"] = "fp32",
    scale: Scale | None = None,
    embeddings: EmbeddingMode = "auto",
    compile: CompileMode = "none",
    backend: Backend = "auto",
) -> Predictor | OnnxPredictor:
    """Load a network, whichever way it is stored.

    Args:
        weights: a checkpoint, as for :meth:`~jde_lightning.inference.predictor.Predictor.from_checkpoint`, or a file of
            ``jde-lightning export``, as for :class:`~jde_lightning.inference.onnx_predictor.OnnxPredictor`.
        image_size: longest side of the input in pixels; what the file says if omitted.
        conf: smallest confidence; 0.1, or what the file says, if omitted.
        iou: overlap limit of the suppression; 0.7, or what the file says, if omitted.
        max_det: most detections per image; 300, or what the file says, if omitted.
        device: as the predictor takes it.
        precision: as the predictor takes it.
        scale: size of the network, only for YOLO11 weights of others.
        embeddings: as for the checkpoint's predictor; an exported network has them everywhere, or ``none`` are wanted.
        compile: as for the checkpoint's predictor; ``none`` for an exported network.
        backend: of an exported network; ``auto`` for a checkpoint.

    Raises:
        InputError: if the file cannot be used, an option does not go with it, or torch is not there for a checkpoint.
    """
    options: dict[str, Any] = {"image_size": image_size, "conf": conf, "iou": iou, "max_det": max_det}
    given = {name: value for name, value in options.items() if value is not None}
    if weights.suffix.lower() == EXPORTED:
        _refuse_options_of_torch(weights, scale, embeddings, compile)
        from jde_lightning.inference.onnx_predictor import OnnxPredictor

        wanted = embeddings != "none"
        return OnnxPredictor(weights, device=device, precision=precision, backend=backend, appearance=wanted, **given)
    if backend != "auto":
        msg = f"{weights}: backend {backend} runs exported networks; write one with `jde-lightning export --weights "
        raise InputError(msg + f"{weights} --output {weights.stem}{EXPORTED}`")
    try:
        import_module("torch")
    except ImportError as error:
        msg = f"{weights}: checkpoints need torch, which is not installed; export the network where it is, with "
        raise InputError(msg + "`jde-lightning export`, and give the .onnx file") from error
    from jde_lightning.inference.predictor import Predictor

    return Predictor.from_checkpoint(
        weights, device=device, precision=precision, scale=scale, embeddings=embeddings, compile=compile, **given
    )


def _refuse_options_of_torch(weights: Path, scale: str | None, embeddings: str, compile: str) -> None:
    """Refuse what only a checkpoint leaves open."""
    if scale is not None:
        msg = f"{weights}: an exported network knows its scale; leave --scale out"
    elif embeddings == "late":
        msg = f"{weights}: an exported network computes its embeddings everywhere; leave --embeddings late out"
    elif compile != "none":
        msg = f"{weights}: torch.compile is for checkpoints; leave --compile {compile} out"
    else:
        return
    raise InputError(msg)


def tracker_factory_for(
    predictor: Predictor | OnnxPredictor,
    weights: Path,
    name: str | None,
    appearance: bool = True,
    explain: bool = False,
) -> TrackerFactory:
    """Choose the tracker: the one that is asked for, else the one that an exported network names, else the paper's.

    Args:
        predictor: that was loaded.
        weights: the file that it was loaded from, for errors.
        name: name or file of a tracker; ``None`` if none was asked for.
        appearance: ``False`` makes the tracker ignore embeddings; those that are not trained are never used.
        explain: as for :func:`~jde_lightning.inference.tracker_config.load_tracker_factory`.

    Raises:
        InputError: if the tracker, or what the exported network says of it, cannot be used.
    """
    appearance = appearance and predictor.appearance
    named = getattr(predictor, "tracker", None)
    if name is None and named:
        return tracker_factory_from_spec(named, f"{weights}: tracker", appearance, explain)
    return load_tracker_factory(name or DEFAULT_TRACKER, appearance, explain)
