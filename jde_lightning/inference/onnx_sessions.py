"""The runtimes that an exported file runs in: onnxruntime and OpenVINO, behind one small interface."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from jde_lightning.errors import InputError

Backend = Literal["auto", "onnxruntime", "openvino"]
BACKENDS: tuple[Backend, ...] = ("auto", "onnxruntime", "openvino")

Outputs = dict[str, npt.NDArray[Any]]
"""What a graph returns, by name."""


class Session(Protocol):
    """An exported graph, ready to run.

    Attributes:
        description: runtime, version, device and arithmetic, for logs.
        metadata: of the file.
    """

    description: str
    metadata: dict[str, str]

    def run(self, images: npt.NDArray[np.float32]) -> Outputs:
        """Run the graph on ``(B, 3, H, W)`` float32 images."""


def open_session(
    path: Path,
    backend: Backend = "auto",
    device: str = "auto",
    precision: Literal["fp32", "bf16"] = "fp32",
    threads: int | None = None,
) -> Session:
    """Load an exported file.

    Args:
        path: the ONNX file.
        backend: ``auto`` takes onnxruntime, or OpenVINO where only that is installed.
        device: ``auto`` takes a GPU that the runtime can use, else the CPU; ``cpu``; onnxruntime also ``cuda``,
            ``cuda:1``; OpenVINO also its own names, such as ``GPU``.
        precision: ``bf16`` is for OpenVINO on a processor that computes in it; results are float32 either way.
        threads: of the CPU; ``OMP_NUM_THREADS`` if omitted, and all where that is not set.

    Raises:
        InputError: if the file is missing or no ONNX model, or the runtime, the device or the precision is not there.
    """
    if not path.is_file():
        msg = f"{path}: no such file; write it with `jde-lightning export --weights CHECKPOINT --output {path.name}`"
        raise InputError(msg)
    if backend not in BACKENDS:
        msg = f"unknown backend {backend!r}; choose one of {', '.join(BACKENDS)}"
        raise InputError(msg)
    if threads is not None and threads < 1:
        msg = f"threads must be at least 1, got {threads}"
        raise InputError(msg)
    if threads is None:
        told = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(told) if told.isdecimal() and int(told) > 0 else None
    if backend == "auto":
        backend = "onnxruntime" if _installed("onnxruntime") or not _installed("openvino") else "openvino"
    if not _installed(backend):
        msg = f"{path}: {backend} is not installed; pip install {backend}"
        raise InputError(msg)
    if backend == "openvino":
        return OpenVinoSession(path, device, precision, threads)
    return OnnxRuntimeSession(path, device, precision, threads)


def _installed(name: str) -> bool:
    """Whether a runtime can be imported; looking for its files would not see one that is broken."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


class OnnxRuntimeSession:
    """A graph in onnxruntime; arguments as for :func:`open_session`."""

    def __init__(self, path: Path, device: str, precision: str, threads: int | None) -> None:
        import onnxruntime

        if precision != "fp32":
            msg = f"onnxruntime computes as the file was exported, in fp32; {precision} needs --backend openvino"
            raise InputError(msg)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; the rest is for those who write runtimes
        if threads is not None:
            options.intra_op_num_threads = threads
        providers = _providers(device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions have no common base but this
            raise InputError(_unreadable(path, "onnxruntime", error)) from error
        self._names = [output.name for output in self._session.get_outputs()]
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        where = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.description = f"onnxruntime {onnxruntime.__version__}, {where}, fp32"

    def run(self, images: npt.NDArray[np.float32]) -> Outputs:
        """Run the graph on ``(B, 3, H, W)`` float32 images."""
        return dict(zip(self._names, self._session.run(self._names, {"images": images}), strict=True))


def _providers(device: str, available: Sequence[str]) -> list[Any]:
    """What onnxruntime calls the device, with the CPU for operations that the device lacks.

    Raises:
        InputError: if there is no such device.
    """
    name, _, number = device.partition(":")
    if name == "cpu" or (name == "auto" and "CUDAExecutionProvider" not in available):
        return ["CPUExecutionProvider"]
    if name in ("auto", "cuda") and (not number or number.isdecimal()):
        if "CUDAExecutionProvider" in available:
            return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
        msg = f"device {device!r} cannot be used here: this onnxruntime has {', '.join(available)}; "
        raise InputError(msg + "GPUs need the package onnxruntime-gpu")
    msg = f"device {device!r} is unknown to onnxruntime; expected auto, cpu, cuda or cuda:0"
    raise InputError(msg)


@cache
def openvino_core() -> Any:
    """OpenVINO's one entrance, which stays open as long as the process.

    Where two are opened and closed in the same order, a Ctrl-C afterwards ends the process with a segmentation fault
    (seen with 2026.4, with Python's fault handler on).
    """
    import openvino

    return openvino.Core()


class OpenVinoSession:
    """A graph in OpenVINO, compiled for each shape of the input that comes; arguments as for :func:`open_session`."""

    def __init__(self, path: Path, device: str, precision: str, threads: int | None) -> None:
        import openvino

        core = openvino_core()
        self._device = {"auto": "CPU", "cpu": "CPU"}.get(device, device)
        if self._device.partition(".")[0] not in core.available_devices:
            expected = ", ".join(["auto", "cpu", *(d for d in core.available_devices if d != "CPU")])
            msg = f"device {device!r} cannot be used here by OpenVINO; expected one of {expected}"
            raise InputError(msg)
        if precision == "bf16" and "BF16" not in core.get_property(self._device, "OPTIMIZATION_CAPABILITIES"):
            name = core.get_property(self._device, "FULL_DEVICE_NAME")
            msg = f"{name} does not compute in bf16 (it needs AVX512_BF16 or AMX); use precision fp32"
            raise InputError(msg)
        try:
            self._model = core.read_model(str(path))
        except RuntimeError as error:
            raise InputError(_unreadable(path, "OpenVINO", error)) from error
        # Without the hint OpenVINO takes bf16 on its own wherever the processor has it.
        self._config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None and self._device == "CPU":
            self._config["INFERENCE_NUM_THREADS"] = threads
        self._core = core
        self._requests: dict[tuple[int, ...], Any] = {}
        self.metadata: dict[str, str] = {}
        if self._model.has_rt_info("framework"):
            self.metadata = {key: str(text) for key, text in self._model.get_rt_info("framework").value.items()}
        self.description = f"openvino {openvino.__version__.split('-')[0]}, {self._device}, {precision}"

    def run(self, images: npt.NDArray[np.float32]) -> Outputs:
        """Run the graph on ``(B, 3, H, W)`` float32 images."""
        request = self._requests.get(images.shape)
        if request is None:
            model = self._model.clone()
            model.reshape(list(images.shape))
            request = self._core.compile_model(model, self._device, self._config).create_infer_request()
            self._requests[images.shape] = request
        request.infer({"images": images}, share_inputs=True)
        return {output.any_name: request.get_tensor(output).data.copy() for output in request.model_outputs}


def _unreadable(path: Path, runtime: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"{path}: {runtime} cannot read it ({reason}); it is damaged or no ONNX model, export it again"
