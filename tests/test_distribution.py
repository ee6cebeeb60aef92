"""What a wheel and a source distribution hold, and that the installed package does not need the repository."""

import email
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# All of the repository that a distribution is built from; not the folders of runs, data and environments beside it.
PARTS = ("jde_lightning", "configs", "docs", "tests", "benchmarks", "notebooks")
PARTS_OF_ROOT = ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "*.md", "LICENSE", "CITATION.cff")

pytestmark = pytest.mark.slow


def built_by(tool: str) -> bool:
    try:
        return int(version(tool).split(".")[0]) >= {"build": 1, "setuptools": 77, "twine": 6}[tool]
    except PackageNotFoundError:
        return False


if missing := [tool for tool in ("build", "setuptools", "twine") if not built_by(tool)]:
    pytest.skip(f"needs {', '.join(missing)} of the dev extra", allow_module_level=True)


def run(*words, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the two files, built from a copy: building leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=ignore)
    for pattern in PARTS_OF_ROOT:
        for path in ROOT.glob(pattern):
            shutil.copy(path, source)
    folder = tmp_path_factory.mktemp("dist")
    # the wheel is made of the source distribution, which must therefore be complete
    run("-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's content, as it lies in an environment."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def files_below(folder: Path, pattern: str = "*") -> set[str]:
    kept = (path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in kept}


def test_wheel_holds_the_package_and_its_configurations_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in files_below(ROOT / "configs"):
            assert archive.read(f"jde_lightning/configs/{name}") == (ROOT / "configs" / name).read_bytes()
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "jde-lightning = jde_lightning.cli:main" in archive.read(entry_points).decode()
    expected = {f"jde_lightning/configs/{name}" for name in files_below(ROOT / "configs")}
    expected |= {f"jde_lightning/{name}" for name in files_below(ROOT / "jde_lightning")}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "jde_lightning/py.typed" in expected


def test_source_distribution_holds_what_tests_and_documentation_need(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for part in ("configs", "tests", "docs", "benchmarks"):
        assert {f"{part}/{name}" for name in files_below(ROOT / part)} <= names
    assert {"setup.py", "setup.cfg", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("runs", ".", "build/"))]


def test_index_would_take_both(built):
    out = run("-m", "twine", "check", "--strict", *built.iterdir(), cwd=built)
    assert out.count("PASSED") == 2


def test_description_leads_to_nothing_that_an_index_has_not(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        description = email.message_from_bytes(archive.read(name)).get_payload(decode=True).decode()
    assert "## Four ways to go on" in description
    links = re.findall(r"\]\(([^)]+)\)", description)
    assert "https://arxiv.org/abs/2501.13710" in links
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("", "# x\n\na [b](https://c/d.md), e, [f](#g)\n"),
        (
            "https://github.com/o/x/",
            "# x\n\n![p](https://github.com/o/x/raw/HEAD/docs/p.webp)\n\na [b](https://c/d.md), "
            "[e](https://github.com/o/x/blob/HEAD/docs/e.md#h), [f](#g)\n",
        ),
    ],
)
def test_links_into_the_repository_become_absolute_or_text(repository, expected):
    setup = runpy.run_path(str(ROOT / "setup.py"), run_name="not a build")
    readme = "# x\n\n![p](docs/p.webp)\n\na [b](https://c/d.md), [e](docs/e.md#h), [f](#g)\n"
    assert setup["long_description"](readme, repository) == expected


def test_installed_package_finds_its_configurations_from_anywhere(installed, tmp_path):
    def call(*words):
        return run("-m", "jde_lightning", *words, cwd=tmp_path, PYTHONPATH=str(installed))

    assert call("configs", "--path").strip() == str(installed / "jde_lightning" / "configs")
    printed = call("fit", "--config", "quickstart", "--config", "overlays/debug", "--print_config")
    assert "SyntheticCrowd" in printed
    assert f"--config {installed}/jde_lightning/configs/ablations/table2/margin_0.05.yaml" in call(
        "ablate", "ablations/table2", "--print-commands"
    )
    code = "from jde_lightning.inference import load_tracker_factory as f; print(f('bytetrack')(30).appearance)"
    assert run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).split()[-1] == "False"
