from collections import Counter

import numpy as np
import pytest
from dataset_files import make_frame
from torch.utils.data.distributed import DistributedSampler

from jde_lightning.data import FrameIndex, MosaicBatchSampler, SequenceBatchSampler
from jde_lightning.errors import InputError


def tiles(sampler, epoch=0):
    """``(batches, batch_size, 4)`` frames of an epoch."""
    sampler.set_epoch(epoch)
    return np.array([[request.frames for request in batch] for batch in sampler])


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_an_epoch_follows_from_seed_and_epoch(mode):
    first, second = MosaicBatchSampler(50, 4, mode, seed=3), MosaicBatchSampler(50, 4, mode, seed=3)
    tiles(first, 0)
    tiles(first, 1)
    np.testing.assert_array_equal(tiles(first, 7), tiles(second, 7))
    assert (tiles(first, 7) != tiles(first, 8)).any()
    assert (tiles(first, 7) != tiles(MosaicBatchSampler(50, 4, mode, seed=4), 7)).any()


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_seeds_of_samples_never_repeat(mode):
    seeds = [
        request.seed
        for rank in range(2)
        for epoch in range(3)
        for sampler in [MosaicBatchSampler(64, 4, mode, rank=rank, world_size=2)]
        for batch in [sampler.set_epoch(epoch), *sampler][1:]
        for request in batch
    ]
    assert len(set(seeds)) == len(seeds) == 2 * 3 * 32


def test_buffer_shows_every_image_first_once():
    sampler = MosaicBatchSampler(64, 4)
    assert len(sampler) == 16
    assert sorted(tiles(sampler)[..., 0].reshape(-1)) == list(range(64))


@pytest.mark.parametrize("lanes", [1, 3])
def test_buffer_draws_from_the_images_used_last(lanes):
    sampler = MosaicBatchSampler(120, 4, buffer_size=12, buffer_lanes=lanes)
    past = {lane: tiles(sampler, 0)[lane::lanes, :, 0].reshape(-1).tolist() for lane in range(lanes)}
    ages = []
    for number, batch in enumerate(tiles(sampler, 1)):
        queue = past[number % lanes]
        for first, *others in batch.tolist():
            queue.append(first)
            assert set(others) <= set(queue[-12:])
            ages += [queue[-12:][::-1].index(other) for other in others]
    assert Counter(ages).keys() == set(range(12))
    assert max(Counter(ages).values()) < 2 * min(Counter(ages).values())


def test_the_first_epoch_starts_with_a_full_queue():
    batch = tiles(MosaicBatchSampler(1000, 8))[0]
    assert len(np.unique(batch)) > 24


def test_buffer_repeats_a_third_of_the_tiles():
    # As in simulations of ultralytics' buffer of eight batches: 30 to 33 % of the tiles recur within their batch.
    for batch_size in (8, 32):
        shares = []
        for batch in tiles(MosaicBatchSampler(2000, batch_size))[:40]:
            counts = np.unique(batch, return_counts=True)[1]
            shares.append(counts[counts > 1].sum() / batch.size)
        assert 0.29 < np.mean(shares) < 0.34


@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [4, 5, 16])
def test_paired_shows_every_image_of_a_batch_exactly_k_times(views, batch_size):
    sampler = MosaicBatchSampler(300, batch_size, "paired", views=views)
    epoch = tiles(sampler)
    assert len(epoch) == len(sampler) == 300 // batch_size
    for batch in epoch:
        images, counts = np.unique(batch, return_counts=True)
        assert set(counts.tolist()) == {views}
        assert len(images) == 4 * batch_size // views
        assert all(len(set(four)) == 4 for four in batch.tolist())  # never twice in one mosaic
    counts = np.bincount(epoch.reshape(-1), minlength=300)
    assert abs(counts.mean() - 4) < 0.3
    assert counts.max() <= 4 + views


def test_paired_puts_images_into_every_corner():
    epoch = tiles(MosaicBatchSampler(400, 8, "paired"))
    first = Counter(corner for batch in epoch for corner in np.nonzero(batch == batch[0, 0])[1].tolist())
    assert set(first) == {0, 1, 2, 3}


def test_paired_has_positives_for_all_and_buffer_for_some():
    def share(mode):
        epoch = tiles(MosaicBatchSampler(2000, 8, mode))
        return np.mean([(np.unique(batch, return_counts=True)[1] > 1).mean() for batch in epoch])

    assert share("paired") == 1.0
    assert 0.1 < share("buffer") < 0.3


def test_paired_works_with_fewer_images_than_a_batch_needs():
    epoch = tiles(MosaicBatchSampler(5, 4, "paired"))
    assert epoch.shape == (1, 4, 4)
    assert set(epoch.reshape(-1).tolist()) == set(range(5))


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_ranks_share_the_images(mode):
    ranks = [tiles(MosaicBatchSampler(96, 4, mode, rank=rank, world_size=3), 2) for rank in range(3)]
    assert [len(rank) for rank in ranks] == [8, 8, 8]
    if mode == "buffer":
        assert sorted(np.concatenate(ranks)[..., 0].reshape(-1)) == list(range(96))
    else:
        for batches in zip(*ranks, strict=True):
            sets = [set(batch.reshape(-1).tolist()) for batch in batches]
            assert len(sets[0] | sets[1] | sets[2]) == 24


