"""YOLO11-JDE on PyTorch Lightning: joint detection and appearance embedding, trained without identities, and tracked.

The public names load lazily (PEP 562), so that ``import jde_lightning`` imports neither torch nor lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jde_lightning.lazy_names import lazy_names

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


__getattr__, __dir__ = lazy_names(__name__, _HOME)
