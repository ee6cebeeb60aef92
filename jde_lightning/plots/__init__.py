"""Arrays in, figures and pictures out; used by callbacks, reports, the command line and notebooks.

The public names load lazily (PEP 562): drawing boxes on frames needs no matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "draw_annotations": "jde_lightning.plots.canvas",
    "draw_detections": "jde_lightning.plots.canvas",
    "draw_training_batch": "jde_lightning.plots.frames",
    "draw_validation": "jde_lightning.plots.frames",
    "identity_color": "jde_lightning.plots.colors",
    "plot_hota_over_epochs": "jde_lightning.plots.curves",
    "plot_tracks_over_time": "jde_lightning.plots.tracks",
}
__all__ = [
    "draw_annotations",
    "draw_detections",
    "draw_training_batch",
    "draw_validation",
    "identity_color",
    "plot_hota_over_epochs",
    "plot_tracks_over_time",
]

if TYPE_CHECKING:
    from jde_lightning.plots.canvas import draw_annotations, draw_detections
    from jde_lightning.plots.colors import identity_color
    from jde_lightning.plots.curves import plot_hota_over_epochs
    from jde_lightning.plots.frames import draw_training_batch, draw_validation
    from jde_lightning.plots.tracks import plot_tracks_over_time


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
