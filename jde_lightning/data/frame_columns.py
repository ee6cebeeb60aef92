"""Frames in, the flat columns of a :class:`~jde_lightning.data.index.FrameIndex` out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from jde_lightning.structures import FloatArray, FrameAnnotations, IntArray

PER_FRAME = ("paths", "sizes", "frame_numbers", "frame_rates", "dataset_codes", "sequence_codes")
PER_BOX = ("boxes", "labels", "identities", "roles", "visibility")
COLUMNS = (*PER_FRAME, *PER_BOX, "offsets")
"""Names of the arrays of an index."""


class ColumnBuilder:
    """Lists that grow frame by frame and become the arrays of an index.

    Attributes:
        datasets: code of each dataset by name, in order of appearance.
        sequences: code of each sequence by the names of dataset and sequence, in order of appearance.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, int] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self._frames: list[tuple[bytes, int, int, int, int, int, int]] = []
        self._frame_rates: list[float] = []
        self._boxes: list[FloatArray] = [np.zeros((0, 4), np.float32)]
        self._labels: list[IntArray] = [np.zeros(0, np.int64)]
        self._identities: list[IntArray] = [np.zeros(0, np.int64)]
        self._roles: list[npt.NDArray[np.int8]] = [np.zeros(0, np.int8)]
        self._visibility: list[FloatArray] = [np.zeros(0, np.float32)]

    def append(self, frame: FrameAnnotations) -> None:
        """Add a frame; its arrays are kept, the frame is not."""
        dataset = self.datasets.setdefault(frame.dataset, len(self.datasets))
        sequence = -1
        if frame.sequence is not None:
            sequence = self.sequences.setdefault((frame.dataset, frame.sequence), len(self.sequences))
        path = os.fsencode(frame.image_path)
        self._frames.append((path, frame.width, frame.height, frame.frame, dataset, sequence, len(frame)))
        self._frame_rates.append(frame.frame_rate)
        self._boxes.append(frame.boxes)
        self._labels.append(frame.labels)
        self._identities.append(frame.identities)
        self._roles.append(frame.roles)
        self._visibility.append(frame.visibility)

    def arrays(self) -> dict[str, Any]:
        """Return the columns by name, with the dtypes that :class:`~jde_lightning.data.index.FrameIndex` documents."""
        paths = np.array([row[0] for row in self._frames], dtype=np.bytes_)
        numbers = np.array([row[1:] for row in self._frames], dtype=np.int64).reshape(-1, 6)
        return {
            "paths": paths,
            "sizes": numbers[:, :2].astype(np.int32),
            "frame_numbers": numbers[:, 2].copy(),
            "frame_rates": np.array(self._frame_rates, dtype=np.float32),
            "dataset_codes": numbers[:, 3].astype(np.int32),
            "sequence_codes": numbers[:, 4].astype(np.int32),
            "offsets": np.concatenate([[0], np.cumsum(numbers[:, 5])]),
            "boxes": np.concatenate(self._boxes),
            "labels": np.concatenate(self._labels),
            "identities": np.concatenate(self._identities),
            "roles": np.concatenate(self._roles),
            "visibility": np.concatenate(self._visibility),
        }
