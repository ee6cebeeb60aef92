"""Files that describe the project to people and to machines agree with each other and with the package."""

import ast
import configparser
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

import jde_lightning

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
# a source distribution has no files that begin with a dot
pytestmark = pytest.mark.skipif(not WORKFLOW.is_file(), reason="needs a clone of the repository")


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def steps():
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return {name: [step.get("run", "") for step in job["steps"]] for name, job in jobs.items()}


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"],
    ids=lambda path: path.name,
)
def test_is_yaml(path):
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_citation_has_the_version_and_licence_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == jde_lightning.__version__
    assert citation["license"] == setup()["metadata"]["license_expression"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format demands
    assert "2501.13710" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2501.13710"


def test_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", name) for name in sections[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds


def test_tests_run_on_every_python_that_is_promised():
    promised = re.findall(r"Python :: (3\.\d+)", setup()["metadata"]["classifiers"])
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python-version"] == promised
    oldest = setup()["options"]["python_requires"].removeprefix(">=")
    assert promised[0] == oldest
    assert jobs["oldest"]["steps"][1]["with"]["python-version"] == oldest


def test_the_same_tools_everywhere():
    local = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    remote = "\n".join(word for words in steps().values() for word in words)
    hooks = [
        hook["id"]
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    for command in ("ruff check .", "ruff format --check .", "mypy", "codespell", "pytest"):
        assert re.search(rf"^{re.escape(command)}(?!\S)", local, re.MULTILINE), command
        assert re.search(rf"^{re.escape(command)}(?!\S)", remote, re.MULTILINE), command
    assert {"ruff-check", "ruff-format", "mypy", "codespell", "nbstripout"} <= set(hooks)
    extra = setup()["options.extras_require"]["dev"]
    for tool in ("ruff", "mypy", "codespell", "pytest", "build", "twine"):
        assert re.search(rf"^{tool}\b", extra, re.MULTILINE), f"{tool} is not in the dev extra"


def test_extras_that_the_workflow_installs_exist():
    known = set(setup()["options.extras_require"])
    for words in steps().values():
        for command in words:
            for extra in re.findall(r"-e [\"']?\.\[([\w,]+)\]", command):
                assert set(extra.split(",")) <= known, command


DISTRIBUTION = {"cv2": "opencv-python", "sklearn": "scikit-learn", "yaml": "pyyaml", "google": "tensorboard"}


def imported_at_once(tree):
    """Modules that a file cannot be imported without: not those in functions, in ``try`` or for types only."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.With):
            yield from imported_at_once(node)


def test_what_is_imported_at_once_is_required():
    """Otherwise a fresh installation, without extras, has verbs that cannot run."""
    required = re.findall(r"^([\w-]+)", setup()["options"]["install_requires"], re.MULTILINE)
    needed = {}
    for path in (ROOT / "jde_lightning").rglob("*.py"):
        for name in imported_at_once(ast.parse(path.read_text(encoding="utf-8"))):
            root = name.split(".")[0]
            if root not in sys.stdlib_module_names and root != "jde_lightning":
                needed.setdefault(DISTRIBUTION.get(root, root.replace("_", "-")), path.name)
    # Pillow comes with torchvision and matplotlib, and only undoes what ultralytics does to it
    assert {name: where for name, where in needed.items() if name not in {*required, "PIL"}} == {}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_and_commands_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), f"{name}: {target}"
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            shlex.split(line)
