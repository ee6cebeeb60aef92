"""From frames to a table of embeddings on disk, in memory that does not grow with the number of frames."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jde_lightning import boxes as box_ops
from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.inference.annotated_frames import AnnotatedFrame
from jde_lightning.inference.crop_archive import CROP_SIZE, CropWriter
from jde_lightning.inference.embedding_files import Columns, TableWriter, open_writer
from jde_lightning.inference.embedding_table import EmbeddingTable, crops_path
from jde_lightning.metrics.box_matching import match_one_to_one
from jde_lightning.structures import NO_IDENTITY, Detections

Describe = Callable[[Sequence[AnnotatedFrame]], Sequence[Detections]]
"""Finds boxes in frames and describes them: per frame its detections, with embeddings."""


def collect_embeddings(
    frames: Iterable[AnnotatedFrame],
    describe: Describe,
    output: Path,
    batch_size: int = 8,
    iou: float = 0.5,
    only_identified: bool = False,
    crop_size: tuple[int, int] = CROP_SIZE,
    meta: dict[str, Any] | None = None,
    total: int | None = None,
    progress: bool = False,
) -> EmbeddingTable:
    """Write embeddings, boxes and crops of frames to disk as they come, and open the table.

    A box takes the identity of the annotated object that it overlaps: one to one in each frame, with the largest sum of
    overlaps, as validation does it. Boxes without one are kept, without identity.

    Args:
        frames: images with what is annotated in them, such as
            :func:`~jde_lightning.inference.annotated_frames.frames_of_index` gives.
        describe: finds boxes and describes them, such as ``describe_detected`` and ``describe_annotated`` of
            :mod:`~jde_lightning.inference.box_embeddings` give; or any function of frames, which may look up
            detections that are there already.
        output: the file, ``.parquet`` (needs pyarrow) or ``.npz``. Crops lie beside it, see
            :func:`~jde_lightning.inference.embedding_table.crops_path`. Both are written whole or not at all.
        batch_size: frames that are described at once.
        iou: lowest overlap of a box and the annotated object that gives it its identity.
        only_identified: leave out the boxes without identity.
        crop_size: width and height in pixels that a crop is fitted into.
        meta: facts to keep with the table, values that JSON can hold.
        total: number of frames, if it is known, for the progress bar.
        progress: show a progress bar on stderr.

    Returns:
        The table, of which nothing is in memory before it is used. Without any box it has no rows.

    Raises:
        InputError: if boxes have no embeddings, or embeddings of several widths; or what ``frames`` raise.
    """
    source, images = iter(frames), 0
    with (
        written_whole(output) as table,
        written_whole(crops_path(output)) as archive,
        CropWriter(archive, crop_size) as crops,
        contextlib.ExitStack() as stack,
        tqdm(total=total, desc="embed", unit="frame", disable=None if progress else True) as bar,
    ):
        rows = _Rows(table, crops, iou, only_identified, stack)
        while batch := list(islice(source, batch_size)):
            for frame, found in zip(batch, describe(batch), strict=True):
                rows.add(frame, found)
            images += len(batch)
            bar.update(len(batch))
            bar.set_postfix_str(f"{rows.count} boxes", refresh=False)
        rows.finish({**(meta or {}), "images": images, "crop_size": list(crop_size), "iou": iou})
    return EmbeddingTable.open(output)


class _Rows:
    """Appends the rows of one frame after the other.

    Args:
        path: of the table.
        crops: where crops go.
        iou: lowest overlap of a box and its annotation.
        only_identified: leave out the boxes without identity.
        stack: closes what is opened.
    """

    def __init__(
        self, path: Path, crops: CropWriter, iou: float, only_identified: bool, stack: contextlib.ExitStack
    ) -> None:
        self.count, self.identified = 0, 0
        self._path, self._crops, self._iou, self._stack = path, crops, iou, stack
        self._only_identified = only_identified
        self._writer: TableWriter | None = None
        self._width = 0
        self._identities: dict[tuple[str, str, int], int] = {}
        self._names: dict[tuple[str, str], str] = {}

    def add(self, frame: AnnotatedFrame, found: Detections) -> None:
        """Append the boxes of a frame."""
        if not len(found):
            return
        if found.embeddings is None:
            msg = "the boxes have no embeddings: the weights have no trained appearance branch"
            raise InputError(msg)
        writer = self._writer_of(found.embeddings.shape[1])
        annotations = frame.annotations
        ids, overlaps = self._matched(frame, found)
        if self._only_identified:
            kept = np.flatnonzero(ids != NO_IDENTITY)
            found, ids, overlaps = found[kept], ids[kept], overlaps[kept]
        count = len(found)
        scope = (annotations.dataset, annotations.sequence or "")
        numbers = [
            NO_IDENTITY if one == NO_IDENTITY else self._identities.setdefault((*scope, one), len(self._identities))
            for one in ids.tolist()
        ]
        places = [self._crops.add(frame.image, box) for box in found.boxes]
        time = annotations.frame / annotations.frame_rate if annotations.sequence is not None else np.nan
        columns: Columns = {
            "row": np.arange(self.count, self.count + count),
            "embedding": np.asarray(found.embeddings),
            **{name: found.boxes[:, side] for side, name in enumerate(("x1", "y1", "x2", "y2"))},
            "score": found.scores,
            "label": np.asarray(found.labels),
            "identity": np.array(numbers, np.int64),
            "annotated_id": ids,
            "overlap": overlaps,
            "frame": np.full(count, annotations.frame, np.int64),
            "time": np.full(count, time),
            "crop_offset": np.array([place.offset for place in places], np.int64),
            "crop_bytes": np.array([place.size for place in places], np.int64),
        }
        writer.append(columns, {"sequence": self._name(scope), "image": frame.image_path})
        self.count += count
        self.identified += int((ids != NO_IDENTITY).sum())

    def finish(self, meta: dict[str, Any]) -> None:
        """Complete the table."""
        writer = self._writer_of(self._width or 1)
        counts = {"rows": self.count, "identified": self.identified, "identities": len(self._identities)}
        writer.finish({**meta, **counts, "embed_dim": writer.embed_dim})

    def _writer_of(self, width: int) -> TableWriter:
        """The writer, opened when the width of the embeddings is known."""
        if self._writer is None:
            self._width = width
            self._writer = open_writer(self._path, width)
            self._stack.callback(self._writer.close)
        if width != self._width:
            msg = f"embeddings of several widths in one table: {self._width} and {width}"
            raise InputError(msg)
        return self._writer

    def _matched(self, frame: AnnotatedFrame, found: Detections) -> tuple[Any, Any]:
        """The annotated identity of each box, and its overlap with the annotation."""
        ids, overlaps = np.full(len(found), NO_IDENTITY, np.int64), np.zeros(len(found), np.float32)
        annotations = frame.annotations
        known = np.flatnonzero(annotations.positive & (annotations.identities != NO_IDENTITY))
        if len(known):
            rows, columns = match_one_to_one(found.boxes, annotations.boxes[known], self._iou)
            ids[rows] = annotations.identities[known[columns]]
            overlaps[rows] = np.diagonal(box_ops.iou(found.boxes[rows], annotations.boxes[known[columns]]))
        return ids, overlaps

    def _name(self, scope: tuple[str, str]) -> str:
        """The name of a sequence; with that of its dataset where another one has a sequence of the same name."""
        if scope not in self._names:
            dataset, sequence = scope
            taken = sequence and sequence in self._names.values()
            self._names[scope] = f"{dataset}/{sequence}" if taken else sequence
        return self._names[scope]
