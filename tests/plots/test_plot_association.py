"""Matrices of tracks and detections, and their terms over time."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from jde_lightning.plots import plot_association_matrices, plot_pairs_over_time

FRAMES = np.array([4, 4, 4, 4, 5])
TRACKS = np.array([7, 7, 3, 3, 3])
DETECTIONS = np.array([0, 2, 2, 2, 0])
VALUES = np.array([0.1, 0.8, np.nan, 0.3, 0.2])
MATCHED = np.array([True, False, False, True, True])


def panels(figure):
    return [axes for axes in figure.axes if axes.images and axes.get_xlabel() == "detection"]


def test_a_matrix_holds_each_pair_at_its_track_and_detection():
    figure = plot_association_matrices(FRAMES, TRACKS, DETECTIONS, VALUES, MATCHED, [4, 5], "cosine distance")
    first, second = panels(figure)
    # rows are tracks 3 and 7, columns detections 0 and 2; the stage without a value hides nothing
    assert np.ma.filled(first.images[0].get_array(), np.nan) == pytest.approx(
        np.array([[np.nan, 0.3], [0.1, 0.8]]), nan_ok=True
    )
    assert [text.get_text() for text in first.get_yticklabels()] == ["3", "7"]
    assert [text.get_text() for text in first.get_xticklabels()] == ["0", "2"]
    assert {text.get_text() for text in first.texts} == {".30", ".10", ".80"}
    boxes = {(round(p.get_x() + 0.46), round(p.get_y() + 0.46)) for p in first.patches if isinstance(p, Rectangle)}
    assert boxes == {(1, 0), (0, 1)}, "matches are framed at (column, row)"
    # one scale for all frames, so that they compare
    assert first.images[0].norm.vmax == second.images[0].norm.vmax == 0.8


def test_a_later_stage_with_a_value_wins():
    figure = plot_association_matrices([1, 1], [2, 2], [0, 0], [0.9, 0.4], [False, True], [1], "x")
    assert panels(figure)[0].images[0].get_array().item() == 0.4


def test_a_frame_without_pairs_says_so():
    figure = plot_association_matrices(FRAMES, TRACKS, DETECTIONS, VALUES, MATCHED, [9], "x")
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["nothing was compared"]
    empty = np.zeros(0)
    plot_association_matrices(empty, empty, empty, empty, empty.astype(bool), [], "x")


def test_a_crowd_is_drawn_without_numbers():
    tracks, detections = (axis.ravel() for axis in np.meshgrid(np.arange(1, 41), np.arange(40)))
    zeros = np.zeros(len(tracks))
    figure = plot_association_matrices(zeros, tracks, detections, zeros + 0.5, zeros > 1, [0], "x")
    assert not panels(figure)[0].texts
    assert len(panels(figure)[0].get_xticks()) == 10


def test_pairs_over_time_shows_what_was_matched_and_what_not():
    outcomes = np.where(MATCHED, "matched", "over_limit")
    figure = plot_pairs_over_time(FRAMES, VALUES, outcomes, "cosine distance", limit=0.7)
    above, below = figure.axes
    rest, matched = (np.asarray(points.get_offsets()) for points in above.collections)
    assert matched.tolist() == [[4, 0.1], [4, 0.3], [5, 0.2]]
    assert rest.tolist() == [[4, 0.8]]
    by_label = {line.get_label(): line for line in above.lines}
    assert by_label["matched, median"].get_ydata() == pytest.approx([0.2, 0.2])
    assert by_label["limit 0.7"].get_ydata()[0] == 0.7
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["matched", "over limit"]


def test_pairs_over_time_without_pairs_or_values():
    figure = plot_pairs_over_time([], [], [], "cosine distance")
    assert figure.axes[0].texts[0].get_text() == "no pair has a cosine distance"
    figure = plot_pairs_over_time([1], [np.nan], ["motion"], "cosine distance")
    assert figure.axes[0].texts[0].get_text() == "no pair has a cosine distance"


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="track_ids 4, detections 5"):
        plot_association_matrices(FRAMES, TRACKS[1:], DETECTIONS, VALUES, MATCHED, [4], "x")
    with pytest.raises(ValueError, match="pair_frames 5, matched 4"):
        plot_association_matrices(FRAMES, TRACKS, DETECTIONS, VALUES, MATCHED[1:], [4], "x")
    with pytest.raises(ValueError, match="outcomes 1"):
        plot_pairs_over_time(FRAMES, VALUES, ["matched"], "x")
