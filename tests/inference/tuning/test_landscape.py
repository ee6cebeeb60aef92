"""The score over a grid of two parameters is what each setting scores on its own."""

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning import TrackerChoice, evaluate_sequences, score_landscape


def test_each_cell_is_the_score_of_its_setting(sequences):
    choice = TrackerChoice.load("yolo11_jde")
    # without embeddings the trackers of these detections go by motion
    choice = choice.updated({"appearance": False})
    grid = {"new_track_thresh": [0.3, 0.9], "first_match_thresh": [0.2, 0.5, 0.9]}
    scores = score_landscape(sequences, choice, grid, "IDF1")
    assert scores.shape == (3, 2)
    for row, second in enumerate(grid["first_match_thresh"]):
        for column, first in enumerate(grid["new_track_thresh"]):
            alone = choice.updated({"new_track_thresh": first, "first_match_thresh": second})
            assert scores[row, column] == evaluate_sequences(sequences, alone)["combined"]["IDF1"]
    assert len(np.unique(scores)) > 2, "equal scores would show nothing"


def test_what_is_no_grid_of_two_parameters_is_refused(sequences):
    choice = TrackerChoice.load("yolo11_jde")
    with pytest.raises(InputError, match="over two parameters, got 1: conf"):
        score_landscape(sequences, choice, {"conf": [0.1]})
    with pytest.raises(InputError, match="YOLO11JDETracker has no parameter 'conf'; it has track_high_thresh"):
        score_landscape(sequences, choice, {"conf": [0.1], "track_buffer": [10]})
