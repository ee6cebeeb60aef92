"""Arrays in, figures and pictures out; used by callbacks, reports, the command line and notebooks."""

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
