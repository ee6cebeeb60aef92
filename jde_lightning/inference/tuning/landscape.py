"""A tracker's score over a grid of two parameters, all others held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning.evaluation import TrackerChoice, evaluate_sequences
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.metrics.sequences import Benchmark


def score_landscape(
    sequences: Sequence[TuningSequence],
    choice: TrackerChoice,
    grid: Mapping[str, Sequence[float]],
    metric: str = "HOTA",
    benchmark: Benchmark = "mot17",
    progress: bool = False,
) -> npt.NDArray[np.float64]:
    """Track and score with every pair of two parameters' values.

    Args:
        sequences: detections and ground truth.
        choice: the tracker, with the values of all other parameters.
        grid: two parameters, each with the values to try: ``X`` of the first, ``Y`` of the second.
        metric: a key of the scores, such as HOTA, IDF1 or MOTA.
        benchmark: whose rules hold.
        progress: show a progress bar on stderr.

    Returns:
        ``(Y, X)`` scores over all sequences together, as :func:`~jde_lightning.plots.plot_tuning_landscape` takes them.

    Raises:
        InputError: if the grid has not two parameters, or the tracker does not know one, or refuses a value.
    """
    if len(grid) != 2:
        msg = f"a landscape is over two parameters, got {len(grid)}: {', '.join(grid) or 'none'}"
        raise InputError(msg)
    unknown = [name for name in grid if name not in choice.arguments]
    if unknown:
        known = ", ".join(choice.arguments)
        msg = f"{choice.tracker.__name__} has no parameter {unknown[0]!r}; it has {known}"
        raise InputError(msg)
    (first, across), (second, down) = grid.items()
    scores = np.full((len(down), len(across)), np.nan)
    with tqdm(total=scores.size, desc="landscape", unit="setting", disable=None if progress else True) as bar:
        for row, y in enumerate(down):
            for column, x in enumerate(across):
                found = evaluate_sequences(sequences, choice.updated({first: x, second: y}), benchmark)
                scores[row, column] = found["combined"][metric]
                bar.update()
    return scores
