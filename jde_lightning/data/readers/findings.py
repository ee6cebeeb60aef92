"""What a reader met on the way: which files it used, what was missing, what it left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FileState = tuple[int, int]
"""Size in bytes (of a folder: 0) and time of the last change in nanoseconds."""


@dataclass
class Findings:
    """The notes of one pass of a reader over its files.

    Attributes:
        sources: annotation files and image folders that the result depends on, with their state when they were read;
            ``None`` for a path that was looked for and is not there. An index on disk is valid as long as they are
            unchanged.
        missing: annotated images that are not on disk, as the annotations name them.
        corrupt: images that are on disk but no images.
        dropped: number of boxes left out altogether, by reason.
        notes: number of other things worth knowing, by what they are ("corners swapped").
    """

    sources: dict[str, FileState | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def use(self, path: Path) -> Path:
        """Note that the result depends on a file or folder, there or not.

        Args:
            path: an annotation file, a list, or a folder whose entries matter. Not the images themselves.

        Returns:
            The same path.
        """
        self.sources[str(path.absolute())] = file_state(path)
        return path

    def unchanged(self) -> bool:
        """Whether every source is still as it was read."""
        return all(file_state(Path(path)) == state for path, state in self.sources.items())

    def summary(self) -> str:
        """Say in one line what is missing or left out; empty if nothing is."""
        parts = [f"{len(self.missing)} images not found, first {self.missing[0]}"] if self.missing else []
        if self.corrupt:
            parts.append(f"{len(self.corrupt)} damaged images left out, first {self.corrupt[0]}")
        parts += [f"{count} boxes dropped: {reason}" for reason, count in sorted(self.dropped.items())]
        parts += [f"{count} {what}" for what, count in sorted(self.notes.items())]
        return "; ".join(parts)

    def merged(self, other: Findings) -> Findings:
        """Return the notes of both."""
        return Findings(
            sources=self.sources | other.sources,
            missing=self.missing + other.missing,
            corrupt=self.corrupt + other.corrupt,
            dropped=self.dropped + other.dropped,
            notes=self.notes + other.notes,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists, strings and numbers, for JSON."""
        return {
            "sources": {path: None if state is None else list(state) for path, state in self.sources.items()},
            "missing": self.missing,
            "corrupt": self.corrupt,
            "dropped": dict(self.dropped),
            "notes": dict(self.notes),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Findings:
        """Rebuild findings from :meth:`as_dict`."""
        return cls(
            sources={path: None if s is None else (int(s[0]), int(s[1])) for path, s in state["sources"].items()},
            missing=list(state["missing"]),
            corrupt=list(state["corrupt"]),
            dropped=Counter(state["dropped"]),
            notes=Counter(state["notes"]),
        )


def file_state(path: Path) -> FileState | None:
    """Return size and time of a file (of a folder: its time), ``None`` if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (0 if path.is_dir() else stat.st_size, stat.st_mtime_ns)
