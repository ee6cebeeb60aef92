"""Tracking, embedding and detection metrics.

The public names load lazily (PEP 562): reading and evaluating result files imports neither torch nor scikit-learn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "DetectionAP": "jde_lightning.metrics.detection",
    "MOTRows": "jde_lightning.metrics.mot_challenge",
    "MultiClassTrackingMetrics": "jde_lightning.metrics.tracking",
    "TrackingMetrics": "jde_lightning.metrics.tracking",
    "embedding_metrics": "jde_lightning.metrics.embeddings",
    "evaluate_folder": "jde_lightning.metrics.folders",
    "ground_truth_from_annotations": "jde_lightning.metrics.in_memory",
    "read_ground_truth": "jde_lightning.metrics.mot_challenge",
    "read_results": "jde_lightning.metrics.mot_challenge",
    "result_rows": "jde_lightning.metrics.in_memory",
    "verification_metrics": "jde_lightning.metrics.verification",
    "write_results": "jde_lightning.metrics.in_memory",
}
__all__ = [
    "DetectionAP",
    "MOTRows",
    "MultiClassTrackingMetrics",
    "TrackingMetrics",
    "embedding_metrics",
    "evaluate_folder",
    "ground_truth_from_annotations",
    "read_ground_truth",
    "read_results",
    "result_rows",
    "verification_metrics",
    "write_results",
]

if TYPE_CHECKING:
    from jde_lightning.metrics.detection import DetectionAP
    from jde_lightning.metrics.embeddings import embedding_metrics
    from jde_lightning.metrics.folders import evaluate_folder
    from jde_lightning.metrics.in_memory import ground_truth_from_annotations, result_rows, write_results
    from jde_lightning.metrics.mot_challenge import MOTRows, read_ground_truth, read_results
    from jde_lightning.metrics.tracking import MultiClassTrackingMetrics, TrackingMetrics
    from jde_lightning.metrics.verification import verification_metrics


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted({*globals(), *__all__})
