from pathlib import Path

import numpy as np
import pytest

from jde_lightning.plots.canvas import (
    draw_annotations,
    draw_box,
    draw_dashed_box,
    draw_detections,
    draw_label,
    font_scale,
    grid,
    line_width,
)
from jde_lightning.plots.colors import GRAY, identity_color
from jde_lightning.structures import Detections, FrameAnnotations


def blank(height=120, width=160):
    return np.zeros((height, width, 3), np.uint8)


def annotations(boxes, identities, roles):
    n = len(boxes)
    return FrameAnnotations(Path("a.jpg"), 160, 120, boxes, np.zeros(n), identities, roles, np.ones(n))


def test_sizes_follow_the_picture():
    assert line_width(blank(64, 64)) == 1
    assert line_width(blank(1080, 1920)) == 3
    assert line_width(blank(2160, 3840)) == 6
    assert font_scale(blank(64, 64)) < font_scale(blank(1080, 1920)) < font_scale(blank(2160, 3840))


def test_box_is_drawn_on_its_edges_only():
    picture = blank()
    draw_box(picture, np.array([20, 30, 60, 90]), (10, 20, 30), 1)
    assert picture[30, 40].tolist() == [10, 20, 30]
    assert picture[60, 20].tolist() == [10, 20, 30]
    assert not picture[32:89, 22:59].any()


@pytest.mark.parametrize("draw", [draw_box, draw_dashed_box])
@pytest.mark.parametrize("box", [[-1e9, -1e9, 1e9, 1e9], [500, 500, 600, 600], [10, 10, 10, 10], [60, 60, 20, 20]])
def test_boxes_outside_or_degenerate_do_not_crash(draw, box):
    draw(blank(), np.array(box, np.float32), (255, 255, 255), 2)


def test_dashed_box_has_gaps():
    picture = blank()
    draw_dashed_box(picture, np.array([20, 20, 140, 100]), (255, 255, 255), 1)
    top = picture[20, 20:140].any(axis=1)
    assert 0.3 < top.mean() < 0.8


@pytest.mark.parametrize("anchor", [(0, 0), (-50, -50), (1000, 1000), (80, 60)])
def test_label_stays_inside(anchor):
    picture = blank()
    draw_label(picture, "17 0.93", anchor, (0, 0, 255))
    rows, columns = np.nonzero(picture.any(axis=2))
    assert len(rows) > 50  # all of the ground, wherever the anchor is
    assert np.ptp(columns) > 20
    assert np.ptp(rows) > 6


def test_detections_leave_the_image_alone_and_name_classes_only_where_there_are_several():
    picture = blank()
    found = Detections([[20, 40, 80, 100]], [0.5], [1])
    one, two = draw_detections(picture, found, ["person"]), draw_detections(picture, found, ["person", "rider"])
    assert not picture.any()
    assert one.any()
    assert two.any(axis=2).sum() > one.any(axis=2).sum()
    assert not draw_detections(picture, Detections.empty()).any()


def test_annotations_tell_objects_from_ignored():
    truth = annotations([[10, 40, 60, 100], [90, 40, 140, 100]], [4, -1], [0, 1])
    drawn = draw_annotations(blank(), truth)
    assert drawn[70, 10].tolist() == list(identity_color(4))
    colors = {tuple(c) for c in drawn[:, 80:].reshape(-1, 3).tolist()} - {(0, 0, 0)}
    assert GRAY in colors
    assert identity_color(4) not in colors


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_grid_holds_every_picture(count):
    pictures = [np.full((60, 80, 3), 10 + i, np.uint8) for i in range(count)]
    out = grid(pictures, 40)
    assert out.dtype == np.uint8
    assert {10 + i for i in range(count)} <= set(np.unique(out))


def test_grid_takes_mixed_sizes():
    out = grid([np.full((200, 50, 3), 1, np.uint8), np.full((20, 100, 3), 2, np.uint8)], 100)
    assert {1, 2} <= set(np.unique(out))
    assert out.shape[0] % 100 == 0
