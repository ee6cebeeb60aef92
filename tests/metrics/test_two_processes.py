"""Metrics of two processes with different amounts of data equal those of one."""

import numpy as np
import pytest
import torch
from test_average_precision import crowd
from trackeval_oracle import random_sequence

from jde_lightning.metrics.detection import DetectionAP
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.tracking import TrackingMetrics


def _rank(rank, store, sequences, images, scores, precision):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for split in (2, 3, 4):  # the second process has less data, at last none
        part = slice(None, split) if rank == 0 else slice(split, None)
        tracking, detection = TrackingMetrics(), DetectionAP()
        for pair in sequences[part]:
            tracking.update(*pair)
        if images[part]:
            detection.update(*zip(*images[part], strict=True))
        for _ in range(2):  # the states of this process are back after computing
            assert tracking.compute() == pytest.approx(scores, abs=1e-12)
            assert detection.compute() == pytest.approx(precision, abs=1e-9)
            tracking._computed = detection._computed = None
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    rng = np.random.default_rng(2)
    sequences = [random_sequence(rng, 25) for _ in range(4)]
    images = [crowd(rng, count) for count in (50, 0, 5, 30)]
    scores = scores_from_counts(summed(sequence_counts(*pair) for pair in sequences))
    detection = DetectionAP()
    detection.update(*zip(*images, strict=True))
    torch.multiprocessing.spawn(
        _rank, (str(tmp_path / "store"), sequences, images, scores, detection.compute()), nprocs=2
    )
