"""Text files that list images, one path per line."""

from __future__ import annotations

from pathlib import Path

from jde_lightning.errors import InputError


def read_list(file: Path) -> list[str]:
    """Read the lines of a list of images, whatever system wrote it.

    Line ends may be LF or CRLF (JDE's lists), a byte-order mark and blank lines are skipped, and backslashes become
    slashes where a line has no slash of its own.

    Args:
        file: the list.

    Returns:
        The paths as listed, in order, repeated lines included.

    Raises:
        InputError: if the file is missing, no text, or lists nothing.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        msg = f"{file}: no such file, expected a text file with one image path per line"
        raise InputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{file}: no UTF-8 text ({error.reason}), expected one image path per line; save the list as UTF-8"
        raise InputError(msg) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        msg = f"{file}: the list is empty, expected one image path per line"
        raise InputError(msg)
    return [line if "/" in line else line.replace("\\", "/") for line in lines]
