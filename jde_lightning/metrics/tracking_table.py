"""Tracking scores as a table for people."""

from __future__ import annotations

from jde_lightning.metrics.folders import FolderScores, Scores

_INTEGERS = ("IDSW", "FP", "FN", "MT", "PT", "ML", "Frag")
_BLOCKS = (
    ("HOTA", "MOTA", "IDF1", "DetA", "AssA", *_INTEGERS),
    ("DetRe", "DetPr", "AssRe", "AssPr", "LocA", "MOTP", "IDP", "IDR"),
)


def tracking_table(scores: FolderScores) -> str:
    """Lay out scores per sequence and combined: the summary first, then the details, percentages with two decimals.

    Args:
        scores: what :func:`jde_lightning.metrics.folders.evaluate_folder` returns.

    Returns:
        The lines of the table.
    """
    rows = {**scores["sequences"], "COMBINED": scores["combined"]}
    return "\n\n".join(_block(rows, names) for names in _BLOCKS)


def _block(rows: dict[str, Scores], names: tuple[str, ...]) -> str:
    """Lay out some of the scores, every column as wide as its widest cell."""
    cells = [["", *names]] + [[row, *(_cell(name, scores[name]) for name in names)] for row, scores in rows.items()]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _cell(name: str, value: float) -> str:
    """Print a count as it is and a fraction as a percentage."""
    return str(value) if name in _INTEGERS else f"{100 * value:.2f}"
