"""What a split is made of, dataset by dataset: the numbers that a person wants to see before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.readers.findings import Findings
from jde_lightning.structures import IntArray, Role

_BIN_ENDS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BAR_WIDTH = 40


@dataclass(frozen=True)
class DatasetSummary:
    """What one dataset contributes to a split.

    Attributes:
        name: of the dataset.
        supervision: ``self``, ``weak`` or ``full``.
        images: number of frames.
        sequences: number of videos among them.
        boxes: number of objects (role POSITIVE).
        too_hidden: objects below the dataset's limit of visibility, which training ignores.
        ignored: boxes of role IGNORE.
        other: annotated boxes of no wanted class.
        identities: annotated identities.
        labelled_boxes: objects with an annotated identity.
        boxes_per_image: ``(images,)`` int64 objects of each frame.
        findings: what the reader missed and left out.
        linked_boxes: boxes that training learns without an annotated identity, where those of videos are linked; else
            ``None``.
        linked_identities: how many identities these boxes have.
    """

    name: str
    supervision: str
    images: int
    sequences: int
    boxes: int
    too_hidden: int
    ignored: int
    other: int
    identities: int
    labelled_boxes: int
    boxes_per_image: IntArray = field(repr=False)
    findings: Findings = field(default_factory=Findings, repr=False)
    linked_boxes: int | None = None
    linked_identities: int | None = None

    def __str__(self) -> str:
        """All numbers in one line, for the log."""
        return (
            f"{self.name}: {self.images} images, {self.sequences} sequences, {self.boxes} boxes, "
            f"{self.identities} annotated identities, {self.ignored} ignored, "
            f"{self.too_hidden} not visible enough for training (supervision {self.supervision})"
        )

    @property
    def training_mode(self) -> str:
        """What training makes of the identities, in words."""
        learned, unlabelled = self.boxes - self.too_hidden, self.boxes - self.labelled_boxes
        linked = self._linked_words
        if self.supervision == "self":
            return (
                "self-supervised: "
                + (linked or f"each of the {learned:,} boxes is an identity of its own; Mosaic shows it again")
                + (f" ({self.identities:,} annotated identities are not used)" if self.identities else "")
            )
        if self.supervision == "weak":
            return f"weakly supervised: {self.identities:,} annotated identities; " + (
                f"without one: {linked}"
                if linked
                else f"each of the {unlabelled:,} boxes without is an identity of its own"
            )
        return (
            f"fully supervised: {self.identities:,} annotated identities; the {unlabelled:,} boxes without teach the "
            "detector only"
        )

    @property
    def _linked_words(self) -> str:
        """What became of boxes that were to be linked; empty if none were."""
        boxes, identities = self.linked_boxes, self.linked_identities
        if not boxes or not identities or not self.sequences:
            return ""
        if boxes == identities:
            return f"none of the {boxes:,} boxes could be linked; is the time between frames above linking.max_gap?"
        each = boxes / identities
        return f"{boxes:,} boxes are linked from frame to frame into {identities:,} identities, {each:.1f} boxes each"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        per_image = self.boxes_per_image
        return {
            "name": self.name,
            "supervision": self.supervision,
            "images": self.images,
            "images_without_boxes": int(np.count_nonzero(per_image == 0)),
            "sequences": self.sequences,
            "boxes": self.boxes,
            "boxes_too_hidden": self.too_hidden,
            "ignored": self.ignored,
            "other": self.other,
            "identities": self.identities,
            "labelled_boxes": self.labelled_boxes,
            "linked_boxes": self.linked_boxes,
            "linked_identities": self.linked_identities,
            "most_boxes_in_an_image": int(per_image.max(initial=0)),
            "missing": self.findings.missing,
            "corrupt": self.findings.corrupt,
            "dropped": dict(self.findings.dropped),
            "notes": dict(self.findings.notes),
        }


def summarize(index: FrameIndex, linked: IntArray | None = None) -> list[DatasetSummary]:
    """Count what each dataset of a split contributes.

    Args:
        index: the frames of the split.
        linked: where training links boxes, ``(N,)`` int64 identities of those without an annotated one
            (:func:`~jde_lightning.data.identities.synthetic_identities`), -1 for others.

    Returns:
        One summary per dataset, in the order of the index.
    """
    box_frames, learnable = index.box_frames, index.learnable
    summaries = []
    for code, name in enumerate(index.datasets):
        frames = index.dataset_codes == code
        rows = frames[box_frames]
        positive = rows & (index.roles == Role.POSITIVE)
        labelled = positive & (index.identities >= 0)
        keys = np.stack([index.sequence_codes[box_frames[labelled]], index.identities[labelled]], axis=1)
        sequence_codes = index.sequence_codes[frames]
        chains = None if linked is None else linked[rows & learnable & (linked >= 0)]
        summaries.append(
            DatasetSummary(
                name=name,
                supervision=index.supervision[code],
                images=int(np.count_nonzero(frames)),
                sequences=len(np.unique(sequence_codes[sequence_codes >= 0])),
                boxes=int(np.count_nonzero(positive)),
                too_hidden=int(np.count_nonzero(positive & ~learnable)),
                ignored=int(np.count_nonzero(rows & (index.roles == Role.IGNORE))),
                other=int(np.count_nonzero(rows & (index.roles == Role.OTHER))),
                identities=len(np.unique(keys, axis=0)),
                labelled_boxes=int(np.count_nonzero(labelled)),
                boxes_per_image=np.bincount(box_frames[positive], minlength=len(index))[frames],
                findings=index.findings.get(name, Findings()),
                linked_boxes=None if chains is None else len(chains),
                linked_identities=None if chains is None else len(np.unique(chains)),
            )
        )
    return summaries


def describe(index: FrameIndex) -> str:
    """Say in one line for each dataset what a split holds; ``no images`` if there is no dataset."""
    return "\n".join(map(str, summarize(index))) or "no images"


def histogram(counts: Sequence[int] | IntArray) -> list[str]:
    """Draw how many images have how many boxes, for a terminal.

    Args:
        counts: boxes of each image.

    Returns:
        A line for each range from the smallest to the largest that occurs: range, number of images, bar.
    """
    counts = np.asarray(counts, dtype=np.int64)
    bins = np.searchsorted(_BIN_ENDS, counts)
    images = np.bincount(bins, minlength=1)
    ends = [*(str(end) for end in _BIN_ENDS), "more"]
    starts = [0, *(end + 1 for end in _BIN_ENDS)]
    lines = []
    first = int(bins.min(initial=len(_BIN_ENDS)))
    for number, start, end in list(zip(images.tolist(), starts, ends, strict=False))[first:]:
        label = end if end in (str(start), "more") else f"{start}-{end}"
        bar = "#" * -(-number * _BAR_WIDTH // max(int(images.max()), 1))
        lines.append(f"{label:>9} {number:>8,} {bar}".rstrip())
    return lines
