"""Readers of official dataset layouts."""

from jde_lightning.data.readers.base import Reader
from jde_lightning.data.readers.caltech import CaltechPedestrian
from jde_lightning.data.readers.citypersons import CityPersons
from jde_lightning.data.readers.crowdhuman import CrowdHuman
from jde_lightning.data.readers.cuhk_sysu import CUHKSYSU
from jde_lightning.data.readers.mot import MOTChallenge
from jde_lightning.data.readers.prw import PRW

__all__ = ["CUHKSYSU", "PRW", "CaltechPedestrian", "CityPersons", "CrowdHuman", "MOTChallenge", "Reader"]
