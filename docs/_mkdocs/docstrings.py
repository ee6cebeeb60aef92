"""Docstrings as mkdocstrings reads them: ours are Google's, with Sphinx's roles and `Example:` in the singular."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|mod|func|meth|attr|data|exc|obj):`~?([^`]+)`")


class PackageDocstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Make examples a section of their own, and ``:class:`~a.b.Name``` the name that it means."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", obj.docstring.value)
        obj.docstring.value = re.sub(r"(?m)^( *)Example:$", r"\1Examples:", text)
