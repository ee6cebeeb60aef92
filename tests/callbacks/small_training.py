"""A training of seconds, for tests of callbacks that watch it."""

import lightning.pytorch as pl
import torch

from jde_lightning import JDEDataModule, JDEModule
from jde_lightning.data import CrowdHuman, MOTChallenge
from jde_lightning.data.synthetic import SyntheticCrowd


def write_crowd(folder):
    SyntheticCrowd(train_sequences=1, val_sequences=1, frames=6, stills=6, width=160, height=96, people=5).write(folder)
    return folder


def make_data(root, **options):
    values = {
        "train": [MOTChallenge(path="MOT17/train"), CrowdHuman(path="CrowdHuman")],
        "val": [MOTChallenge(path="MOT17/val")],
        "image_size": 64,
        "batch_size": 4,
        "num_workers": 0,
        "index_cache": False,
    }
    return JDEDataModule(root=str(root), **{**values, **options})


def adam(groups):
    return torch.optim.AdamW(groups, lr=0.002)


def make_module(**options):
    torch.manual_seed(0)
    return JDEModule(**{"scale": "n", "embed_dim": 32, "optimizer": adam, **options})


def make_trainer(folder, callbacks, **options):
    values = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "gradient_clip_val": 10.0,
        "default_root_dir": folder,
    }
    return pl.Trainer(callbacks=callbacks, **{**values, **options})


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a, b):
    """Whether two states are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
