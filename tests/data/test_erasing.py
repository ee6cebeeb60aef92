import numpy as np
import pytest
from dataset_files import make_frame, write_image

from jde_lightning.data import AugmentationConfig, FrameIndex, MosaicDataset
from jde_lightning.data.erasing import MAX_ERASED, draw_patches, erase
from jde_lightning.data.images import PADDING
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.errors import InputError

ALWAYS = AugmentationConfig(erase=1.0, erase_min=0.1, erase_max=0.5)


def crowd(rng, count=12, size=200):
    corner = rng.uniform(0, size - 70, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(8, 70, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_patches_lie_in_a_box_and_leave_half_of_every_box(seed):
    rng = np.random.default_rng(seed)
    boxes = crowd(rng)
    patches = draw_patches(boxes, 200, ALWAYS, rng)
    covered = np.zeros((200, 200), bool)
    for x1, y1, x2, y2 in patches.tolist():
        assert ((boxes[:, :2] <= [x1 + 0.5, y1 + 0.5]) & (boxes[:, 2:] >= [x2 - 0.5, y2 - 0.5])).all(axis=1).any()
        covered[y1:y2, x1:x2] = True
    for x1, y1, x2, y2 in boxes.round().astype(int).tolist():
        assert covered[y1:y2, x1:x2].mean() <= MAX_ERASED + 0.05  # whole pixels against exact areas


def test_sizes_follow_the_limits():
    config = AugmentationConfig(erase=1.0, erase_min=0.2, erase_max=0.2)
    box = np.array([[20, 30, 120, 180]], np.float32)
    draws = [draw_patches(box, 200, config, np.random.default_rng(seed)) for seed in range(200)]
    areas = np.array([(patch[:, 2:] - patch[:, :2]).prod() for patch in draws])
    assert np.median(areas) == pytest.approx(0.2 * 100 * 150, rel=0.03)
    assert draws[0].tolist() == draw_patches(box, 200, config, np.random.default_rng(0)).tolist()


def test_probability_is_that_of_a_box():
    config = AugmentationConfig(erase=0.3, erase_min=0.02, erase_max=0.02)
    boxes = np.array([[10 + 40 * i, 10, 40 + 40 * i, 90] for i in range(4)], np.float32)
    counts = [len(draw_patches(boxes, 200, config, np.random.default_rng(seed))) for seed in range(500)]
    assert np.mean(counts) == pytest.approx(4 * 0.3, rel=0.1)


def test_nothing_to_erase():
    image = np.full((8, 8, 3), 7, np.uint8)
    patches = draw_patches(np.zeros((0, 4), np.float32), 8, ALWAYS, np.random.default_rng(0))
    erase(image, patches, ALWAYS, np.random.default_rng(0))
    assert patches.shape == (0, 4)
    assert (image == 7).all()


@pytest.mark.parametrize("fill", ["grey", "noise"])
def test_a_sample_keeps_boxes_and_identities_and_loses_pixels(tmp_path, fill):
    write_image(tmp_path / "a.png", 100, 100, color=(10, 200, 30))
    frame = make_frame(tmp_path / "a.png", 2, width=100, height=100, boxes=[[5, 5, 45, 95], [55, 5, 95, 95]])
    index = FrameIndex.from_frames([frame])
    still = {"mosaic": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "translate": 0, "scale": 0, "fliplr": 0}
    plain = MosaicDataset(index, index.identities, 100, AugmentationConfig(**still))
    erased = MosaicDataset(index, index.identities, 100, AugmentationConfig(**still, erase=1.0, erase_fill=fill))
    request = MosaicRequest((0, 0, 0, 0), (3,))
    before, after = plain[request], erased[request]
    for name in ("boxes", "labels", "identities", "ignore_boxes"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    changed = (before.image != after.image).any(axis=0)
    assert 0 < changed[5:95, 5:45].sum() + changed[5:95, 55:95].sum() == changed.sum()
    if fill == "grey":
        assert np.unique(after.image[:, changed]).tolist() == [PADDING]
    np.testing.assert_array_equal(after.image, erased[request].image)


@pytest.mark.parametrize("wrong", [{"erase": 1.5}, {"erase_max": 0.6}, {"erase_min": 0.4, "erase_max": 0.3}])
def test_wrong_limits_are_refused(wrong):
    with pytest.raises(InputError, match="augmentation.erase"):
        AugmentationConfig(**wrong)
