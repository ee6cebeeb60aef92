"""Whether a run has the settings of a row, those that the row leaves alone included."""

from pathlib import Path

import pytest
import yaml

from jde_lightning.cli.ablation_settings import _BATCHES, _OF_THE_MACHINE, _UNSET, differences, set_otherwise

# keys of the trainer, the module and the data that a row leaves open and a run may set: they change neither what is
# learned nor what is measured, or (seeds, callbacks, devices) a row that says nothing about them is content with any
FREE = {
    "trainer": "callbacks max_epochs limit_test_batches limit_predict_batches num_sanity_val_steps "
    "enable_checkpointing deterministic benchmark inference_mode use_distributed_sampler profiler detect_anomaly "
    "barebones plugins reload_dataloaders_every_n_epochs enable_autolog_hparams model_registry",
    "model": "channels_last embeddings compile",
    "data": "test predict val_batch_size fused seed",
}


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ({"model": {"a": "1e-3"}}, {"model": {"a": 0.001, "b": 2}}, []),
        ({"model": {"a": True}}, {"model": {"a": 1}}, ["model.a"]),
        ({"model": {"a": None}}, {"model": {"a": 0}}, ["model.a"]),
        ({"model": {"a": "x.pt"}}, {"model": {"a": "y.pt"}}, ["model.a"]),
        ({"trainer": {"devices": 1}, "data": {"root": "a"}}, {"trainer": {"devices": "8"}, "data": {"root": "c"}}, []),
        ({"model": {"weights": "/here/s.pt"}}, {"model": {"weights": "there/s.pt"}}, []),
        ({"data": {"batch_size": "auto"}}, {"data": {"batch_size": 12}}, []),
        ({"model": {"weights": None}}, {"model": {"weights": "there/s.pt"}}, ["model.weights"]),
        ({"trainer": {"limit_val_batches": 1}}, {"trainer": {"limit_val_batches": 1.0}}, ["trainer.limit_val_batches"]),
        ({"m": {"class_path": "A"}}, {"m": {"class_path": "x.y.A", "init_args": {}}}, []),
        ({"m": {"class_path": "A"}}, {"m": {"class_path": "x.y.B"}}, ["m.class_path"]),
        ({"m": "A"}, {"m": {"class_path": "x.A"}}, []),
        ({"m": "A"}, {"m": {"class_path": "x.B"}}, ["m.class_path"]),
        ({"m": {"n": 3}}, {"m": {"class_path": "x.A", "init_args": {"n": 4}}}, ["m.n"]),
        ({"m": {"init_args": {"n": 3}}}, {"m": {"class_path": "x.A", "init_args": {"n": 3}}}, []),
        ({"m": {"n": 3}}, {"m": None}, ["m.n"]),
        ({"m": [1, {"n": 2}]}, {"m": [1, {"n": 3}]}, ["m.1.n"]),
        ({"m": [1]}, {"m": [1, 2]}, ["m"]),
        ({"m": [1, 2]}, {"m": [1, 2]}, []),
        ({"callbacks+": ["A"]}, {"callbacks": None}, []),
    ],
)
def test_differences(wanted, found, expected):
    assert differences(wanted, found) == expected


@pytest.mark.parametrize(
    ("settings", "found", "expected"),
    [
        ({}, {"trainer": {"limit_train_batches": 4}}, ["trainer.limit_train_batches"]),
        ({}, {"trainer": {"limit_val_batches": 3, "max_steps": 5}}, ["trainer.max_steps", "trainer.limit_val_batches"]),
        ({}, {"trainer": {"overfit_batches": 1}}, ["trainer.overfit_batches"]),
        ({}, {"trainer": {"fast_dev_run": True}}, ["trainer.fast_dev_run"]),
        ({}, {"trainer": {"limit_val_batches": 1.0}}, []),
        ({}, {"trainer": {"limit_val_batches": 1}}, ["trainer.limit_val_batches"]),
        ({"trainer": {"limit_val_batches": 3}}, {"trainer": {"limit_val_batches": 4}}, []),  # that is for `differences`
        ({}, {"trainer": {"precision": "32-true"}}, []),
        ({}, {"trainer": {"precision": "bf16-mixed"}}, ["trainer.precision"]),
        ({"data": {"image_size": 320}}, {"data": {"val_image_size": 320}}, []),
        ({"data": {"image_size": 320}}, {"data": {"val_image_size": 1088}}, ["data.val_image_size"]),
        ({}, {"trainer": {"devices": "8"}, "data": {"seed": 3, "root": "x"}, "model": None}, []),
    ],
)
def test_what_a_row_leaves_alone_a_run_leaves_alone(settings, found, expected):
    assert set_otherwise(settings, found) == expected


def test_every_key_is_compared_or_known_to_be_free(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "docs" / "_mkdocs")
    from fit_parser import fit_parser

    parser = fit_parser()
    fits = yaml.safe_load(parser.dump(parser.get_defaults(), skip_none=False, skip_validation=True))
    for section, keys in _UNSET.items():
        for key, default in keys.items():
            assert fits[section][key] == (default[0] if isinstance(default, tuple) else default), f"{section}.{key}"
    for section, free in FREE.items():
        machines = {key.split(".")[1] for key in _OF_THE_MACHINE if key.startswith(f"{section}.")}
        assert set(fits[section]) == {*_UNSET[section], *free.split(), *machines}
    assert all(key.split(".")[1] in _UNSET["trainer"] for key in _BATCHES)
