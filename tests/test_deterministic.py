"""Two runs with one seed end with the same weights to the last bit, however many processes load their data."""

import hashlib

import lightning.pytorch as pl
import pytest
import torch
import yaml

from jde_lightning.cli import main
from jde_lightning.data.synthetic import SyntheticCrowd


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("deterministic")
    SyntheticCrowd(train_sequences=1, val_sequences=1, frames=6, stills=6, width=160, height=96, people=5).write(root)
    config = {
        "seed_everything": 3,
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "deterministic": True, "enable_progress_bar": False,
                    "limit_val_batches": 0, "enable_model_summary": False},
        "model": {"scale": "n", "embed_dim": 32},
        "data": {"root": str(root), "batch_size": 4, "image_size": 96, "augmentation": {"mixup": 0.3, "erase": 0.3},
                 "train": [{"class_path": "MOTChallenge", "init_args": {"path": "MOT17/train"}},
                           {"class_path": "CrowdHuman", "init_args": {"path": "CrowdHuman"}}],
                 "val": [{"class_path": "MOTChallenge", "init_args": {"path": "MOT17/val"}}]},
    }  # fmt: skip
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    return root


def weights(folder, name, *words):
    runs = folder / name
    assert main(["fit", "--config", str(folder / "config.yaml"), "--trainer.default_root_dir", str(runs), *words]) == 0
    torch.use_deterministic_algorithms(False)  # the trainer leaves it on
    saved = torch.load(runs / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    digest = hashlib.sha256()
    for key, value in sorted(saved["current_model_state"].items()):
        digest.update(key.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_runs_of_one_seed_are_equal_with_any_number_of_workers(folder):
    first = weights(folder, "first", "--data.num_workers", "0")
    assert weights(folder, "again", "--data.num_workers", "0") == first
    for workers in ("1", "2"):
        assert weights(folder, workers, "--data.num_workers", workers) == first, workers
    assert weights(folder, "other", "--seed_everything", "4", "--data.num_workers", "0") != first


def test_the_flag_reaches_torch(tmp_path):
    try:
        pl.Trainer(accelerator="cpu", deterministic=True, logger=False, default_root_dir=tmp_path)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
