"""The losses: detection, identities, and both together."""

from jde_lightning.losses.blockwise_miner import BlockwiseEasyHardMiner
from jde_lightning.losses.detection import DetectionLoss
from jde_lightning.losses.joint import JDELoss
from jde_lightning.losses.mining import AllPairs
from jde_lightning.losses.pair_triplet_loss import PairTripletMarginLoss
from jde_lightning.losses.reid import ReIDLoss
from jde_lightning.losses.weighting import FixedWeights, UncertaintyWeights

__all__ = [
    "AllPairs",
    "BlockwiseEasyHardMiner",
    "DetectionLoss",
    "FixedWeights",
    "JDELoss",
    "PairTripletMarginLoss",
    "ReIDLoss",
    "UncertaintyWeights",
]
