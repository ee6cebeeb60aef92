"""Callbacks that measure, average, keep and draw; each is a top-level key of the command line."""

from jde_lightning.callbacks.auto_batch_size import AutoBatchSize
from jde_lightning.callbacks.checkpoint import Checkpoint
from jde_lightning.callbacks.detection_ap import DetectionAP
from jde_lightning.callbacks.ema import EMA
from jde_lightning.callbacks.embedding_silhouette import EmbeddingQuality
from jde_lightning.callbacks.nan_guard import NaNGuard
from jde_lightning.callbacks.phases import Phase, Phases
from jde_lightning.callbacks.pictures import Pictures
from jde_lightning.callbacks.prediction_writer import PredictionWriter
from jde_lightning.callbacks.preemption import Preemption
from jde_lightning.callbacks.projector import Projector
from jde_lightning.callbacks.rehearsal import Rehearsal
from jde_lightning.callbacks.retrieval import Retrieval
from jde_lightning.callbacks.run_summary import RunSummary
from jde_lightning.callbacks.step_seed import StepSeed
from jde_lightning.callbacks.step_timing import StepTiming
from jde_lightning.callbacks.throughput import Throughput
from jde_lightning.callbacks.tracking_hota import TrackingHOTA
from jde_lightning.callbacks.view_retrieval import ViewRetrieval

__all__ = [
    "EMA",
    "AutoBatchSize",
    "Checkpoint",
    "DetectionAP",
    "EmbeddingQuality",
    "NaNGuard",
    "Phase",
    "Phases",
    "Pictures",
    "PredictionWriter",
    "Preemption",
    "Projector",
    "Rehearsal",
    "Retrieval",
    "RunSummary",
    "StepSeed",
    "StepTiming",
    "Throughput",
    "TrackingHOTA",
    "ViewRetrieval",
]
