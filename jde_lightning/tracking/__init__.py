"""Online multi-object trackers on numpy arrays: neither torch nor lightning is needed."""

from __future__ import annotations

from jde_lightning.tracking.base import Tracker
from jde_lightning.tracking.fairmot import FairMOTTracker
from jde_lightning.tracking.yolo11_jde import YOLO11JDETracker

__all__ = ["FairMOTTracker", "Tracker", "YOLO11JDETracker"]
