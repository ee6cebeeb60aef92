import colorsys
import pickle

import cv2
import numpy as np
import pytest
import torch
from dataset_files import make_frame, write_image
from torch.utils.data import DataLoader

from jde_lightning.data import (
    AugmentationConfig,
    FrameDataset,
    FrameIndex,
    MosaicBatchSampler,
    MosaicDataset,
    assign_training_identities,
    collate_training,
    collate_validation,
)
from jde_lightning.data.images import TileCache
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.data.workers import one_thread_per_worker
from jde_lightning.errors import InputError
from jde_lightning.structures import FrameAnnotations

COLORLESS = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0)


def color_of(identity: int) -> tuple[int, int, int]:
    """A saturated RGB colour that stands for an identity below 64."""
    hue, value = identity % 16 / 16, (1.0, 0.8, 0.6, 0.4)[identity // 16]
    red, green, blue = colorsys.hsv_to_rgb(hue, 1.0, value)
    return round(red * 255), round(green * 255), round(blue * 255)


@pytest.fixture(scope="module")
def colored(tmp_path_factory) -> FrameIndex:
    """Sixteen images of four solid rectangles, one in each quarter, coloured by identity; every fourth is OTHER."""
    folder, rng, frames = tmp_path_factory.mktemp("colored"), np.random.default_rng(0), []
    for number in range(16):
        width, height = ((320, 200), (200, 320), (160, 160), (400, 300))[number % 4]
        image, boxes = np.full((height, width, 3), 128, np.uint8), []
        for quarter in range(4):
            corner = np.array([quarter % 2, quarter // 2]) * [width // 2, height // 2]
            x1, y1 = (corner + rng.uniform(0.05, 0.2, 2) * [width // 2, height // 2]).astype(int)
            x2, y2 = (corner + rng.uniform(0.6, 0.95, 2) * [width // 2, height // 2]).astype(int)
            image[y1:y2, x1:x2] = color_of(4 * number + quarter)[::-1]
            boxes.append([x1, y1, x2, y2])
        cv2.imwrite(str(folder / f"{number}.png"), image)
        ids = 4 * number + np.arange(4)
        roles, visibility = [0, 0, 1, 2 * (number % 2)], [1, 1, 1, 0.1]
        frames.append(
            FrameAnnotations(folder / f"{number}.png", width, height, boxes, ids * 0, ids, roles, visibility, "D")
        )
    return FrameIndex.from_frames(frames, supervision={"D": "full"}, min_visibility={"D": 0.5})


def test_boxes_labels_and_identities_stay_with_their_pixels(colored):
    dataset = MosaicDataset(colored, colored.identities, 192, COLORLESS)
    sampler = MosaicBatchSampler(16, 4, "paired", repeats=10)
    checked = ignored = 0
    for batch in sampler:
        for sample in dataset[batch]:
            assert (sample.boxes >= 0).all()
            assert (sample.boxes <= 192).all()
            for box, identity in zip(sample.boxes, sample.identities.tolist(), strict=True):
                assert identity % 4 in (0, 1)
                x, y = ((box[:2] + box[2:]) / 2).astype(int)
                assert np.abs(sample.image[:, y, x].astype(int) - color_of(identity)).max() <= 2
                checked += 1
            for box in sample.ignore_boxes:
                x, y = ((box[:2] + box[2:]) / 2).clip(0, 191).astype(int)
                quarters = [q for q in range(64) if np.abs(sample.image[:, y, x].astype(int) - color_of(q)).max() <= 2]
                if (box[2:] - box[:2] > 4).all():
                    # role IGNORE, or a positive that is not visible enough; never role OTHER
                    assert quarters
                    assert all(q % 4 == 2 or (q % 4 == 3 and q // 4 % 2 == 0) for q in quarters)
                    ignored += 1
    assert checked > 300
    assert ignored > 150


def test_boxes_are_clipped_to_their_own_tile(tmp_path):
    write_image(tmp_path / "a.png", 100, 100)
    frame = make_frame(tmp_path / "a.png", 1, width=100, height=100, boxes=[[50, 50, 300, 300]])
    still = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, translate=0, scale=0, fliplr=0)
    index = FrameIndex.from_frames([frame])
    dataset = MosaicDataset(index, index.identities, 100, still)
    for seed in range(20):
        sample = dataset[MosaicRequest((0, 0, 0, 0), (seed,))]
        sides = sample.boxes[:, 2:] - sample.boxes[:, :2]
        assert (sides <= 50).all()


def test_amodal_boxes_keep_their_size_where_they_leave_the_image(tmp_path):
    write_image(tmp_path / "a.png", 100, 100)
    frame = make_frame(tmp_path / "a.png", 2, width=100, height=100, boxes=[[50, 50, 300, 280], [-40, 5, 20, 40]])
    still = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, translate=0, scale=0, fliplr=0.5)
    index = FrameIndex.from_frames([frame])
    clipped = MosaicDataset(index, index.identities, 100, still)
    amodal = MosaicDataset(index, index.identities, 100, still, amodal_boxes=True)
    whole_sides = np.array([[250, 230], [60, 35]])
    for seed in range(20):
        request = MosaicRequest((0, 0, 0, 0), (seed,))
        inside, whole = clipped[request], amodal[request]
        np.testing.assert_array_equal(inside.identities, whole.identities)
        np.testing.assert_array_equal(inside.image, whole.image)
        np.testing.assert_allclose(whole.boxes[:, 2:] - whole.boxes[:, :2], whole_sides[whole.identities], atol=1e-3)
        assert (inside.boxes[:, :2] >= whole.boxes[:, :2] - 1e-3).all()
        assert (inside.boxes[:, 2:] <= whole.boxes[:, 2:] + 1e-3).all()


def test_without_boxes_and_images_that_are_empty(tmp_path):
    write_image(tmp_path / "a.jpg")
    index = FrameIndex.from_frames([make_frame(tmp_path / "a.jpg", 0)])
    dataset = MosaicDataset(index, index.identities, 64)
    batch = collate_training(dataset[[MosaicRequest((0, 0, 0, 0), (0,))] * 2])
    assert {key: tuple(value.shape) for key, value in batch.items()} == {
        "images": (2, 3, 64, 64),
        "boxes": (0, 4),
        "labels": (0,),
        "identities": (0,),
        "batch_idx": (0,),
        "source_frames": (0,),
        "scopes": (0,),
        "ignore_boxes": (0, 4),
        "ignore_batch_idx": (0,),
    }
    assert {key: value.dtype for key, value in batch.items()} == {
        "images": torch.uint8,
        "boxes": torch.float32,
        "labels": torch.int64,
        "identities": torch.int64,
        "batch_idx": torch.int64,
        "source_frames": torch.int64,
        "scopes": torch.int64,
        "ignore_boxes": torch.float32,
        "ignore_batch_idx": torch.int64,
    }


def test_batch_idx_says_which_image(colored):
    dataset = MosaicDataset(colored, colored.identities, 96)
    samples = dataset[next(iter(MosaicBatchSampler(16, 4)))]
    batch = collate_training(samples)
    for i, sample in enumerate(samples):
        np.testing.assert_array_equal(batch["images"][i], sample.image)
        for key, idx in (("boxes", "batch_idx"), ("identities", "batch_idx"), ("ignore_boxes", "ignore_batch_idx")):
            np.testing.assert_array_equal(batch[key][batch[idx] == i], getattr(sample, key))
    assert (batch["batch_idx"].diff() >= 0).all()


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_batches_do_not_depend_on_workers_caches_or_order(colored, mode):
    identities, _ = assign_training_identities(colored)

    def batches(workers, cache, by="sampler"):
        dataset = MosaicDataset(colored, identities, 96, cache=TileCache(cache))
        sampler = MosaicBatchSampler(16, 4, mode, seed=5)
        sampler.set_epoch(3)
        how = {"sampler": sampler, "batch_size": None} if by == "sampler" else {"batch_sampler": sampler}
        loader = DataLoader(
            dataset, collate_fn=collate_training, num_workers=workers, worker_init_fn=one_thread_per_worker, **how
        )
        return list(loader)

    reference = batches(0, 64)
    assert len(reference) == 4
    for other in (batches(2, 2), batches(0, 0), batches(0, 1, "batch_sampler")):
        for a, b in zip(reference, other, strict=True):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[key], b[key]) for key in a)


def test_epochs_and_seeds_differ(colored):
    dataset = MosaicDataset(colored, colored.identities, 64)
    images = set()
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        sampler = MosaicBatchSampler(16, 4, seed=seed)
        sampler.set_epoch(epoch)
        images.add(dataset[next(iter(sampler))[0]].image.tobytes())
    assert len(images) == 3


def test_invisible_tiles_are_not_decoded(colored, monkeypatch):
    loads = []
    original = MosaicDataset._load
    monkeypatch.setattr(
        MosaicDataset, "_load", lambda self, frame, spare: loads.append(frame) or original(self, frame, spare)
    )
    dataset = MosaicDataset(colored, colored.identities, 96, cache=TileCache(0))
    for seed in range(100):
        dataset[MosaicRequest((0, 1, 2, 3), (seed,))]
    assert 300 < len(loads) < 390


def test_datasets_travel_small(colored):
    dataset = MosaicDataset(colored, colored.identities, 96)
    dataset[MosaicRequest((0, 1, 2, 3), (0,))]
    assert len(pickle.dumps(dataset)) < 500_000


def test_asking_by_number_is_refused(colored):
    with pytest.raises(TypeError, match="expected a MosaicRequest from MosaicBatchSampler, got int"):
        MosaicDataset(colored, colored.identities, 96)[0]


def test_identities_must_align(colored):
    with pytest.raises(ValueError, match="identities must align with the index's boxes, got 1 for 64"):
        MosaicDataset(colored, np.zeros(1, np.int64), 96)


def test_another_image_size_than_annotated_is_named(tmp_path):
    write_image(tmp_path / "a.jpg", 64, 32)
    index = FrameIndex.from_frames([make_frame(tmp_path / "a.jpg")])
    mosaics = MosaicDataset(index, index.identities, 64, AugmentationConfig(scale=0))
    message = r"a\.jpg: 64x32 pixels where the annotations say 64x48"
    with pytest.raises(InputError, match=message):
        mosaics[MosaicRequest((0, 0, 0, 0), (0,))]
    with pytest.raises(InputError, match=message):
        FrameDataset(index, 64)[0]


def test_frames_are_letterboxed_with_their_annotations(tmp_path):
    write_image(tmp_path / "a.png", 64, 48, color=(10, 20, 30))
    boxes = [[4, 6, 20, 40], [-10, 5, 10, 60], [70, 5, 90, 20], [0, 0, 9, 9], [1, 1, 2, 2]]
    frame = make_frame(tmp_path / "a.png", 5, boxes=boxes, roles=[0, 0, 0, 1, 2], identities=[3, 0, 1, 2, 4])
    index = FrameIndex.from_frames([frame])
    dataset = FrameDataset(index, 128)
    assert len(dataset) == 1
    batch = collate_validation(dataset[[0, 0]])
    assert tuple(batch["images"].shape) == (2, 3, 96, 128)
    assert batch["images"][0, :, 50, 50].tolist() == [30, 20, 10]
    assert batch["boxes"].tolist() == [[8, 12, 40, 80], [0, 10, 20, 96]] * 2  # the third lies outside
    assert batch["identities"].tolist() == [3, 0, 3, 0]
    assert batch["batch_idx"].tolist() == [0, 0, 1, 1]
    assert batch["ignore_boxes"].tolist() == [[0, 0, 18, 18]] * 2
    np.testing.assert_array_equal(batch["frames"][1].boxes, frame.boxes)
    assert batch["letterboxes"][0].gain == 2.0
    square = FrameDataset(index, 128, square=True)[0]
    assert square.image.shape == (3, 128, 128)
    assert square.boxes[0].tolist() == [8, 28, 40, 96]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_mixup_keeps_the_boxes_and_identities_of_both(colored, mode, fused):
    config = AugmentationConfig(hsv_h=0, hsv_s=0, hsv_v=0, mixup=1.0)
    mixed = MosaicDataset(colored, colored.identities, 192, config, fused=fused)
    alone = MosaicDataset(colored, colored.identities, 192, COLORLESS, fused=fused)
    checked = 0
    for batch in MosaicBatchSampler(16, 4, mode, mixup=True):
        for request in batch:
            sample, first = mixed[request], alone[request]
            count = len(first.boxes)
            # the first mosaic is as it is without MixUp, the second one comes after it
            np.testing.assert_array_equal(sample.boxes[:count], first.boxes)
            np.testing.assert_array_equal(sample.identities[:count], first.identities)
            assert set(sample.source_frames[count:]) <= set(request.mixup)
            assert len(sample.ignore_boxes) >= len(first.ignore_boxes)
            for box, identity in zip(sample.boxes, sample.identities.tolist(), strict=True):
                x, y = ((box[:2] + box[2:]) / 2).astype(int)
                # a third at least of the pixel is the box's own colour, a third of any other
                rest = sample.image[:, y, x] - 0.3 * np.array(color_of(identity))
                assert (rest >= -3).all()
                assert (rest <= 0.7 * 255 + 3).all()
                checked += 1
    assert checked > 60


def test_mixup_follows_from_the_request_and_from_its_probability(colored):
    batch = next(iter(MosaicBatchSampler(16, 8, mixup=True)))
    half = MosaicDataset(colored, colored.identities, 96, AugmentationConfig(mixup=0.5))
    never = MosaicDataset(colored, colored.identities, 96, AugmentationConfig())
    same = [np.array_equal(a.image, b.image) for a, b in zip(half[batch], never[batch], strict=True)]
    assert 0 < sum(same) < 8
    for a, b in zip(half[batch], half[batch], strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    without = [request._replace(mixup=None) for request in batch]
    for a, b in zip(half[without], never[batch], strict=True):
        np.testing.assert_array_equal(a.image, b.image)


@pytest.mark.parametrize("amodal", [False, True])
@pytest.mark.parametrize("fill", ["grey", "noise"])
def test_erasing_changes_pixels_inside_boxes_only(colored, fill, amodal):
    config = AugmentationConfig(erase=1.0, erase_fill=fill)
    erasing = MosaicDataset(colored, colored.identities, 192, config, amodal_boxes=amodal)
    plain = MosaicDataset(colored, colored.identities, 192, AugmentationConfig(), amodal_boxes=amodal)
    erased = 0
    for batch in MosaicBatchSampler(16, 4, "paired"):
        for ours, expected in zip(erasing[batch], plain[batch], strict=True):
            for field in set(ours._fields) - {"image"}:
                np.testing.assert_array_equal(getattr(ours, field), getattr(expected, field))
            changed = (ours.image != expected.image).any(0)
            inside = np.zeros((192, 192), bool)
            for x1, y1, x2, y2 in ours.boxes.clip(0, 192).round().astype(int).tolist():
                inside[y1:y2, x1:x2] = True
            assert not (changed & ~inside).any()
            erased += changed.sum()
        for a, b in zip(erasing[batch], erasing[batch], strict=True):
            np.testing.assert_array_equal(a.image, b.image)
    assert erased > 1000


def test_the_images_of_a_batch_are_its_memory(colored):
    dataset = MosaicDataset(colored, colored.identities, 96)
    requests = next(iter(MosaicBatchSampler(16, 4)))
    samples = dataset[requests]
    batch = collate_training(samples)
    assert np.shares_memory(batch["images"].numpy(), samples[0].image)
    assert batch["images"].is_contiguous(memory_format=torch.channels_last)
    kept = batch["images"].clone()
    later = [
        collate_training(dataset[requests[::-1]]) for _ in range(5)
    ]  # a batch that is in use is never painted over
    assert torch.equal(batch["images"], kept)
    assert torch.equal(later[0]["images"].flip(0), kept)
    apart = collate_training([dataset[request] for request in requests])
    assert torch.equal(apart["images"], kept)
    assert torch.equal(collate_training(samples[1:])["images"], kept[1:])
    assert torch.equal(collate_training(samples[::-1])["images"], kept.flip(0))
