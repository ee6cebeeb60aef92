"""The files that TensorBoard's projector reads: vectors, what is known of each, and a sheet of small pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from google.protobuf import text_format
from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from jde_lightning.files import written_whole
from jde_lightning.structures import FloatArray

FOLDER = "projector"
"""Folder of the embeddings within a run's folder."""
_TENSORS, _METADATA, _SPRITE = "tensors.tsv", "metadata.tsv", "sprite.png"


def write_embedding(
    folder: Path,
    name: str,
    embeddings: FloatArray,
    columns: Mapping[str, Sequence[Any]],
    sprites: npt.NDArray[np.uint8],
    tile: int,
) -> None:
    """Write one set of vectors into a folder that TensorBoard watches, and list it in the projector's configuration.

    A set of the same name is replaced; the others stay. The last name in the order of the alphabet is listed first,
    which is the one that the projector opens.

    Args:
        folder: the run's folder, with its event files.
        name: of the set, fit for a folder; also what the projector calls it.
        embeddings: ``(N, D)`` finite.
        columns: ``N`` values each, by name of the column; the first is what a point is called. At least two, because
            TensorBoard takes the first line of a single column for data.
        sprites: ``(H, W, 4)`` uint8 BGR and opacity, a grid of ``N`` or more square tiles.
        tile: side of a tile in pixels.
    """
    home = folder / FOLDER / name
    with written_whole(home / _SPRITE) as path:
        cv2.imwrite(str(path), sprites)
    lines = [columns.keys(), *zip(*columns.values(), strict=True)]
    with written_whole(home / _METADATA) as path:
        path.write_text("".join("\t".join(map(_cell, line)) + "\n" for line in lines), encoding="utf-8")
    # text, although TensorBoard knows a binary form too: it tries the text first, and takes any UTF-8 for one
    with written_whole(home / _TENSORS) as path:
        np.savetxt(path, embeddings, fmt="%.6g", delimiter="\t")
    _list_embeddings(folder, tile)


def _cell(value: Any) -> str:
    """A value as text that stays in its cell."""
    return " ".join(str(value).split()) or "-"


def _list_embeddings(folder: Path, tile: int) -> None:
    """Write the configuration of all sets that are there; those of an interrupted run, too."""
    config = ProjectorConfig()
    for home in sorted((path.parent for path in (folder / FOLDER).glob(f"*/{_TENSORS}")), reverse=True):
        entry = config.embeddings.add()
        entry.tensor_name = home.name
        entry.tensor_path = f"{FOLDER}/{home.name}/{_TENSORS}"
        entry.metadata_path = f"{FOLDER}/{home.name}/{_METADATA}"
        entry.sprite.image_path = f"{FOLDER}/{home.name}/{_SPRITE}"
        entry.sprite.single_image_dim.extend([tile, tile])
    with written_whole(folder / PROJECTOR_FILENAME) as path:
        path.write_text(text_format.MessageToString(config), encoding="utf-8")
