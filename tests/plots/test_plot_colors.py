import colorsys

import pytest

from jde_lightning.plots.colors import BLACK, GRAY, WHITE, as_rgb, identity_color, text_color


def hue(color):
    return colorsys.rgb_to_hsv(*as_rgb(color))[0]


def test_color_is_stable_and_a_valid_bgr_triple():
    identity_color.cache_clear()
    before = [identity_color(i) for i in range(300)]
    identity_color.cache_clear()
    assert before == [identity_color(i) for i in range(300)]
    assert all(isinstance(v, int) and 0 <= v <= 255 for color in before for v in color)


@pytest.mark.parametrize("start", [0, 1, 57, 1000])
def test_consecutive_identities_differ_clearly(start):
    hues = [hue(identity_color(i)) for i in range(start, start + 8)]
    distances = [min(abs(a - b), 1 - abs(a - b)) for i, a in enumerate(hues) for b in hues[:i]]
    assert min(distances) > 0.05  # eight hues spread evenly are 0.125 apart


def test_many_identities_have_many_colors():
    assert len({identity_color(i) for i in range(200)}) > 190


def test_no_identity_is_gray():
    assert identity_color(-1) == GRAY


def test_text_is_dark_on_bright_ground_and_bright_on_dark():
    assert text_color(WHITE) == BLACK
    assert text_color(BLACK) == WHITE
    assert text_color((255, 0, 0)) == WHITE  # pure blue is dark to the eye
    assert text_color((0, 255, 255)) == BLACK  # yellow is bright


def test_as_rgb_swaps_the_channels():
    assert as_rgb((255, 0, 51)) == (0.2, 0.0, 1.0)
