import math

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from jde_lightning.callbacks import EMA


class Tiny(pl.LightningModule):
    """One weight and one batch norm, trained to move; remembers the raw weights and what validation saw."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
        self.history, self.validated = [], []

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().sum() + self.layer[0].weight.sum()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.history.append({name: value.clone() for name, value in self.state_dict().items()})

    def validation_step(self, batch, batch_idx):
        self.validated.append({name: value.clone() for name, value in self.state_dict().items()})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(callback, tmp_path, steps=6, **kwargs):
    torch.manual_seed(0)
    module = Tiny()
    loader = DataLoader(torch.randn(4 * steps, 2), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        callbacks=[callback],
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        **kwargs,
    )
    trainer.fit(module, loader, loader)
    return trainer, module


def test_validation_sees_the_ramped_average_of_weights_and_float_buffers(tmp_path):
    _, module = fit(EMA(decay=0.9, ramp=3), tmp_path)
    expected = {name: value.double() for name, value in module.history[0].items()}
    for updates, raw in enumerate(module.history[1:], start=1):
        decay = 0.9 * (1 - math.exp(-(updates + 1) / 3))
        expected = {name: decay * expected[name] + (1 - decay) * raw[name].double() for name in expected}
    seen = module.validated[0]
    for name in ("layer.0.weight", "layer.0.bias", "layer.1.weight", "layer.1.running_mean", "layer.1.running_var"):
        assert torch.allclose(seen[name].double(), expected[name], atol=1e-6)
    assert not torch.allclose(seen["layer.0.weight"], module.history[-1]["layer.0.weight"])
    assert not torch.allclose(seen["layer.1.running_mean"], module.history[-1]["layer.1.running_mean"])
    assert seen["layer.1.num_batches_tracked"] == 6  # counters are copied, not averaged


def test_decay_zero_is_off(tmp_path):
    callback = EMA(decay=0)
    trainer, module = fit(callback, tmp_path)
    assert callback._average_model is None
    for name, value in module.state_dict().items():
        assert torch.equal(value, module.validated[-1][name])


def test_checkpoint_holds_the_average_and_resume_restores_both(tmp_path):
    callback = EMA(decay=0.9, ramp=3)
    trainer, module = fit(callback, tmp_path)
    path = tmp_path / "a.ckpt"
    average = {name: value.clone() for name, value in callback._average_model.module.state_dict().items()}
    trainer.save_checkpoint(path)
    saved = torch.load(path, weights_only=True)
    for name, value in average.items():
        assert torch.equal(saved["state_dict"][name], value)
    assert set(saved["current_model_state"]) == set(saved["state_dict"])
    assert int(saved["averaging_state"]["n_averaged"]) == 6


@pytest.mark.parametrize(("decay", "ramp"), [(1.0, 10), (-0.1, 10), (0.9, 0)])
def test_refuses_values_out_of_range(decay, ramp):
    with pytest.raises(ValueError, match="ema.decay must lie in"):
        EMA(decay=decay, ramp=ramp)
