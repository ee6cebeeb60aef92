import pytest

from jde_lightning.data.readers.lists import read_list
from jde_lightning.errors import InputError


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a/1.jpg\nb/2.jpg\n", ["a/1.jpg", "b/2.jpg"]),
        (b"a/1.jpg\r\nb/2.jpg\r\n", ["a/1.jpg", "b/2.jpg"]),
        (b"\xef\xbb\xbfa/1.jpg \n\n  b/2 x.jpg", ["a/1.jpg", "b/2 x.jpg"]),
        (b"a\\b\\1.jpg\na/b\\1.jpg", ["a/b/1.jpg", "a/b\\1.jpg"]),
        (b"282555,bd42.jpg\n282555,bd42.jpg", ["282555,bd42.jpg", "282555,bd42.jpg"]),
    ],
    ids=["LF", "CRLF as JDE's", "byte-order mark, blanks", "Windows paths", "commas and repeats are kept"],
)
def test_lines(tmp_path, content, lines):
    (tmp_path / "a.train").write_bytes(content)
    assert read_list(tmp_path / "a.train") == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"\n \r\n", "the list is empty"), (b"\xff\xfea", "no UTF-8 text")],
)
def test_bad_lists(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.train").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.train: {message}.*one image path per line"):
        read_list(tmp_path / "a.train")
