"""The largest batch size that fits, on one process and two, and what follows from it."""

import lightning.pytorch as pl
import pytest
import torch
import yaml
from small_training import make_data, make_module, make_trainer, write_crowd

from jde_lightning.callbacks import AutoBatchSize
from jde_lightning.callbacks.auto_batch_size import largest_that_fits
from jde_lightning.cli import main
from jde_lightning.errors import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_crowd(tmp_path_factory.mktemp("crowd"))


@pytest.mark.parametrize("smallest", [1, 2, 3])
@pytest.mark.parametrize("largest", [3, 7, 64, 100])
def test_search_finds_the_limit_wherever_it_is(smallest, largest):
    for limit in range(largest + 3):
        tried = []
        found = largest_that_fits(lambda size: tried.append(size) or size <= limit, smallest, largest)  # noqa: B023
        assert found == (min(limit, largest) if limit >= smallest else 0)
        assert len(tried) == len(set(tried)) <= 14
        assert all(smallest <= size <= largest for size in tried)


class Simulated(AutoBatchSize):
    """A device whose memory holds a number of images, on each process another one."""

    def __init__(self, *limits, max_size=256):
        super().__init__(max_size)
        self.limits = limits

    def has_limit(self, trainer):
        return True

    def fits(self, trainer, pl_module, size):
        assert len(trainer.datamodule.densest_batch(size)["images"]) == size
        return size <= self.limits[trainer.global_rank]


class Sizes(pl.Callback):
    """Checks what training gets, on every process."""

    def __init__(self, batch_size, steps):
        self.batch_size, self.steps = batch_size, steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        assert len(batch["images"]) == self.batch_size
        assert trainer.estimated_stepping_batches == self.steps
        schedule = trainer.lr_scheduler_configs[0].scheduler
        assert schedule.steps_per_epoch * schedule.epochs == self.steps
        assert trainer.datamodule.buffer_size == 8 * self.batch_size
        assert trainer.datamodule.val_batch_size == self.batch_size


def fit(root, tmp_path, search, sizes=None, epochs=1, **options):
    data, module = make_data(root, batch_size="auto"), make_module()
    callbacks = [search] if sizes is None else [search, sizes]
    make_trainer(tmp_path, callbacks, max_epochs=epochs, **options).fit(module, datamodule=data)
    return data


def test_everything_follows_the_size_that_was_found(root, tmp_path, caplog):
    with caplog.at_level("INFO", logger="jde_lightning.callbacks.auto_batch_size"):
        data = fit(root, tmp_path, Simulated(5), Sizes(5, 2 * (12 // 5)), epochs=2)
    assert data.state_dict()["batch_size"] == 5
    assert "data.batch_size auto is 5; --data.batch_size 5 repeats this run" in caplog.text


def test_no_batch_is_larger_than_the_data_or_than_asked_for(root, tmp_path):
    assert fit(root, tmp_path, Simulated(1000), Sizes(12, 1)).batch_size == 12
    assert fit(root, tmp_path, Simulated(1000, max_size=4), Sizes(4, 3)).batch_size == 4


def test_where_not_even_one_image_fits_it_says_so(root, tmp_path):
    with pytest.raises(InputError, match="not even 1 images of data.image_size 64 fit into the memory of cpu; lower"):
        fit(root, tmp_path, Simulated(0))


def test_without_a_gpu_nothing_is_tried(root, tmp_path, caplog):
    with caplog.at_level("INFO", logger="jde_lightning.callbacks.auto_batch_size"):
        assert fit(root, tmp_path, AutoBatchSize(), Sizes(8, 1)).batch_size == 8
    assert "auto is 8 (without a GPU nothing is tried)" in caplog.text


def test_given_sizes_stay_as_they_are(root, tmp_path):
    data = make_data(root, batch_size="auto", val_batch_size=3, buffer_size=7)
    data.set_batch_size(5)
    assert (data.batch_size, data.val_batch_size, data.buffer_size) == (5, 3, 7)
    data = make_data(root, batch_size=6)
    make_trainer(tmp_path, [Simulated(2)], limit_train_batches=1).fit(make_module(), datamodule=data)
    assert data.batch_size == 6


def test_paired_mosaics_have_a_smallest_batch(root):
    data = make_data(root, batch_size="auto", mosaic_mode="paired", views=4)
    data.setup("fit")
    assert data.batch_size_limits == (4, 12)


def test_without_the_callback_it_is_one_clear_line(root, tmp_path):
    with pytest.raises(InputError, match="nothing has looked for a number: add the callback AutoBatchSize"):
        make_trainer(tmp_path, []).fit(make_module(), datamodule=make_data(root, batch_size="auto"))
    data = make_data(root, batch_size="auto")
    data.setup("fit")
    with pytest.raises(InputError, match="say how many mosaics"):
        data.densest_batch()


@pytest.mark.slow
def test_two_processes_agree_on_what_fits_on_both(root, tmp_path):
    fit(root, tmp_path, Simulated(5, 3), Sizes(3, 2), strategy="ddp_spawn", devices=2)


def test_a_resumed_run_goes_on_with_its_size_whatever_would_fit_now(root, tmp_path):
    trainer = make_trainer(tmp_path, [Simulated(3)], max_steps=2)
    trainer.fit(make_module(), datamodule=make_data(root, batch_size="auto"))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    data = make_data(root, batch_size="auto")
    callbacks = [Simulated(5), Sizes(3, 4)]
    make_trainer(tmp_path, callbacks, max_epochs=1).fit(make_module(), datamodule=data, ckpt_path=tmp_path / "a.ckpt")
    assert data.batch_size == 3


@pytest.mark.slow
def test_the_command_line_keeps_the_number(root, tmp_path):
    config = {
        "trainer": {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "limit_val_batches": 0,
                    "enable_model_summary": False, "default_root_dir": str(tmp_path)},
        "model": {"scale": "n", "embed_dim": 32},
        "data": {"root": str(root), "batch_size": "auto", "image_size": 64, "num_workers": 0,
                 "train": [{"class_path": "MOTChallenge", "init_args": {"path": "MOT17/train"}},
                           {"class_path": "CrowdHuman", "init_args": {"path": "CrowdHuman"}}],
                 "val": [{"class_path": "MOTChallenge", "init_args": {"path": "MOT17/val"}}]},
    }  # fmt: skip
    (tmp_path / "auto.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", str(tmp_path / "auto.yaml")]) == 0
    saved = yaml.safe_load((tmp_path / "version_0" / "config.yaml").read_text())
    assert saved["data"]["batch_size"] == 8
    last = tmp_path / "version_0" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["JDEDataModule"]["batch_size"] == 8
    assert yaml.safe_load(checkpoint["config_yaml"])["data"]["batch_size"] == 8
    # a checkpoint of another size: the resumed run's folder names that size, too
    checkpoint["JDEDataModule"]["batch_size"] = 6
    torch.save(checkpoint, tmp_path / "six.ckpt")
    words = ["--ckpt_path", str(tmp_path / "six.ckpt"), "--trainer.max_epochs", "2"]
    assert main(["fit", "--config", str(tmp_path / "auto.yaml"), *words]) == 0
    assert yaml.safe_load((tmp_path / "version_1" / "config.yaml").read_text())["data"]["batch_size"] == 6


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="max_size must be at least 1"):
        AutoBatchSize(max_size=0)
