import numpy as np
import pytest
from walking_people import FRAMES

from jde_lightning.errors import InputError
from jde_lightning.inference.cache import CachedSequence, DetectionCache
from jde_lightning.inference.tuning.sequences import tuning_sequences


def frames(sequence):
    return sequence.detections.frames.tolist(), sorted(set(sequence.ground_truth.frames.tolist()))


def test_halves_have_their_frames_and_their_ground_truth(sequences):
    whole = sequences[0]
    first, second = whole.half("train_half"), whole.half("val_half")
    assert frames(first) == (list(range(1, 22)),) * 2
    assert frames(second) == (list(range(22, FRAMES + 1)),) * 2
    assert len(first.ground_truth) + len(second.ground_truth) == len(whole.ground_truth)
    assert (whole.label, first.label, second.label) == ("a", "a (first half)", "a (second half)")
    assert frames(whole.half("train_half", "fairmot"))[0] == list(range(1, 21))
    assert whole.half("all") is whole
    quarter = second.half("val_half")
    assert (quarter.label, frames(quarter)[0]) == ("a (second half of its second half)", list(range(32, FRAMES + 1)))


def test_split_of_the_whole_cache(walk, cache):
    part = tuning_sequences(cache, walk / "gt", split="val_half")[0]
    assert frames(part) == (list(range(22, FRAMES + 1)),) * 2


def test_ground_truth_is_that_of_the_cached_frames(walk, cache):
    late = DetectionCache([cache.sequences[1][30:]], cache.origin, "val_half")
    (part,) = tuning_sequences(late, walk / "gt")
    assert frames(part) == (list(range(31, FRAMES + 1)),) * 2
    assert part.label == "b (second half)"
    with pytest.raises(InputError, match="the cache holds val_half only; leave --split val_half out"):
        tuning_sequences(late, walk / "gt", split="val_half")


def test_missing_ground_truth_frames_and_sequences(walk, cache, tmp_path):
    other = CachedSequence("z", 30, 1, 1, np.arange(1, 3), cache.sequences[0].detections[:2])
    with pytest.raises(InputError, match="no ground truth for z of the cache, found a, b, c"):
        tuning_sequences(DetectionCache([other], cache.origin), walk / "gt")
    with pytest.raises(InputError, match="a: the cache holds no frame of it"):
        tuning_sequences(DetectionCache([cache.sequences[0][:0]], cache.origin), walk / "gt")
    with pytest.raises(InputError, match="the cache holds no sequence"):
        tuning_sequences(DetectionCache([], cache.origin), walk / "gt")
