"""A trained network at work: images in, detections, tracks and annotated videos out.

The public names load lazily (PEP 562): tuning a tracker on a cache, in many processes, needs neither torch nor OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jde_lightning.lazy_names import lazy_names

_HOME = {
    "AnnotatedFrame": "jde_lightning.inference.annotated_frames",
    "CacheOrigin": "jde_lightning.inference.cache",
    "CachedSequence": "jde_lightning.inference.cache",
    "DetectionCache": "jde_lightning.inference.cache",
    "EmbeddingTable": "jde_lightning.inference.embedding_table",
    "Frame": "jde_lightning.inference.sources",
    "FrameSource": "jde_lightning.inference.sources",
    "OnnxPredictor": "jde_lightning.inference.onnx_predictor",
    "Predictor": "jde_lightning.inference.predictor",
    "TrackingSummary": "jde_lightning.inference.tracking_run",
    "Trails": "jde_lightning.inference.drawing",
    "VideoWriter": "jde_lightning.inference.video",
    "collect_embeddings": "jde_lightning.inference.embedding_collection",
    "describe_annotated": "jde_lightning.inference.box_embeddings",
    "describe_detected": "jde_lightning.inference.box_embeddings",
    "detect_sequences": "jde_lightning.inference.cache_building",
    "detections_from_supervision": "jde_lightning.inference.interop",
    "detections_from_ultralytics": "jde_lightning.inference.interop",
    "draw_annotations": "jde_lightning.inference.drawing",
    "draw_detections": "jde_lightning.inference.drawing",
    "draw_tracks": "jde_lightning.inference.drawing",
    "embed_boxes": "jde_lightning.inference.box_embeddings",
    "embed_mosaic_views": "jde_lightning.inference.mosaic_views",
    "export_onnx": "jde_lightning.inference.onnx_export",
    "frames_of_index": "jde_lightning.inference.annotated_frames",
    "frames_of_sources": "jde_lightning.inference.annotated_frames",
    "load_predictor": "jde_lightning.inference.predictor_loading",
    "load_tracker_factory": "jde_lightning.inference.tracker_config",
    "open_source": "jde_lightning.inference.sources",
    "open_sources": "jde_lightning.inference.sources",
    "read_cache": "jde_lightning.inference.cache",
    "read_detection_files": "jde_lightning.inference.detection_files",
    "read_embeddings": "jde_lightning.inference.embedding_table",
    "to_boxmot": "jde_lightning.inference.interop",
    "to_rows": "jde_lightning.inference.interop",
    "to_supervision": "jde_lightning.inference.interop",
    "track_source": "jde_lightning.inference.tracking_run",
    "track_sources": "jde_lightning.inference.tracking_run",
    "tracks_from_rows": "jde_lightning.inference.interop",
    "tracks_from_supervision": "jde_lightning.inference.interop",
    "tracks_from_ultralytics": "jde_lightning.inference.interop",
    "write_cache": "jde_lightning.inference.cache",
}
__all__ = [
    "AnnotatedFrame",
    "CacheOrigin",
    "CachedSequence",
    "DetectionCache",
    "EmbeddingTable",
    "Frame",
    "FrameSource",
    "OnnxPredictor",
    "Predictor",
    "TrackingSummary",
    "Trails",
    "VideoWriter",
    "collect_embeddings",
    "describe_annotated",
    "describe_detected",
    "detect_sequences",
    "detections_from_supervision",
    "detections_from_ultralytics",
    "draw_annotations",
    "draw_detections",
    "draw_tracks",
    "embed_boxes",
    "embed_mosaic_views",
    "export_onnx",
    "frames_of_index",
    "frames_of_sources",
    "load_predictor",
    "load_tracker_factory",
    "open_source",
    "open_sources",
    "read_cache",
    "read_detection_files",
    "read_embeddings",
    "to_boxmot",
    "to_rows",
    "to_supervision",
    "track_source",
    "track_sources",
    "tracks_from_rows",
    "tracks_from_supervision",
    "tracks_from_ultralytics",
    "write_cache",
]

if TYPE_CHECKING:
    from jde_lightning.inference.annotated_frames import AnnotatedFrame, frames_of_index, frames_of_sources
    from jde_lightning.inference.box_embeddings import describe_annotated, describe_detected, embed_boxes
    from jde_lightning.inference.cache import CachedSequence, CacheOrigin, DetectionCache, read_cache, write_cache
    from jde_lightning.inference.cache_building import detect_sequences
    from jde_lightning.inference.detection_files import read_detection_files
    from jde_lightning.inference.drawing import Trails, draw_annotations, draw_detections, draw_tracks
    from jde_lightning.inference.embedding_collection import collect_embeddings
    from jde_lightning.inference.embedding_table import EmbeddingTable, read_embeddings
    from jde_lightning.inference.frames import Frame, FrameSource
    from jde_lightning.inference.interop import (
        detections_from_supervision,
        detections_from_ultralytics,
        to_boxmot,
        to_rows,
        to_supervision,
        tracks_from_rows,
        tracks_from_supervision,
        tracks_from_ultralytics,
    )
    from jde_lightning.inference.mosaic_views import embed_mosaic_views
    from jde_lightning.inference.onnx_export import export_onnx
    from jde_lightning.inference.onnx_predictor import OnnxPredictor
    from jde_lightning.inference.predictor import Predictor
    from jde_lightning.inference.predictor_loading import load_predictor
    from jde_lightning.inference.sources import open_source, open_sources
    from jde_lightning.inference.tracker_config import load_tracker_factory
    from jde_lightning.inference.tracking_run import TrackingSummary, track_source, track_sources
    from jde_lightning.inference.video import VideoWriter


__getattr__, __dir__ = lazy_names(__name__, _HOME)
