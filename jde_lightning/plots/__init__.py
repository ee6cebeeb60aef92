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
    "plot_distance_by_time_gap": "jde_lightning.plots.distances",
    "plot_distance_histograms": "jde_lightning.plots.distances",
    "plot_embedding_map": "jde_lightning.plots.embedding_map",
    "plot_hota_over_epochs": "jde_lightning.plots.curves",
    "plot_mosaic_views": "jde_lightning.plots.mosaic_views",
    "plot_nearest_neighbours": "jde_lightning.plots.crop_sheets",
    "plot_pairs": "jde_lightning.plots.crop_sheets",
    "plot_silhouettes": "jde_lightning.plots.silhouettes",
    "plot_tracks_over_time": "jde_lightning.plots.tracks",
    "plot_verification": "jde_lightning.plots.verification",
}
__all__ = [
    "draw_annotations",
    "draw_detections",
    "draw_training_batch",
    "draw_validation",
    "identity_color",
    "plot_distance_by_time_gap",
    "plot_distance_histograms",
    "plot_embedding_map",
    "plot_hota_over_epochs",
    "plot_mosaic_views",
    "plot_nearest_neighbours",
    "plot_pairs",
    "plot_silhouettes",
    "plot_tracks_over_time",
    "plot_verification",
]

if TYPE_CHECKING:
    from jde_lightning.plots.canvas import draw_annotations, draw_detections
    from jde_lightning.plots.colors import identity_color
    from jde_lightning.plots.crop_sheets import plot_nearest_neighbours, plot_pairs
    from jde_lightning.plots.curves import plot_hota_over_epochs
    from jde_lightning.plots.distances import plot_distance_by_time_gap, plot_distance_histograms
    from jde_lightning.plots.embedding_map import plot_embedding_map
    from jde_lightning.plots.frames import draw_training_batch, draw_validation
    from jde_lightning.plots.mosaic_views import plot_mosaic_views
    from jde_lightning.plots.silhouettes import plot_silhouettes
    from jde_lightning.plots.tracks import plot_tracks_over_time
    from jde_lightning.plots.verification import plot_verification


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
