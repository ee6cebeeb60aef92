"""Who may import whom: imports go down a floor, never sideways between wings, never up (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

import jde_lightning

PACKAGE = Path(jde_lightning.__file__).parent
FLOORS = [
    {"cli", "__main__"},
    {"module", "datamodule", "callbacks", "inference"},
    {"models", "losses", "data", "tracking", "metrics", "plots"},
    {
        "structures",
        "boxes",
        "errors",
        "files",
        "lazy_names",
        "schedule",
        "optimization",
        "packaged_configs",
        "_ultralytics",
        "__init__",
    },
]
ABOVE_LIGHTNING = {"cli", "module", "datamodule", "callbacks"}
FILES = sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(level for level, names in enumerate(FLOORS) if name in names)


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, those under TYPE_CHECKING left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    mine = unit(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "jde_lightning" or mine == "__init__":
            continue
        theirs = parts[1] if len(parts) > 1 else "__init__"
        if theirs == mine:
            continue
        assert (
            floor(theirs) > floor(mine)
            or (theirs in FLOORS[-1] and mine in FLOORS[-1])
            or {mine, theirs}
            == {
                "__main__",
                "cli",
            }
        ), f"{path.relative_to(PACKAGE)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_top_imports_lightning_and_only_the_adapter_ultralytics(path):
    roots = {name.split(".")[0] for name in imports(path)}
    if unit(path) not in ABOVE_LIGHTNING:
        assert "lightning" not in roots
    if unit(path) != "_ultralytics":
        assert "ultralytics" not in roots


def test_trackers_need_numpy_and_lap_only():
    allowed = {"numpy", "lap", "jde_lightning", "__future__", "abc", "collections", "dataclasses", "math", "typing"}
    allowed |= {"logging", "numbers", "functools", "collections.abc", "enum"}
    for path in PACKAGE.glob("tracking/*.py"):
        more = {"cv2"} if path.name == "camera_motion.py" else set()  # there when an estimator is made, not before
        assert {name.split(".")[0] for name in imports(path)} <= allowed | more, path
