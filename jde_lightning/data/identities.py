"""One dense numbering of all training identities, made after all readers have run and kept with the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jde_lightning.data.index import FrameIndex
from jde_lightning.data.linking import LinkingConfig, link_boxes
from jde_lightning.data.readers.base import Supervision, sequence_key
from jde_lightning.errors import InputError
from jde_lightning.structures import NO_IDENTITY, IntArray, Role

GLOBAL = "global"
"""Scope of identities that hold across a whole dataset (person search sets), not within a sequence."""


@dataclass(frozen=True)
class IdentityTable:
    """What the dense training identities stand for.

    Identities below ``len(keys)`` are annotated ones; the rest are synthetic: one box each, or one
    chain of boxes that were linked from frame to frame.

    Attributes:
        keys: dataset, sequence (or :data:`GLOBAL`) and annotated id of each annotated identity.
        num_synthetic: number of synthetic identities, numbered after the annotated ones.
    """

    keys: tuple[tuple[str, str, int], ...]
    num_synthetic: int

    def __len__(self) -> int:
        """Number of identities, annotated and synthetic."""
        return len(self.keys) + self.num_synthetic

    def is_synthetic(self, identity: int) -> bool:
        """Whether an identity is a box, or a chain of linked boxes, that nobody has labelled."""
        return identity >= len(self.keys)

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists, strings and numbers, for checkpoints and JSON."""
        return {"keys": [list(key) for key in self.keys], "num_synthetic": self.num_synthetic}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> IdentityTable:
        """Rebuild a table from :meth:`as_dict`."""
        keys = tuple((str(dataset), str(scope), int(identity)) for dataset, scope, identity in state["keys"])
        return cls(keys, int(state["num_synthetic"]))


def assign_training_identities(
    index: FrameIndex,
    supervision_by_dataset: Mapping[str, Supervision] | None = None,
    linking: LinkingConfig | None = None,
) -> tuple[IntArray, IdentityTable]:
    """Number the identities of all boxes that training may learn.

    Args:
        index: the training frames.
        supervision_by_dataset: what may be known of the identities (see
            :class:`~jde_lightning.data.readers.base.Reader`); the index's own setting where omitted.
        linking: in videos, let boxes that are linked from frame to frame share a synthetic identity
            (:func:`~jde_lightning.data.linking.link_boxes`); every box has one of its own if omitted.

    Returns:
        ``(N,)`` int64 aligned with ``index.boxes``: 0 and above, ``NO_IDENTITY`` for boxes that are no positives and
        for unlabelled ones under full supervision; and the table of what the numbers mean.

    Raises:
        InputError: if the supervision is none of ``self``, ``weak``, ``full``.
    """
    supervision = np.array([_supervision(index, code, supervision_by_dataset) for code in range(len(index.datasets))])
    box_frames = index.box_frames
    mode = supervision[index.dataset_codes[box_frames]] if len(supervision) else np.zeros(len(box_frames), "U4")
    positive = index.roles == Role.POSITIVE
    labelled = positive & (mode != "self") & (index.identities >= 0)
    synthetic = positive & ~labelled & (mode != "full")

    scopes, scope_of_sequence = _scopes(index)
    scope = scope_of_sequence[index.sequence_codes[box_frames[labelled]]]
    columns = np.stack([index.dataset_codes[box_frames[labelled]], scope, index.identities[labelled]], axis=1)
    unique, inverse = np.unique(columns, axis=0, return_inverse=True)

    identities = np.full(len(index.boxes), NO_IDENTITY, dtype=np.int64)
    identities[labelled] = inverse.reshape(-1)
    if linking is None:
        chains = np.arange(np.count_nonzero(synthetic))
    else:
        chains = link_boxes(index, synthetic, linking)[synthetic]
    num_synthetic = int(chains.max(initial=-1)) + 1
    identities[synthetic] = len(unique) + chains
    keys = tuple((index.datasets[d], scopes[s], identity) for d, s, identity in unique.tolist())
    return identities, IdentityTable(keys, num_synthetic)


def synthetic_identities(identities: IntArray, table: IdentityTable) -> IntArray:
    """Return the training identities that are synthetic, ``(N,)`` int64, and ``NO_IDENTITY`` in place of the others."""
    return np.where(identities >= len(table.keys), identities, NO_IDENTITY)


def ambiguity_scopes(
    index: FrameIndex, identities: IntArray, table: IdentityTable, linking: LinkingConfig | None = None
) -> IntArray:
    """Tell where equal people may carry different identities.

    Under self-supervision every box of a video has an identity of its own, also the same person in the next frame.
    Two such boxes of one sequence are certain to be two people only if they stand in one frame. That leaves each person
    few others to differ from; to take only boxes of one linked chain for possibly the same leaves many, and errs where
    a chain broke.

    Args:
        index: the training frames.
        identities: ``(N,)`` training identities of the boxes.
        table: what the identities mean.
        linking: take only boxes that are linked from frame to frame for possibly the same person
            (:func:`~jde_lightning.data.linking.link_boxes`); all boxes of a sequence if omitted.

    Returns:
        ``(N,)`` int64: the sequence, or the chain, of a box with a synthetic identity, -1 for boxes with annotated
        identities and boxes of single images.
    """
    sequence = index.sequence_codes[index.box_frames].astype(np.int64)
    doubtful = (identities >= len(table.keys)) & (sequence >= 0)
    return np.where(doubtful, sequence if linking is None else link_boxes(index, doubtful, linking), -1)


def _supervision(index: FrameIndex, code: int, by_dataset: Mapping[str, Supervision] | None) -> str:
    name = index.datasets[code]
    mode = (by_dataset or {}).get(name, index.supervision[code])
    if mode not in ("self", "weak", "full"):
        msg = f"supervision of dataset {name!r} is {mode!r}, expected self, weak or full"
        raise InputError(msg)
    return mode


def _scopes(index: FrameIndex) -> tuple[list[str], IntArray]:
    """Names of all scopes, and the scope of each sequence code; the last entry (code -1) is :data:`GLOBAL`."""
    names = [sequence_key(name) for name in index.sequence_names] + [GLOBAL]
    scopes = list(dict.fromkeys(names))
    return scopes, np.array([scopes.index(name) for name in names], dtype=np.int64)
