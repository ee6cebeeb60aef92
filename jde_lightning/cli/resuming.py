"""What ``--ckpt_path`` means: which checkpoint, and whether the run goes on in its folder or begins a new one."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from jde_lightning.callbacks.checkpoint_files import LAST, PREVIOUS, read_header
from jde_lightning.cli.early_checks import CHECKPOINT_WORDS, no_such_checkpoint
from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)

HELP = (
    "--ckpt_path (docs/resuming.md): `last` goes on with the newest run below trainer.default_root_dir, in its folder; "
    "`previous` does so from last.previous.ckpt, where last.ckpt is damaged; `last_or_new` begins a new run where none "
    "is there, for job scripts that are started again; a run's FOLDER goes on with that run; a FILE begins another "
    "run from that checkpoint."
)


@dataclass
class Start:
    """Where a run goes on from.

    Attributes:
        path: the checkpoint.
        folder: the run's folder if it goes on in it, ``None`` if it gets a folder of its own.
        step: optimiser steps taken in the checkpoint.
    """

    path: Path
    folder: Path | None
    step: int


def find_start(asked: str, root: Path, dirpath: str | None, words: Sequence[str]) -> Start | None:
    """Find the checkpoint that ``--ckpt_path`` asks for, and make sure that it can be read.

    Args:
        asked: one of :data:`~jde_lightning.cli.early_checks.CHECKPOINT_WORDS`, a run's folder or a file.
        root: folder of the runs (``trainer.default_root_dir``).
        dirpath: folder of the checkpoints, where ``checkpoint.dirpath`` sets one.
        words: the words of the command, for the advice in errors.

    Returns:
        Where to go on from; ``None`` if ``last_or_new`` found nothing.

    Raises:
        InputError: if there is no such checkpoint, or it is damaged.
    """
    if asked in CHECKPOINT_WORDS:
        folder = newest_checkpoints(root, dirpath)
        if folder is None and asked == "last_or_new":
            rank_zero_only(_LOG.warning)("--ckpt_path last_or_new: NOTHING to go on from in %s: a NEW run begins", root)
            return None
        if folder is None:
            where = f"{dirpath}/{LAST}" if dirpath else f"version_*/checkpoints/{LAST} in {root}"
            msg = (
                f"--ckpt_path {asked}: no {where} (trainer.default_root_dir); "
                "--ckpt_path last_or_new begins anew where there is none"
            )
            raise InputError(msg)
    elif Path(asked).is_dir():
        inside = Path(asked) / "checkpoints"
        folder = inside if inside.is_dir() else Path(asked)
        if not any((folder / name).is_file() for name in (LAST, PREVIOUS)):
            newest = newest_checkpoints(Path(asked))
            hint = f"; did you mean {newest.parent}?" if newest is not None else ""
            msg = f"--ckpt_path {asked}: no checkpoints/{LAST} in this folder{hint}"
            raise InputError(msg)
    elif Path(asked).is_file():
        step = int(read_header(Path(asked)).get("global_step", 0))
        rank_zero_only(_LOG.warning)("goes on from %s, step %d, in a new run folder", asked, step)
        return Start(Path(asked), None, step)
    else:
        raise no_such_checkpoint(asked)
    return _in_folder(folder, asked, words)


def check_same_network(path: str, wanted: Mapping[str, Any]) -> None:
    """Compare the network that is configured with the one of a checkpoint.

    Args:
        path: the checkpoint.
        wanted: the ``model`` section of the configuration.

    Raises:
        InputError: if they differ in what decides the shapes of the weights.
    """
    try:
        saved = read_header(Path(path)).get("jde_lightning", {})
    except InputError:
        return  # weights alone, or damaged: who loads them will tell
    differing = [
        f"model.{key} is {wanted[key]}, the checkpoint's {saved[key]}"
        for key in ("scale", "embed_dim", "reid_branch", "reid_fusion")
        if key in saved and key in wanted and wanted[key] != saved[key]
    ]
    if differing:
        msg = f"--ckpt_path {path}: {'; '.join(differing)}: another network, start it from --model.weights"
        raise InputError(msg)


def newest_checkpoints(root: Path, dirpath: str | None = None) -> Path | None:
    """The folder of checkpoints of the run that was saved last; ``None`` where no run has any.

    Lightning looks in the folder of the new run only, and finds none.
    """
    folders = [Path(dirpath).expanduser()] if dirpath else root.glob("version_*/checkpoints")
    found = {
        max(path.stat().st_mtime for path in paths): folder
        for folder in folders
        if (paths := [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()])
    }
    return found[max(found)] if found else None


def run_folder_of(checkpoints: Path) -> Path | None:
    """The run's folder that a folder of checkpoints lies in; ``None`` if it does not look like one of ours."""
    folder = checkpoints.parent
    number = folder.name.removeprefix("version_")
    return folder if folder.name.startswith("version_") and number.isdigit() else None


def _in_folder(folder: Path, asked: str, words: Sequence[str]) -> Start:
    """Read the last checkpoint of a run, or the one before it where that is asked for."""
    path, other = folder / (PREVIOUS if asked == "previous" else LAST), folder / PREVIOUS
    try:
        if not path.is_file():
            msg = f"there is no {path}"
            raise InputError(msg)
        header = read_header(path)
    except InputError as error:
        if path == other or not _is_readable(other):
            more = "" if path == other else f"; {other} cannot be read either" if other.is_file() else ""
            msg = f"--ckpt_path {asked}: {error}{more}"
            raise InputError(msg) from error
        step = read_header(other).get("global_step")
        if asked != "last_or_new":
            again = shlex.join(
                ["jde-lightning", *_with_start(words, str(other) if asked not in CHECKPOINT_WORDS else "previous")]
            )
            msg = f"--ckpt_path {asked}: {error}; the one before it is whole (step {step}), go on from it with: {again}"
            raise InputError(msg) from error
        rank_zero_only(_LOG.warning)("%s; the one before it is whole and taken INSTEAD (step %s)", error, step)
        path, header = other, read_header(other)
    step = int(header.get("global_step", 0))
    rank_zero_only(_LOG.warning)("goes on from %s, step %d", path, step)
    return Start(path, run_folder_of(folder), step)


def _is_readable(path: Path) -> bool:
    """Whether a file is a whole checkpoint."""
    try:
        read_header(path)
    except InputError:
        return False
    return True


def _with_start(words: Sequence[str], start: str) -> list[str]:
    """The words of a command with another ``--ckpt_path``."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--ckpt_path":
            skip = True
        elif not word.startswith("--ckpt_path="):
            kept.append(word)
    return [*kept, "--ckpt_path", start]
