"""TrackEval as an oracle, and its helpers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # trackeval_oracle


@pytest.fixture(scope="session")
def trackeval():
    """The reference implementation; a test dependency only."""
    return pytest.importorskip("trackeval", reason="trackeval is not installed")
