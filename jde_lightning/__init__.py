"""YOLO11-JDE on PyTorch Lightning: joint detection and appearance embedding, trained without identities, and tracked.

The public names load lazily (PEP 562), so that ``import jde_lightning`` imports neither torch nor lightning.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "JDEModule": "jde_lightning.module",
    "JDEDataModule": "jde_lightning.datamodule",
    "YOLO11JDE": "jde_lightning.models.network",
}
__all__ = ["YOLO11JDE", "JDEDataModule", "JDEModule", "__version__"]

if TYPE_CHECKING:
    from jde_lightning.datamodule import JDEDataModule
    from jde_lightning.models.network import YOLO11JDE
    from jde_lightning.module import JDEModule


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
