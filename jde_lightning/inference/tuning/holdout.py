"""What a search may see and what it is judged on: parameters always look good on the data that chose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from jde_lightning.errors import InputError, UsageError
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.metrics.sequences import HalfConvention

HALF = "half"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Fold:
    """One search: what it sees, and what its result is judged on.

    Attributes:
        tuning: sequences that the search scores parameters on.
        held_out: sequences that it never sees.
    """

    tuning: list[TuningSequence]
    held_out: list[TuningSequence]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tuned on, and what the gain is measured on.

    Attributes:
        tuning: sequences of the search that gives the result.
        folds: searches whose held-out sequences together give the reported gain. A single one is the search that gives
            the result; several are further searches, since that one sees all sequences. None: nothing is held out.
        description: the arrangement, in words.
    """

    tuning: list[TuningSequence]
    folds: list[Fold]
    description: str

    @property
    def held_out(self) -> list[TuningSequence]:
        """All held-out sequences."""
        return [sequence for fold in self.folds for sequence in fold.held_out]

    @property
    def is_single(self) -> bool:
        """Whether the search that gives the result is the one whose held-out sequences are reported."""
        return len(self.folds) <= 1


def plan_holdout(
    sequences: Sequence[TuningSequence],
    holdout: Sequence[str] | None = None,
    folds: int | None = None,
    half_convention: HalfConvention = "centertrack",
) -> Plan:
    """Arrange sequences for an honest report.

    Args:
        sequences: all there are.
        holdout: names or patterns of the sequences to hold out; or ``half`` alone: first halves tune, second halves
            judge; or ``none`` alone. If omitted, about every third sequence is held out; of a single sequence the
            second half.
        folds: instead, so many searches, each judged on the sequences that it did not see, and a last one on all.
        half_convention: where halves part.

    Raises:
        InputError: if a name fits no sequence, all are held out, or there are fewer sequences than folds.
        UsageError: if both ``holdout`` and ``folds`` are given.
    """
    everything = list(sequences)
    if folds is not None:
        if holdout is not None:
            msg = "--folds and --holdout exclude each other"
            raise UsageError(msg)
        return _folded(everything, folds)
    if holdout is None:
        if len(everything) == 1:
            plan = _halved(everything, half_convention)
            note = f"{everything[0].name} is the only sequence, so it is cut in time: {plan.description}"
            return Plan(plan.tuning, plan.folds, note)
        return _without(everything, [sequence.name for sequence in everything[1::3]])
    if list(holdout) == [HALF]:
        return _halved(everything, half_convention)
    if list(holdout) == [NONE]:
        note = "nothing is held out, so the gain is that on the data which chose the parameters, and too good"
        return Plan(everything, [], note)
    for pattern in holdout:
        if not any(fnmatchcase(sequence.name, pattern) for sequence in everything):
            listed = ", ".join(sequence.name for sequence in everything)
            msg = f"--holdout {pattern}: no such sequence in the cache, which has {listed}"
            raise InputError(msg)
    names = [s.name for s in everything if any(fnmatchcase(s.name, pattern) for pattern in holdout)]
    return _without(everything, names)


def _without(sequences: list[TuningSequence], names: list[str]) -> Plan:
    """Hold some sequences out."""
    fold = Fold([s for s in sequences if s.name not in names], [s for s in sequences if s.name in names])
    if not fold.tuning:
        msg = f"--holdout: all {len(sequences)} sequences are held out, and none is left to tune on; try --holdout half"
        raise InputError(msg)
    return Plan(fold.tuning, [fold], f"held out: {', '.join(names)}")


def _halved(sequences: list[TuningSequence], half_convention: HalfConvention) -> Plan:
    """Tune on first halves, judge on second halves."""
    fold = Fold(
        [s.half("train_half", half_convention) for s in sequences],
        [s.half("val_half", half_convention) for s in sequences],
    )
    short = next((s.name for s in fold.held_out if not len(s.detections)), None)
    if short is not None:
        msg = f"{short}: too short to be cut in halves; use --holdout none"
        raise InputError(msg)
    return Plan(fold.tuning, [fold], "first halves tune, second halves are held out")


def _folded(sequences: list[TuningSequence], count: int) -> Plan:
    """Hold out every sequence once."""
    if not 2 <= count <= len(sequences):
        msg = f"--folds {count}: expected 2 to {len(sequences)}, the number of sequences in the cache"
        if len(sequences) < 2:
            msg = f"--folds {count}: the cache has one sequence only; use --holdout half"
        raise InputError(msg)
    folds = []
    for number in range(count):
        kept = [s for i, s in enumerate(sequences) if i % count != number]
        folds.append(Fold(kept, sequences[number::count]))
    return Plan(sequences, folds, f"{count} folds: every sequence is judged by a search that did not see it")
