from typing import Literal

import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.typed_arguments import typed_arguments


class Tracker:
    def __init__(self, rate: float = 30, frames: int = 3, fuse: bool = True, mode: Literal["a", "b"] = "a", more=None):
        """Take anything."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": 25}, {"rate": 25.0}),
        ({"rate": "1e-3"}, {"rate": 0.001}),  # what YAML makes of 1e-3
        ({"rate": "inf"}, {"rate": float("inf")}),
        ({"frames": 30.0, "fuse": False}, {"frames": 30, "fuse": False}),
        ({"mode": "b", "more": [1]}, {"mode": "b", "more": [1]}),
    ],
)
def test_numbers_get_their_type(given, expected):
    found = typed_arguments(Tracker, given)
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": "fast"}, "rate must be a number, got 'fast'"),
        ({"rate": True}, "rate must be a number, got True"),
        ({"rate": None}, "rate must be a number, got None"),
        ({"frames": 2.5}, "frames must be a whole number, got 2.5"),
        ({"frames": float("inf")}, "frames must be a whole number, got inf"),
        ({"fuse": "maybe"}, "fuse must be true or false, got 'maybe'"),
        ({"fuse": 1}, "fuse must be true or false, got 1"),
        ({"mode": "c"}, "mode must be one of a, b, got 'c'"),
    ],
)
def test_other_types_are_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        typed_arguments(Tracker, given)
