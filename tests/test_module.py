import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from jde_lightning import JDEModule, __version__
from jde_lightning.errors import InputError
from jde_lightning.structures import FrameAnnotations, Letterbox


def module(**kwargs):
    torch.manual_seed(0)
    return JDEModule(scale="n", embed_dim=32, **kwargs)


def batch(num_boxes=3, size=64):
    return {
        "images": torch.randint(0, 255, (2, 3, size, size), dtype=torch.uint8),
        "boxes": torch.tensor([[4.0, 4, 24, 44], [30, 10, 60, 60], [4, 4, 24, 44]])[:num_boxes],
        "labels": torch.zeros(num_boxes, dtype=torch.int64),
        "identities": torch.tensor([0, 1, 0])[:num_boxes],
        "batch_idx": torch.tensor([0, 0, 1])[:num_boxes],
        "ignore_boxes": torch.zeros(0, 4),
        "ignore_batch_idx": torch.zeros(0, dtype=torch.int64),
    }


class FakeTrainer:
    def __init__(self, steps=100, epochs=10, accumulate=1):
        self.estimated_stepping_batches = steps
        self.max_epochs = epochs
        self.accumulate_grad_batches = accumulate
        self.world_size = 1


def attach(jde, **kwargs):
    jde._trainer = FakeTrainer(**kwargs)
    jde.log_dict = jde.log = lambda *a, **k: None
    return jde


def test_training_step_is_the_joint_loss_of_the_scaled_images_times_accumulation():
    data = batch()
    jde = attach(module(), accumulate=4)
    total, _ = jde.loss(jde.network(data["images"].float() / 255), data)
    assert jde.training_step(data, 0).item() == pytest.approx(4 * total.item(), rel=1e-4)


