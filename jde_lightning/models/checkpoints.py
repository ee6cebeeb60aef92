"""Read the weights out of a checkpoint, whoever wrote it, without running anything that the file contains.

Three layouts are understood: a plain dict of tensors, a Lightning checkpoint, and the pickled modules of ultralytics
and of the authors' fork. A pickle names classes of the program that wrote it; here every such name is replaced by an
inert stand-in, so that no class is imported and no code is called, whatever the file says and whatever version of
ultralytics wrote it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from jde_lightning.errors import InputError

FIRST_TENSOR = "model.0.conv.weight"
"""The weight that every YOLO11 has; what stands before it in a checkpoint is a prefix."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds, under the names that this package uses.

    Attributes:
        tensors: weights by name, ``model.0.conv.weight`` ..., on the CPU.
        class_names: name per class, if the file says.
    """

    tensors: dict[str, torch.Tensor]
    class_names: dict[int, str] | None


class _Inert:
    """Stands in for any class or function that a pickle names: takes any arguments and keeps its state."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _Inert:  # a pickle may pass anything
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint's weights.

    Args:
        path: file written by ``torch.save``: ultralytics, the authors' fork, Lightning, or a plain dict of tensors.

    Returns:
        The weights in their own precision; of ultralytics' checkpoints the averaged ones, if there.

    Raises:
        InputError: if the file is missing, unreadable, or holds no YOLO network.
    """
    path = Path(path)
    if path.is_dir():
        msg = f"{path}: is a folder; give the path of the checkpoint in it"
        raise InputError(msg)
    if not path.is_file():
        msg = f"{path}: no such weights file; give the path of a downloaded checkpoint (nothing is downloaded for you)"
        raise InputError(msg)
    content = _read(path)
    tensors, names = _find_weights(content)
    prefixes = [name.removesuffix(FIRST_TENSOR) for name in tensors if name.endswith(FIRST_TENSOR)]
    if not prefixes:
        found = f"{path}: holds no YOLO11 weights (no tensor named {FIRST_TENSOR} among {len(tensors)} tensors)"
        msg = f"{found}; expected a checkpoint of `fit`, or weights of Ultralytics or of the authors"
        raise InputError(msg)
    prefix = min(prefixes, key=len)
    return Checkpoint({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}, names)


def _read(path: Path) -> Any:
    """Unpickle with stand-ins for all that is not plain data or a tensor."""
    try:
        foreign = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        with safe_globals([(_Inert, name) for name in foreign]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        if path.suffix.lower() == ".onnx":
            msg = f"{path}: an exported network; here the checkpoint is needed that it was made of"
            raise InputError(msg) from error
        first = (str(error).strip().splitlines() or [""])[0]
        # torch advises to load it unsafely; some pickles fail with a bare number, and cut files with "Invalid argument"
        told = "weights_only" not in first and " " in first and not isinstance(error, OSError)
        why = first if told else type(error).__name__
        size = path.stat().st_size
        msg = (
            f"{path}: not a readable PyTorch checkpoint ({why}; {size:,} bytes); is it whole? Copy or download it again"
        )
        raise InputError(msg) from error


def _find_weights(content: Any) -> tuple[dict[str, torch.Tensor], dict[int, str] | None]:
    """Find the tensors in what was read, and the class names that come with a pickled module."""
    source = content
    if isinstance(content, Mapping):
        candidates = (content.get(key) for key in ("state_dict", "ema", "model"))
        source = next((value for value in candidates if isinstance(value, (Mapping, _Inert))), content)
    if isinstance(source, _Inert):
        names = source.__dict__.get("names")
        return dict(_module_tensors(source)), names if isinstance(names, dict) else None
    if isinstance(source, Mapping):
        return {str(k): v for k, v in source.items() if isinstance(v, torch.Tensor)}, None
    return {}, None


def _module_tensors(module: _Inert, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Walk a pickled module as ``state_dict`` does, without calling anything of it."""
    state = module.__dict__
    temporary = state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, value in (state.get(kind) or {}).items():
            if isinstance(value, torch.Tensor) and name not in temporary:
                yield prefix + name, value.detach()
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, _Inert):
            yield from _module_tensors(child, f"{prefix}{name}.")
