"""In what a row, as it was run, is not what was published for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jde_lightning.cli.ablation_rows import AblationRow
from jde_lightning.cli.ablation_settings import differences

_PAPER_TABLES = {"1", "2", "3", "4", "5", "6"}
_PAPER_VAL_SIZE = 1088
"""Long side in pixels at which the paper tracks in these tables; its rows leave it to the command line."""
_SEEDS = {"seed_everything", "data.seed"}
_TOLD_APART = {"model.weights", "data.val_image_size"}


def deviations(row: AblationRow) -> tuple[str, ...]:
    """Name the settings that the arguments changed, and what the row leaves to them but the paper fixes.

    Args:
        row: the row.

    Returns:
        Short texts such as ``trainer.max_epochs 1 (row: 30)``; none where nothing was published, or all is as there.
    """
    if not row.published:
        return ()
    changed = [key for key in differences(row.settings, row.own) if key not in _SEEDS | _TOLD_APART]
    notes = [_changed(key, row) for key in changed]
    data = row.settings.get("data") or {}
    if row.table in _PAPER_TABLES:
        size = data.get("val_image_size") or data.get("image_size", 640)
        if size != _PAPER_VAL_SIZE:
            notes.append(f"validated at {size} px (paper: {_PAPER_VAL_SIZE})")
        if not (row.settings.get("model") or {}).get("weights"):
            notes.append("random initial weights (paper: COCO's)")
    root = data.get("root", ".")
    if (Path(root) / "synthetic.json").is_file():  # of `data synthesize`, whose folders are laid out as the real ones
        notes.append(f"synthetic data, `{root}`")
    elif notes:  # any other data in the layout of the row's can be told by their place alone
        notes.append(f"data below `{root}`")
    return tuple(notes)


def _changed(key: str, row: AblationRow) -> str:
    """A setting and its two values, where they are short."""
    now, own = _at(row.settings, key), _at(row.own, key)
    if any(isinstance(value, (dict, list)) for value in (now, own)):
        return f"{key} is another"
    return f"{key} {now} (row: {'not set' if own is None else own})"


def _at(settings: Any, key: str) -> Any:
    """The value of a dotted key; ``None`` if it is not set."""
    for part in key.split("."):
        if isinstance(settings, list):
            settings = settings[int(part)]
        else:
            settings = settings.get(part) if isinstance(settings, dict) else None
    return settings
