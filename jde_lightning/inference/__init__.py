"""A trained network at work: images in, detections, tracks and annotated videos out."""

from jde_lightning.inference.drawing import Trails, draw_annotations, draw_detections, draw_tracks
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.sources import Frame, FrameSource, open_source, open_sources
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.tracking_run import TrackingSummary, track_source, track_sources
from jde_lightning.inference.video import VideoWriter

__all__ = [
    "Frame",
    "FrameSource",
    "Predictor",
    "TrackingSummary",
    "Trails",
    "VideoWriter",
    "draw_annotations",
    "draw_detections",
    "draw_tracks",
    "load_tracker_factory",
    "open_source",
    "open_sources",
    "track_source",
    "track_sources",
]
