"""Readers of official dataset layouts."""

from jde_lightning.data.readers.base import Reader
from jde_lightning.data.readers.caltech import CaltechPedestrian
from jde_lightning.data.readers.citypersons import CityPersons
from jde_lightning.data.readers.coco import COCO
from jde_lightning.data.readers.crowdhuman import CrowdHuman
from jde_lightning.data.readers.cuhk_sysu import CUHKSYSU
from jde_lightning.data.readers.eth import ETH
from jde_lightning.data.readers.labels_with_ids import LabelsWithIds
from jde_lightning.data.readers.mot import MOTChallenge
from jde_lightning.data.readers.prw import PRW
from jde_lightning.data.readers.yolo_text import YOLOText

__all__ = [
    "COCO",
    "CUHKSYSU",
    "ETH",
    "PRW",
    "CaltechPedestrian",
    "CityPersons",
    "CrowdHuman",
    "LabelsWithIds",
    "MOTChallenge",
    "Reader",
    "YOLOText",
]
