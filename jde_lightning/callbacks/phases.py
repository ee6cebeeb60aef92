"""Training in phases: what is frozen, for how many epochs, and then what."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from jde_lightning.errors import InputError

_LOG = logging.getLogger(__name__)


@dataclass
class Phase:
    """What is not trained in a phase, beside what ``model.frozen_layers`` and ``frozen_branches`` never train.

    Attributes:
        epochs: length; ``None``, for the last phase only, is the rest of the training.
        frozen_layers: number of layers, from the input, that are frozen: 11 freezes the backbone, 23 all but the head.
        frozen_branches: branches of the head that are frozen too: ``box``, ``class``, ``reid``. With 23 frozen layers,
            ``[box, class]`` trains the Re-ID branch alone.
    """

    epochs: int | None = None
    frozen_layers: int = 0
    frozen_branches: list[Literal["box", "class", "reid"]] = field(default_factory=list)


class Phases(pl.Callback):
    """Freezes parts of the network for some epochs each, such as the detector first and then nothing.

    Frozen parts keep their weights and batch-norm statistics, and need no backward pass. The optimiser, its schedule
    and the average of the weights go through all phases as one: a part that is frozen has no gradient, so the optimiser
    leaves it alone. A resumed run begins in the phase of its epoch.

    Args:
        schedule: the phases in order; none if omitted.

    Raises:
        InputError: if a phase that is not the last has no length, or a length is below 1.
    """

    def __init__(self, schedule: list[Phase] | None = None) -> None:
        self.schedule = schedule or []
        for number, phase in enumerate(self.schedule, start=1):
            last = number == len(self.schedule)
            if (phase.epochs is None and not last) or (phase.epochs is not None and phase.epochs < 1):
                msg = f"phases.schedule: phase {number} has epochs {phase.epochs}, expected 1 or more"
                raise InputError(msg + (", or none for the rest" if last else ""))
        self._current: int | None = None

    def phase_of(self, epoch: int) -> int:
        """Number of the phase that an epoch belongs to, both from 0; the last one goes on to the end.

        Args:
            epoch: the epoch.
        """
        for number, phase in enumerate(self.schedule[:-1]):
            epoch -= phase.epochs or 0
            if epoch < 0:
                return number
        return len(self.schedule) - 1

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the phases with the length of the training."""
        self._current = None
        lengths = [phase.epochs for phase in self.schedule]
        begins = sum(length or 0 for length in lengths[:-1])
        epochs = trainer.max_epochs
        if self.schedule and epochs is not None and 0 <= epochs <= begins and len(self.schedule) > 1:
            _LOG.warning("phases: the last phase begins after epoch %d, but trainer.max_epochs is %d", begins, epochs)
        elif lengths and lengths[-1] is not None and epochs is not None and epochs > begins + lengths[-1]:
            _LOG.warning(
                "phases: they end after epoch %d; the last one goes on to epoch %d", begins + lengths[-1], epochs
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the phase of this epoch.

        Raises:
            InputError: if the phase leaves nothing to train, or freezes layers that the network has not.
        """
        number = self.phase_of(trainer.current_epoch)
        if not self.schedule or number == self._current:
            return
        self._current, phase = number, self.schedule[number]
        module: Any = pl_module  # a JDEModule, whose freeze takes what to freeze
        try:
            changed = module.freeze(phase.frozen_layers, phase.frozen_branches)
        except InputError as error:
            msg = f"phases.schedule: phase {number + 1}: {error}"
            raise InputError(msg) from error
        if changed:
            _wrap_anew(trainer, pl_module)
        if number == 0 and phase.frozen_layers and getattr(pl_module, "has_random_layers", False):
            _LOG.warning("phase 1 freezes layers, but no weights were loaded: they stay random; give model.weights")
        if trainer.is_global_zero:
            parameters = [(p.numel(), p.requires_grad) for p in pl_module.parameters()]
            trained, total = sum(n for n, trains in parameters if trains), sum(n for n, _ in parameters)
            _LOG.info(
                "phase %d of %d from epoch %d on: %s; trains %.2f of %.2f million parameters",
                number + 1,
                len(self.schedule),
                trainer.current_epoch + 1,
                _frozen_in_words(phase),
                trained / 1e6,
                total / 1e6,
            )


def _frozen_in_words(phase: Phase) -> str:
    """What a phase freezes."""
    parts = [f"the first {phase.frozen_layers} layers"] if phase.frozen_layers else []
    parts += [f"the {name} branch" for name in phase.frozen_branches]
    return f"{', '.join(parts)} frozen" if parts else "nothing frozen"


def _wrap_anew(trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    """Let DistributedDataParallel know what is trained now.

    It decides when it wraps a module which gradients it averages and waits for: a gradient that is missing would be
    waited for, and one that is new would differ between processes.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = pl_module  # the old wrapper goes, and with it its hooks on the gradients
        gc.collect()
        strategy.configure_ddp()
