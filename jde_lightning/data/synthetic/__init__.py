"""A synthetic street crowd: a dataset that needs no download, in the official layouts of MOT17 and CrowdHuman."""

from jde_lightning.data.synthetic.crowd import SyntheticCrowd, render_sequence, render_still
from jde_lightning.data.synthetic.labelled_folder import write_labelled_folder
from jde_lightning.data.synthetic.render import RenderedFrame

__all__ = ["RenderedFrame", "SyntheticCrowd", "render_sequence", "render_still", "write_labelled_folder"]
