"""What a checkpoint says for the model card that goes with it."""

from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from small_training import make_data, make_module, make_trainer, write_crowd

import jde_lightning
from jde_lightning.callbacks import Checkpoint, DetectionAP
from jde_lightning.callbacks.model_card import TEMPLATE, model_card_facts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer that has ended, and its last checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    data = make_data(write_crowd(folder / "data"))
    callbacks = [Checkpoint(dirpath=str(folder)), DetectionAP()]
    trainer = make_trainer(folder, callbacks, limit_val_batches=None, enable_checkpointing=True)
    trainer.fit(make_module(), datamodule=data)
    return trainer, torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)


def test_checkpoint_names_its_data_versions_and_numbers(trained):
    trainer, checkpoint = trained
    card = checkpoint["model_card"]
    assert [dataset["reader"] for dataset in card["datasets"]] == ["MOTChallenge", "CrowdHuman"]
    assert card["datasets"][0] == {
        "name": "MOT17",
        "reader": "MOTChallenge",
        "path": "MOT17/train",
        "supervision": "self",
        "min_visibility": 0.0,
    }
    assert card["versions"]["jde-lightning"] == jde_lightning.__version__
    assert card["versions"]["torch"] == version("torch")
    assert card["versions"]["ultralytics"] == version("ultralytics")
    assert (card["epoch"], card["steps"]) == (0, trainer.global_step)
    assert card["measured"]["val/map50"] == float(trainer.callback_metrics["val/map50"])
    assert all(name.startswith("val/") for name in card["measured"])


def test_it_points_to_the_form_which_explains_every_fact(trained):
    path = TEMPLATE.split()[0]
    form = (ROOT / path).read_text(encoding="utf-8")
    for fact in ("datasets", "measured", "epoch", "steps", "versions"):
        assert fact in trained[1]["model_card"]
        assert f"`model_card.{fact}`" in form or f"`{fact}`" in form
    for key in ("jde_lightning", "model_card"):
        assert f'checkpoint["{key}"]' in form


def test_training_without_a_data_module_has_no_datasets(tmp_path):
    trainer = make_trainer(tmp_path, [])
    facts = model_card_facts(trainer)
    assert facts["datasets"] == []
    assert facts["measured"] == {}
