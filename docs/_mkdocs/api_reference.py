"""One page per public package: what its ``__all__`` names, from the docstrings, by mkdocstrings."""

from __future__ import annotations

import importlib
import inspect

# page -> title, modules; of modules with __all__ its names, otherwise the public classes and functions of the file
PACKAGES = {
    "module": ("Module and data module", ["jde_lightning.module", "jde_lightning.datamodule"]),
    "structures": ("Structures and boxes", ["jde_lightning.structures", "jde_lightning.boxes", "jde_lightning.errors"]),
    "models": ("Models", ["jde_lightning.models"]),
    "losses": ("Losses", ["jde_lightning.losses"]),
    "data": ("Data", ["jde_lightning.data"]),
    "tracking": ("Tracking", ["jde_lightning.tracking"]),
    "metrics": ("Metrics", ["jde_lightning.metrics"]),
    "inference": ("Inference", ["jde_lightning.inference"]),
    "callbacks": ("Callbacks", ["jde_lightning.callbacks"]),
    "plots": ("Plots", ["jde_lightning.plots"]),
}


def public_names(module: str) -> list[str]:
    """The dotted paths of what a module offers, each where it is defined."""
    found = importlib.import_module(module)
    names = getattr(found, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(found).items()
            if not name.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__ == module
        ]
    values = {name: getattr(found, name) for name in names}
    return [f"{getattr(value, '__module__', module)}.{name}" for name, value in values.items()]


def pages() -> dict[str, str]:
    """The pages of the reference, by their place in the site."""
    return {f"reference/api/{page}.md": _page(title, modules) for page, (title, modules) in PACKAGES.items()}


def _page(title: str, modules: list[str]) -> str:
    """Title, what the package is for, and its names."""
    lines = [f"# {title}", ""]
    for module in modules:
        if len(modules) == 1:
            lines += [f"`import {module}`", ""]
            lines += [" ".join((importlib.import_module(module).__doc__ or "").split("\n\n")[0].split()), ""]
        lines += [f"::: {path}\n" for path in public_names(module)]
    return "\n".join(lines)