def test_repeats_and_drop_last():
    assert len(MosaicBatchSampler(10, 4)) == 2
    assert len(MosaicBatchSampler(10, 4, repeats=3)) == 7
    sampler = MosaicBatchSampler(10, 4, drop_last=False)
    assert len(sampler) == len(list(sampler)) == 3
    assert set(tiles(sampler)[..., 0].reshape(-1).tolist()) == set(range(10))
    assert len(list(MosaicBatchSampler(1, 2, repeats=4))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 3}, "3 training images do not fill one batch of 4 on 1 processes"),
        ({"frames": 0}, "0 training images"),
        ({"mode": "paired", "views": 3}, "data.views is 3, expected 1, 2 or 4"),
        ({"mode": "paired", "views": 4, "batch_size": 3}, "data.batch_size 3 must be at least data.views 4"),
        ({"seed": -1}, "data.seed is -1"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(InputError, match=message):
        MosaicBatchSampler(**{"frames": 50, "batch_size": 4, **options})


def sequence_index(**lengths):
    frames = [
        make_frame(f"{name}{i}", 1, sequence=name, frame=i) for name, length in lengths.items() for i in range(length)
    ]
    return FrameIndex.from_frames(frames)


def test_validation_keeps_sequences_whole_and_in_order():
    index = sequence_index(a=5, b=2, c=9)
    batches = list(SequenceBatchSampler(index, 4))
    assert batches == [[0, 1, 2, 3], [4], [5, 6], [7, 8, 9, 10], [11, 12, 13, 14], [15]]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_get_whole_sequences_without_doubles(world_size):
    index = sequence_index(a=5, b=2, c=9, d=4)
    samplers = [SequenceBatchSampler(index, 4, rank, world_size) for rank in range(world_size)]
    assert [len(sampler) for sampler in samplers] == [len(list(sampler)) for sampler in samplers]
    frames = [[frame for batch in sampler for frame in batch] for sampler in samplers]
    assert sorted(frame for own in frames for frame in own) == list(range(20))
    for positions in index.sequences.values():
        owners = [own for own in frames if set(positions.tolist()) & set(own)]
        assert len(owners) == 1
        start = owners[0].index(positions[0])
        assert owners[0][start : start + len(positions)] == positions.tolist()
    if world_size == 2:
        assert [len(own) for own in frames] == [11, 9]  # c, b against a, d: the longest first


def test_single_images_are_grouped_by_shape():
    sizes = [(640, 480), (480, 640), (640, 470), (640, 480), (480, 640)]
    index = FrameIndex.from_frames(make_frame(f"{i}", width=w, height=h) for i, (w, h) in enumerate(sizes))
    exact = list(SequenceBatchSampler(index, 2))
    assert sorted(map(sorted, exact)) == [[0, 3], [1, 4], [2]]
    shared = list(SequenceBatchSampler(index, 4, image_size=640))
    assert sorted(map(sorted, shared)) == [[0, 2, 3], [1, 4]]
    two = [list(SequenceBatchSampler(index, 4, rank, 2, image_size=640)) for rank in range(2)]
    assert two == [[[0, 2, 3]], [[1, 4]]]


def test_a_change_of_shape_ends_a_batch():
    frames = [make_frame(f"{i}", sequence="S", frame=i, width=64 if i < 3 else 32) for i in range(5)]
    assert list(SequenceBatchSampler(FrameIndex.from_frames(frames), 8)) == [[0, 1, 2], [3, 4]]


def test_no_frames_no_batches():
    assert list(SequenceBatchSampler(FrameIndex.from_frames([]), 4)) == []


def test_lightning_leaves_the_samplers_alone():
    # Lightning replaces every sampler that is no DistributedSampler when it runs on several processes.
    assert issubclass(MosaicBatchSampler, DistributedSampler)
    assert issubclass(SequenceBatchSampler, DistributedSampler)


@pytest.mark.parametrize("mode", ["buffer", "paired"])
@pytest.mark.parametrize("first", [0, 3, 11, 12])
def test_an_epoch_can_begin_in_its_middle(mode, first):
    sampler = MosaicBatchSampler(48, 4, mode, mixup=True)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.start_at(first)
    assert list(sampler) == whole[first:]
    sampler.start_at(0)
    assert list(sampler) == whole
    assert len(sampler) == 12


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_mixup_brings_a_second_mosaic_and_changes_nothing_else(mode):
    plain = MosaicBatchSampler(64, 8, mode, buffer_size=16)
    mixed = MosaicBatchSampler(64, 8, mode, buffer_size=16, mixup=True)
    queue = tiles(plain, 0)[..., 0].reshape(-1).tolist()
    for sampler in (plain, mixed):
        sampler.set_epoch(1)
    seen = 0
    for before, after in zip(plain, mixed, strict=True):
        assert all(request.mixup is None for request in before)
        assert [request[:2] for request in before] == [request[:2] for request in after]
        in_batch = {frame for request in after for frame in request.frames}
        for request in after:
            assert len(request.mixup) == 4
            queue.append(request.frames[0])
            # nothing has to be decoded that is not in use anyway
            assert set(request.mixup) <= (set(queue[-16:]) if mode == "buffer" else in_batch)
            seen += set(request.mixup) != set(request.frames)
    assert seen > 50


def test_mixup_draws_follow_from_seed_and_epoch():
    def second(seed, epoch):
        sampler = MosaicBatchSampler(64, 8, seed=seed, mixup=True)
        sampler.set_epoch(epoch)
        return [request.mixup for batch in sampler for request in batch]

    assert second(0, 3) == second(0, 3)
    assert second(0, 3) != second(0, 4)
    assert second(0, 3) != second(1, 3)
