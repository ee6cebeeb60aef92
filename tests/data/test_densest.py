"""The densest batch holds more boxes than any that the sampler makes, in the shapes of a real one."""

import numpy as np
import pytest
import torch
from dataset_files import make_frame

from jde_lightning.data import AugmentationConfig, FrameIndex, MosaicBatchSampler, MosaicDataset
from jde_lightning.data.densest import densest_batch, densest_requests
from jde_lightning.data.frame_mix import FrameMix


def dataset(counts, **augmentation):
    # no image exists: nothing may be read
    frames = [make_frame(f"/nowhere/{i}.jpg", count, width=640, height=480) for i, count in enumerate(counts)]
    index = FrameIndex.from_frames(frames)
    return MosaicDataset(index, index.identities, 320, AugmentationConfig(**augmentation))


@pytest.mark.parametrize("views", [1, 2, 4])
def test_the_fullest_images_meet_in_one_mosaic_and_each_appears_as_often_as_allowed(views):
    counts = np.random.default_rng(0).permutation(64)
    data = dataset(counts.tolist())
    requests = densest_requests(data, np.arange(64), batch_size=8, views=views)
    tiles = np.array([request.frames for request in requests])
    shown, times = np.unique(tiles, return_counts=True)
    assert set(times.tolist()) == {views}
    assert sorted(counts[shown]) == list(range(64 - 32 // views, 64))
    assert any(set(counts[four]) == {60, 61, 62, 63} for four in tiles)
    assert all(len(set(four)) == 4 for four in tiles.tolist())


@pytest.mark.parametrize("mode", ["buffer", "paired"])
@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_no_batch_of_the_sampler_is_denser(mode, mixup):
    counts = np.random.default_rng(1).integers(0, 60, 40).tolist()
    data = dataset(counts, mixup=mixup)
    sampler = MosaicBatchSampler(len(counts), 4, mode=mode, mixup=mixup > 0)
    drawn = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        drawn += [[data.count_boxes(request) for request in batch] for batch in sampler]
    views = 2 if mode == "paired" else 1
    batch = densest_batch(data, np.arange(40), 4, views=views)
    in_images = torch.bincount(batch["batch_idx"], minlength=4)
    assert len(batch["boxes"]) > max(map(sum, drawn))
    assert in_images.max() >= 0.9 * max(map(max, drawn))  # a queue can deal out one image twice to a mosaic
    assert in_images[0] == in_images.max()


def test_boxes_are_those_of_the_real_sample_and_shapes_too(tmp_path):
    from dataset_files import write_image

    frames = []
    for i in range(3):
        write_image(tmp_path / f"{i}.jpg", 640, 480)
        frames.append(make_frame(tmp_path / f"{i}.jpg", 5 + i, width=640, height=480))
    index = FrameIndex.from_frames(frames)
    data = MosaicDataset(index, index.identities, 320, AugmentationConfig(mixup=0.5))
    batch = densest_batch(data, np.arange(3), 4)
    real = data[densest_requests(data, np.arange(3), 4)]
    assert torch.equal(batch["boxes"], torch.cat([torch.from_numpy(sample.boxes) for sample in real]))
    assert torch.equal(batch["identities"], torch.cat([torch.from_numpy(sample.identities) for sample in real]))
    assert batch["images"].shape == (4, 3, 320, 320)
    assert batch["images"].dtype == torch.uint8
    assert [data.count_boxes(request) for request in densest_requests(data, np.arange(3), 4)] == [
        len(sample.boxes) for sample in real
    ]


def test_images_that_are_never_shown_do_not_count():
    data = dataset([50, 1, 2, 3])
    requests = densest_requests(data, np.array([1, 2, 3]), 2)
    assert 0 not in {frame for request in requests for frame in request.frames}
    mix = FrameMix([np.array([0]), np.array([1, 2, 3])], [1.0, 1 / 3])
    assert mix.all_images.tolist() == [0, 1, 2, 3]
    assert FrameMix([np.array([0]), np.array([1, 2, 3])], [1.0, 2.0]).all_images.tolist() == [0, 1, 2, 3]
