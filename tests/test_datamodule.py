import json
import logging
import pickle
from pathlib import Path

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.loggers import CSVLogger

from jde_lightning import JDEDataModule
from jde_lightning.data import AugmentationConfig, CrowdHuman, FrameIndex, IdentityTable, MOTChallenge, Reader
from jde_lightning.data.linking import LinkingConfig
from jde_lightning.data.synthetic import SyntheticCrowd
from jde_lightning.errors import InputError
from jde_lightning.losses.joint import positive_fraction
from jde_lightning.metrics.detection import DetectionAP
from jde_lightning.structures import Detections, FrameAnnotations


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
    assert scopes.min() == -1  # stills are certain
    assert len(set(scopes.tolist())) > 2  # the sequence is not: a scope for each chain of linked boxes


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


def test_validation_may_see_more_pixels_than_training(root):
    module = data(root, val_image_size=160)
    module.setup("fit")
    assert next(iter(module.train_dataloader()))["images"].shape[-2:] == (96, 96)
    assert max(next(iter(module.val_dataloader()))["images"].shape[-2:]) == 160


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


def test_linked_identities_reach_the_batches(root, caplog):
    counts = {}
    for identities in ("per_box", "linked"):
        caplog.clear()
        with caplog.at_level("INFO", logger="jde_lightning.datamodule"):
            options = {"ambiguity": "sequence", "mosaic_mode": "paired", "epoch_repeats": 3}
            module = data(root, identities=identities, **options)
            module.setup("fit")
        assert ("are linked from frame to frame into" in caplog.text) == (identities == "linked")
        batches = list(module.train_dataloader())
        identity = torch.cat([batch["identities"] for batch in batches])
        scopes = torch.cat([batch["scopes"] for batch in batches])
        frames = torch.cat([batch["source_frames"] for batch in batches])
        assert set(scopes.tolist()) == {-1, 0}
        seen = {
            (int(i), int(f)) for i, f, scope in zip(identity, frames, scopes, strict=True) if scope == 0
        }  # of the video
        counts[identities] = len(seen) - len({i for i, _ in seen})
        stills = {(int(i), int(f)) for i, f, scope in zip(identity, frames, scopes, strict=True) if scope < 0}
        assert len(stills) == len({i for i, _ in stills})
        assert len(module.identity_table) == module.identity_table.num_synthetic > 0
    assert counts["per_box"] == 0  # no identity is in two frames
    assert counts["linked"] > 5


