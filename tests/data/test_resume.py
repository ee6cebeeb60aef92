"""Runs that are interrupted and go on see the batches that an uninterrupted run sees."""

import contextlib
import hashlib
import warnings

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from dataset_files import make_frame, write_image
from lightning.pytorch.callbacks import ModelCheckpoint

from jde_lightning.data import FrameIndex, MosaicBatchSampler, MosaicDataset, collate_training
from jde_lightning.data.loaders import TrainingLoader
from jde_lightning.data.workers import one_thread_per_worker

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint.*")

BATCHES, EPOCHS = 5, 3


class Tiny(pl.LightningModule):
    """Remembers what it was trained on."""

    def __init__(self, asks_for_steps: bool, fails_at: int = -1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.asks_for_steps, self.fails_at = asks_for_steps, fails_at
        self.seen: list[tuple[int, int, str]] = []

    def training_step(self, batch, batch_idx):
        digest = hashlib.sha256(b"".join(batch[key].contiguous().numpy().tobytes() for key in sorted(batch)))
        if self.global_step == self.fails_at:
            raise InterruptedError
        self.seen.append((self.current_epoch, batch_idx, digest.hexdigest()))
        return self.weight * 1.0

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        if self.asks_for_steps:  # Lightning then starts the loader before it restores anything
            assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Data(pl.LightningDataModule):
    def __init__(self, index, workers):
        super().__init__()
        self.index, self.workers = index, workers

    def train_dataloader(self):
        loader = TrainingLoader(
            MosaicDataset(self.index, self.index.identities, 64),
            sampler=MosaicBatchSampler(len(self.index), 2, repeats=2),
            batch_size=None,
            collate_fn=collate_training,
            num_workers=self.workers,
            worker_init_fn=one_thread_per_worker,  # or OpenCV's threads, which do not survive a fork, are waited for
            persistent_workers=self.workers > 0,
        )
        loader.due = lambda: self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return loader

    def val_dataloader(self):
        return torch.utils.data.DataLoader(range(2))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    frames = []
    for number in range(5):
        write_image(folder / f"{number}.jpg", 96, 64, color=tuple(rng.integers(0, 256, 3).tolist()))
        frames.append(make_frame(folder / f"{number}.jpg", 2, width=96, height=64))
    return FrameIndex.from_frames(frames)


def fit(index, tmp_path, workers, asks_for_steps=True, ckpt_path=None, fails_at=-1, **options):
    module = Tiny(asks_for_steps, fails_at)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        **{"enable_checkpointing": False, **options},
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*dataloader is not resumable.*")
        with contextlib.suppress(InterruptedError):
            trainer.fit(module, datamodule=Data(index, workers), ckpt_path=ckpt_path)
    return module.seen


@pytest.fixture(scope="module")
def whole(index, tmp_path_factory):
    seen = fit(index, tmp_path_factory.mktemp("whole"), 0)
    assert [(epoch, batch) for epoch, batch, _ in seen] == [(e, b) for e in range(EPOCHS) for b in range(BATCHES)]
    assert len({digest for *_, digest in seen}) == BATCHES * EPOCHS
    return seen


def saving(tmp_path, **when):
    return [ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, **when)]


@pytest.mark.parametrize("asks_for_steps", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [2, 5, 7, 9, 14])
def test_a_run_goes_on_with_the_next_batch(index, whole, tmp_path, workers, step, asks_for_steps):
    options = {"callbacks": saving(tmp_path, every_n_train_steps=step), "enable_checkpointing": True}
    first = fit(index, tmp_path, 0, asks_for_steps, max_steps=step, **options)
    rest = fit(index, tmp_path, workers, asks_for_steps, tmp_path / f"step={step}.ckpt")
    assert first == whole[:step]
    assert rest == whole[step:]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("when", ["epoch end", "validation", "validation in the middle"])
def test_a_run_goes_on_after_an_epoch_or_a_validation(index, whole, tmp_path, workers, when):
    interval = {"val_check_interval": 2} if when == "validation in the middle" else {}
    how = {"save_on_train_epoch_end": True} if when == "epoch end" else {"save_on_train_epoch_end": False}
    options = {"callbacks": saving(tmp_path, **how), "enable_checkpointing": True, **interval}
    assert fit(index, tmp_path, 0, **options) == whole
    step = 7 if interval else 5
    assert fit(index, tmp_path, workers, ckpt_path=tmp_path / f"step={step}.ckpt", **interval) == whole[step:]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_crashed_in_a_step_repeats_that_step(index, whole, tmp_path, workers):
    callbacks = [ModelCheckpoint(tmp_path, every_n_train_steps=1000, save_on_exception=True)]
    first = fit(index, tmp_path, 0, fails_at=8, callbacks=callbacks, enable_checkpointing=True)
    assert first == whole[:8]
    (checkpoint,) = tmp_path.glob("*.ckpt")
    assert fit(index, tmp_path, workers, ckpt_path=checkpoint) == whole[8:]


def test_skipped_batches_are_not_built(index, whole, tmp_path, monkeypatch):
    options = {"callbacks": saving(tmp_path, every_n_train_steps=8), "enable_checkpointing": True}
    fit(index, tmp_path, 0, max_steps=8, **options)
    built = []
    original = MosaicDataset.__getitem__
    monkeypatch.setattr(MosaicDataset, "__getitem__", lambda self, asked: built.append(asked) or original(self, asked))
    rest = fit(index, tmp_path, 0, ckpt_path=tmp_path / "step=8.ckpt")
    assert len(built) == len(rest) == 7


def test_alone_it_delivers_whole_epochs(index):
    data = Data(index, 0)
    loader = data.train_dataloader()
    loader.due = None
    assert len(list(loader)) == len(list(loader)) == len(loader) == BATCHES
    loader.due = lambda: 3
    assert len(list(loader)) == BATCHES - 3
    loader.due = lambda: BATCHES  # a finished epoch
    assert len(list(loader)) == BATCHES