@pytest.mark.parametrize("num_boxes", [0, 1, 3])
def test_every_parameter_gets_a_gradient_whatever_the_batch_holds(num_boxes):
    jde = attach(module())
    loss = jde.training_step(batch(num_boxes), 0)
    loss.backward()
    assert torch.isfinite(loss)
    missing = [n for n, p in jde.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


def test_validation_step_returns_detections_in_original_pixels():
    jde = module(conf=0.0, max_det=5).eval()
    frame = FrameAnnotations("x.jpg", 640, 640, np.zeros((0, 4)), [], [], [], [])
    data = {**batch(), "frames": [frame, frame], "letterboxes": [Letterbox(0.1, 0, 0), Letterbox(0.5, 3, 7)]}
    with torch.no_grad():
        output = jde.validation_step(data, 0)
        raw = jde(data["images"])
    assert np.allclose(output.detections[0].boxes, raw[0].boxes * 10, rtol=1e-5)
    assert np.allclose(output.detections[1].boxes, (raw[1].boxes - [3, 7, 3, 7]) * 2, rtol=1e-4, atol=1e-3)
    assert np.allclose(np.linalg.norm(output.detections[0].embeddings, axis=1), 1, atol=1e-5)


def test_parameter_groups_hold_every_parameter_once_and_decay_weights_only():
    jde = module(reid_lr_factor=5.0)
    groups = jde.parameter_groups()
    grouped = [id(p) for g in groups for p in g["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in jde.parameters() if p.requires_grad}
    names = {id(p): n for n, p in jde.network.named_parameters()}
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
            assert group["is_bias"] == name.endswith("bias") or parameter.ndim == 1
            assert group["lr_factor"] == (5.0 if ".cv4." in name else 1.0)


@pytest.mark.parametrize(("steps", "kind", "lr"), [(100, torch.optim.AdamW, 0.002), (20_000, torch.optim.SGD, 0.01)])
def test_optimiser_without_a_choice_follows_the_papers_rule(steps, kind, lr):
    jde = attach(module(), steps=steps)
    built = jde.configure_optimizers()
    assert type(built["optimizer"]) is kind
    assert built["lr_scheduler"]["scheduler"].base_lrs[0] == pytest.approx(lr)


def test_branch_learns_at_its_own_rate():
    jde = attach(module(reid_lr_factor=4.0, optimizer=lambda groups: torch.optim.SGD(groups, lr=0.5)))
    base = jde.configure_optimizers()["lr_scheduler"]["scheduler"].base_lrs
    assert sorted(set(base)) == [0.5, 2.0]


def test_frozen_layers_neither_learn_nor_move_their_statistics():
    jde = attach(module(frozen_layers=11)).train()
    before = {n: b.clone() for n, b in jde.network.named_buffers()}
    jde.training_step(batch(), 0).backward()
    for name, parameter in jde.network.named_parameters():
        layer = int(name.split(".")[1])
        if layer < 11:
            assert parameter.grad is None
    for name, buffer in jde.network.named_buffers():
        if name.endswith("running_mean"):
            assert torch.equal(buffer, before[name]) == (int(name.split(".")[1]) < 11)


def test_with_everything_frozen_but_the_branch_only_the_branch_learns():
    jde = attach(module(frozen_layers=23, frozen_branches=["box", "class"])).train()
    before = {n: b.clone() for n, b in jde.network.named_buffers()}
    jde.training_step(batch(), 0).backward()
    learned = {name for name, parameter in jde.network.named_parameters() if parameter.grad is not None}
    assert learned == {name for name, _ in jde.network.named_parameters() if ".cv4." in name}
    for name, buffer in jde.network.named_buffers():
        if name.endswith("running_mean"):
            assert torch.equal(buffer, before[name]) == (".cv4." not in name)
    in_groups = {id(parameter) for group in jde.parameter_groups() for parameter in group["params"]}
    assert in_groups == {id(parameter) for name, parameter in jde.network.named_parameters() if name in learned}


def test_norm_eval_keeps_all_statistics_but_the_branch_s():
    jde = attach(module(norm_eval=True))
    jde.on_fit_start()
    before = {n: b.clone() for n, b in jde.network.named_buffers()}
    jde.training_step(batch(), 0).backward()
    for name, buffer in jde.network.named_buffers():
        if name.endswith("running_mean"):
            assert torch.equal(buffer, before[name]) == (".cv4." not in name)
    assert all(p.grad is not None for p in jde.network.parameters() if p.requires_grad)


def test_embeddings_that_are_no_numbers_stop_the_training_and_leave_the_batch(tmp_path):
    jde = module()
    torch.nn.init.constant_(jde.network.model[-1].cv4.levels[0][-1].bias, torch.nan)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    data = batch()
    with pytest.raises(InputError, match="step 0, batch 0 of epoch 0: NaN or infinite embeddings in .* saved in ") as e:
        trainer.fit(jde, DataLoader([data], batch_size=None))
    assert "\n" not in str(e.value)
    (path,) = tmp_path.iterdir()
    assert str(path) in str(e.value)
    saved = torch.load(path, weights_only=True)
    assert saved.keys() == data.keys()
    assert all(torch.equal(saved[key], data[key]) for key in data)


@pytest.mark.parametrize("loaded", [True, False])
def test_frozen_layers_of_random_weights_are_warned_of(loaded, tmp_path, caplog):
    jde = attach(module(frozen_layers=11))
    jde.trainer.ckpt_path = None
    if loaded:
        torch.save({f"{name}": value for name, value in jde.network.state_dict().items()}, tmp_path / "weights.pt")
        jde.network.load_weights(tmp_path / "weights.pt")
    jde.on_fit_start()
    assert ("model.frozen_layers is 11, but no weights were loaded" in caplog.text) == (not loaded)


@pytest.mark.parametrize("norm_eval", [False, True])
def test_folded_norms_of_the_weights_are_warned_of_where_training_would_change_them(norm_eval, tmp_path, caplog):
    state = {name: value.clone() for name, value in module().network.state_dict().items()}
    state["model.0.bn.running_var"][:] = 1 - 1e-3
    state["model.0.bn.bias"][:] = 0.3
    torch.save(state, tmp_path / "exported.pt")
    jde = attach(module(weights=str(tmp_path / "exported.pt"), norm_eval=norm_eval))
    jde.on_fit_start()
    assert ("set model.norm_eval true, or the detector forgets" in caplog.text) != norm_eval


def test_frozen_statistics_survive_a_fit(tmp_path):
    """Lightning calls ``train()`` of no module: what is frozen must be so from the first step."""
    jde = module(frozen_layers=11)
    before = {n: b.clone() for n, b in jde.network.named_buffers() if n.endswith("running_mean")}
    trainer = pl.Trainer(
        max_steps=2, max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(jde, DataLoader([batch(), batch()], batch_size=None))
    after = dict(jde.network.named_buffers())
    for name, value in before.items():
        assert torch.equal(value, after[name]) == (int(name.split(".")[1]) < 11), name


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_get_the_memory_format_that_was_chosen_whatever_they_had(channels_last):
    jde = module(channels_last=channels_last)
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    for given in (torch.contiguous_format, torch.channels_last):  # mosaics arrive channels-last
        images = torch.zeros(2, 3, 64, 32, dtype=torch.uint8).contiguous(memory_format=given)
        assert jde._prepare(images).is_contiguous(memory_format=wanted)


def test_endless_training_is_refused_because_the_schedule_needs_an_end():
    jde = attach(module(), steps=float("inf"), epochs=-1)
    with pytest.raises(InputError, match="set trainer.max_epochs"):
        jde.configure_optimizers()


def test_checkpoint_metadata_is_plain_and_objects_are_left_out():
    jde = module(reid_loss=torch.nn.Identity())
    checkpoint = {"hyper_parameters": dict(jde.hparams)}
    jde.on_save_checkpoint(checkpoint)
    assert checkpoint["jde_lightning"] == {
        "version": __version__,
        "scale": "n",
        "embed_dim": 32,
        "reid_branch": "plain",
        "reid_fusion": False,
        "embedding_pooling": "best",
        "class_names": ["person"],
        "image_size": 640,
    }
    assert "reid_loss" not in checkpoint["hyper_parameters"]
    assert checkpoint["hyper_parameters"]["scale"] == "n"


def test_light_and_fused_branch_is_the_reid_branch_of_every_option():
    """Its own learning rate and statistics, and frozen with the name ``reid``, the fusion's layers included."""
    jde = attach(module(reid_branch="light", reid_fusion=True, reid_lr_factor=3.0, norm_eval=True))
    branch = {name: p for name, p in jde.network.named_parameters() if ".cv4." in name}
    assert any(".fusion." in name for name in branch)
    own = {id(p) for group in jde.parameter_groups() if group["lr_factor"] == 3.0 for p in group["params"]}
    assert own == {id(p) for p in branch.values()}
    jde.on_fit_start()
    for name, layer in jde.network.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.training == (".cv4." in name), name
    frozen = module(reid_branch="light", reid_fusion=True, frozen_branches=["reid"])
    assert not any(p.requires_grad for name, p in frozen.network.named_parameters() if ".cv4." in name)


def test_learned_loss_weights_do_not_decay_and_are_logged():
    jde = attach(module(loss_weighting="uncertainty"))
    logged = {}
    jde.log_dict = lambda values, **_: logged.update(values)
    weights = set(jde.loss.weighting.parameters())
    assert len(weights) == 2
    found = [group for group in jde.parameter_groups() for p in group["params"] if any(p is w for w in weights)]
    assert [(group["weight_decay"], group["is_bias"], group["lr_factor"]) for group in found] == [(0, False, 1)] * 2
    jde.training_step(batch(), 0).backward()
    assert logged["train/detection_weight"].item() == pytest.approx(0.5 * np.exp(1.85))
    assert logged["train/reid_weight"].item() == pytest.approx(0.5 * np.exp(1.05))
    assert all(w.grad is not None for w in weights)


def test_parameters_of_the_reid_loss_decay():
    class Centres(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(3))

    jde = module(reid_loss=Centres())
    (group,) = [g for g in jde.parameter_groups() if any(p is jde.loss.reid_loss.weight for p in g["params"])]
    assert group["weight_decay"] == jde.weight_decay


def test_unknown_loss_weighting_lists_the_choices():
    with pytest.raises(InputError, match="unknown loss_weighting 'learned'; choose one of fixed, uncertainty"):
        module(loss_weighting="learned")


def test_learned_loss_weights_and_branch_are_restored(tmp_path):
    jde = module(loss_weighting="uncertainty", reid_branch="light", reid_fusion=True)
    trainer = pl.Trainer(
        max_steps=2, max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(jde, DataLoader([batch(), batch()], batch_size=None))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert jde.loss.weighting.detection.item() != pytest.approx(-1.85, abs=1e-6)
    again = JDEModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert again.network.reid_branch == "light"
    assert again.network.reid_fusion is True
    for (name, value), other in zip(jde.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_a_resumed_training_has_the_decay_that_is_configured_and_refuses_another_optimiser():
    sgd = lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)  # noqa: E731
    old, new = attach(module(optimizer=sgd, weight_decay=0.1)), attach(module(optimizer=sgd, weight_decay=0.2))
    saved = old.configure_optimizers()["optimizer"].state_dict()
    optimizer = new.configure_optimizers()["optimizer"]
    optimizer.load_state_dict(saved)
    new._trainer.optimizers, new._trainer.ckpt_path = [optimizer], "last.ckpt"
    new.on_train_start()
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.2, 0.0}

    other = attach(module(optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.1)))
    optimizer = other.configure_optimizers()["optimizer"]
    optimizer.load_state_dict(saved)
    other._trainer.optimizers, other._trainer.ckpt_path = [optimizer], "last.ckpt"
    with pytest.raises(InputError, match="the checkpoint's optimiser has no betas, eps: it is no AdamW"):
        other.on_train_start()
