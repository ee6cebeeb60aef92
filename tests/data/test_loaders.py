"""A run that is resumed in the middle of an epoch sees the batches that the uninterrupted run sees."""

import hashlib

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from dataset_files import make_frame, write_image

from jde_lightning import JDEDataModule
from jde_lightning.data import MosaicBatchSampler, Reader


class Fixed(Reader):
    """Twelve frames of random pixels; validation is a few of them."""

    def __init__(self, count: int = 12, name: str = "D") -> None:
        super().__init__(name)
        self.count = count

    def frames(self, root):
        for number in range(self.count):
            yield make_frame(root / f"{number}.jpg", 2)


class Recorder(pl.LightningModule):
    """Writes down the hash of every batch it is trained on; it can be killed at a step."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.stop_at = stop_at
        self.seen = []

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches > 0  # which makes Lightning start the loader early
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        if self.global_step == self.stop_at:
            raise KeyboardInterrupt
        digest = hashlib.sha256(batch["images"].numpy().tobytes() + batch["boxes"].numpy().tobytes()).hexdigest()
        self.seen.append((self.current_epoch, batch_idx, digest[:12]))
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        pass


def run(root, folder, module, workers, mode, checkpoint=None):
    data = JDEDataModule(
        root=str(root), train=[Fixed()], val=[Fixed(2)], image_size=64, batch_size=2, num_workers=workers,
        mosaic_mode=mode,
    )  # fmt: skip
    save = pl.callbacks.ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, callbacks=[save], enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
    return module.seen


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        write_image(tmp_path / f"{number}.jpg", color=tuple(rng.integers(0, 256, 3).tolist()))
    return tmp_path


@pytest.mark.parametrize(("workers", "mode", "stop_at"), [(0, "buffer", 8), (2, "paired", 9), (0, "buffer", 6)])
def test_resumed_in_mid_epoch(root, tmp_path, workers, mode, stop_at):
    whole = run(root, tmp_path / "whole", Recorder(), workers, mode)
    assert len(whole) == 18
    assert len({digest for _, _, digest in whole}) == 18
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(root, tmp_path / "cut", Recorder(stop_at), workers, mode)
    checkpoint = tmp_path / "cut" / f"step={stop_at}.ckpt"
    resumed = run(root, tmp_path / "resumed", Recorder(), workers, mode, checkpoint)
    assert resumed == whole[stop_at:]


def test_skipped_batches_are_not_drawn_differently():
    sampler = MosaicBatchSampler(12, 2, seed=4)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.start_at(3)
    assert list(sampler) == whole[3:]
    assert list(sampler) == whole  # once only
