"""A written page inside another one, such as a notebook."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path

from jde_lightning.errors import InputError

_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


def framed_page(page: Path, height: int = 700) -> str:
    """Build a piece of HTML that shows a page in a frame of its own: neither's look touches the other's.

    Args:
        page: an HTML file; pictures that it names relative to itself are put inside.
        height: of the frame, in pixels.

    Returns:
        HTML of one element, which needs no file.

    Raises:
        InputError: if there is no such page.
    """
    if not page.is_file():
        msg = f"{page}: no such page"
        raise InputError(msg)

    def inside(match: re.Match[str]) -> str:
        path = page.parent / match[1]
        kind = _TYPES.get(path.suffix.lower())
        if kind is None or not path.is_file():
            return match[0]
        return f'src="data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"'

    text = re.sub(r'src="([^":]+)"', inside, page.read_text(encoding="utf-8"))
    style = f"width: 100%; height: {height}px; border: 1px solid #d5d9de; background: #fff"
    return f'<div><iframe srcdoc="{escape(text)}" style="{style}"></iframe></div>'
