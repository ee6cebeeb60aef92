"""A tiny training that can be interrupted anywhere, and what it does without being interrupted."""

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from jde_lightning.callbacks import EMA, Checkpoint
from jde_lightning.data.loaders import TrainingLoader

BATCHES, EPOCHS = 6, 3


class Curve(pl.LightningModule):
    """One linear layer and a batch norm; calls ``interrupt(place, module)`` wherever an interruption may come."""

    def __init__(self, interrupt=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4, momentum=None))
        self.interrupt = interrupt or (lambda place, module: None)
        self.validated = []

    def training_step(self, batch, batch_idx):
        self.interrupt("step", self)
        return self.layer(batch).square().sum() + self.layer[0].weight.sum()

    def optimizer_step(self, *args, **kwargs):
        super().optimizer_step(*args, **kwargs)
        self.interrupt("update", self)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.interrupt("batch end", self)

    def validation_step(self, batch, batch_idx):
        self.interrupt("validation", self)
        self.validated.append((self.global_step, batch_idx, self.layer[0].weight.detach().clone()))
        self.log("val/hota", self.layer[0].weight.sum())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1)


class Data(pl.LightningDataModule):
    """Batches of fixed numbers; each batch of an epoch has its own, by its number."""

    def train_dataloader(self):
        loader = _Loader(range(BATCHES))
        loader.due = lambda: self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return loader

    def val_dataloader(self):
        return DataLoader(torch.zeros(3, 4))


class _Loader(DataLoader):
    """As TrainingLoader: begins at the batch that is due."""

    due = None
    state_dict = TrainingLoader.state_dict
    load_state_dict = TrainingLoader.load_state_dict

    def __iter__(self):
        for number in range(self.due() % BATCHES, BATCHES):
            yield torch.randn(8, 4, generator=torch.Generator().manual_seed(number))


def fit(folder, interrupt=None, ckpt_path=None, callbacks=(), **options):
    """Train, and return the trainer and the module."""
    options = {"every_minutes": 0.0, **options}
    own = {key: options.pop(key) for key in ("every_minutes", "every_n_epochs", "save_last") if key in options}
    module = Curve(interrupt)
    trainer = pl.Trainer(
        **{
            "max_epochs": EPOCHS,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "default_root_dir": folder,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            **options,
        },
        callbacks=[EMA(decay=0.9, ramp=3), *callbacks, Checkpoint(dirpath=str(folder), **own)],
    )
    trainer.fit(module, datamodule=Data(), ckpt_path=ckpt_path)
    return trainer, module


def state(folder, name="last.ckpt"):
    """What must be equal in the end: weights, average, optimiser, best score."""
    saved = torch.load(folder / name, weights_only=True)
    return {
        **{f"average {key}": value for key, value in saved["state_dict"].items()},
        **{f"raw {key}": value for key, value in saved["current_model_state"].items()},
        **{f"ema {key}": value for key, value in saved["averaging_state"].items()},
        **{
            f"optimiser {number} {key}": value
            for number, moments in saved["optimizer_states"][0]["state"].items()
            for key, value in moments.items()
        },
        "best": saved["callbacks"]["Checkpoint"]["best_model_score"],
        "step": torch.tensor(saved["global_step"]),
    }


def unequal(one, other):
    """Names of what differs."""
    return [name for name in {**one, **other} if not torch.equal(one[name], other[name])]


def at(place, step, error=None):
    """An interruption at a place once so many steps were taken; calls ``error`` or raises it."""
    left = [True]

    def interrupt(where, module):
        if where == place and module.global_step == step and left:
            left.clear()
            if isinstance(error, BaseException):
                raise error
            error(module)

    return interrupt
