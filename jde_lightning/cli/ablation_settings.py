"""Whether a run has the settings of a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What a run may have otherwise and still be the run of its row: where it ran, and from which folders it read.
_OF_THE_MACHINE = {
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "default_root_dir", "logger")),
    *(f"trainer.{key}" for key in ("enable_progress_bar", "enable_model_summary", "log_every_n_steps")),
    *(f"data.{key}" for key in ("root", "num_workers", "cache", "cache_images", "cache_gb", "index_cache")),
}
# Of files, the name counts and the folder does not: it is another one on another machine.
_FILES = {"model.weights"}
# Here 1 is one batch, and 1.0 is all of them.
_BATCHES = {f"trainer.{key}" for key in ("limit_train_batches", "limit_val_batches", "overfit_batches")}
# Keys that change what is trained or what is measured, with the values that they have where nobody sets them; a test
# compares them with the parser of `fit`. A tuple lists values that mean the same.
_UNSET: dict[str, dict[str, Any]] = {
    "trainer": {
        "fast_dev_run": False,
        "min_epochs": None,
        "max_steps": -1,
        "min_steps": None,
        "max_time": None,
        "limit_train_batches": (None, 1.0),
        "limit_val_batches": (None, 1.0),
        "overfit_batches": 0.0,
        "val_check_interval": (None, 1.0),
        "check_val_every_n_epoch": 1,
        "accumulate_grad_batches": 1,
        "gradient_clip_val": None,
        "gradient_clip_algorithm": None,
        "precision": (None, "32-true", "32", 32),
        "sync_batchnorm": False,
    },
    "model": {
        "scale": "s",
        "embed_dim": 128,
        "reid_branch": "plain",
        "reid_fusion": False,
        "embedding_pooling": "best",
        "weights": None,
        "box_gain": 7.5,
        "cls_gain": 0.5,
        "dfl_gain": 1.5,
        "reid_gain": 1.0,
        "reid_loss": None,
        "loss_weighting": "fixed",
        "small_target_stride": None,
        "joint_normalizer": True,
        "ignore_regions": True,
        "optimizer": None,
        "weight_decay": 0.0005,
        "reid_lr_factor": 1.0,
        "frozen_layers": 0,
        "frozen_branches": None,
        "norm_eval": False,
        "schedule": None,
        "conf": 0.001,
        "iou": 0.7,
        "max_det": 300,
    },
    "data": {
        "train": None,
        "val": None,
        "class_names": None,
        "image_size": 640,
        "val_image_size": None,
        "batch_size": 8,
        "augmentation": None,
        "amodal_boxes": False,
        "mosaic_mode": "buffer",
        "buffer_size": None,
        "views": 2,
        "epoch_repeats": 1,
        "buffer_lanes": 1,
        "identities": "per_box",
        "ambiguity": "chain",
        "linking": None,
        "mix": None,
        "keep_background": True,
        "synthetic": None,
    },
    "phases": {"schedule": None},
    "ema": {"decay": 0.9999, "ramp": 2000.0},
    "embedding_quality": {"conf": 0.1, "iou": 0.5},
    "retrieval": {"conf": 0.1, "iou": 0.5},
    "tracking_hota": {"tracker": None},
}


def differences(wanted: Any, found: Any, key: str = "") -> list[str]:
    """Keys in which a run's full configuration differs from what a row sets, those of the machine left out.

    Args:
        wanted: a (part of a) row's settings.
        found: the same part of ``config.yaml``, where defaults are filled in and class names are complete.
        key: its dotted name.
    """
    if key in _OF_THE_MACHINE or key.endswith("+"):  # `callbacks+` appends, which cannot be told from the result
        return []
    if isinstance(wanted, dict):
        found = found if isinstance(found, dict) else {}
        if "class_path" in found and not wanted.keys() & {"class_path", "init_args"}:
            found = found.get("init_args") or {}  # --tracking_hota.tracker.track_buffer 30
        parts = [(name, value, found.get(name)) for name, value in wanted.items()]
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        parts = [(str(place), *pair) for place, pair in enumerate(zip(wanted, found, strict=True))]
    elif isinstance(found, dict) and "class_path" in found:  # a class that is named without arguments
        return differences(wanted, found["class_path"], f"{key}.class_path")
    else:
        same = _same_class(wanted, found) if key.endswith(".class_path") else _same(wanted, found, key)
        return [] if same else [key]
    return [name for part in parts for name in differences(part[1], part[2], f"{key}.{part[0]}".lstrip("."))]


def set_otherwise(settings: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Keys that a run set and a row leaves alone.

    Args:
        settings: of the row.
        found: the run's ``config.yaml``, where defaults are filled in; a key that it lacks (of an older version) is
            not compared.
    """
    keys = []
    for section, defaults in _UNSET.items():
        own, theirs = settings.get(section) or {}, found.get(section) or {}
        for key, default in defaults.items():
            if key in own or key not in theirs:
                continue
            same = list(default) if isinstance(default, tuple) else [default]
            if key == "val_image_size":  # as in training where it is left out
                same.append(own.get("image_size", defaults["image_size"]))
            if not any(_same(value, theirs[key], f"{section}.{key}") for value in same):
                keys.append(f"{section}.{key}")
    return keys


def _same(wanted: Any, found: Any, key: str) -> bool:
    """Whether two values of a key mean the same; 1e-3 is text to YAML and a number to ``fit``."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if key in _FILES and isinstance(wanted, str) and isinstance(found, str):
        return Path(wanted).name == Path(found).name
    if (key, wanted) == ("data.batch_size", "auto"):  # the run keeps the number that was found
        return True
    if key in _BATCHES and wanted == found == 1:
        return type(wanted) is type(found)
    try:
        return wanted == found or float(wanted) == float(found)
    except (TypeError, ValueError):
        return False


def _same_class(wanted: Any, found: Any) -> bool:
    """Whether two names mean the same class; in a row it may go by its bare name."""
    return isinstance(wanted, str) and isinstance(found, str) and wanted.split(".")[-1] == found.split(".")[-1]
