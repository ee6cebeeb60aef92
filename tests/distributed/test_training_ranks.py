"""Training on several processes: none waits for another for ever, and N with batch b train as one with batch N * b."""

import pytest
import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from pytorch_metric_learning.losses import ArcFaceLoss, SupConLoss
from ranks import run_ranks, trainer
from torch.utils.data import DataLoader

from jde_lightning import JDEModule
from jde_lightning.callbacks import EMA
from jde_lightning.losses import AllPairs, ReIDLoss
from jde_lightning.losses.gather import without_exchange
from jde_lightning.schedule import WarmupLinear

SIZE = 64


def batch(seed, boxes_of_images, identities=4):
    """Images of noise with some boxes each; every identity comes from a few."""
    rng = torch.Generator().manual_seed(seed)
    count = sum(boxes_of_images)
    corner = torch.rand(count, 2, generator=rng) * (SIZE - 40)
    return {
        "images": torch.randint(0, 255, (len(boxes_of_images), 3, SIZE, SIZE), dtype=torch.uint8, generator=rng),
        "boxes": torch.cat([corner, corner + 14 + torch.rand(count, 2, generator=rng) * 24], dim=1),
        "labels": torch.zeros(count, dtype=torch.int64),
        "identities": torch.randint(identities, (count,), generator=rng),
        "batch_idx": torch.repeat_interleave(torch.arange(len(boxes_of_images)), torch.tensor(boxes_of_images)),
        "ignore_boxes": torch.zeros(0, 4),
        "ignore_batch_idx": torch.zeros(0, dtype=torch.int64),
    }


def joined(batches):
    """One batch of several."""
    starts = torch.tensor([0, *(len(b["images"]) for b in batches)]).cumsum(0)
    whole = {key: torch.cat([b[key] for b in batches]) for key in batches[0]}
    whole["batch_idx"] = torch.cat([b["batch_idx"] + s for b, s in zip(batches, starts[:-1], strict=True)])
    return whole


class AllStatistics(JDEModule):
    """No batch norm learns from its batch, so that nothing depends on how images are grouped."""

    def train(self, mode=True):
        super().train(mode)
        for layer in self.network.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.eval()
        return self


def make(kind, **options):
    torch.manual_seed(0)
    options = {"reid_loss": REID[options.pop("reid", "triplets")](), **options}
    return kind(
        scale="n",
        embed_dim=16,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.002, momentum=0.9),
        schedule=WarmupLinear(warmup_epochs=0, warmup_min_steps=0),
        **options,
    )


def arcface(gather):
    return ReIDLoss(AllPairs(), ArcFaceLoss(num_classes=4, embedding_size=16), gather=gather)


REID = {
    "triplets": ReIDLoss,
    "joint triplets": lambda: ReIDLoss(gather=True),
    "contrast": lambda: ReIDLoss(AllPairs(), SupConLoss(0.2), negatives="any"),
    "joint contrast": lambda: ReIDLoss(AllPairs(), SupConLoss(0.2), negatives="any", gather=True),
    "classes": lambda: arcface(False),
    "joint classes": lambda: arcface(True),
}


def fit(count, folder, module, batches, **options):
    run = trainer(
        count, folder, max_epochs=1, logger=False, enable_checkpointing=False, use_distributed_sampler=False, **options
    )
    run.fit(module, DataLoader(batches, batch_size=None))
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


# --- no hang

ONLY_BRANCH = {"frozen_layers": 23, "frozen_branches": ["box", "class"]}
NO_HANG = {
    "per rank": {},
    "all ranks": {"reid": "joint triplets"},
    "per rank, learned weights": {"loss_weighting": "uncertainty"},
    "all ranks, learned weights": {"reid": "joint triplets", "loss_weighting": "uncertainty"},
    "classes per rank": {"reid": "classes"},
    "classes of all ranks": {"reid": "joint classes"},
    "classes without gain": {"reid": "classes", "reid_gain": 0.0},
    "only the branch learns": ONLY_BRANCH,
    "only the branch learns, all ranks": {**ONLY_BRANCH, "reid": "joint triplets"},
    "only the detector learns": {"frozen_branches": ["reid"]},
    "each by its own targets": {"joint_normalizer": False},
    "bf16": {"precision": "bf16-mixed", "loss_weighting": "uncertainty"},
}
# boxes of the images of two ranks, step by step: no foreground here, there, nowhere; then somebody
BOXES = [([0, 0], [3, 2]), ([4, 1], [0, 0]), ([0, 0], [0, 0]), ([3, 3], [2, 4])]


