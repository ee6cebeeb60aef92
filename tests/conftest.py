"""Fixtures for the whole suite."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets, for checks that cannot be made on synthetic data; skips where it is absent."""
    folder = Path(os.environ.get("JDE_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "README.md").is_file():
        pytest.skip(f"real data not found at {folder}; set JDE_REAL_DATA to its folder")
    return folder
