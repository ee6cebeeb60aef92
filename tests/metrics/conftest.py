"""TrackEval as an oracle."""

import pytest


@pytest.fixture(scope="session")
def trackeval():
    """The reference implementation; a test dependency only."""
    return pytest.importorskip("trackeval", reason="trackeval is not installed")
