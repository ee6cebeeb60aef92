"""Official datasets in, batches out: readers, index, identities, mosaics, samplers.

The public names load lazily (PEP 562): images are read and fitted without torch, as exported networks need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jde_lightning.lazy_names import lazy_names

_HOME = {
    "COCO": "jde_lightning.data.readers",
    "CUHKSYSU": "jde_lightning.data.readers",
    "ETH": "jde_lightning.data.readers",
    "PRW": "jde_lightning.data.readers",
    "AugmentationConfig": "jde_lightning.data.augment",
    "CaltechPedestrian": "jde_lightning.data.readers",
    "CityPersons": "jde_lightning.data.readers",
    "CrowdHuman": "jde_lightning.data.readers",
    "FrameDataset": "jde_lightning.data.datasets",
    "FrameIndex": "jde_lightning.data.index",
    "IdentityTable": "jde_lightning.data.identities",
    "LabelsWithIds": "jde_lightning.data.readers",
    "MOTChallenge": "jde_lightning.data.readers",
    "MosaicBatchSampler": "jde_lightning.data.samplers",
    "MosaicDataset": "jde_lightning.data.datasets",
    "Reader": "jde_lightning.data.readers",
    "SequenceBatchSampler": "jde_lightning.data.samplers",
    "YOLOText": "jde_lightning.data.readers",
    "assign_training_identities": "jde_lightning.data.identities",
    "collate_training": "jde_lightning.data.collate",
    "collate_validation": "jde_lightning.data.collate",
}
__all__ = [
    "COCO",
    "CUHKSYSU",
    "ETH",
    "PRW",
    "AugmentationConfig",
    "CaltechPedestrian",
    "CityPersons",
    "CrowdHuman",
    "FrameDataset",
    "FrameIndex",
    "IdentityTable",
    "LabelsWithIds",
    "MOTChallenge",
    "MosaicBatchSampler",
    "MosaicDataset",
    "Reader",
    "SequenceBatchSampler",
    "YOLOText",
    "assign_training_identities",
    "collate_training",
    "collate_validation",
]

if TYPE_CHECKING:
    from jde_lightning.data.augment import AugmentationConfig
    from jde_lightning.data.collate import collate_training, collate_validation
    from jde_lightning.data.datasets import FrameDataset, MosaicDataset
    from jde_lightning.data.identities import IdentityTable, assign_training_identities
    from jde_lightning.data.index import FrameIndex
    from jde_lightning.data.readers import (
        COCO,
        CUHKSYSU,
        ETH,
        PRW,
        CaltechPedestrian,
        CityPersons,
        CrowdHuman,
        LabelsWithIds,
        MOTChallenge,
        Reader,
        YOLOText,
    )
    from jde_lightning.data.samplers import MosaicBatchSampler, SequenceBatchSampler


__getattr__, __dir__ = lazy_names(__name__, _HOME)
