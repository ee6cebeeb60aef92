import numpy as np

from jde_lightning.inference import drawing
from jde_lightning.inference.drawing import Trails, draw_tracks
from jde_lightning.plots.canvas import label_corners
from jde_lightning.plots.colors import identity_color
from jde_lightning.structures import Tracks


def tracks(*rows):
    """Tracks from rows of x1, y1, x2, y2, id."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    n = len(table)
    return Tracks(table[:, :4], table[:, 4], np.full(n, 0.5), np.zeros(n), np.arange(n))


def blank():
    return np.zeros((120, 160, 3), np.uint8)


def test_boxes_have_the_color_of_their_identity_and_the_image_stays():
    image = blank()
    drawn = draw_tracks(image, tracks([20, 40, 60, 100, 3], [90, 40, 130, 100, 4]))
    assert not image.any()
    assert drawn[70, 20].tolist() == list(identity_color(3))
    assert drawn[70, 90].tolist() == list(identity_color(4))


def test_nearer_tracks_cover_farther_ones():
    drawn = draw_tracks(blank(), tracks([40, 50, 80, 110, 2], [20, 40, 60, 100, 1]))
    assert drawn[100, 40].tolist() == list(identity_color(2))


def test_nothing_to_draw():
    assert not draw_tracks(blank(), Tracks.empty(), Trails()).any()
    assert draw_tracks(blank(), Tracks.empty(), frame_number=12).any()


def test_names_are_written_for_several_classes_only():
    one = draw_tracks(blank(), tracks([20, 60, 60, 100, 3]), class_names=["person"])
    two = draw_tracks(blank(), tracks([20, 60, 60, 100, 3]), class_names=["person", "rider"])
    assert two.any(axis=2).sum() > one.any(axis=2).sum()


def test_labels_keep_off_each_other(monkeypatch):
    """Four people in one place: each label somewhere else, none outside of the picture, the nearest above its box."""
    placed = {}
    monkeypatch.setattr(
        drawing, "draw_label", lambda picture, text, anchor, color, scale: placed.update({text: (anchor, scale)})
    )
    image = np.zeros((480, 640, 3), np.uint8)
    rows = [[200 + 2 * i, 100 + 2 * i, 300 + 2 * i, 400 + 2 * i, i + 1] for i in range(4)]
    drawing.draw_tracks(image, tracks(*rows, [0, 0, 40, 50, 5]))
    assert set(placed) == {"1", "2", "3", "4", "5"}
    assert placed["4"][0] == (206, 106)
    grounds = [label_corners(image, text, *where) for text, where in placed.items()]
    covered = np.zeros(image.shape[:2], int)
    for (left, top), (right, bottom) in grounds:
        assert 0 <= left < right <= 640
        assert 0 <= top < bottom <= 480
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_label_without_a_free_place_is_drawn_all_the_same(monkeypatch):
    placed = []
    monkeypatch.setattr(drawing, "draw_label", lambda picture, text, anchor, color, scale: placed.append(anchor))
    drawing.draw_tracks(blank(), tracks(*[[20, 40, 60, 100, i + 1] for i in range(30)]))
    assert len(placed) == 30


def test_trail_follows_the_feet():
    trails = Trails(length=10)
    for x in (0, 10, 20):
        trails.update(tracks([x, 40, x + 20, 100, 5]))
    assert dict(trails) == {5: [(10, 100), (20, 100), (30, 100)]}
    drawn = draw_tracks(blank(), Tracks.empty(), trails)
    assert drawn[100, 20].any()
    assert not drawn[:90].any()


def test_trail_is_forgotten():
    trails = Trails(length=2)
    trails.update(tracks([0, 0, 10, 10, 1]))
    trails.update(tracks([0, 0, 10, 10, 2]))
    assert set(dict(trails)) == {1, 2}
    trails.update(Tracks.empty())
    assert set(dict(trails)) == {2}
    trails.update(Tracks.empty())
    assert dict(trails) == {}
