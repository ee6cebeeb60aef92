"""What Lightning's Trainer adds to a training step: JDEModule in a Trainer against a bare loop of the same things.

    python benchmarks/bench_lightning_overhead.py [--image-size 640] [--batch-size 8] [--steps 10] [--scale s]

Both have the network, loss, optimiser, schedule, gradient clipping and EMA of JDEModule and the same batch; the Trainer
also has loggers, a progress bar and the callbacks that `jde-lightning fit` has on while it trains. They take turns step
by step: the bare step runs where the Trainer asks for its next batch. Figures are CPU time on one thread,
medians; the first two steps of both are left out. A small --image-size shows the milliseconds of the overhead itself,
which do not grow with the step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.optim.swa_utils import AveragedModel

from jde_lightning import JDEModule
from jde_lightning.callbacks import EMA, NaNGuard, Preemption, StepSeed, StepTiming, Throughput
from jde_lightning.schedule import WarmupLinearScheduler
from jde_lightning.structures import Batch

WARM_UP_STEPS = 2
CLIP = 10.0
LEARNING_RATE, MOMENTUM = 0.01, 0.937


def make_batch(batch_size: int, image_size: int, boxes: int, seed: int = 0) -> Batch:
    """Noise with upright boxes, two of each person, as a mosaic has them."""
    rng = torch.Generator().manual_seed(seed)
    size = torch.rand((batch_size * boxes, 1), generator=rng) * 0.15 * image_size + 0.05 * image_size
    sides = size * torch.tensor([0.4, 1.0])
    corner = torch.rand((batch_size * boxes, 2), generator=rng) * (image_size - sides)
    return {
        "images": torch.randint(
            0, 256, (batch_size, 3, image_size, image_size), dtype=torch.uint8, generator=rng
        ).contiguous(memory_format=torch.channels_last),
        "boxes": torch.cat([corner, corner + sides], dim=1),
        "labels": torch.zeros(batch_size * boxes, dtype=torch.int64),
        "identities": torch.arange(batch_size * boxes) % (batch_size * boxes // 2),
        "batch_idx": torch.arange(batch_size).repeat_interleave(boxes),
    }


class BareLoop:
    """A training step as one writes it without a Trainer."""

    def __init__(self, module: JDEModule, steps: int) -> None:
        self.network, self.loss, self.prepare = module.network.train(), module.loss, module._prepare
        self.optimizer = make_optimizer(module.parameter_groups())
        self.scheduler = WarmupLinearScheduler(self.optimizer, module.schedule, steps, 1)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.average = AveragedModel(nn.ModuleList([self.network]), multi_avg_fn=EMA()._average, use_buffers=True)

    def step(self, batch: Batch) -> float:
        """Train on a batch; the value of the loss."""
        total, _ = self.loss(self.network(self.prepare(batch["images"])), batch)
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimizer.step()
        self.scheduler.step()
        self.average.update_parameters(nn.ModuleList([self.network]))
        return float(total.detach())


class Turns:
    """The Trainer's loader: before it hands out a batch, the bare loop trains on it."""

    def __init__(self, batch: Batch, steps: int, bare: Callable[[Batch], float]) -> None:
        self.batch, self.steps, self.bare = batch, steps, bare
        self.seconds: dict[str, list[float]] = {"bare": [], "lightning": []}

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batch again and again, and time what happens between."""
        for _ in range(self.steps):
            start = time.process_time()
            self.bare(self.batch)
            middle = time.process_time()
            yield self.batch
            self.seconds["bare"].append(middle - start)
            self.seconds["lightning"].append(time.process_time() - middle)


def make_optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    """The paper's, for both."""
    return torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=MOMENTUM, nesterov=True)


def measure(args: argparse.Namespace) -> dict[str, list[float]]:
    """Train both, and return the CPU seconds of each step by contender."""
    modules = []
    for _ in range(2):
        torch.manual_seed(0)
        modules.append(JDEModule(args.scale, optimizer=make_optimizer))
    steps = args.steps + WARM_UP_STEPS
    bare = BareLoop(modules[0], steps)
    turns = Turns(make_batch(args.batch_size, args.image_size, args.boxes), steps, bare.step)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=[TensorBoardLogger(folder, name=""), CSVLogger(folder, name="")],
            log_every_n_steps=args.log_every,
            gradient_clip_val=CLIP,
            # what `fit` has on while it trains
            callbacks=[EMA(), NaNGuard(), Throughput(), StepSeed(), StepTiming(), Preemption()],
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(modules[1], turns)
    # when training ends, EMA leaves the average in the module
    pairs = zip(bare.average.module.parameters(), modules[1].network.parameters(), strict=True)
    same = all(torch.equal(a, b) for a, b in pairs)
    print(f"averaged weights after {steps} steps are {'the same' if same else 'DIFFERENT'} in both")
    return {name: values[WARM_UP_STEPS:] for name, values in turns.seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="s")
    parser.add_argument("--image-size", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--boxes", type=int, default=22, help="boxes of an image")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--log-every", type=int, default=1, help="trainer.log_every_n_steps; Lightning's default is 50")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seconds = measure(args)
    bare, lightning = (statistics.median(seconds[name]) for name in ("bare", "lightning"))
    differences = [b - a for a, b in zip(seconds["bare"], seconds["lightning"], strict=True)]
    print(f"scale {args.scale}, batch {args.batch_size}, {args.image_size} px, {args.steps} steps each, CPU time")
    print(f"bare loop  {1e3 * bare:10.1f} ms a step (median)")
    print(f"Lightning  {1e3 * lightning:10.1f} ms a step (median)")
    print(f"overhead   {1e3 * statistics.median(differences):10.1f} ms (median of the differences of neighbours)")
    print(f"ratio      {lightning / bare:10.4f} (needed: below 1.03)")


if __name__ == "__main__":
    main()
