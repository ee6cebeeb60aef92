"""The forward pass through ``torch.compile``: for a few fixed shapes, with results that stay on disk.

Compiling takes from seconds to minutes for each size of images. What comes of it is kept in the user's cache folder, so
that the next process with the same network, size and torch has it in seconds.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F

from jde_lightning.errors import InputError
from jde_lightning.models.head import LateMaps, RawMaps
from jde_lightning.models.network import YOLO11JDE

_LOG = logging.getLogger(__name__)

CompileMode = Literal["none", "default", "reduce-overhead"]
COMPILE_MODES: tuple[str, ...] = get_args(CompileMode)

_MOST_SHAPES = 8  # that are compiled; a folder of images of all sizes would compile for hours
_CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


class CompiledForward:
    """A network's forward pass, compiled for each size of images as it comes.

    A batch that is smaller than one of that size before it is filled up instead of compiled anew: that is the last
    batch of a video. After eight shapes, further ones run uncompiled, and a warning says so once.

    Args:
        network: of :meth:`YOLO11JDE.fused`; its weights become constants of the compiled code.
        late: whether :meth:`YOLO11JDE.forward_late` is compiled instead of the forward pass.
        mode: ``default``; or ``reduce-overhead``, which records CUDA graphs, and on a CPU is the same.

    Raises:
        InputError: if the mode is unknown, or this machine cannot compile.
    """

    def __init__(self, network: YOLO11JDE, late: bool, mode: CompileMode = "default") -> None:
        if mode not in COMPILE_MODES[1:]:
            msg = f"unknown compile {mode!r}; choose one of {', '.join(COMPILE_MODES)}"
            raise InputError(msg)
        self._eager: Callable[[torch.Tensor], RawMaps | LateMaps] = network.forward_late if late else network.forward
        self._graphs = mode == "reduce-overhead"
        self._compiled = _compile(self._eager, self._graphs)
        self._batch_sizes: dict[tuple[Any, ...], int] = {}
        self._count = 0

    def __call__(self, images: torch.Tensor) -> RawMaps | LateMaps:
        """Run the network; arguments and results as in its own forward pass.

        Args:
            images: ``(B, 3, H, W)`` float RGB in 0..1.

        Raises:
            InputError: if this machine cannot compile.
        """
        # The same size in another precision is other code.
        key = (*images.shape[1:], torch.is_autocast_enabled(images.device.type))
        count, compiled_for = len(images), self._batch_sizes.get(key, 0)
        if count <= compiled_for:
            filled = F.pad(images, (0,) * 7 + (compiled_for - count,)) if count < compiled_for else images
            return _first(self._run(filled), count, copied=self._graphs)
        if self._count == _MOST_SHAPES:
            text = "images of more than %d shapes: the others run uncompiled; compile pays where all are of one size"
            _LOG.warning(text, _MOST_SHAPES)
        self._count += 1
        if self._count > _MOST_SHAPES:
            return self._eager(images)
        self._batch_sizes[key] = count
        shape = "x".join(map(str, images.shape))
        _LOG.info("compiling the network for %s images: up to minutes once, seconds from the cache later", shape)
        start = time.monotonic()
        result = _first(self._run(images), count, copied=self._graphs)
        _LOG.info("compiled in %.0f s", time.monotonic() - start)
        return result

    def _run(self, images: torch.Tensor) -> RawMaps | LateMaps:
        """Run the compiled code, compiling if there is none for this shape."""
        # Dynamo counts per function, not per network; shapes are limited above.
        name = (
            "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
        )  # torch 2.6
        limits = torch._dynamo.config.patch({name: 1_000, f"accumulated_{name}": 1_000})
        try:
            with limits:
                return self._compiled(images)
        except torch._dynamo.exc.TorchDynamoException as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            msg = (
                f"compile: torch.compile does not work here ({lines[0][:200] if lines else type(error).__name__}); "
                "it needs a C++ compiler such as g++ (and Triton on a GPU), or leave compile out"
            )
            raise InputError(msg) from error


def cache_folder() -> Path | None:
    """Where compiled code is kept.

    Returns:
        What ``TORCHINDUCTOR_CACHE_DIR`` says, else ``jde_lightning/compiled`` in ``$XDG_CACHE_HOME`` or ``~/.cache``;
        ``None`` where the user has no home.
    """
    if os.environ.get(_CACHE_VARIABLE):
        return Path(os.environ[_CACHE_VARIABLE])
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "jde_lightning" / "compiled"
    except RuntimeError:
        return None


def _compile(function: Callable[..., Any], graphs: bool) -> Callable[..., Any]:
    """Compile with weights as constants, which pays on CPUs, and keep the result on disk."""
    folder = cache_folder()
    if folder is not None:
        # torch's own default is in the folder of temporary files, which does not outlive a restart.
        os.environ[_CACHE_VARIABLE] = str(folder)
    options: dict[str, Any] = {"freezing": True}
    if graphs:
        options |= torch._inductor.list_mode_options("reduce-overhead")
    return torch.compile(function, dynamic=False, options=options)


def _first(maps: RawMaps | LateMaps, count: int, copied: bool) -> RawMaps | LateMaps:
    """The maps of the first images; copied where the next run would overwrite them, as CUDA graphs do."""

    def take(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[:count].clone() if copied else tensor[:count]

    if isinstance(maps, LateMaps):
        return LateMaps(take(maps.boxes), take(maps.scores), tuple(map(take, maps.features)), maps.shapes)
    return RawMaps(take(maps.boxes), take(maps.scores), take(maps.embeddings), maps.shapes)
