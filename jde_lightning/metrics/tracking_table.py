"""Tracking scores as a table for people."""

from __future__ import annotations

from jde_lightning.metrics.folders import FolderScores
from jde_lightning.metrics.scores import Scores

_INTEGERS = ("IDSW", "FP", "FN", "MT", "PT", "ML", "Frag")
_BLOCKS = (
    ("HOTA", "MOTA", "IDF1", "DetA", "AssA", *_INTEGERS),
    ("DetRe", "DetPr", "AssRe", "AssPr", "LocA", "MOTP", "IDP", "IDR"),
)


def tracking_table(scores: FolderScores) -> str:
    """Lay out scores per sequence and combined: the summary first, then the details, percentages with two decimals.

    With several classes, a table of the classes comes before that of the sequences, in which all boxes are alike.

    Args:
        scores: what :func:`jde_lightning.metrics.folders.evaluate_folder` returns.

    Returns:
        The lines of the table.
    """
    rows = {**scores["sequences"], "COMBINED": scores["combined"]}
    of_sequences = [_block(rows, names) for names in _BLOCKS]
    if "classes" not in scores:
        return "\n\n".join(of_sequences)
    rows = {name: of_class["combined"] for name, of_class in scores["classes"].items()}
    rows |= {"CLASS AVERAGE": scores["class_averaged"], "BOX AVERAGE": scores["combined"]}
    of_classes = [_block(rows, names, last=2) for names in _BLOCKS]
    return "\n\n".join(part for pair in zip(of_classes, of_sequences, strict=True) for part in pair)


def _block(rows: dict[str, Scores], names: tuple[str, ...], last: int = 1) -> str:
    """Lay out some of the scores, every column as wide as its widest cell; the last rows are below a line."""
    cells = [["", *names]] + [[row, *(_cell(name, scores[name]) for name in names)] for row, scores in rows.items()]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in cells
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-last], rule, *lines[-last:]])


def _cell(name: str, value: float) -> str:
    """Print a count as it is and a fraction as a percentage."""
    return str(value) if name in _INTEGERS else f"{100 * value:.2f}"
