"""What a checkpoint says about itself, for the model card that goes with it when it is handed on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import lightning.pytorch as pl

from jde_lightning import __version__

TEMPLATE = "docs/model_card.md of jde-lightning, to be filled with these facts when the weights are handed on"
LICENCE = "AGPL-3.0-or-later, and the terms of the datasets"
_PACKAGES = ("torch", "lightning", "ultralytics", "pytorch-metric-learning")
_READER_FACTS = ("path", "supervision", "min_visibility")


def model_card_facts(trainer: pl.Trainer) -> dict[str, Any]:
    """Collect what only the training knows.

    Args:
        trainer: at the moment that the checkpoint is written.

    Returns:
        Plain values, which load with ``weights_only=True``: ``template`` (where the card's form is), ``licence``,
        ``versions`` by package, ``datasets`` (a list of name, reader, path below ``data.root``, supervision and
        least visibility of each training reader), ``epoch`` (of the weights, counted from 0), ``steps`` and
        ``measured`` (``val/...`` by name: the last validation before that moment, which the weights of a ``last.ckpt``
        may have left behind).
    """
    data = getattr(trainer, "datamodule", None)
    readers = getattr(data, "readers", {}).get("train") or []
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    return {
        "template": TEMPLATE,
        "licence": LICENCE,
        "versions": _versions(),
        "datasets": [_dataset(reader) for reader in readers],
        "epoch": trainer.current_epoch,
        "steps": trainer.global_step,
        "measured": metrics,
    }


def _versions() -> dict[str, str]:
    """The version of all that decides about numbers."""
    found = {"jde-lightning": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # lightning may be there as pytorch-lightning
            continue
    return found


def _dataset(reader: Any) -> dict[str, Any]:
    """What a reader reads and how."""
    facts = {name: getattr(reader, name) for name in _READER_FACTS if hasattr(reader, name)}
    plain = {name: value if isinstance(value, int | float | str) else str(value) for name, value in facts.items()}
    return {"name": str(getattr(reader, "name", "")), "reader": type(reader).__name__, **plain}
