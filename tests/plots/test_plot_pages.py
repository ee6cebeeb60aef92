"""Pieces of pages: text is escaped, pictures live inside the file."""

import base64

import cv2
import numpy as np

from jde_lightning.plots.pages import data_uri, document, figures, table


def test_titles_are_escaped_and_bodies_are_not():
    page = document("<a>", ["<p>b</p>"], "i { color: red }")
    assert "<title>&lt;a&gt;</title>" in page
    assert "<p>b</p>" in page
    assert "i { color: red }</style>" in page
    assert page.startswith("<!DOCTYPE html>")


def test_tables_escape_their_head_only():
    rendered = table(["<b>"], [(["<i>1</i>"], "total")])
    assert "<th>&lt;b&gt;</th>" in rendered
    assert '<tr class="total"><td><i>1</i></td></tr>' in rendered


def test_captions_are_escaped():
    assert 'alt="&lt;x&gt;"' in figures([("a.jpg", "<x>")])


def test_pictures_survive_in_their_address():
    picture = np.full((6, 4, 3), (200, 100, 50), np.uint8)
    kind, text = data_uri(picture, 95).split(",")
    assert kind == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == picture.shape
    assert abs(decoded.astype(int) - picture).max() <= 3
