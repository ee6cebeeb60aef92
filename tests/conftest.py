"""Fixtures for the whole suite."""

import os
from collections.abc import Iterator
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


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the session's own: tests, and the processes that they start, must not write into the user's."""
    folder = tmp_path_factory.mktemp("cache_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def small_exports(tmp_path_factory: pytest.TempPathFactory):
    """A small network, as a checkpoint and exported; skips where exporting is not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    from small_export import make_small_exports

    return make_small_exports(tmp_path_factory.mktemp("exported"))
