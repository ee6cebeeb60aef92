"""Plotly figures hold the arrays that they were given, and stand in a page once with their library."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from jde_lightning.plots import interactive
from jde_lightning.plots.chart_sheet import ChartSheet
from jde_lightning.plots.colors import MOTION_ONLY, WITH_APPEARANCE
from jde_lightning.plots.interactive import DIFFERENT, SAME, Line


def test_lines_keep_gaps_and_mark_single_points():
    figure = interactive.line_chart(
        [Line("a", [0, 1, 2], [1, np.nan, 3], SAME), Line("b", [1], [2], DIFFERENT)], "epoch", "loss"
    )
    assert figure.data[0].mode == "lines"
    assert figure.data[1].mode == "lines+markers"
    np.testing.assert_array_equal(figure.data[0].y, [1, np.nan, 3])
    assert figure.layout.xaxis.title.text == "epoch"
    assert figure.layout.dragmode is False


def test_bars_pair_the_scores_of_each_sequence():
    figure = interactive.paired_bars(["s1", "s2"], [50, 60], [40, 65], "HOTA (%)")
    bars = {bar.name: (bar.x.tolist(), bar.marker.color) for bar in figure.data}
    assert bars == {
        "with appearance": ([50, 60], WITH_APPEARANCE),
        "motion only": ([40, 65], MOTION_ONLY),
    }
    assert figure.layout.height > interactive.paired_bars(["s1"], [50], [40], "HOTA (%)").layout.height


def test_histograms_are_shares_of_their_own_pairs():
    figure = interactive.pair_histograms([0, 0.5, 1, 1.5, 2], [3, 1, 0, 0], [0, 2, 6, 0])
    shares = {bar.name.split(" (")[0]: bar.y.tolist() for bar in figure.data}
    assert shares == {"same identity": [75, 25, 0, 0], "different identities": [0, 25, 75, 0]}
    assert figure.layout.xaxis.range == (0, 1.5), "nothing is drawn where there is no pair"
    assert len(interactive.pair_histograms([0, 1, 2], [0, 0], [1, 0]).data) == 1


def test_bands_reach_from_quantile_to_quantile():
    nan = [np.nan] * 3
    figure = interactive.time_gap_bands([0, 1, 2], [[0.1, 0.2, 0.4], nan], [nan, nan], ([5, 0], [0, 0]))
    (line,) = figure.data
    assert line.x == ("0 to 1 s", "1 to 2 s")
    np.testing.assert_allclose(line.error_y.array, [0.2, np.nan])
    np.testing.assert_allclose(line.error_y.arrayminus, [0.1, np.nan])
    assert line.line.color == SAME


def test_worst_silhouettes_come_first():
    figure = interactive.silhouette_bars(["a", "b", "c"], [0.5, -0.2, 0.1], ["1", "2", "3"])
    assert figure.data[0].y.tolist() == [-0.2, 0.1, 0.5]
    assert figure.data[0].text == ("b: 2", "c: 3", "a: 1")
    assert figure.data[0].marker.color.tolist() == [DIFFERENT, SAME, SAME]


def test_map_has_a_button_for_each_projection():
    views = {"t-SNE": np.arange(6).reshape(3, 2), "PCA": -np.arange(6).reshape(3, 2)}
    figure = interactive.embedding_map(views, [0, 0, -1])
    assert figure.data[0].x.tolist() == [0, 2, 4]
    colors = figure.data[0].marker.color
    assert colors[0] == colors[1] != colors[2] == "#969696"
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["t-SNE", "PCA"]
    assert buttons[1].args[0]["x"] == [[0, -2, -4]]
    assert not interactive.embedding_map({"PCA": np.zeros((3, 2))}, [0, 1, 2]).layout.updatemenus


def test_page_has_the_library_once_and_text_cannot_end_its_script():
    sheet = ChartSheet()
    assert sheet.scripts() == ""
    figure = go.Figure(go.Scatter(x=[1], y=[2], name="</script><!-- <b>"), layout={"height": 300})
    first, second = sheet.add(figure), sheet.add(figure, "named")
    assert 'id="chart-1"' in first
    assert 'id="named"' in second
    text = second.split(">", 3)[3].removesuffix("</script>")
    assert "</" not in text
    assert "<!" not in text
    assert json.loads(text)["data"][0]["name"] == "</script><!-- <b>"
    assert sheet.scripts().count("plotly.js v") == 1


@pytest.mark.parametrize("kind", ["line", "map", "bars"])
def test_figures_carry_no_template(kind):
    figure = {
        "line": lambda: interactive.line_chart([], "x", "y"),
        "map": lambda: interactive.embedding_map({"PCA": np.zeros((1, 2))}, [0]),
        "bars": lambda: interactive.paired_bars(["s"], [1], [2], "HOTA"),
    }[kind]()
    assert len(figure.to_json()) < 3000
