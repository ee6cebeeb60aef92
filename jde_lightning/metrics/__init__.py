"""Tracking, embedding and detection metrics.

The public names load lazily (PEP 562): reading and evaluating result files imports neither torch nor scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jde_lightning.lazy_names import lazy_names

_HOME = {
    "DetectionAP": "jde_lightning.metrics.detection",
    "MOTRows": "jde_lightning.metrics.mot_challenge",
    "MultiClassTrackingMetrics": "jde_lightning.metrics.tracking",
    "TrackingMetrics": "jde_lightning.metrics.tracking",
    "balanced_sample": "jde_lightning.metrics.usable",
    "distances_by_time_gap": "jde_lightning.metrics.time_gaps",
    "embedding_metrics": "jde_lightning.metrics.embeddings",
    "evaluate_folder": "jde_lightning.metrics.folders",
    "ground_truth_from_annotations": "jde_lightning.metrics.in_memory",
    "hardest_negatives": "jde_lightning.metrics.hard_pairs",
    "hardest_positives": "jde_lightning.metrics.hard_pairs",
    "identity_silhouettes": "jde_lightning.metrics.per_identity",
    "nearest_neighbours": "jde_lightning.metrics.hard_pairs",
    "pair_histograms": "jde_lightning.metrics.verification",
    "project_embeddings": "jde_lightning.metrics.projection",
    "read_ground_truth": "jde_lightning.metrics.mot_challenge",
    "read_results": "jde_lightning.metrics.mot_challenge",
    "result_rows": "jde_lightning.metrics.in_memory",
    "usable_rows": "jde_lightning.metrics.usable",
    "verification_curve": "jde_lightning.metrics.verification",
    "verification_metrics": "jde_lightning.metrics.verification",
    "write_results": "jde_lightning.metrics.in_memory",
}
__all__ = [
    "DetectionAP",
    "MOTRows",
    "MultiClassTrackingMetrics",
    "TrackingMetrics",
    "balanced_sample",
    "distances_by_time_gap",
    "embedding_metrics",
    "evaluate_folder",
    "ground_truth_from_annotations",
    "hardest_negatives",
    "hardest_positives",
    "identity_silhouettes",
    "nearest_neighbours",
    "pair_histograms",
    "project_embeddings",
    "read_ground_truth",
    "read_results",
    "result_rows",
    "usable_rows",
    "verification_curve",
    "verification_metrics",
    "write_results",
]

if TYPE_CHECKING:
    from jde_lightning.metrics.detection import DetectionAP
    from jde_lightning.metrics.embeddings import embedding_metrics
    from jde_lightning.metrics.folders import evaluate_folder
    from jde_lightning.metrics.hard_pairs import hardest_negatives, hardest_positives, nearest_neighbours
    from jde_lightning.metrics.in_memory import ground_truth_from_annotations, result_rows, write_results
    from jde_lightning.metrics.mot_challenge import MOTRows, read_ground_truth, read_results
    from jde_lightning.metrics.per_identity import identity_silhouettes
    from jde_lightning.metrics.projection import project_embeddings
    from jde_lightning.metrics.time_gaps import distances_by_time_gap
    from jde_lightning.metrics.tracking import MultiClassTrackingMetrics, TrackingMetrics
    from jde_lightning.metrics.usable import balanced_sample, usable_rows
    from jde_lightning.metrics.verification import pair_histograms, verification_curve, verification_metrics


__getattr__, __dir__ = lazy_names(__name__, _HOME)
