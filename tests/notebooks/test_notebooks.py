"""The notebooks run from a clean checkout, in order, and are kept without outputs."""

import os
import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra `notebooks`")
pytest.importorskip("nbclient", reason="executing notebooks needs nbclient")
pytest.importorskip("ipykernel", reason="executing notebooks needs ipykernel")

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_four():
    names = ["01_quickstart", "02_explore_embeddings", "03_tracking_decisions", "04_your_own_data"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    for number, cell in enumerate(code_cells(path)):
        assert not cell.outputs, f"{path.name}, code cell {number}: strip it with `nbstripout notebooks/*.ipynb`"
        assert cell.execution_count is None, f"{path.name}, code cell {number}"
    assert set(read(path).metadata) <= {"kernelspec", "language_info"}
    cells = read(path).cells
    # nbstripout numbers the cells too: `nbstripout --verify`, which CI runs, fails where they have other ids
    assert [cell.id for cell in cells] == [str(number) for number in range(len(cells))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short_and_no_helpers_are_pasted_in(path):
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert len(lines) <= 15, cell.source
        assert max(map(len, lines)) <= 130, cell.source
        assert not any(line.startswith(("def ", "class ")) for line in lines), "a helper belongs into the package"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_heading_is_followed_by_words(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            assert len(cell.source.split()) > 4, cell.source


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """All of them, executed in their order by a kernel each, in a folder of runs of their own."""
    from nbclient import NotebookClient

    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JDE_RUN", "JDE_OWN_DATA", "JDE_OWN_VIDEO"):
            patch.delenv(name, raising=False)
        patch.setenv("JDE_RUNS", str(runs))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]))
        done = {}
        for path in NOTEBOOKS:
            notebook, start = read(path), time.process_time()
            resources = {"metadata": {"path": str(FOLDER)}}
            NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
            done[path.stem] = notebook, time.process_time() - start
    return done, runs


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(notebook, kind):
    return [output["data"][kind] for output in outputs(notebook) if kind in output.get("data", {})]


def text(notebook):
    return "\n".join(output.get("text", "") for output in outputs(notebook))


@pytest.mark.slow
def test_the_quickstart_trains_tracks_and_evaluates(executed):
    done, runs = executed
    notebook, _ = done["01_quickstart"]
    assert (runs / "notebooks" / "version_0" / "checkpoints" / "best.ckpt").is_file()
    assert "epoch 5 of 5" in text(notebook)
    assert "COMBINED" in text(notebook)
    assert len(shown(notebook, "image/png")) >= 3, "two figures and the tracks"
    assert len(shown(notebook, "image/jpeg")) == 4
    assert any("<video" in html for html in shown(notebook, "text/html"))


@pytest.mark.slow
def test_the_exploration_draws_every_figure(executed):
    done, _ = executed
    notebook, _ = done["02_explore_embeddings"]
    figures = shown(notebook, "image/png")
    assert len(figures) == 11
    (page,) = [html for html in shown(notebook, "text/html") if "jde-map" in html]
    assert "data:image/jpeg;base64," in page
    assert "plotly" in page


@pytest.mark.slow
def test_the_decisions_are_shown_and_a_landscape(executed):
    done, runs = executed
    notebook, _ = done["03_tracking_decisions"]
    assert len(shown(notebook, "image/png")) == 7
    assert any("iframe" in html and "identity switch" in html for html in shown(notebook, "text/html"))
    assert (runs / "notebooks" / "decisions" / "detections.npz").is_file()


@pytest.mark.slow
def test_own_data_without_identities_become_tracks(executed):
    done, runs = executed
    notebook, _ = done["04_your_own_data"]
    own = runs / "notebooks" / "own_data"
    assert "epoch 3 of 3" in text(notebook)
    assert "self-supervised" in text(notebook)
    assert len((own / "tracks" / "camera.txt").read_text().splitlines()) > 30
    assert any("<video" in html for html in shown(notebook, "text/html"))


@pytest.mark.slow
def test_nothing_failed_quietly(executed):
    done, _ = executed
    for name, (notebook, _) in done.items():
        for word in ("Traceback", "error:", "Error:"):
            assert word not in text(notebook), name
