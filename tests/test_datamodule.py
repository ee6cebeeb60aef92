import pytest
import torch

from jde_lightning import JDEDataModule
from jde_lightning.data import AugmentationConfig, CrowdHuman, IdentityTable, MOTChallenge
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.errors import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datamodule")
    SyntheticCrowd(train_sequences=1, val_sequences=2, frames=7, stills=5, width=160, height=96, people=4).write(folder)
    return folder


def data(root, **kwargs):
    values = {
        "train": [MOTChallenge(path="MOT17/train"), CrowdHuman(path="CrowdHuman")],
        "val": [MOTChallenge(path="MOT17/val")],
        "image_size": 96,
        "batch_size": 4,
        "num_workers": 0,
    }
    return JDEDataModule(root=str(root), **{**values, **kwargs})


def test_training_batches_hold_what_the_module_reads(root):
    module = data(root)
    module.setup("fit")
    batches = list(module.train_dataloader())
    assert len(batches) == 12 // 4
    for batch in batches:
        assert batch["images"].shape == (4, 3, 96, 96)
        assert batch["images"].dtype == torch.uint8
        n = len(batch["boxes"])
        for key in ("labels", "identities", "batch_idx", "source_frames", "scopes"):
            assert batch[key].shape == (n,)
            assert batch[key].dtype == torch.int64
        assert (batch["batch_idx"].diff() >= 0).all()
        assert (batch["boxes"] >= 0).all()
        assert (batch["boxes"] <= 96).all()
    scopes = torch.cat([batch["scopes"] for batch in batches])
    assert set(scopes.tolist()) == {-1, 0}  # stills are certain, the sequence is not


def test_an_epoch_is_the_same_again_and_another_one_is_not(root):
    def epoch(number, workers=0):
        module = data(root, num_workers=workers)
        module.setup("fit")
        loader = module.train_dataloader()
        loader.sampler.set_epoch(number)
        return torch.cat([batch["images"].flatten() for batch in loader])

    first = epoch(0)
    assert torch.equal(first, epoch(0, workers=2))
    assert not torch.equal(first, epoch(1))


def test_validation_keeps_sequences_whole_and_in_order(root):
    module = data(root, val_batch_size=3)
    module.setup("validate")
    seen = [(frame.sequence, frame.frame) for batch in module.val_dataloader() for frame in batch["frames"]]
    assert seen == [(f"MOT17-{k}-FRCNN", n) for k in (61, 62) for n in range(1, 8)]
    for batch in module.val_dataloader():
        assert len({frame.sequence for frame in batch["frames"]}) == 1


def test_test_and_predict_use_the_validation_data_unless_told_otherwise(root):
    module = data(root)
    module.setup("test")
    module.setup("predict")
    assert len(module.indices["test"]) == len(module.indices["predict"]) == 14
    other = data(root, test=[CrowdHuman(path="CrowdHuman")])
    other.setup("test")
    assert len(other.indices["test"]) == 5


def test_state_tells_who_the_identities_are(root):
    module = data(root, train=[MOTChallenge(path="MOT17/train", supervision="full")])
    module.setup("fit")
    state = module.state_dict()
    table = IdentityTable.from_dict(state["identities"])
    assert len(table) == len(module.identity_table) > 0
    assert table.num_synthetic == 0
    assert state["class_names"] == ["person"]


def test_the_synthetic_crowd_is_rendered_once(tmp_path):
    crowd = SyntheticCrowd(train_sequences=1, val_sequences=1, frames=2, stills=1, width=64, height=64, people=2)
    module = data(tmp_path, synthetic=crowd)
    module.prepare_data()
    image = next(tmp_path.glob("MOT17/train/*/img1/000001.jpg"))
    before = image.stat().st_mtime_ns
    module.prepare_data()
    assert image.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"image_size": 100}, "data.image_size must be a positive multiple of 32, got 100"),
        ({"batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"num_workers": -1}, "data.num_workers must be at least 0, got -1"),
        ({"epoch_repeats": 0}, "data.epoch_repeats must be at least 1, got 0"),
    ],
)
def test_values_out_of_range_are_named(root, kwargs, expected):
    with pytest.raises(InputError, match=expected):
        data(root, **kwargs)


def test_a_stage_without_readers_says_what_to_give(root):
    with pytest.raises(InputError, match="data.val names no reader; give a list such as"):
        data(root, val=None).setup("validate")


def test_weak_boxes_are_ignored_in_training_only(root):
    strict = data(root, train=[MOTChallenge(path="MOT17/train", min_visibility=1.0)], augmentation=AugmentationConfig())
    strict.setup("fit")
    batch = next(iter(strict.train_dataloader()))
    assert len(batch["ignore_boxes"]) > 0
    frame = strict.indices["train"].frame(0)
    assert frame.positive.sum() > 0
