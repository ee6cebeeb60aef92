import numpy as np
import pytest
from dataset_files import make_frame

from jde_lightning.data import FrameIndex, MosaicBatchSampler
from jde_lightning.data.frame_mix import FrameMix
from jde_lightning.errors import InputError


@pytest.fixture
def index():
    frames = [make_frame(f"d{i}.jpg", 0 if i == 3 else 2) for i in range(10)]
    return FrameIndex.from_frames(frames + [make_frame(f"e{i}.jpg", 1, dataset="E") for i in range(6)])


def test_every_dataset_is_shown_as_often_as_its_weight_says(index):
    mix = FrameMix.of_index(index, {"D": 2.0, "E": 0.5})
    assert len(mix) == 2 * 10 + 3
    for number in range(4):
        counts = np.bincount(mix.images(number), minlength=16)
        assert (counts[:10] == 2).all()
        assert counts[10:].sum() == 3
        assert counts[10:].max() == 1


def test_parts_move_on_until_all_were_shown_equally_often(index):
    mix = FrameMix.of_index(index, {"D": 1.3, "E": 0.5})
    total = sum(np.bincount(mix.images(number), minlength=16) for number in range(10))
    assert (total[:10] == 13).all()
    assert (total[10:] == 5).all()


def test_without_weights_every_image_once(index):
    mix = FrameMix.of_index(index)
    assert sorted(mix.images(7).tolist()) == list(range(16))


def test_background_can_be_left_out(index):
    assert sorted(FrameMix.of_index(index, keep_background=False).images(0).tolist()) == [
        i for i in range(16) if i != 3
    ]


@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_batches_show_the_mix(mode):
    mix = FrameMix([np.arange(100), np.arange(100, 160)], [0.5, 3.0])
    counts = np.zeros(160)
    sampler = MosaicBatchSampler(mix, 4, mode)
    for epoch in range(40):
        sampler.set_epoch(epoch)
        for batch in sampler:
            for request in batch:
                np.add.at(counts, list(request.frames), 1)
    assert counts[:100].sum() / counts.sum() == pytest.approx(50 / 230, rel=0.05)
    for dataset in (counts[:100], counts[100:]):
        assert dataset.std() / dataset.mean() < 0.2


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"X": 1.0}, "names 'X', but the training data are of 'D', 'E'"), ({"D": 0.0}, "data.mix.D is 0.0")],
)
def test_wrong_weights_are_refused(index, weights, message):
    with pytest.raises(InputError, match=message):
        FrameMix.of_index(index, weights)


def test_nothing_left_is_an_error():
    index = FrameIndex.from_frames([make_frame("a.jpg", 0)])
    with pytest.raises(InputError, match="keep_background is false"):
        FrameMix.of_index(index, keep_background=False)
