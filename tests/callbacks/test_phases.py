"""Phases: what is frozen stays, what is not learns, and several processes agree."""

import logging

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from jde_lightning import JDEModule
from jde_lightning.callbacks import EMA, Checkpoint, Phase, Phases
from jde_lightning.errors import InputError


class TwoWeights(pl.LightningModule):
    """A detector and a branch of one weight each, that both learn to turn the input, plus the rank, into 1."""

    def __init__(self):
        super().__init__()
        self.detector = torch.nn.Parameter(torch.tensor(0.0))
        self.branch = torch.nn.Parameter(torch.tensor(0.0))

    def freeze(self, layers, branches=()):
        before = self.detector.requires_grad, self.branch.requires_grad
        self.detector.requires_grad_(layers == 0)
        self.branch.requires_grad_("reid" not in branches)
        return before != (self.detector.requires_grad, self.branch.requires_grad)

    def training_step(self, x, batch_idx):
        x = x + self.global_rank
        return ((self.detector * x - 1) ** 2 + (self.branch * x - 1) ** 2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class KeepOfEveryRank(pl.Callback):
    """Saves the weights of every process after every epoch."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_epoch_end(self, trainer, pl_module):
        weights = [pl_module.detector.item(), pl_module.branch.item()]
        torch.save(weights, self.folder / f"rank{trainer.global_rank}_epoch{trainer.current_epoch}.pt")


BATCHES = [[1.0, 2.0], [3.0, 4.0]]
SCHEDULE = [Phase(epochs=1, frozen_layers=23), Phase(epochs=2), Phase(frozen_branches=["reid"])]


def train(module, data, tmp_path, *callbacks, epochs=5, ckpt_path=None, **kwargs):
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, callbacks=list(callbacks), **kwargs,
    )  # fmt: skip
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return trainer


def loader():
    return DataLoader([x for batch in BATCHES for x in batch], batch_size=2)


def by_hand(batches, epochs):
    """The two weights after every epoch of SCHEDULE, with the gradient averaged over each batch."""
    weights, after = [0.0, 0.0], []
    for epoch in range(epochs):
        trained = [epoch >= 1, epoch < 3]
        for batch in batches:
            slopes = [sum(2 * x * (w * x - 1) for x in batch) / len(batch) for w in weights]
            weights = [w - 0.1 * s * t for w, s, t in zip(weights, slopes, trained, strict=True)]
        after.append(list(weights))
    return after


@pytest.mark.slow
def test_two_processes_train_what_the_phase_says_with_the_gradients_of_both(tmp_path):
    """DDP fixes when it is built which gradients it exchanges; the first phase has fewer of them, the second more."""
    train(
        TwoWeights(), DataLoader([1.0, 3.0], batch_size=1), tmp_path, Phases(SCHEDULE), KeepOfEveryRank(tmp_path),
        devices=2, strategy="ddp_spawn", enable_checkpointing=False, use_distributed_sampler=False,
    )  # fmt: skip
    for epoch, expected in enumerate(by_hand(BATCHES, 5)):
        for rank in range(2):
            assert torch.load(tmp_path / f"rank{rank}_epoch{epoch}.pt") == pytest.approx(expected, rel=1e-5)


def test_one_process_trains_what_the_phase_says(tmp_path):
    module = TwoWeights()
    train(module, loader(), tmp_path, Phases(SCHEDULE), enable_checkpointing=False)
    assert [module.detector.item(), module.branch.item()] == pytest.approx(by_hand(BATCHES, 5)[-1], rel=1e-5)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_resumed_run_begins_in_the_phase_of_its_epoch(epochs, tmp_path):
    data = loader()
    keep = Checkpoint(monitor=None, dirpath=str(tmp_path))
    train(TwoWeights(), data, tmp_path, Phases(SCHEDULE), keep, epochs=epochs)
    module = TwoWeights()
    train(module, data, tmp_path, Phases(SCHEDULE), ckpt_path=str(tmp_path / "last.ckpt"), enable_checkpointing=False)
    assert [module.detector.item(), module.branch.item()] == pytest.approx(by_hand(BATCHES, 5)[-1], rel=1e-5)


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8, generator=generator),
        "boxes": torch.tensor([[4.0, 4, 24, 44], [30, 10, 60, 60], [4, 4, 24, 44]]),
        "labels": torch.zeros(3, dtype=torch.int64),
        "identities": torch.tensor([0, 1, 0]),
        "batch_idx": torch.tensor([0, 0, 1]),
        "ignore_boxes": torch.zeros(0, 4),
        "ignore_batch_idx": torch.zeros(0, dtype=torch.int64),
    }


class States(pl.Callback):
    """Keeps the weights and statistics before and after every epoch."""

    def __init__(self):
        self.states = []

    def on_train_start(self, trainer, pl_module):
        self.states.append({name: value.clone() for name, value in pl_module.network.state_dict().items()})

    on_train_epoch_end = on_train_start


def moved(before, after, suffix=""):
    return {name for name in before if name.endswith(suffix) and not torch.equal(before[name], after[name])}


def test_detector_frozen_then_everything(tmp_path, caplog):
    """Of the network itself: weights, statistics, the average and the optimiser, through one schedule."""
    torch.manual_seed(0)
    module = JDEModule(scale="n", embed_dim=32, frozen_layers=2)
    states = States()
    schedule = [Phase(1, frozen_layers=23, frozen_branches=["box", "class"]), Phase(1, frozen_layers=11), Phase()]
    data = DataLoader([batch()] * 3, batch_size=None)
    with caplog.at_level(logging.INFO):
        train(
            module, data, tmp_path, Phases(schedule), states, EMA(decay=0), epochs=3, enable_checkpointing=False
        )  # fmt: skip
    for number, first in enumerate((None, 11, 2)):
        changed = moved(states.states[number], states.states[number + 1])
        layers = {int(name.split(".")[1]) for name in changed}
        if first is None:
            assert changed
            assert all(".cv4." in name for name in changed)
        else:
            # layers 11, 12 and the like, which upsample and concatenate, have no weights
            assert min(layers) == min(i for i in range(first, 24) if list(module.network.model[i].parameters()))
            assert max(layers) == 23
    assert "phase 1 of 3 from epoch 1 on: the first 23 layers, the box branch, the class branch frozen" in caplog.text
    assert "phase 3 of 3 from epoch 3 on: nothing frozen" in caplog.text
    assert "phase 1 freezes layers, but no weights were loaded" in caplog.text


def test_parts_that_thaw_learn_as_if_they_had_never_been_in_the_optimiser(tmp_path):
    """SGD's momentum and decay leave a frozen part alone: no gradient is not a gradient of zero."""
    torch.manual_seed(0)
    module = JDEModule(
        scale="n", embed_dim=32, weight_decay=0.1,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    )  # fmt: skip
    states = States()
    data = DataLoader([batch()] * 2, batch_size=None)
    schedule = [Phase(1), Phase(1, frozen_layers=23)]
    train(module, data, tmp_path, Phases(schedule), states, epochs=2, enable_checkpointing=False)
    assert not any(int(name.split(".")[1]) < 23 for name in moved(states.states[1], states.states[2]))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ([Phase(), Phase()], "phase 1 has epochs None, expected 1 or more$"),
        ([Phase(2), Phase(0)], "phase 2 has epochs 0, expected 1 or more, or none for the rest"),
    ],
)
def test_lengths_that_are_none_are_refused(schedule, message):
    with pytest.raises(InputError, match=message):
        Phases(schedule)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (Phase(frozen_layers=23, frozen_branches=["box", "class", "reid"]), "phase 1: it leaves nothing to train"),
        (Phase(frozen_layers=24), "phase 1: frozen_layers is 24 and frozen_branches .*; expected 0 to 23 layers"),
        (Phase(frozen_branches=["tail"]), "some of box, class, reid"),
    ],
)
def test_phases_that_the_network_has_not_are_refused(phase, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train(
            JDEModule(scale="n", embed_dim=32), DataLoader([batch()], batch_size=None), tmp_path, Phases([phase]),
            epochs=1, enable_checkpointing=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ((5, None), "the last phase begins after epoch 5, but trainer.max_epochs is 5"),
        ((1, 2), "they end after epoch 3; the last one goes on to epoch 5"),
        ((1, 4), ""),
        ((1, None), ""),
    ],
)
def test_phases_that_do_not_fit_the_training_are_warned_of(lengths, text, tmp_path, caplog):
    schedule = [Phase(length) for length in lengths]
    train(TwoWeights(), loader(), tmp_path, Phases(schedule), enable_checkpointing=False)
    records = [record for record in caplog.records if record.name.endswith("phases")]
    warnings = [record.getMessage() for record in records if record.levelno > logging.INFO]
    assert len(warnings) == bool(text)
    assert all(text in warning for warning in warnings)
