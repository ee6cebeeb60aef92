"""Arrays in, figures and pictures out; used by callbacks, reports, the command line and notebooks.

The public names load lazily (PEP 562): drawing boxes on frames needs no matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jde_lightning.lazy_names import lazy_names

_HOME = {
    "as_jpeg": "jde_lightning.plots.canvas",
    "draw_annotations": "jde_lightning.plots.canvas",
    "draw_detections": "jde_lightning.plots.canvas",
    "draw_training_batch": "jde_lightning.plots.frames",
    "draw_validation": "jde_lightning.plots.frames",
    "identity_color": "jde_lightning.plots.colors",
    "plot_association_matrices": "jde_lightning.plots.association",
    "plot_distance_by_time_gap": "jde_lightning.plots.distances",
    "plot_distance_histograms": "jde_lightning.plots.distances",
    "plot_embedding_map": "jde_lightning.plots.embedding_map",
    "plot_hota_over_epochs": "jde_lightning.plots.curves",
    "plot_losses": "jde_lightning.plots.curves",
    "plot_mosaic_views": "jde_lightning.plots.mosaic_views",
    "plot_nearest_neighbours": "jde_lightning.plots.crop_sheets",
    "plot_pairs": "jde_lightning.plots.crop_sheets",
    "plot_pairs_over_time": "jde_lightning.plots.association",
    "plot_silhouettes": "jde_lightning.plots.silhouettes",
    "plot_tracks_over_time": "jde_lightning.plots.tracks",
    "plot_tuning_landscape": "jde_lightning.plots.tuning",
    "plot_verification": "jde_lightning.plots.verification",
}
__all__ = [
    "as_jpeg",
    "draw_annotations",
    "draw_detections",
    "draw_training_batch",
    "draw_validation",
    "identity_color",
    "plot_association_matrices",
    "plot_distance_by_time_gap",
    "plot_distance_histograms",
    "plot_embedding_map",
    "plot_hota_over_epochs",
    "plot_losses",
    "plot_mosaic_views",
    "plot_nearest_neighbours",
    "plot_pairs",
    "plot_pairs_over_time",
    "plot_silhouettes",
    "plot_tracks_over_time",
    "plot_tuning_landscape",
    "plot_verification",
]

if TYPE_CHECKING:
    from jde_lightning.plots.association import plot_association_matrices, plot_pairs_over_time
    from jde_lightning.plots.canvas import as_jpeg, draw_annotations, draw_detections
    from jde_lightning.plots.colors import identity_color
    from jde_lightning.plots.crop_sheets import plot_nearest_neighbours, plot_pairs
    from jde_lightning.plots.curves import plot_hota_over_epochs, plot_losses
    from jde_lightning.plots.distances import plot_distance_by_time_gap, plot_distance_histograms
    from jde_lightning.plots.embedding_map import plot_embedding_map
    from jde_lightning.plots.frames import draw_training_batch, draw_validation
    from jde_lightning.plots.mosaic_views import plot_mosaic_views
    from jde_lightning.plots.silhouettes import plot_silhouettes
    from jde_lightning.plots.tracks import plot_tracks_over_time
    from jde_lightning.plots.tuning import plot_tuning_landscape
    from jde_lightning.plots.verification import plot_verification


__getattr__, __dir__ = lazy_names(__name__, _HOME)
