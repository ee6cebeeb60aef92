"""The frame of the report: its look, its sections, its table of contents."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from jde_lightning.inference import switch_page
from jde_lightning.plots.chart_sheet import ChartSheet
from jde_lightning.plots.pages import document

_STYLE = """
h2 { font-size: 1.25rem; margin: 0 0 6px; }
h3 { font-size: 1rem; margin: 18px 0 2px; }
section { border-top: 1px solid var(--line); padding: 22px 0 10px; margin-top: 22px; scroll-margin-top: 44px; }
nav { position: sticky; top: 0; z-index: 5; background: #fffffff2; border-bottom: 1px solid var(--line);
  padding: 8px 0; margin: 10px 0 4px; display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 0.9rem; }
nav a { text-decoration: none; white-space: nowrap; }
nav a:hover { text-decoration: underline; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; margin: 14px 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { font-size: 0.82rem; color: var(--quiet); display: block; }
.lack { border-left: 4px solid #e69f00; background: #fff8e8; padding: 8px 12px; margin: 12px 0;
  border-radius: 0 6px 6px 0; }
.lack ul { margin: 4px 0; padding-left: 20px; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 28px; }
.two > * { min-width: 0; }
td.number, th.number { text-align: right; }
tr.total td { font-weight: 600; border-top: 2px solid var(--line); }
.up { color: #00785a; } .down { color: #b3261e; }
pre { background: var(--soft); padding: 12px; border-radius: 6px; overflow-x: auto; font-size: 0.8rem;
  line-height: 1.45; }
article h3 { margin: 0; }
code { background: var(--soft); padding: 1px 4px; border-radius: 4px; font-size: 0.9em; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--link); }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(168px, 1fr)); gap: 12px; margin: 10px 0; }
.pair { border: 1px solid var(--line); border-radius: 8px; padding: 8px; font-size: 0.78rem; line-height: 1.35; }
.pair div { display: flex; gap: 6px; justify-content: center; height: 128px; margin-bottom: 6px; }
.pair img { height: 128px; max-width: calc(50% - 3px); object-fit: contain; border-radius: 3px; }
#tip { position: absolute; display: none; pointer-events: none; z-index: 9; background: #fff; padding: 6px;
  border: 1px solid #b6bdc5; border-radius: 6px; box-shadow: 0 2px 8px #0003; font-size: 0.78rem; line-height: 1.3; }
#tip div { margin: 0 auto 4px; }
@media (max-width: 760px) {
  .two { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  nav { flex-wrap: nowrap; overflow-x: auto; }
}
@media print { nav { display: none; } article, .tile, .pair { break-inside: avoid; } }
"""


NONE = "\N{EN DASH}"
"""What stands for a value that is not there."""


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        anchor: its id.
        title: of the section, and its name among the contents.
        body: ready for HTML.
    """

    anchor: str
    title: str
    body: Sequence[str]


def report_page(
    title: str, head: Sequence[str], sections: Sequence[Section], sheet: ChartSheet, script: str = ""
) -> str:
    """Put the page together.

    Args:
        title: of the run, plain text.
        head: what stands above the contents, ready for HTML.
        sections: in order.
        sheet: that made the figures.
        script: JavaScript that goes after the figures.
    """
    contents = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in sections)
    body = [*head, f"<nav>{contents}</nav>"]
    for section in sections:
        body += [f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>', *section.body, "</section>"]
    body += ["<noscript><p class='lack'>The curves and maps of this page are drawn by JavaScript.</p></noscript>"]
    body += [sheet.scripts(), f"<script>{script}</script>" if script else ""]
    return document(f"Report of {title}", body, switch_page.STYLE + _STYLE)


def lack(text: str) -> str:
    """A remark on what is missing, from plain text."""
    return f'<p class="lack">{escape(text)}</p>'


def quiet(text: str) -> str:
    """A remark in small print, from plain text."""
    return f'<p class="quiet">{escape(text)}</p>'


def json_element(name: str, content: Any) -> str:
    """Data for a script of the page, in an element of its own.

    Args:
        name: id of the element.
        content: what JSON can hold.
    """
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent; a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}"


def gain(with_appearance: float, motion_only: float, scale: float = 100, digits: int = 1, better: int = 1) -> str:
    """A signed difference, coloured by whether it is for the better; ready for HTML.

    Args:
        with_appearance: the score with.
        motion_only: the score without.
        scale: to multiply with; 100 makes percentage points of fractions.
        digits: after the point.
        better: 1 where more is better, -1 where less is.
    """
    difference = scale * (with_appearance - motion_only)
    text = f"{difference:+.{digits}f}"
    if float(text) == 0:
        return f"±{abs(float(text)):.{digits}f}"
    sign = text.replace("-", "\N{MINUS SIGN}")
    return f'<span class="{"up" if difference * better > 0 else "down"}">{sign}</span>'
