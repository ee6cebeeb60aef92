"""The picture of an ablation: dots where the numbers are, whatever is missing."""

import numpy as np
import pytest

from jde_lightning.plots.ablation import plot_ablation


def dots(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines if line.get_label()[0] != "_"}


def test_each_metric_has_a_panel_with_a_dot_per_row():
    figure = plot_ablation(
        ["a", "b"],
        {"HOTA": [50.0, 52.0], "rank-1": [np.nan, 90.0]},
        spread={"HOTA": [1.0, np.nan]},
        published={"HOTA": [51.0, np.nan]},
        title="Table 2",
    )
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["HOTA", "rank-1"]
    (container,) = first.containers
    assert container.lines[0].get_xydata().tolist() == [[50.0, 0.0], [52.0, 1.0]]
    (bars,) = container.lines[2]
    assert [segment[:, 0].tolist() for segment in bars.get_segments()] == [[49.0, 51.0], [52.0, 52.0]]
    assert dots(first)["published"][0] == [51.0, 0.0]
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["a", "b"]
    assert first.get_ylim() == (1.5, -0.5)  # the first row is on top
    figure.canvas.draw()


def test_nothing_measured_is_no_crash():
    for rows, measured in (([], {}), (["a"], {}), (["a"], {"HOTA": [np.nan]})):
        plot_ablation(rows, measured).canvas.draw()


def test_wrong_number_of_values():
    with pytest.raises(ValueError, match="HOTA: one value per row is needed, got 1 for 2 rows"):
        plot_ablation(["a", "b"], {"HOTA": [1.0]})
