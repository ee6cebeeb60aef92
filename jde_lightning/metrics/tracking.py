"""Tracking metrics that sum over sequences and over processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torchmetrics import Metric

from jde_lightning.metrics.classes import class_averaged, rows_by_class
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.processes import gathered_states
from jde_lightning.metrics.scores import COUNT_SHAPES, Scores, scores_from_counts, sequence_counts, summed
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
        self._add_counts()

    def _add_counts(self, *leading: int) -> None:
        """Add a state for each count, with leading axes if there are several of each."""
        for name, shape in COUNT_SHAPES.items():
            self.add_state(name, torch.zeros((*leading, *shape), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, ground_truth: MOTRows, result: MOTRows) -> None:
        """Add one whole sequence; parts of a sequence would count as sequences of their own.

        Args:
            ground_truth: rows of a ``gt.txt`` or of annotations in memory.
            result: rows of a result file or of tracks in memory.
        """
        for name, value in sequence_counts(ground_truth, result, self.benchmark).items():
            state = getattr(self, name)
            setattr(self, name, state + torch.from_numpy(np.array(value)).to(state))

    def compute(self) -> Scores:
        """Return the scores of all sequences together, see :func:`jde_lightning.metrics.scores.scores_from_counts`."""
        return scores_from_counts({name: getattr(self, name).cpu().numpy() for name in COUNT_SHAPES})

    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:
        """Add up the states of all processes."""
        states = {name: getattr(self, name).cpu().numpy() for name in COUNT_SHAPES}
        total = summed(gathered_states(states, process_group or self.process_group))
        for name, value in total.items():
            setattr(self, name, torch.from_numpy(np.array(value)).to(self.device))


class MultiClassTrackingMetrics(TrackingMetrics):
    """The same for several classes: each on its own, and combined. No rules of a benchmark: those know one class.

    Args:
        classes: number of each class in the rows, by its name; label + 1 in rows made from tracks in memory.

    Raises:
        ValueError: if there is no class.

    Example:
        >>> metrics = MultiClassTrackingMetrics({"person": 1, "car": 2})
        >>> rows = result_rows(numbers, tracks, num_classes=2)  # doctest: +SKIP
        >>> metrics.update(ground_truth_from_annotations(frames, num_classes=2), rows)  # doctest: +SKIP
        >>> metrics.compute()["classes"]["car"]["HOTA"]  # doctest: +SKIP
    """

    def __init__(self, classes: Mapping[str, int]) -> None:
        super().__init__("none")
        if not classes:
            msg = "classes is empty, expected the number of each class by its name"
            raise ValueError(msg)
        self.classes = dict(classes)
        self._add_counts(len(self.classes))

    def update(self, ground_truth: MOTRows, result: MOTRows) -> None:
        """Add one whole sequence with the rows of all classes; rows of other classes are left out."""
        for index, (_, rows) in enumerate(rows_by_class(ground_truth, result, self.classes)):
            for name, value in sequence_counts(*rows, self.benchmark).items():
                state = getattr(self, name)
                state[index] += torch.from_numpy(np.array(value)).to(state)

    def compute(self) -> dict[str, Any]:
        """Return the scores of all sequences together.

        Returns:
            ``combined``: scores in which each box has the same weight; ``class_averaged``: in which each class has the
            same weight; ``classes``: scores of each class by its name.
        """
        counts = {name: getattr(self, name).cpu().numpy() for name in COUNT_SHAPES}
        parts = [{name: value[index] for name, value in counts.items()} for index in range(len(self.classes))]
        scores = dict(zip(self.classes, map(scores_from_counts, parts), strict=True))
        return {
            "combined": scores_from_counts(summed(parts)),
            "class_averaged": class_averaged(scores.values()),
            "classes": scores,
        }
