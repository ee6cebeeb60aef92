import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data import AugmentationConfig, FrameIndex, MosaicBatchSampler, MosaicDataset
from jde_lightning.data.augment import draw_mixup
from jde_lightning.data.samples import MosaicRequest

cv2 = pytest.importorskip("cv2")

STILL = {"mosaic": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "translate": 0, "scale": 0, "fliplr": 0}


@pytest.fixture
def index(tmp_path):
    rng, frames = np.random.default_rng(0), []
    for number in range(4):
        pixels = cv2.resize(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), (96, 96))
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        boxes = np.array([[4, 6, 40, 80], [50, 10, 90, 90]]) + number
        frames.append(make_frame(tmp_path / f"{number}.png", 2, width=96, height=96, boxes=boxes))
    return FrameIndex.from_frames(frames)


@pytest.mark.parametrize("fused", [True, False])
def test_pixels_are_a_blend_of_two_samples_and_all_boxes_stay(index, fused):
    identities = np.arange(len(index.boxes))
    mixed = MosaicDataset(index, identities, 96, AugmentationConfig(**STILL, mixup=1.0), fused=fused)
    plain = MosaicDataset(index, identities, 96, AugmentationConfig(**STILL), fused=fused)
    a = plain[MosaicRequest((0, 1, 2, 3), (1,))]
    b = plain[MosaicRequest((2, 1, 0, 3), (1,))]
    sample = mixed[MosaicRequest((0, 1, 2, 3), (1,), (2, 1, 0, 3))]
    difference = a.image.astype(float) - b.image
    share = ((sample.image - b.image.astype(float)) * difference).sum() / (difference**2).sum()
    assert 0.2 < share < 0.8
    assert np.abs(share * a.image + (1 - share) * b.image - sample.image).max() <= 1.5
    np.testing.assert_array_equal(sample.boxes, np.concatenate([a.boxes, b.boxes]))
    np.testing.assert_array_equal(sample.identities, np.concatenate([a.identities, b.identities]))
    assert sample.source_frames.tolist() == [0, 0, 2, 2]


def test_without_mixup_the_second_mosaic_is_not_asked_for(index):
    dataset = MosaicDataset(index, index.identities, 96, AugmentationConfig(**STILL))
    for field, other in zip(
        dataset[MosaicRequest((0, 1, 2, 3), (1,))],
        dataset[MosaicRequest((0, 1, 2, 3), (1,), (2, 2, 2, 2))],
        strict=True,
    ):
        np.testing.assert_array_equal(field, other)


def test_shares_are_those_of_ultralytics():
    shares = np.array([draw_mixup(np.random.default_rng(seed)) for seed in range(2000)])
    # Beta(32, 32): mean a half, variance 1 / (4 * 65)
    assert shares.mean() == pytest.approx(0.5, abs=0.005)
    assert shares.var() == pytest.approx(1 / 260, rel=0.1)


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_the_sampler_chooses_the_second_mosaic_and_changes_nothing_else(mode):
    plain = list(MosaicBatchSampler(16, 4, mode, seed=3))
    mixed = list(MosaicBatchSampler(16, 4, mode, seed=3, mixup=True))
    for a, b in zip(plain, mixed, strict=True):
        assert [(r.frames, r.seed) for r in a] == [(r.frames, r.seed) for r in b]
        assert all(r.mixup is None for r in a)
        assert all(len(r.mixup) == 4 and set(r.mixup) <= set(range(16)) for r in b)
    assert mixed == list(MosaicBatchSampler(16, 4, mode, seed=3, mixup=True))
