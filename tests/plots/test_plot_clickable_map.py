"""The interactive map: what the browser gets belongs together, and comes from nowhere else."""

import base64
import json
import re

import cv2
import numpy as np
import pytest

from jde_lightning.plots.clickable_map import interactive_embedding_map
from jde_lightning.plots.sprites import cut_out, sprite_sheet

COLORS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30), (30, 200, 200)]
IDENTITIES = np.array([3, 3, 4, -1, 4])


def a_map(**options):
    crops = [np.full((40, 20, 3), color, np.uint8) for color in COLORS[:4]] + [None]
    points = np.arange(10).reshape(5, 2)
    return interactive_embedding_map(points, crops, ["a", "b", "c", "d", "</script>"], IDENTITIES, **options)


def data_of(html):
    """What the script of the map was given."""
    return json.loads(re.search(r"data = (\{.*?\}), plot = root", html, re.DOTALL)[1])


def test_texts_identities_and_neighbours_arrive_unchanged():
    neighbours, distances = np.array([[1], [0], [4], [0], [2]]), np.array([[0.1], [0.1], [0.2], [0.3], [0.2]])
    data = data_of(a_map(neighbours=neighbours, distances=distances, with_library=False))
    assert data["texts"] == ["a", "b", "c", "d", "</script>"]
    assert data["identities"] == [3, 3, 4, -1, 4]
    assert data["neighbours"] == neighbours.tolist()
    assert data["distances"] == distances.tolist()


def test_the_sheet_shows_each_crop_at_its_row():
    data = data_of(a_map(with_library=False))
    encoded = data["sheet"].removeprefix("data:image/jpeg;base64,")
    sheet = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    side, tile = data["side"], data["tile"]
    assert sheet.shape == (side * tile, side * tile, 3)
    for row, color in enumerate([*COLORS[:4], (255, 255, 255)]):
        middle = sheet[row // side * tile + tile // 2, row % side * tile + tile // 2]
        assert middle.tolist() == pytest.approx(list(color), abs=12)


def test_the_points_are_drawn_in_the_colours_of_their_identities_and_nobodys_first():
    html = a_map(with_library=False)
    colors = json.loads(re.search(r'"color":(\["#.*?\])', html)[1])
    assert colors[0] == "#969696"
    assert colors[1] == colors[2] != colors[3] == colors[4]


def test_a_text_cannot_end_the_script_and_nothing_is_loaded():
    html = a_map(with_library=False)
    assert html.count("<script") == html.count("</script>")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)
    assert "url(http" not in html


def test_the_library_is_inside_when_wanted():
    assert len(a_map(with_library=True)) > 1_000_000 > len(a_map(with_library=False))


def test_two_maps_of_a_page_do_not_share_names():
    first, second = (re.search(r'class="jde-map" id="([^"]+)"', a_map(with_library=False))[1] for _ in range(2))
    assert first != second


def test_no_points_give_an_empty_map():
    empty = np.zeros((0, 2))
    assert data_of(interactive_embedding_map(empty, [], [], np.zeros(0, int), with_library=False))["texts"] == []


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="got 2, 1, 2 and 2"):
        interactive_embedding_map(np.zeros((2, 2)), [None], ["a", "b"], np.zeros(2, int))
    with pytest.raises(ValueError, match=r"neighbours of shape \(5, 1\) need distances"):
        a_map(neighbours=np.zeros((5, 1), int))


# --- sprites


@pytest.mark.parametrize(("count", "side"), [(0, 1), (1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_sheet_has_as_many_rows_as_columns(count, side):
    assert sprite_sheet([None] * count, 16).shape == (16 * side, 16 * side, 4)


def test_a_crop_keeps_its_shape_in_its_tile():
    sheet = sprite_sheet([None, np.full((100, 50, 3), 7, np.uint8), np.full((2, 500, 3), 9, np.uint8)], 32)
    assert not sheet[:32, :32].any()
    opaque = sheet[:32, 32:, 3] > 0
    assert opaque.any(axis=1).sum() == 32
    assert opaque.any(axis=0).sum() == 16
    assert (sheet[:32, 32:, :3][opaque] == 7).all()
    assert (sheet[32:, :32, 3] > 0).sum() == 32  # never thinner than a pixel


def test_cut_out_stays_inside_the_image():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    assert (cut_out(image, np.float32([-3, 1.4, 2.2, 99])) == image[1:5, 0:2]).all()
    assert cut_out(image, np.float32([4.2, 0, 9, 3])) is None
    assert cut_out(image, np.float32([1, 2, 1.2, 4])) is None