def test_linking_on_the_command_line():
    parser = ArgumentParser()
    parser.add_class_arguments(JDEDataModule, "data")
    flags = ["--data.identities=linked", "--data.linking.max_rival=0.9", "--data.linking.max_gap=0.5"]
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # of the oldest jsonargparse
    module = instantiate(parser.parse_args(flags)).data
    assert (module.identities, module.linking) == ("linked", LinkingConfig(max_rival=0.9, max_gap=0.5))


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
        ({"val_image_size": 100}, "data.val_image_size must be a positive multiple of 32, got 100"),
        ({"batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"num_workers": -1}, "data.num_workers must be at least 0, got -1"),
        ({"epoch_repeats": 0}, "data.epoch_repeats must be at least 1, got 0"),
        ({"cache_gb": -1}, "data.cache_gb must be at least 0, got -1"),
        ({"identities": "tracked"}, "data.identities is 'tracked', expected per_box or linked"),
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


@pytest.fixture
def read(monkeypatch):
    """Names of the datasets that are read, in order."""
    names = []
    original = FrameIndex.from_reader.__func__

    def counted(cls, reader, *args, **kwargs):
        names.append(reader.name)
        return original(cls, reader, *args, **kwargs)

    monkeypatch.setattr(FrameIndex, "from_reader", classmethod(counted))
    return names


def test_what_is_prepared_is_not_read_again(root, tmp_path, read):
    data(root, index_cache=str(tmp_path)).prepare_data()
    assert read == ["MOT17", "CrowdHuman", "MOT17"]
    other = data(root, index_cache=str(tmp_path))  # as on another rank
    other.setup("fit")
    other.prepare_data()
    assert len(read) == 3
    fresh = data(root, index_cache=False)
    fresh.setup("fit")
    assert len(read) == 6
    for split in ("train", "val"):
        a, b = other.indices[split], fresh.indices[split]
        assert a.folder.parent == tmp_path
        assert b.folder is None
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.paths, b.paths)
    batches = [next(iter(module.train_dataloader())) for module in (other, fresh)]
    assert torch.equal(batches[0]["images"], batches[1]["images"])


def test_only_the_stage_is_prepared(root, tmp_path, read):
    module = data(root, index_cache=str(tmp_path))
    module.trainer = pl.Trainer(accelerator="cpu", logger=False)
    module.trainer.state.fn = pl.trainer.states.TrainerFn.VALIDATING
    module.prepare_data()
    assert read == ["MOT17"]


def test_without_a_cache_nothing_is_read_in_vain(root, read, cache_home):
    before = sorted(cache_home.rglob("*"))
    module = data(root, index_cache=False)
    module.prepare_data()
    assert read == []
    module.setup("fit")
    assert len(read) == 3
    assert sorted(cache_home.rglob("*")) == before


def test_the_usual_cache_is_the_default(root, cache_home):
    module = data(root)
    module.setup("validate")
    assert module.indices["val"].folder.parent == cache_home / "jde_lightning" / "index"


@pytest.mark.parametrize(("words", "expected"), [("true", True), ("false", False), ("some/folder", "some/folder")])
def test_the_cache_on_the_command_line(words, expected):
    parser = ArgumentParser()
    parser.add_class_arguments(JDEDataModule, "data")
    assert parser.parse_args([f"--data.index_cache={words}"]).data.index_cache == expected


def test_workers_get_a_small_dataset(root):
    module = data(root)
    module.setup("fit")
    boxes = len(module.indices["train"].boxes)
    # less the paths, which are as long as the folder of temporary files happens to be
    train, val = (
        len(pickle.dumps(loader.dataset).replace(str(root).encode(), b""))
        for loader in (module.train_dataloader(), module.val_dataloader())
    )
    assert train < 3000 + 13 * boxes
    assert val < 2000


def test_frames_in_training_and_validation_are_warned_of_once(root, caplog):
    module = data(root, train=[MOTChallenge(path="MOT17/val"), MOTChallenge(path="MOT17/train")])
    module.setup("fit")
    module.setup("fit")
    lines = [record.getMessage() for record in caplog.records if "the training holds" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].count("the training holds 7 frames of the validation's") == 2


def test_halves_are_no_leak(root, caplog):
    train, val = (MOTChallenge(path="MOT17/val", split=split) for split in ("train_half", "val_half"))
    data(root, train=[train], val=[val]).setup("fit")
    # a verb that ran before may have told the package's log to say more
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_a_reader_missed_is_said_again_from_the_cache(tmp_path, caplog):
    crowd = SyntheticCrowd(train_sequences=1, val_sequences=1, frames=2, stills=3, width=64, height=64, people=2)
    crowd.write(tmp_path)
    image = sorted(tmp_path.glob("CrowdHuman/**/*.jpg"))[0]
    image.unlink()
    for _ in range(2):
        caplog.clear()
        module = data(tmp_path, val=[CrowdHuman(path="CrowdHuman")])
        module.setup("validate")
        assert caplog.text.count(f"1 images not found, first {image.name}") == 1
        assert module.indices["val"].findings["CrowdHuman"].missing == [image.name]


class Zoo(Reader):
    """Two animals in one picture; the classes are named in another order than the data module's."""

    class_names = ("dog", "person", "tree")

    def __init__(self, name="Zoo", path="zoo.jpg"):
        super().__init__(name)
        self.path = path

    def frames(self, root):
        boxes = [[10, 10, 40, 40], [50, 10, 80, 60], [5, 60, 30, 90]]
        yield FrameAnnotations(
            Path(root, self.path), 96, 96, boxes, [0, 1, 2], [-1] * 3, [0] * 3, [1] * 3, dataset=self.name
        )


def test_classes_go_through_to_average_precision(tmp_path):
    assert cv2.imwrite(str(tmp_path / "zoo.jpg"), np.full((96, 96, 3), 90, np.uint8))
    module = JDEDataModule(root=str(tmp_path), val=[Zoo()], class_names=["person", "dog"], image_size=96, num_workers=0)
    module.setup("validate")
    batch = next(iter(module.val_dataloader()))
    assert batch["labels"].tolist() == [1, 0]
    frame = batch["frames"][0]
    values = {}
    for name, labels in (("right", [1, 0]), ("wrong", [0, 1]), ("half", [1, 1])):
        metric = DetectionAP()
        metric.update([frame], [Detections(frame.boxes[:2].copy(), [0.9, 0.8], labels)])
        values[name] = metric.compute()["map50_95"]
    assert values == {"right": pytest.approx(1), "wrong": 0, "half": pytest.approx(0.5)}


def test_classes_that_do_not_fit_are_explained(tmp_path, caplog):
    def module(names):
        return JDEDataModule(root=str(tmp_path), val=[Zoo()], class_names=names, image_size=96, num_workers=0)

    with pytest.raises(InputError, match="dataset 'Zoo' has the classes dog, person, tree, data.class_names has car"):
        module(["car"]).setup("validate")
    module(["person", "persn"]).setup("validate")
    assert "val: there are no objects of class persn" in caplog.text
    assert "2 boxes of classes not in data.class_names: dog, tree" in caplog.text


class Mean(pl.LightningModule):
    """The smallest module that trains."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        return self.weight * batch["images"].float().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_the_identity_table_stays_with_the_run(root, tmp_path):
    module = data(root, train=[MOTChallenge(path="MOT17/train", supervision="full")])
    module.setup("fit")  # by hand, before there is a run
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=1,
        limit_val_batches=0,
        logger=CSVLogger(tmp_path),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Mean(), module)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["JDEDataModule"]["identities"]
    written = json.loads((Path(trainer.log_dir) / "identities.json").read_text())
    for state in (saved, written):
        assert IdentityTable.from_dict(state) == module.identity_table
    assert {key[0] for key in module.identity_table.keys} == {"MOT17"}


def test_no_run_no_file(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = data(root)
    module.setup("fit")
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, fast_dev_run=1)
    trainer.fit(Mean(), data(root))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kwargs", "batches"),
    [
        ({"mix": {"CrowdHuman": 3.0}}, (7 + 15) // 4),
        ({"mix": {"MOT17": 2.0, "CrowdHuman": 0.4}}, (14 + 2) // 4),
        ({"epoch_repeats": 2}, 24 // 4),
    ],
)
@pytest.mark.parametrize("mode", ["buffer", "paired"])
def test_weights_make_epochs_longer_or_shorter(root, kwargs, batches, mode):
    module = data(root, mosaic_mode=mode, **kwargs)
    module.setup("fit")
    assert len(module.train_dataloader()) == batches
    index = module.indices["train"]
    requests = [request for batch in module.train_dataloader().sampler for request in batch]
    counts = np.bincount([index.dataset_codes[request.frames[0]] for request in requests], minlength=2)
    for name, weight in kwargs.get("mix", {}).items() if mode == "buffer" else ():
        code = index.datasets.index(name)
        shown = round(weight * np.count_nonzero(index.dataset_codes == code))
        assert shown - len(requests) % 4 - 3 <= counts[code] <= shown


def test_an_unknown_dataset_in_the_mix_is_named(root):
    module = data(root, mix={"COCO": 2.0})
    module.setup("fit")
    with pytest.raises(InputError, match=r"data\.mix names 'COCO', but the training data are of 'MOT17', 'CrowdHuman'"):
        module.train_dataloader()


def test_background_can_be_left_out(root):
    module = data(root, train=[MOTChallenge(path="MOT17/train", min_visibility=1.1)], keep_background=False)
    module.setup("fit")
    with pytest.raises(InputError, match=r"none of the 7 training images is shown"):
        module.train_dataloader()


@pytest.mark.parametrize("workers", [0, 2])
def test_no_cache_changes_a_batch(root, workers):
    def batches(**kwargs):
        module = data(root, num_workers=workers, augmentation=AugmentationConfig(mixup=0.5, erase=0.5), **kwargs)
        module.setup("fit")
        return [{key: value.clone() for key, value in batch.items()} for batch in module.train_dataloader()]

    reference = batches(cache="none")
    for others in (
        batches(cache="worker", cache_images=2),
        batches(cache="shared"),
        batches(cache="shared", cache_gb=0),
    ):
        assert all(
            torch.equal(expected[key], found[key])
            for expected, found in zip(reference, others, strict=True)
            for key in expected
        )


def test_unfused_mosaics_have_the_same_boxes(root):
    batches = []
    for fused in (True, False):
        module = data(root, fused=fused)
        module.setup("fit")
        batches.append(next(iter(module.train_dataloader())))
    fused, unfused = batches
    for key in set(fused) - {"images"}:
        assert torch.equal(fused[key], unfused[key])
    difference = (fused["images"].float() - unfused["images"].float()).abs().mean()
    assert 0 < difference < 8  # tiny images are all detail


@pytest.mark.parametrize(("mode", "least"), [("buffer", 0.02), ("paired", 0.12)])
def test_identities_are_seen_twice_in_both_modes(root, mode, least):
    module = data(root, mosaic_mode=mode, epoch_repeats=4)
    module.setup("fit")
    shares = [positive_fraction(batch["identities"]).item() for batch in module.train_dataloader()]
    assert least < np.mean(shares) < 1


def test_no_more_workers_than_cores(root, monkeypatch):
    monkeypatch.setattr("jde_lightning.datamodule._cores", lambda: 3)
    assert [data(root, num_workers=workers).num_workers for workers in (0, 2, 16)] == [0, 2, 3]
