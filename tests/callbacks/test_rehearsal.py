"""The rehearsal changes nothing, finds what does not fit, and says what would."""

import copy
import csv
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import Precision
from small_training import make_data, make_module, make_trainer, same, state, write_crowd

from jde_lightning.callbacks import EMA, NaNGuard, Rehearsal, StepTiming
from jde_lightning.callbacks.rehearsal import _fitting_by_line
from jde_lightning.callbacks.trial_step import is_out_of_memory, try_step
from jde_lightning.errors import InputError
from jde_lightning.losses import ReIDLoss


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_crowd(tmp_path_factory.mktemp("crowd"))


class Watch(Rehearsal):
    """Rehearses if enabled, and keeps what the world looks like afterwards."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.random = (torch.rand(3), np.random.rand(), random.random())
        self.gradients = [p.grad for p in pl_module.parameters()]
        self.optimizer = copy.deepcopy(trainer.optimizers[0].state_dict()["state"])
        self.modes = [module.training for module in pl_module.modules()]
        self.steps = trainer.global_step


def fit(root, tmp_path, enabled, strategy="auto", devices=1, **options):
    random.seed(1)
    np.random.seed(1)
    module, ema, watch = make_module(**options), EMA(ramp=1), Watch(enabled)
    logger = CSVLogger(tmp_path, name=f"{enabled}")
    callbacks = [ema, watch, NaNGuard(), StepTiming()]
    trainer = make_trainer(
        tmp_path, callbacks, logger=logger, log_every_n_steps=1, strategy=strategy, devices=devices, max_steps=3
    )
    trainer.fit(module, datamodule=make_data(root))
    return module, ema, watch, logger


def test_training_is_bitwise_the_same_with_and_without(root, tmp_path, caplog):
    with caplog.at_level("INFO", logger="jde_lightning.callbacks.rehearsal"):
        (a, ema_a, watch_a, log_a), (b, ema_b, watch_b, log_b) = (fit(root, tmp_path, on) for on in (True, False))
    assert caplog.text.count("the densest batch fits: 4 images, ") == 1
    assert same(state(a), state(b))
    assert same(state(ema_a._average_model), state(ema_b._average_model))
    assert torch.equal(watch_a.random[0], watch_b.random[0])
    assert watch_a.random[1:] == watch_b.random[1:]
    assert watch_a.gradients == [None] * len(watch_a.gradients)
    assert (watch_a.optimizer, watch_a.steps, watch_a.modes) == ({}, 0, watch_b.modes)

    def losses(logger):
        with Path(logger.experiment.metrics_file_path).open() as file:
            rows = [{k: v for k, v in row.items() if k.startswith("train/") and v} for row in csv.DictReader(file)]
        return [row for row in rows if row]

    assert losses(log_a) == losses(log_b)
    assert len(losses(log_a)) == 3


def cpu_trainer():
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    return SimpleNamespace(strategy=strategy, precision_plugin=Precision())


def test_it_runs_the_batch_it_says_and_would_leave_traces_if_not_undone(root):
    module, data = make_module().train(), make_data(root)
    data.setup("fit")
    module.loss.reid_loss.queue = torch.zeros(2)  # as losses with a memory have
    module.loss.reid_loss.register_forward_pre_hook(lambda loss, _: setattr(loss, "queue", loss.queue.add_(1)))
    before = state(module)
    trial = try_step(cpu_trainer(), module, data.densest_batch(3))
    assert (trial.fits, trial.spilled, trial.boxes) == (True, False, len(data.densest_batch(3)["boxes"]))
    assert trial.anchors > 0
    assert same(state(module), before)
    assert module.loss.reid_loss.queue.tolist() == [0, 0]
    module.joint_loss(data.densest_batch(3))
    assert not same(state(module), before)  # batch-norm statistics
    assert module.loss.reid_loss.queue.tolist() == [1, 1]


def _alone(rank, store, root, results):
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    if rank == 0:  # the other one does not take part
        data, module = make_data(root), make_module(reid_loss=ReIDLoss(gather=True)).train()
        data.setup("fit")
        alone = try_step(cpu_trainer(), make_module(), data.densest_batch(2))
        module = torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)
        trial = try_step(cpu_trainer(), module, data.densest_batch(2))
        assert trial.fits
        assert trial.anchors == alone.anchors
        with pytest.raises(ValueError, match="GPU|cuda"):  # on the CPU it cannot ask, but it wants to
            module.joint_loss(data.densest_batch(2))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_nobody_is_asked_for_embeddings_or_statistics(root, tmp_path):
    torch.multiprocessing.spawn(_alone, (str(tmp_path / "store"), root, None), nprocs=2)


class Small(Rehearsal):
    """A machine on which a number of images fits, with a real refusal of memory."""

    def __init__(self, fitting):
        super().__init__()
        self.fitting = fitting

    def on_train_start(self, trainer, pl_module):
        def refuse(module, inputs):
            if len(inputs[0]) > self.fitting:
                torch.empty(1 << 50)

        pl_module.network.register_forward_pre_hook(refuse)
        super().on_train_start(trainer, pl_module)


def test_what_does_not_fit_is_one_line_with_what_to_lower(root, tmp_path):
    with pytest.raises(InputError) as caught:
        make_trainer(tmp_path, [Small(2)]).fit(make_module(), datamodule=make_data(root))
    message = str(caught.value)
    assert "\n" not in message
    assert "does not fit into the memory of cpu: data.batch_size 4, image_size 64, " in message
    assert "set data.batch_size to about 2 " in message
    with pytest.raises(InputError, match="lower data.image_size, choose a smaller model.scale"):
        make_trainer(tmp_path, [Small(0)]).fit(make_module(), datamodule=make_data(root, batch_size=1))


def test_other_errors_are_not_taken_for_a_want_of_memory(root, tmp_path):
    class Broken(Rehearsal):
        def on_train_start(self, trainer, pl_module):
            pl_module.network.register_forward_pre_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
            super().on_train_start(trainer, pl_module)

    with pytest.raises(RuntimeError, match="inconsistent tensor size|size mismatch|same size"):
        make_trainer(tmp_path, [Broken()]).fit(make_module(), datamodule=make_data(root))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"))
    assert not is_out_of_memory(RuntimeError("shape"))


def test_the_line_through_two_sizes_gives_the_number_that_fits():
    assert _fitting_by_line([1000, 1100], 1, 2050, 64) == 11  # 900 + 100 per image
    assert _fitting_by_line([1000, 1200], 2, 2050, 64) == 12  # of these, 10 are beyond the first 2
    assert _fitting_by_line([1000, 1100], 1, 10**9, 64) == 63  # 64 did not fit
    assert _fitting_by_line([1000, 1000], 1, 10, 64) == 1


class OnOneRank(Rehearsal):
    """A memory that is too small on the second process only."""

    def step(self, trainer, pl_module, batch, reserved_bytes):
        trial = super().step(trainer, pl_module, batch, reserved_bytes)
        return trial._replace(fits=trainer.global_rank == 0)


@pytest.mark.slow
def test_two_processes_stop_together_where_one_has_no_room(root, tmp_path):
    trainer = make_trainer(tmp_path, [OnOneRank()], strategy="ddp_spawn", devices=2)
    with pytest.raises(Exception, match="another process ran out of memory|data.batch_size 4, image_size 64"):
        trainer.fit(make_module(), datamodule=make_data(root))


@pytest.mark.slow
def test_two_processes_that_gather_train_the_same_with_and_without(root, tmp_path):
    states = []
    for enabled in (True, False):
        module = make_module(reid_loss=ReIDLoss(gather=True))
        trainer = make_trainer(tmp_path, [Rehearsal(enabled)], strategy="ddp_spawn", devices=2, max_steps=2)
        trainer.fit(module, datamodule=make_data(root, batch_size=2))
        states.append(state(module))
    assert same(*states)