def train_with_gaps(rank, folder):
    ends = {}
    for name, options in NO_HANG.items():
        options = dict(options)
        precision = options.pop("precision", "32-true")
        batches = [batch(10 * step + rank, boxes[rank]) for step, boxes in enumerate(BOXES)]
        batches += [{**b, "identities": torch.arange(len(b["identities"])) % 4} for b in batches]
        if rank == 1 and "classes" not in name:  # nobody is seen twice, so there is no triplet
            batches[-1]["identities"] = 100 + torch.arange(len(batches[-1]["identities"]))
        module = make(JDEModule, **options)
        dtypes = set()
        module.loss.register_forward_hook(lambda *call, seen=dtypes: seen.update(v.dtype for v in all_of(call[-1])))
        state = fit(2, folder, module, batches, precision=precision)
        ends[name] = state, dtypes
    return ends


def all_of(output):
    return [output[0], *output[1].values()]


@pytest.mark.slow
def test_no_process_waits_where_another_has_no_boxes_or_no_triplet(tmp_path):
    first, second = run_ranks(train_with_gaps, 2, tmp_path)
    before = make(JDEModule).state_dict()
    for name in NO_HANG:
        (one, dtypes), (two, _) = first[name], second[name]
        assert dtypes == {torch.float32}, name
        for parameter, value in one.items():
            assert torch.isfinite(value).all(), (name, parameter)
            if "running" not in parameter:  # which the next step would make equal
                assert torch.equal(value, two[parameter]), (name, parameter)
        learned = {key for key in one if key in before and not torch.equal(one[key], before[key])}
        assert any(".cv4." in key for key in learned) == ("only the detector" not in name), name
        assert any(".cv2." in key for key in learned) == ("only the branch" not in name), name


# --- the same numbers

EQUAL = {
    "joint contrast": {"reid": "joint contrast"},
    "joint contrast, learned weights": {"reid": "joint contrast", "loss_weighting": "uncertainty"},
    "joint classes": {"reid": "joint classes"},
    "detection": {"reid_gain": 0.0},
}
COUNTS = [[([3, 1], [2, 4], [5, 2]), ([1, 2], [0, 0], [4, 4])], [([2, 2], [6, 1], [1, 3]), ([0, 3], [3, 3], [2, 0])]]
"""Boxes of two images by optimiser step, accumulated batch and rank, very unequal ones."""


def rank_batches(rank):
    return [
        batch(100 * step + 10 * part + rank, boxes[rank])
        for step, parts in enumerate(COUNTS)
        for part, boxes in enumerate(parts)
    ]


def train_equally(rank, count, folder):
    """Weights after two optimiser steps, by name of the case; alone with the images of three."""
    batches = [rank_batches(r) for r in range(3)]
    mine = [joined(parts) for parts in zip(*batches, strict=True)] if count == 1 else batches[rank]
    ends = {}
    for name, options in EQUAL.items():
        average = EMA(decay=0.5, ramp=1)
        settings = {"accumulate_grad_batches": 2, "gradient_clip_val": 10.0, "callbacks": [average]}
        ends[name] = fit(count, folder, make(AllStatistics, **options), mine, **settings)
    return ends


def train_rank_by_rank(rank, count, folder):
    """As above with mining and normalisers of each rank; alone with the batches of three accumulated."""
    batches = [rank_batches(r) for r in range(3)]
    mine = [one for parts in zip(*batches, strict=True) for one in parts] if count == 1 else batches[rank]
    settings = {"accumulate_grad_batches": 3 if count == 1 else 1, "gradient_clip_val": 10.0}
    return fit(count, folder, make(AllStatistics, reid="contrast", joint_normalizer=False), mine, **settings)


def moved(module, state):
    """How far the weights of a state are from where they began."""
    start = module.state_dict()
    return {name: (value - start[name]).double() for name, value in state.items() if value.is_floating_point()}


def assert_same_way(alone, together, start):
    """The steps of both, of network and loss each as one long vector, differ by what float32 leaves of a sum."""
    one, two = moved(start, alone), moved(start, together)
    for part in {name.split(".")[0] for name in one}:
        names = [name for name in one if name.startswith(part)]
        length = sum(one[name].square().sum() for name in names).sqrt()
        apart = sum((one[name] - two[name]).square().sum() for name in names).sqrt()
        assert length > 1e-3, part
        assert apart < 2e-5 * length, part


