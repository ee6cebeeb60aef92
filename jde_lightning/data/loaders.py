"""Data loaders: training goes on in the middle of an epoch; in validation a process may have nothing.

Both start their workers where a signal to the whole job does not kill them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from jde_lightning.data.samplers import MosaicBatchSampler
from jde_lightning.data.workers import signals_held
from jde_lightning.structures import Batch


class TrainingLoader(DataLoader[Batch]):
    """Starts each epoch at the batch that is due, without building the ones before.

    Lightning restores how many batches of an epoch were trained, but not the loader: a resumed epoch would begin again
    with its first batch. It may even have started the loader before it restored anything (as soon as a module's
    ``configure_optimizers`` asks for the number of steps), and workers would then fetch batches of epoch 0. So nothing
    is fetched before the first batch is wanted, and only then is ``due`` asked. The sampler must be a
    :class:`~jde_lightning.data.samplers.MosaicBatchSampler`.

    Attributes:
        due: returns the number of the next batch in the epoch that is trained; ``None``: always the first. Set it after
            construction.
        seconds_waited: how long training has waited for batches of this loader so far.
    """

    due: Callable[[], int] | None = None
    seconds_waited: float = 0.0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield the batches of the sampler's epoch from the one that is due."""
        if self.due is not None and isinstance(self.sampler, MosaicBatchSampler):
            self.sampler.start_at(self.due() % max(len(self), 1))
        began = time.perf_counter()
        with signals_held():
            batches = super().__iter__()
        for batch in batches:
            self.seconds_waited += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer knows where it is. Lightning takes this method to mean that the loader can resume."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load, see :meth:`state_dict`."""


class FramesLoader(DataLoader[Batch]):
    """Says that it has one batch where it has none, as a process may have that got no sequence.

    Lightning leaves a process with a length of 0 out of the whole validation, the hooks at its end included, in which
    the others would wait for it for ever. Where the length is 1 and no batch comes, the hooks are called.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """The batches of this process."""
        with signals_held():
            return super().__iter__()

    def __len__(self) -> int:
        """Number of batches of this process, at least 1."""
        return max(super().__len__(), 1)
