import sys
import warnings

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from jde_lightning.plots.colors import as_rgb, identity_color
from jde_lightning.plots.curves import plot_hota_over_epochs, plot_losses
from jde_lightning.plots.tracks import plot_tracks_over_time


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def lines(axes):
    solid, gaps = [c for c in axes.collections if isinstance(c, LineCollection)]
    return solid, gaps


def test_hota_curves_are_in_percent_with_best_and_last(tmp_path):
    figure = plot_hota_over_epochs([1, 2, 3], [0.30, 0.50, 0.45], [0.35, 0.40, np.nan])
    (axes,) = figure.axes
    motion, appearance = axes.get_lines()
    assert appearance.get_ydata().tolist() == pytest.approx([30, 50, 45])
    assert motion.get_label() == "motion only: best 40.0, last 40.0"
    assert appearance.get_label() == "with appearance: best 50.0, last 45.0"
    figure.savefig(tmp_path / "hota.png")


@pytest.mark.parametrize("n", [0, 1])
def test_hota_of_a_run_that_has_just_begun(tmp_path, n):
    figure = plot_hota_over_epochs(list(range(n)), [0.5] * n, [float("nan")] * n)
    assert "motion only: not measured" in [line.get_label() for line in figure.axes[0].get_lines()]
    figure.savefig(tmp_path / "hota.png")


def test_hota_needs_a_value_per_epoch():
    with pytest.raises(ValueError, match="one value per epoch is needed, got 2 epochs, 1 and 2 values"):
        plot_hota_over_epochs([1, 2], [0.1], [0.1, 0.2])


def test_tracks_break_at_gaps_and_keep_their_colors(tmp_path):
    # Identity 1 in frames 1, 2, 5, 6; identity 9 in frame 3 alone. The rows come in any order.
    frames, ids = np.array([6, 1, 2, 5, 3]), np.array([1, 1, 1, 1, 9])
    boxes = np.stack([frames * 10.0, frames, frames * 10.0 + 4, frames + 9.0], axis=1)
    figure = plot_tracks_over_time(frames, ids, boxes, "walk")
    position, lanes = figure.axes
    solid, gaps = lines(position)
    assert [s[:, 0].tolist() for s in solid.get_segments()] == [[1, 2], [5, 6]]
    assert [s[:, 0].tolist() for s in gaps.get_segments()] == [[2, 5]]
    assert solid.get_segments()[0][:, 1].tolist() == [12, 22]  # horizontal centres
    assert solid.get_colors()[0][:3].tolist() == pytest.approx(as_rgb(identity_color(1)))
    (alone,) = [c for c in position.collections if isinstance(c, PathCollection)]
    assert alone.get_offsets().tolist() == [[3, 32]]
    assert [t.get_text() for t in lanes.get_yticklabels()] == ["1", "9"]
    figure.savefig(tmp_path / "tracks.png")


def test_lanes_are_in_order_of_appearance():
    figure = plot_tracks_over_time(np.array([5, 6, 1, 2]), np.array([1, 1, 7, 7]), np.zeros((4, 4)))
    lanes = figure.axes[1]
    heights = dict(zip([t.get_text() for t in lanes.get_yticklabels()], lanes.get_yticks(), strict=True))
    assert heights == {"7": 0, "1": 1}


def test_no_tracks(tmp_path):
    none = np.zeros(0, np.int64)
    plot_tracks_over_time(none, none, np.zeros((0, 4))).savefig(tmp_path / "none.png")


def test_tracks_need_equal_lengths():
    with pytest.raises(ValueError, match="must have equal lengths, got 2, 1 and 1"):
        plot_tracks_over_time(np.array([1, 2]), np.array([1]), np.zeros((1, 4)))


def test_pyplot_is_not_touched():
    import subprocess

    code = "import sys, jde_lightning.plots; assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_losses_have_a_panel_each_and_a_line_that_outliers_do_not_bend():
    steps = list(range(5, 55, 5))
    box = [3.0, 3.0, 3.0, 9.0, 3.0, 3.0, 3.0, np.nan, 3.0, 3.0]
    figure = plot_losses(steps, {"box": box, "reid": [1.0] * 10}, window=3)
    assert [axes.get_title() for axes in figure.axes] == ["box", "reid"]
    logged, median = figure.axes[0].lines
    assert max(logged.get_ydata()) == 9
    assert list(median.get_ydata()) == [3.0] * 9
    assert list(median.get_xdata()) == [step for step in steps if step != 40]


def test_losses_of_nothing_and_of_other_steps():
    assert plot_losses([], {}).texts[0].get_text() == "no loss was logged"
    plot_losses([], {"box": []})
    with pytest.raises(ValueError, match="box must have one value per step, got 1 values and 2 steps"):
        plot_losses([1, 2], {"box": [1.0]})
