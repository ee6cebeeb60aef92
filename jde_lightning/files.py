"""Files and folders are written whole: under a temporary name in the same folder, then renamed. And YAML is read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jde_lightning.errors import InputError


@contextmanager
def written_whole(path: Path, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes ``path`` only if the block ends without an exception.

    Args:
        path: the final file; its folder is created. The temporary name starts with a dot and keeps the suffix, so that
            writers that choose a format by suffix do the right thing.
        durable: wait until the file is on the disk before it takes its name, so that not even a machine that loses its
            power leaves half a file under it.

    Yields:
        The temporary path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_permissions(0o666))
        if durable:
            _flush(temporary)
        temporary.replace(path)
        if durable:
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary folder to write in, which becomes ``path`` only if the block ends without an exception.

    Args:
        path: the final folder; its parent is created. If it exists by the end, it stays as it is: whoever was faster
            wrote the same.

    Yields:
        The temporary folder; its name starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(_permissions(0o777))
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_yaml(path: Path, expected: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file, which must exist.
        expected: what the mapping should hold, for the error.

    Raises:
        InputError: if the file is no YAML, or holds something else.
    """
    import yaml  # where files are only written, nobody needs it

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: no YAML ({yaml_problem(error)}); expected {expected}"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else repr(str(content)[:40])
        msg = f"{path}: found {found}, expected {expected}"
        raise InputError(msg)
    return content


def yaml_problem(error: Exception) -> str:
    """What is wrong with a file that is no YAML, and in which line, in a few words.

    Args:
        error: what PyYAML raised, or reading the text.
    """
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', None) or 'cannot be read'}"


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; where the system cannot, it does nothing."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):
        os.fsync(handle)
    os.close(handle)


def _permissions(of_new: int) -> int:
    """The permissions of any newly created file or folder; tempfile makes its own private."""
    umask = os.umask(0)
    os.umask(umask)
    return of_new & ~umask
