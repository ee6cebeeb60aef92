"""A page in a frame: its pictures are inside, and nothing of it leaks out."""

import re
from html import unescape

import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.page_frame import framed_page


def test_pictures_are_put_inside_and_the_page_is_kept_apart(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"picture")
    page = tmp_path / "index.html"
    page.write_text('<style>body { margin: 0 }</style><img src="images/a.jpg" alt="a & b"><img src="gone.jpg"><b>Ü</b>')
    html = framed_page(page, height=321)
    inner = unescape(re.search(r'srcdoc="([^"]*)"', html)[1])
    assert 'src="data:image/jpeg;base64,cGljdHVyZQ=="' in inner
    assert 'src="gone.jpg"' in inner
    assert "<b>Ü</b>" in inner
    assert "height: 321px" in html
    assert re.sub(r'srcdoc="[^"]*"', "", html).count("<") == 4, "only the frame and its box stand outside"


def test_a_missing_page_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"index.html: no such page"):
        framed_page(tmp_path / "index.html")
