"""How checkpoints are written and read: never half, and with a clear word where one is damaged."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from jde_lightning.errors import InputError
from jde_lightning.files import written_whole

LAST = "last.ckpt"
PREVIOUS = "last.previous.ckpt"


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its final name and renames it when it is on the disk.

    Lightning's own way writes to the machine's temporary folder first and moves the file from there. Between two file
    systems that is a copy, and a process that is killed in it leaves half a checkpoint in place of the whole one.

    ``last.ckpt`` is kept as ``last.previous.ckpt`` when a new one takes its place. At every moment there is a whole
    ``last.ckpt``.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: what Lightning collected.
            path: the file; one that is not on a local (or mounted) file system is written by Lightning.
            storage_options: not used, as in Lightning's own.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        with written_whole(path, durable=True) as temporary:
            torch.save(checkpoint, temporary)
            if path.name == LAST and zipfile.is_zipfile(path):  # a damaged one is not worth keeping
                _keep(path, path.with_name(PREVIOUS))

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, loc: storage,
        weights_only: Any = None,
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            InputError: if the file is damaged or something else.
        """
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except FileNotFoundError:
            raise
        except Exception as error:
            msg = f"{path} cannot be read as a checkpoint: {why_unreadable(Path(path), error)}"
            raise InputError(msg) from error


def read_header(path: Path) -> dict[str, Any]:
    """Read a checkpoint without reading its weights, which stay on the disk until somebody looks at them.

    Args:
        path: the checkpoint.

    Returns:
        The checkpoint, its tensors mapped from the file.

    Raises:
        InputError: if it is damaged, something else, or holds weights only.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        msg = f"{path} cannot be read as a checkpoint: {why_unreadable(path, error)}"
        raise InputError(msg) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint or "loops" not in checkpoint:
        msg = f"{path} is no checkpoint of a training; to start from weights alone, give model.weights instead"
        raise InputError(msg)
    return checkpoint


def why_unreadable(path: Path, error: Exception) -> str:
    """Say in a few words what is wrong with a file that is no readable checkpoint."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        return "it is empty"
    if not zipfile.is_zipfile(path):
        return f"its end is missing, or it never was one ({size:,} bytes)"
    return " ".join(str(error).split())[:200]


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while it wrote a checkpoint has left behind."""
    for path in folder.glob(".*.ckpt"):
        with suppress(OSError):
            path.unlink()


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, over whatever has it; ``path`` stays where it is."""
    other = kept.with_name(f".{kept.name}")
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        shutil.copy2(path, other)
    other.replace(kept)
