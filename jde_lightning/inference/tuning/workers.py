"""Who tracks and scores: this process, or several of them that each hold all sequences in memory."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any

from jde_lightning.inference.tuning.evaluation import TrackerChoice, counts_of
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.metrics.scores import Counts
from jde_lightning.metrics.sequences import Benchmark


class Workers:
    """Scores trackers on sequences, as many at a time as there are processes.

    Only scoring is spread: what to try next is decided in the calling process, and only that one writes files.

    Args:
        sequences: all that will be scored; their labels differ.
        jobs: number of processes; with one, the calling process does the work.
        benchmark: whose rules hold.

    Example:
        >>> with Workers(sequences, jobs=4) as workers:  # doctest: +SKIP
        ...     counts = workers.submit(sequences[0], choice).result()
    """

    def __init__(self, sequences: Iterable[TuningSequence], jobs: int = 1, benchmark: Benchmark = "mot17") -> None:
        by_label = {sequence.label: sequence for sequence in sequences}
        self._index = {label: index for index, label in enumerate(by_label)}
        self.jobs = jobs
        self._here = (list(by_label.values()), benchmark)
        self._executor: Executor
        if jobs > 1:
            # Spawned, not forked: the parent has threads (progress bar, torch), which a fork would leave half-alive.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(jobs, context, _receive, self._here)
        else:
            self._executor = _SameProcess()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the processes; what they have begun they finish, what waits is dropped."""
        self._executor.shutdown(wait=kind is None, cancel_futures=True)

    def submit(self, sequence: TuningSequence, choice: TrackerChoice) -> Future[Counts]:
        """Score a tracker on a sequence.

        Args:
            sequence: one of those that the workers were made for.
            choice: the tracker.

        Returns:
            The counts, or the exception, when they are there.
        """
        index = self._index[sequence.label]
        if self.jobs > 1:
            return self._executor.submit(_score, index, choice)
        sequences, benchmark = self._here
        return self._executor.submit(counts_of, sequences[index], choice, benchmark)

    def counts(self, sequences: Sequence[TuningSequence], choice: TrackerChoice) -> dict[str, Counts]:
        """Score a tracker on several sequences and wait.

        Returns:
            Counts by name of the sequence.
        """
        waiting = {sequence.name: self.submit(sequence, choice) for sequence in sequences}
        return {name: future.result() for name, future in waiting.items()}


class _SameProcess(Executor):
    """Does the work when it is given, so that errors and interrupts come where they are expected."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call, and return what came out as a finished future."""
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


_received: tuple[list[TuningSequence], Benchmark] | None = None
"""What this worker process scores on; sent once, since it is large."""


def _receive(sequences: list[TuningSequence], benchmark: Benchmark) -> None:
    """Prepare a worker process; Ctrl-C is the parent's business."""
    global _received
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _received = sequences, benchmark


def _score(index: int, choice: TrackerChoice) -> Counts:
    """Score in a worker process."""
    assert _received is not None
    sequences, benchmark = _received
    return counts_of(sequences[index], choice, benchmark)
