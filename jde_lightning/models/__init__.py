"""The network: YOLO11 with an appearance branch, its weights, and the way from raw maps to detections."""

from jde_lightning.models.decode import decode, decode_boxes
from jde_lightning.models.head import JDEHead, LateMaps, RawMaps
from jde_lightning.models.network import YOLO11JDE
from jde_lightning.models.weights import WeightsReport

__all__ = ["YOLO11JDE", "JDEHead", "LateMaps", "RawMaps", "WeightsReport", "decode", "decode_boxes"]
