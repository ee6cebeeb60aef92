import warnings

import numpy as np
import pytest

from jde_lightning.plots.tuning import plot_parameter_importance, plot_tuning_history, plot_tuning_landscape


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_history_shows_trials_and_the_best_so_far(tmp_path):
    figure = plot_tuning_history([0.5, 0.45, 0.7, 0.9, 0.6], [False, False, False, True, False], 0.55, "HOTA")
    (axes,) = figure.axes
    before, best = axes.get_lines()
    assert before.get_ydata() == pytest.approx([55, 55])
    assert np.asarray(best.get_ydata()) == pytest.approx([50, 50, 70, 70, 70])  # what was given up is not the best
    assert best.get_label() == "best so far: 70.0"
    pruned, complete = axes.collections
    assert pruned.get_offsets().tolist() == [[4, 90]]
    assert len(complete.get_offsets()) == 4
    figure.savefig(tmp_path / "history.png")


def test_trials_far_below_are_seen_on_the_lower_edge(tmp_path):
    figure = plot_tuning_history([0.8, 0.0, 0.81, 0.82, 0.0], [False] * 5, 0.8, "HOTA")
    (axes,) = figure.axes
    _, inside, below = axes.collections
    bottom, _ = axes.get_ylim()
    assert bottom > 50
    assert inside.get_offsets()[:, 0].tolist() == [1, 3, 4]
    assert below.get_offsets().tolist() == [[2, pytest.approx(bottom)], [5, pytest.approx(bottom)]]
    assert f"trial below {bottom:.1f}" in axes.get_legend_handles_labels()[1]
    figure.savefig(tmp_path / "history.png")


def test_what_was_given_up_far_below_lies_on_the_lower_edge():
    figure = plot_tuning_history([0.8, 0.81, 0.1], [False, False, True], 0.8, "HOTA")
    (axes,) = figure.axes
    given_up, complete = axes.collections
    bottom, top = axes.get_ylim()
    assert given_up.get_offsets().tolist() == [[3, pytest.approx(bottom)]]
    assert bottom < 80
    assert top > 81


@pytest.mark.parametrize("pruned", [[], [True], [False], [True, False]])
def test_history_of_a_search_that_has_just_begun(tmp_path, pruned):
    figure = plot_tuning_history([0.5] * len(pruned), pruned, 0.5, "IDF1")
    assert figure.axes[0].get_ylabel() == "IDF1 (%)"
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert ("given up early" in labels) == any(pruned)
    figure.savefig(tmp_path / "history.png")


def test_history_needs_a_flag_per_trial():
    with pytest.raises(ValueError, match="one flag per trial is needed, got 2 values and 1 flags"):
        plot_tuning_history([0.1, 0.2], [True], 0.1, "HOTA")


def test_importance_has_the_largest_on_top(tmp_path):
    figure = plot_parameter_importance(["a", "b", "c"], [0.2, 0.7, 0.1], "HOTA")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["c", "a", "b"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([10, 20, 70])
    figure.savefig(tmp_path / "importance.png")


def test_importance_of_too_few_trials_says_so(tmp_path):
    figure = plot_parameter_importance([], [], "HOTA")
    assert "too few trials" in figure.axes[0].texts[0].get_text()
    figure.savefig(tmp_path / "importance.png")


def test_importance_needs_a_share_per_parameter():
    with pytest.raises(ValueError, match="one share per parameter is needed, got 2 names and 1 shares"):
        plot_parameter_importance(["a", "b"], [1.0], "HOTA")


def test_the_landscape_has_a_cell_for_every_pair_of_values_and_marks_the_setting_in_use():
    values = np.array([[0.40, 0.45], [0.41, np.nan], [0.39, 0.30]])
    figure = plot_tuning_landscape([0.2, 0.4], [5, 10, 20], values, ("conf", "buffer"), "HOTA", marked=(0.3, 15))
    axes = figure.axes[0]
    assert np.ma.filled(axes.images[0].get_array(), np.nan) == pytest.approx(100 * values, nan_ok=True)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("conf", "buffer", "HOTA (%)")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["5", "10", "20"]
    bold = [(text.get_position(), text.get_text()) for text in axes.texts if text.get_fontweight() == "bold"]
    assert bold == [((1, 0), "45.0")]
    assert np.asarray(axes.collections[0].get_offsets()) == pytest.approx(np.array([[0.5, 1.5]]))


def test_the_landscape_of_nothing_says_so_and_a_wrong_shape_is_refused():
    figure = plot_tuning_landscape([1, 2], [3], np.full((1, 2), np.nan), ("a", "b"), "HOTA")
    assert figure.axes[0].texts[0].get_text() == "nothing was measured"
    with pytest.raises(ValueError, match=r"shape \(1, 2\) as y and x, got \(2, 1\)"):
        plot_tuning_landscape([1, 2], [3], np.zeros((2, 1)), ("a", "b"), "HOTA")
