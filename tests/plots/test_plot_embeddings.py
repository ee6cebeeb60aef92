"""Figures of embeddings: they show the numbers that are given, and say why where there is nothing to show."""

import math
import warnings

import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox

from jde_lightning import plots
from jde_lightning.plots.colors import CORRECT, FALSE_POSITIVE, GRAY, as_rgb, identity_color


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # matplotlib 3.8 calls pyparsing by names that pyparsing 3.3 deprecates
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="matplotlib|pyparsing")
        yield


def picture(height=128, width=64, value=90):
    return np.full((height, width, 3), value, np.uint8)


def texts(figure):
    """All words of a figure."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title() for axes in figure.axes] + [axes.get_xlabel() for axes in figure.axes]
    found += [note.get_text() for note in (figure._supxlabel, figure._suptitle) if note is not None]
    return " ".join(" ".join(found).split())


def test_the_map_has_the_colours_of_identities_and_pictures_that_do_not_touch(tmp_path):
    points = np.random.default_rng(0).normal(size=(300, 2))
    points[3] = np.nan
    ids = np.arange(300) % 7 - 1
    asked = []

    def picture_of(row):
        asked.append(row)
        return picture()

    figure = plots.plot_embedding_map(points, ids, picture_of, "PCA", max_pictures=20, note="a remark")
    gray, colored = figure.axes[0].collections
    known = [i for i in range(300) if ids[i] >= 0 and i != 3]
    assert colored.get_offsets().tolist() == points[known].tolist()
    assert colored.get_facecolors()[:, :3] == pytest.approx(
        np.array([as_rgb(identity_color(int(i))) for i in ids[known]])
    )
    assert len(gray.get_offsets()) == (ids == -1).sum()
    shown = [artist for artist in figure.axes[0].artists if isinstance(artist, AnnotationBbox)]
    assert len(shown) == len(asked) <= 20
    assert len(asked) > 5
    assert {tuple(artist.xy) for artist in shown} == {tuple(points[row]) for row in asked}
    figure.savefig(tmp_path / "map.png", dpi=60)
    boxes = [artist.get_window_extent() for artist in shown]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert "PCA: 299 embeddings, 6 identities; gray: 43 without" in texts(figure)
    assert "a remark" in texts(figure)


def test_histograms_are_shares_with_their_medians(tmp_path):
    edges = np.linspace(0, 2, 21)
    same, different = np.zeros(20), np.zeros(20)
    same[2:4], different[9:11] = (30, 10), (500, 500)
    figure = plots.plot_distance_histograms(edges, same, different)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["same identity: median 0.27, 40 pairs", "different identities: median 1.00, 1,000 pairs"]
    steps = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    for patch, counts in zip(steps, (same, different), strict=True):
        values = patch.get_data().values
        assert values == pytest.approx(counts / counts.sum() / 0.1)
    figure.savefig(tmp_path / "histograms.png")
    lonely = plots.plot_distance_histograms(edges, same, np.zeros(20), "one identity only")
    assert "different identities: no pairs" in [t.get_text() for t in lonely.axes[0].get_legend().get_texts()]
    assert "one identity only" in texts(lonely)
    lonely.savefig(tmp_path / "lonely.png")


def test_time_gaps_show_median_and_counts(tmp_path):
    same = np.array([[0.1, 0.2, 0.3], [np.nan] * 3, [0.2, 0.4, 0.6]])
    figure = plots.plot_distance_by_time_gap([0, 0.1, 0.25, 32], same, same + 0.5, [950, 0, 1_234_567], [9, 9, 9])
    axes = figure.axes[0]
    for line, values in zip(axes.get_lines(), (same, same + 0.5), strict=True):
        assert line.get_ydata() == pytest.approx(values[:, 1], nan_ok=True)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["0 to 0.1\n950", "0.1 to 0.25\n0", "0.25 to 32\n1.2M"]
    figure.savefig(tmp_path / "gaps.png")


def test_silhouettes_show_the_worst_first(tmp_path):
    values = np.array([0.5, -0.2, 0.1])
    figure = plots.plot_silhouettes([4, 7, 9], values, [10, 20, 70], ["a", "b", "c"], ["c", "c", "a"], most=2)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c → a (70)", "b → c (20)"]  # from below
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.1, -0.2])
    assert axes.patches[1].get_facecolor()[:3] == pytest.approx(as_rgb(identity_color(7)))
    assert "all 100 embeddings: 0.08; the 2 worst of 3" in texts(figure)
    figure.savefig(tmp_path / "silhouettes.png")


def test_silhouettes_with_long_names_stay_inside_the_figure():
    names = [f"{k} of MOT17-09-FRCNN" for k in range(3)]
    figure = plots.plot_silhouettes([4, 7, 9], [0.5, -0.2, 0.1], [10, 20, 70], names, names)
    figure.draw_without_rendering()
    written = [figure._suptitle, figure._supxlabel, figure.axes[0].xaxis.label, *figure.axes[0].get_yticklabels()]
    for box in (text.get_window_extent() for text in written):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1


def test_the_curve_has_its_marks(tmp_path):
    mistaken, found = np.array([0, 0.0005, 0.02, 1]), np.array([0.1, 0.3, 0.8, 1.0])
    figure = plots.plot_verification(mistaken, found)
    assert "30.0 % at 0.01" in texts(figure)
    assert "30.0 % at 0.001" in texts(figure)
    area = np.trapezoid(found, mistaken) if hasattr(np, "trapezoid") else np.trapz(found, mistaken)
    assert f"area {area:.3f}" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    figure.savefig(tmp_path / "roc.png")


def test_neighbours_are_framed_by_truth(tmp_path):
    same = [True, False, None, np.True_]
    figure = plots.plot_nearest_neighbours(
        picture(), [picture(value=50 + i) for i in range(4)], [0.1, 0.2, 0.3, 0.4], same
    )
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["query", "0.10", "0.20", "0.30", "0.40"]
    frames = [axes.spines["left"].get_edgecolor()[:3] for axes in shown[1:]]
    assert frames == [pytest.approx(as_rgb(c)) for c in (CORRECT, FALSE_POSITIVE, GRAY, CORRECT)]
    figure.savefig(tmp_path / "neighbours.png")
    alone = plots.plot_nearest_neighbours(picture(), [], [])
    assert "there is no other embedding" in texts(alone)
    alone.savefig(tmp_path / "alone.png")
    many = plots.plot_nearest_neighbours(picture(), [picture()] * 16, [0.5] * 16)
    assert sum(bool(axes.images) for axes in many.axes) == 17


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_pairs_stand_side_by_side(count, tmp_path):
    first, second = [picture(value=10 * i) for i in range(count)], [picture(value=10 * i + 5) for i in range(count)]
    figure = plots.plot_pairs(first, second, [0.5] * count, ["id 1, seq, frame 2"] * count, ["b"] * count, "Hardest")
    values = [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes if axes.images]
    assert values == [value for i in range(count) for value in (10 * i, 10 * i + 5)]
    figure.savefig(tmp_path / "pairs.png", dpi=50)


def test_mosaic_views_farther_than_a_stranger_are_red(tmp_path):
    boxes = [[5, 5, 20, 40]] * 3
    figure = plots.plot_mosaic_views(picture(90, 120), boxes[0], [picture(96, 96)] * 3, boxes, [0.1, 0.5, 0.2], 0.3)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown[1:]] == ["distance 0.10", "distance 0.50", "distance 0.20"]
    assert "nearest other box 0.30" in shown[0].get_title()
    colors = [axes.lines[-1].get_color() for axes in shown[1:]]
    assert colors == [as_rgb(c) for c in (CORRECT, FALSE_POSITIVE, CORRECT)]
    figure.savefig(tmp_path / "views.png", dpi=50)
    alone = plots.plot_mosaic_views(picture(), boxes[0], [picture()], boxes[:1], [1.9], math.nan)
    assert alone.axes[1].lines[-1].get_color() == as_rgb(CORRECT)  # nobody is nearer


NO_GAPS = ([0.0], np.zeros((0, 3)), np.zeros((0, 3)), [], [])


@pytest.mark.parametrize(
    ("draw", "why"),
    [
        (lambda: plots.plot_embedding_map(np.zeros((0, 2)), []), "there is no embedding to show"),
        (lambda: plots.plot_embedding_map([[np.nan, 1]], [1], note="all are NaN"), "all are NaN"),
        (lambda: plots.plot_distance_histograms([0, 1, 2], [0, 0], [0, 0]), "no two embeddings with an identity"),
        (lambda: plots.plot_distance_histograms([0, 2], [0], [0], "why not"), "why not"),
        (lambda: plots.plot_distance_by_time_gap(*NO_GAPS), "no two embeddings of one sequence"),
        (lambda: plots.plot_distance_by_time_gap(*NO_GAPS, note="single images"), "single images"),
        (lambda: plots.plot_silhouettes([], [], []), "no embedding has an identity"),
        (lambda: plots.plot_silhouettes([3], [0.0], [9]), "there is one identity only"),
        (lambda: plots.plot_verification([], []), "it takes two identities"),
        (lambda: plots.plot_verification([], [], note="because"), "because"),
        (lambda: plots.plot_pairs([], [], []), "there are no such pairs"),
        (lambda: plots.plot_pairs([], [], [], note="one identity"), "one identity"),
        (lambda: plots.plot_mosaic_views(picture(), [0, 0, 1, 1], [], [], []), "no mosaic shows the box"),
    ],
)
def test_nothing_to_show_is_a_figure_that_says_why(draw, why, tmp_path):
    figure = draw()
    assert why in texts(figure)
    figure.savefig(tmp_path / "empty.png")


@pytest.mark.parametrize("points", [[[1, 1]], [[1, 1], [1, 1]]])
def test_one_point_or_one_place(points, tmp_path):
    figure = plots.plot_embedding_map(points, [0] * len(points), lambda row: picture())
    figure.savefig(tmp_path / "map.png")
    assert sum(isinstance(artist, AnnotationBbox) for artist in figure.axes[0].artists) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.plot_embedding_map(np.zeros((3, 2)), [1]),
        lambda: plots.plot_distance_histograms([0, 1, 2], [1], [1, 1]),
        lambda: plots.plot_distance_by_time_gap([0, 1], np.zeros((2, 3)), np.zeros((1, 3)), [1], [1]),
        lambda: plots.plot_silhouettes([1, 2], [0.1], [3, 4]),
        lambda: plots.plot_verification([0, 1], [1]),
        lambda: plots.plot_nearest_neighbours(picture(), [picture()], []),
        lambda: plots.plot_pairs([picture()], [], [0.1]),
        lambda: plots.plot_mosaic_views(picture(), [0, 0, 1, 1], [picture()], [], [0.1]),
    ],
)
def test_lengths_that_do_not_fit_are_refused(draw):
    with pytest.raises(ValueError, match=r"needed|must have equal lengths"):
        draw()
