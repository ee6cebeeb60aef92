"""Samples in, one :class:`~jde_lightning.structures.Batch` out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from jde_lightning.data.images import ImageArray
from jde_lightning.data.samples import FrameSample, TrainingSample
from jde_lightning.structures import Batch


def collate_training(samples: Sequence[TrainingSample]) -> Batch:
    """Put training samples of one size into a batch.

    Args:
        samples: ``B`` samples.

    Returns:
        A batch without ``frames`` and ``letterboxes``; ``batch_idx`` never decreases.
    """
    batch = _tensors(samples)
    batch["source_frames"] = torch.from_numpy(np.concatenate([sample.source_frames for sample in samples]))
    batch["scopes"] = torch.from_numpy(np.concatenate([sample.scopes for sample in samples]))
    return batch


def collate_validation(samples: Sequence[FrameSample]) -> Batch:
    """Put frames of one letterboxed size into a batch.

    Args:
        samples: ``B`` samples.

    Returns:
        A batch with ``frames`` and ``letterboxes``; ``identities`` are the annotated ones.
    """
    batch = _tensors(samples)
    batch["frames"] = [sample.frame for sample in samples]
    batch["letterboxes"] = [sample.letterbox for sample in samples]
    return batch


def _tensors(samples: Sequence[TrainingSample] | Sequence[FrameSample]) -> Batch:
    return {
        "images": torch.from_numpy(_stack([sample.image for sample in samples])),
        "boxes": torch.from_numpy(np.concatenate([sample.boxes for sample in samples])),
        "labels": torch.from_numpy(np.concatenate([sample.labels for sample in samples])),
        "identities": torch.from_numpy(np.concatenate([sample.identities for sample in samples])),
        "batch_idx": _image_of_each([len(sample.boxes) for sample in samples]),
        "ignore_boxes": torch.from_numpy(np.concatenate([sample.ignore_boxes for sample in samples])),
        "ignore_batch_idx": _image_of_each([len(sample.ignore_boxes) for sample in samples]),
    }


def _stack(images: list[ImageArray]) -> ImageArray:
    """``(B, 3, H, W)`` of images; without a copy where they lie in one array one after the other."""
    whole = images[0].base
    if whole is not None and whole.shape[0] == len(images) and whole.ndim == 4:
        stacked = whole.transpose(0, 3, 1, 2)
        pairs = zip(images, stacked, strict=True)
        if all(image.base is whole and image.ctypes.data == own.ctypes.data for image, own in pairs):
            return stacked
    return np.stack(images)


def _image_of_each(counts: list[int]) -> torch.Tensor:
    """``(sum(counts),)`` int64 image number of each box."""
    return torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
