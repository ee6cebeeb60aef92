"""Arrays in, figures and pictures out; used by callbacks, reports, the command line and notebooks."""

from jde_lightning.plots.association import plot_association_matrices, plot_pairs_over_time
from jde_lightning.plots.canvas import as_jpeg, draw_annotations, draw_detections
from jde_lightning.plots.colors import identity_color
from jde_lightning.plots.curves import plot_hota_over_epochs, plot_losses
from jde_lightning.plots.frames import draw_training_batch, draw_validation
from jde_lightning.plots.tracks import plot_tracks_over_time
from jde_lightning.plots.tuning import plot_tuning_landscape

__all__ = [
    "as_jpeg",
    "draw_annotations",
    "draw_detections",
    "draw_training_batch",
    "draw_validation",
    "identity_color",
    "plot_association_matrices",
    "plot_hota_over_epochs",
    "plot_losses",
    "plot_pairs_over_time",
    "plot_tracks_over_time",
    "plot_tuning_landscape",
]
