"""Cached detections side by side with the ground truth that judges what a tracker makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jde_lightning.errors import InputError
from jde_lightning.inference.cache import CachedSequence, DetectionCache
from jde_lightning.metrics.folders import ground_truth_files
from jde_lightning.metrics.mot_challenge import MOTRows, read_ground_truth
from jde_lightning.metrics.sequences import Benchmark, HalfConvention, Split, read_seqinfo, split_frames

_PARTS: dict[Split, str] = {"all": "", "train_half": "first half", "val_half": "second half"}


@dataclass(frozen=True, slots=True)
class TuningSequence:
    """A sequence, or a part of one, that can be tracked and scored.

    Attributes:
        detections: of its frames.
        ground_truth: rows of the same frames.
        part: which part of the sequence it is, in words; empty for all of it.
    """

    detections: CachedSequence
    ground_truth: MOTRows
    part: str = ""

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self.detections.name

    @property
    def label(self) -> str:
        """Name and part, for people."""
        return f"{self.name} ({self.part})" if self.part else self.name

    def half(self, split: Split, half_convention: HalfConvention = "centertrack") -> TuningSequence:
        """Return one half of the frames, which a fresh tracker will run on.

        Args:
            split: ``train_half`` or ``val_half``; ``all`` returns the whole.
            half_convention: where the halves part, see :func:`jde_lightning.metrics.sequences.split_frames`.
        """
        if split == "all":
            return self
        positions = split_frames(len(self.detections), split, half_convention)
        kept = self.detections[positions.start - 1 : positions.stop - 1]
        part = f"{_PARTS[split]} of its {self.part}" if self.part else _PARTS[split]
        return TuningSequence(kept, _within(self.ground_truth, kept), part)


def tuning_sequences(
    cache: DetectionCache,
    gt_dir: Path,
    benchmark: Benchmark = "mot17",
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
) -> list[TuningSequence]:
    """Find the ground truth of all sequences of a cache.

    Args:
        cache: the detections.
        gt_dir: folder of ground truth, laid out as :func:`jde_lightning.metrics.folders.evaluate_folder` reads it.
        benchmark: whose rules hold for the file.
        split: which frames of the cache take part.
        half_convention: where halves part.

    Returns:
        The sequences in the order of the cache, with the ground truth from their first to their last cached frame.

    Raises:
        InputError: if a sequence has no ground truth or no frames, or a half of a half is wanted.
    """
    if split != "all" and cache.split != "all":
        msg = f"the cache holds {cache.split} only; leave --split {split} out, or cache the whole sequences"
        raise InputError(msg)
    if not cache.sequences:
        msg = "the cache holds no sequence; write it again with `jde-lightning cache`"
        raise InputError(msg)
    files = ground_truth_files(gt_dir)
    sequences = []
    for cached in cache.sequences:
        if cached.name not in files:
            listed = ", ".join(list(files)[:10])
            msg = f"{gt_dir}: no ground truth for {cached.name} of the cache, found {listed}"
            raise InputError(msg)
        if not len(cached):
            msg = f"{cached.name}: the cache holds no frame of it; cache it again"
            raise InputError(msg)
        rows = _within(_read(files[cached.name], benchmark), cached)
        sequences.append(TuningSequence(cached, rows, _PARTS[cache.split]).half(split, half_convention))
    return sequences


def _read(path: Path, benchmark: Benchmark) -> MOTRows:
    """Read ground truth, with the length of the sequence as a check where it is known."""
    seqinfo = path.parent.parent / "seqinfo.ini"
    length = read_seqinfo(seqinfo).length if path.name == "gt.txt" and seqinfo.is_file() else None
    return read_ground_truth(path, benchmark, length)


def _within(rows: MOTRows, cached: CachedSequence) -> MOTRows:
    """The rows from the first to the last frame of some detections."""
    if not len(cached):
        return rows[:0]
    return rows[(rows.frames >= cached.frames[0]) & (rows.frames <= cached.frames[-1])]
