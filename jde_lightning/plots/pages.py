"""What the HTML pages of this package share: their look, tables, and pictures that live inside the file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2

from jde_lightning.plots.canvas import Picture

STYLE = """
:root { --line: #d5d9de; --soft: #f3f5f7; --text: #1c2127; --quiet: #5a6570; --link: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 1180px; color: var(--text); background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 4px; }
h2 { font-size: 1.15rem; margin: 0; }
p { margin: 8px 0; }
a { color: var(--link); }
.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 9px 4px 5px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--soft); font-weight: 600; }
article { border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 18px 0; }
figure { margin: 0; }
figcaption { font-size: 0.85rem; color: var(--quiet); }
@media (max-width: 760px) {
  body { padding: 10px; }
  article { padding: 12px 10px; }
}
"""
"""The look of every page; what one page needs besides comes after it."""


def document(title: str, body: Sequence[str], style: str = "", head: str = "") -> str:
    """Put a page together.

    Args:
        title: of the window, plain text.
        body: the parts, ready for HTML.
        style: CSS beside :data:`STYLE`.
        head: further elements of the head, ready for HTML.

    Returns:
        The text of an HTML file, which is to be written as UTF-8.
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style>{head}</head><body>",
        *body,
        "</body></html>\n",
    ]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Sequence[tuple[Sequence[object], str]]) -> str:
    """A table that scrolls sideways where it is wider than the page.

    Args:
        head: names of the columns, plain text.
        rows: the cells, ready for HTML, and the class of each row.
    """
    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>"]
    lines += [f'<tr class="{css}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for cells, css in rows]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def figures(pictures: Sequence[tuple[str, str]]) -> str:
    """Pictures with their captions.

    Args:
        pictures: address and caption of each, plain text.
    """
    return "".join(
        f'<figure><img src="{escape(address)}" alt="{escape(caption)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for address, caption in pictures
    )


def data_uri(picture: Picture, quality: int = 80) -> str:
    """Return a picture as an address that holds it, for pages of one file.

    Args:
        picture: ``(H, W, 3)`` uint8 BGR.
        quality: of the JPEG, 0 to 100.
    """
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
