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

    Raises:
        ValueError: if there is a command that the converter does not know.

    Returns:
        The same with ``<math>`` instead of LaTeX; formulas on lines of their own in ``div.formula``.
    """

    def replace(found: re.Match[str]) -> str:
        block = found[2] == "["
        formula = convert(html.unescape(found[3]).strip(), display="block" if block else "inline")
        if unknown := re.search(r"\\[a-zA-Z]+", formula):
            msg = f"{unknown[0]} cannot be written as MathML, in {html.unescape(found[3]).strip()!r}"
            raise ValueError(msg)
        return f'<div class="formula">{formula}</div>' if block else formula

    return _FORMULA.sub(replace, page)
