"""LaTeX to MathML while the site is built: browsers draw it without scripts, fonts or network."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

# what pymdownx.arithmatex leaves of $...$ and $$...$$ with `generic: true`
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def to_mathml(page: str) -> str:
    """Replace the formulas of a page.

    Args:
        page: HTML of a page's content.

    Returns:
        The same with ``<math>`` instead of LaTeX; formulas on lines of their own in ``div.formula``.
    """

    def replace(found: re.Match[str]) -> str:
        block = found[2] == "["
        formula = convert(html.unescape(found[3]).strip(), display="block" if block else "inline")
        return f'<div class="formula">{formula}</div>' if block else formula

    return _FORMULA.sub(replace, page)
