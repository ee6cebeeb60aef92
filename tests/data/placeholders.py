"""Images for real annotations that come without: links to one tiny file, which no reader needs to open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dataset_files import write_image


def link_images(folder: Path, names: Iterable[str], width: int = 8, height: int = 6) -> None:
    """Fill ``folder`` with links to one image of ``width`` x ``height`` pixels."""
    original = folder.parent / f".placeholder-{folder.name}.png"
    write_image(original, width, height)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).symlink_to(original)


def link_sequence(source: Path, target: Path, frames: int, digits: int = 6) -> Path:
    """Put images to the real ``gt`` and ``seqinfo.ini`` of a sequence, in a folder ``target`` of the same layout."""
    link_images(target / "img1", (f"{frame:0{digits}d}.jpg" for frame in range(1, frames + 1)))
    for name in ("gt", "seqinfo.ini"):
        (target / name).symlink_to(source / name)
    return target
