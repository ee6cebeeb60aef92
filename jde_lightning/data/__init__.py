"""Official datasets in, batches out: readers, index, identities, mosaics, samplers."""

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
