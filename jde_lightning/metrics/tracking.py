"""Tracking metrics that sum over sequences and over processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchmetrics import Metric

from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.processes import gathered_states
from jde_lightning.metrics.scores import COUNT_SHAPES, scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.sequences import BENCHMARKS, Benchmark


class TrackingMetrics(Metric):
    """HOTA, CLEAR MOT and identity metrics of many sequences, equal to TrackEval's combined scores.

    All states are float64 sums, so the result does not depend on how whole sequences are spread over processes; some
    may have none. The metric may stay on the CPU under NCCL, and must do so on a Mac: MPS has no float64.

    Args:
        benchmark: whose rules hold: the distractor classes of MOT16, MOT17 or MOT20; none for MOT15 and ``none``.

    Example:
        >>> metrics = TrackingMetrics("mot17")
        >>> metrics.update(ground_truth_from_annotations(frames), result_rows(numbers, tracks))  # doctest: +SKIP
        >>> metrics.compute()["HOTA"]  # doctest: +SKIP
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(self, benchmark: Benchmark = "mot17") -> None:
        super().__init__()
        if benchmark not in BENCHMARKS:
            msg = f"benchmark is {benchmark!r}, expected one of {', '.join(BENCHMARKS)}"
            raise ValueError(msg)
        self.benchmark: Benchmark = benchmark
        for name, shape in COUNT_SHAPES.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ground_truth: MOTRows, result: MOTRows) -> None:
        """Add one whole sequence; parts of a sequence would count as sequences of their own.

        Args:
            ground_truth: rows of a ``gt.txt`` or of annotations in memory.
            result: rows of a result file or of tracks in memory.
        """
        for name, value in sequence_counts(ground_truth, result, self.benchmark).items():
            state = getattr(self, name)
            setattr(self, name, state + torch.from_numpy(np.array(value)).to(state))

    def compute(self) -> dict[str, float | int]:
        """Return the scores of all sequences together, see :func:`jde_lightning.metrics.scores.scores_from_counts`."""
        return scores_from_counts({name: getattr(self, name).cpu().numpy() for name in COUNT_SHAPES})

    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Add up the states of all processes."""
        states = {name: getattr(self, name).cpu().numpy() for name in COUNT_SHAPES}
        total = summed(gathered_states(states, process_group or self.process_group))
        for name, value in total.items():
            setattr(self, name, torch.from_numpy(np.array(value)).to(self.device))