@pytest.mark.slow
def test_three_processes_train_as_one_with_three_times_the_batch(tmp_path):
    (alone,) = run_ranks(train_equally, 1, 1, tmp_path)
    for together in run_ranks(train_equally, 3, 3, tmp_path):
        for name, options in EQUAL.items():
            assert_same_way(alone[name], together[name], make(AllStatistics, **options))


@pytest.mark.slow
def test_without_exchange_three_processes_train_as_one_that_accumulates_three_batches(tmp_path):
    (alone,) = run_ranks(train_rank_by_rank, 1, 1, tmp_path)
    for together in run_ranks(train_rank_by_rank, 3, 3, tmp_path):
        assert_same_way(alone, together, make(AllStatistics, reid="contrast", joint_normalizer=False))


# --- batch norms


class Watch(EMA):
    """The average of the weights, and the statistics that a validation step finds in the network."""

    seen = None

    def on_validation_batch_end(self, trainer, pl_module, *args):
        self.seen = {n: v.clone() for n, v in pl_module.network.named_buffers() if n.endswith(("mean", "var"))}


def validated_statistics(rank, folder):
    module = make(JDEModule)
    module.validation_step = lambda batch, batch_idx: None
    watch = Watch(decay=0.5, ramp=1)
    run = trainer(2, folder, max_epochs=1, logger=False, enable_checkpointing=False, callbacks=[watch])
    run.fit(module, DataLoader(rank_batches(rank), batch_size=None), DataLoader([0, 1], batch_size=None))
    return watch.seen, {n: v.clone() for n, v in module.network.named_buffers() if n in watch.seen}


@pytest.mark.slow
def test_all_processes_validate_the_statistics_that_are_saved(tmp_path):
    (first, saved), (second, _) = run_ranks(validated_statistics, 2, tmp_path)
    assert len(first) > 100
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
        assert torch.equal(value, saved[name]), name  # what the end of training leaves, and a checkpoint keeps


def test_synchronised_batch_norms_that_are_frozen_stay_as_they_are():
    """Those that learn cannot be tried here: DDP refuses every SyncBatchNorm on the CPU."""
    frozen = TorchSyncBatchNorm().apply(make(JDEModule, norm_eval=True, frozen_branches=["reid"])).train()
    before = {name: value.clone() for name, value in frozen.network.named_buffers()}
    data = batch(0, [2, 3])
    frozen.loss(frozen.network(data["images"] / 255), data)[0].backward()
    assert all(torch.equal(value, before[name]) for name, value in frozen.network.named_buffers())
    norms = [layer for layer in frozen.network.modules() if isinstance(layer, torch.nn.SyncBatchNorm)]
    assert len(norms) > 50
    assert any(layer.weight.grad is not None for layer in norms)


def test_synchronised_batch_norms_keep_groups_and_modes():
    options = {"norm_eval": True, "frozen_layers": 11, "reid_lr_factor": 2.0}
    plain, converted = make(JDEModule, **options), TorchSyncBatchNorm().apply(make(JDEModule, **options))
    for module in (plain, converted):
        module.train()

    def groups(module):
        return [(len(group["params"]), group["weight_decay"], group["is_bias"]) for group in module.parameter_groups()]

    assert groups(converted) == groups(plain)
    layers = dict(converted.network.named_modules())
    kinds = [type(layers[name]) for name, layer in plain.network.named_modules() if type(layer) is torch.nn.BatchNorm2d]
    assert set(kinds) == {torch.nn.SyncBatchNorm}
    modes = {name: layer.training for name, layer in plain.network.named_modules()}
    assert {name: layer.training for name, layer in converted.network.named_modules()} == modes
    assert any(modes.values()) and not all(modes.values())  # noqa: PT018


# --- alone among several


def compute_alone(rank):
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    if rank == 0:  # the other one computes nothing
        module = make(JDEModule, reid="joint triplets")
        with without_exchange():
            module.loss(module.network(batch(0, [3, 2])["images"] / 255), batch(0, [3, 2]))[0].backward()
    torch.distributed.barrier()
    return True


@pytest.mark.slow
def test_without_exchange_a_process_needs_no_other(tmp_path):
    assert run_ranks(compute_alone, 2) == [True, True]
