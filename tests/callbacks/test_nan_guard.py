"""Training stops at the first NaN, before it is in the weights, on all processes, and leaves the batch."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from small_training import make_data, make_module, make_trainer, state, write_crowd

from jde_lightning.callbacks import NaNGuard
from jde_lightning.errors import NonFiniteError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_crowd(tmp_path_factory.mktemp("crowd"))


class Spoil(pl.Callback):
    """Makes one number of one batch NaN, on one process."""

    def __init__(self, what, at_batch=1, rank=0, value=torch.nan):
        self.what, self.at_batch, self.rank, self.value = what, at_batch, rank, value
        self.last_good = None

    def on_train_start(self, trainer, pl_module):
        def spoil(module, inputs, output):
            if trainer.fit_loop.batch_idx != self.at_batch or trainer.global_rank != self.rank:
                return output
            total, items = output
            return total * self.value, {**items, "box_loss": items["box_loss"] * self.value}

        if self.what == "loss":
            pl_module.loss.register_forward_hook(spoil)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.last_good = state(pl_module) if batch_idx == self.at_batch else self.last_good
        if self.what == "embeddings" and batch_idx == self.at_batch and trainer.global_rank == self.rank:
            torch.nn.init.constant_(pl_module.network.model[-1].cv4.levels[0][-1].bias, torch.nan)

    def on_after_backward(self, trainer, pl_module):
        if self.what == "gradient" and trainer.fit_loop.batch_idx == self.at_batch:
            next(iter(pl_module.network.parameters())).grad[0, 0, 0, 0] = self.value


def fit(root, tmp_path, spoil, guard=None, **options):
    module = make_module()
    # the guard comes last here: it must see what the spoiler did
    trainer = make_trainer(tmp_path, [spoil, guard or NaNGuard()], **{"max_epochs": 1, **options})
    trainer.fit(module, datamodule=make_data(root))
    return module


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched(root, tmp_path, value):
    spoil, module = Spoil("loss", value=value), make_module()
    trainer = make_trainer(tmp_path, [spoil, NaNGuard()], logger=CSVLogger(tmp_path, name="", version=0))
    with pytest.raises(NonFiniteError) as caught:
        trainer.fit(module, datamodule=make_data(root))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"step 1, batch 1 of epoch 0: NaN or infinite loss, box_loss of loss {value}, box_loss ")
    assert "learning rate " in message
    (path,) = (tmp_path / "version_0").glob("non_finite_step1_rank0.pt")
    assert str(path) in message
    assert torch.load(path)["images"].shape == (4, 3, 64, 64)
    parameters = {name for name, _ in module.named_parameters()}
    now = state(module)
    assert all(torch.equal(now[name], spoil.last_good[name]) for name in parameters)


def test_a_gradient_that_is_no_number_stops_too(root, tmp_path):
    with pytest.raises(NonFiniteError, match="step 2, batch 2 of epoch 0: NaN or infinite gradient of a finite loss"):
        fit(root, tmp_path, Spoil("gradient", at_batch=2))


def test_gradients_are_the_scalers_business_where_there_is_one(root, tmp_path):
    class Scaled(NaNGuard):
        def on_after_backward(self, trainer, pl_module):
            trainer.precision_plugin.scaler = object()
            super().on_after_backward(trainer, pl_module)
            del trainer.precision_plugin.scaler

    fit(root, tmp_path, Spoil("gradient", at_batch=2), Scaled())  # the last batch of the epoch
    with pytest.raises(NonFiniteError):
        fit(root, tmp_path, Spoil("loss"), Scaled())


def test_of_accumulated_batches_the_one_is_named(root, tmp_path):
    with pytest.raises(NonFiniteError, match="step 0, batch 1 of epoch 0"):
        fit(root, tmp_path, Spoil("loss"), accumulate_grad_batches=3)


def test_switched_off_it_lets_training_go_on(root, tmp_path):
    fit(root, tmp_path, Spoil("loss", at_batch=2), NaNGuard(enabled=False))  # the last batch of the epoch


class LikeGPU(NaNGuard):
    """What it sends is on its way for a while, as on a GPU."""

    def _sent(self, *args, **kwargs):
        return super()._sent(*args, **kwargs)._replace(arrived=SimpleNamespace(synchronize=lambda: None))


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("at_batch", [0, 2])  # the last: the end of the epoch waits for it
def test_on_a_gpu_too_the_batch_is_named_that_was_bad(root, tmp_path, what, at_batch):
    with pytest.raises(NonFiniteError, match=f"batch {at_batch} of epoch 0: NaN or infinite {what}"):
        fit(root, tmp_path, Spoil(what, at_batch=at_batch), LikeGPU())
    assert torch.load(next(iter(tmp_path.glob("non_finite_*"))))["images"].shape == (4, 3, 64, 64)


def test_no_checkpoint_is_written_of_weights_that_are_no_numbers(root, tmp_path):
    keeper = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_on_exception=True)
    spoil = Spoil("gradient", at_batch=1)
    trainer = make_trainer(tmp_path, [spoil, LikeGPU(), keeper], enable_checkpointing=True)
    with pytest.raises(NonFiniteError):
        trainer.fit(make_module(), datamodule=make_data(root))
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["step=1.ckpt"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["loss", "embeddings"])
def test_two_processes_stop_together_where_one_meets_it(root, tmp_path, what):
    options = {"strategy": "ddp_spawn", "devices": 2}
    with pytest.raises(Exception, match="process 1: step 0, batch 0 of epoch 0: NaN"):
        fit(root, tmp_path, Spoil(what, at_batch=0, rank=1), **options)
    (path,) = tmp_path.glob("non_finite_*.pt")
    assert path.name == "non_finite_step0_rank1.pt"
