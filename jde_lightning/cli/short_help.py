"""What `fit --help` and its neighbours say: what one needs on the first day, without importing what trains.

The parsers know more than two hundred keys; `--help all` and `--help SECTION` print those, see :mod:`full_help`.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from jde_lightning.cli.help_format import WideHelp
from jde_lightning.packaged_configs import config_names


class Option(NamedTuple):
    """A key that is needed early.

    Attributes:
        key: dotted, as in a configuration.
        metavar: what it takes.
        text: what it does, with its unit.
        default: that of the parser; ``None`` if the text says what happens without it.
        verbs: that it is of use for.
    """

    key: str
    metavar: str
    text: str
    default: Any = None
    verbs: tuple[str, ...] = ("fit", "validate", "test", "predict")


_TRAINING = ("fit",)
_MEASURING = ("fit", "validate", "test")
_CHECKPOINT = {
    "fit": "last: go on with the newest run, in its folder; last_or_new: begin a new one where none is there; a run's "
    "folder, or a file (docs/resuming.md; default: begin anew)",
    "validate": "the weights to measure: a file such as best.ckpt, a run's folder, or last: those of the newest run",
}
_CHECKPOINT |= {"test": _CHECKPOINT["validate"], "predict": _CHECKPOINT["validate"].replace("measure", "use")}

GROUPS: dict[str, tuple[Option, ...]] = {
    "configuration": (
        Option("config", "FILE", "YAML, or the name of a packaged one; may repeat, and later ones win"),
        Option("print_config", "", "print the whole configuration, with every key and default, and stop"),
        Option("seed_everything", "N", "seed of every random number", 0),
    ),
    "weights": (
        Option(
            "model.weights",
            "FILE",
            "start from these: yolo11n.pt and the like, or a checkpoint of another run (default: from scratch)",
            verbs=_TRAINING,
        ),
        Option("ckpt_path", "WHICH", ""),
    ),
    "data": (
        Option("data.root", "DIR", "folder of the datasets, below which the readers look", "."),
        Option("data.image_size", "N", "long side of images in training, in pixels, a multiple of 32", 640, _TRAINING),
        Option(
            "data.val_image_size", "N", "long side of images outside training, in pixels (default: as data.image_size)"
        ),
        Option("data.batch_size", "N", "images per step and process; auto: what fits into the GPU", 8, _TRAINING),
        Option("data.val_batch_size", "N", "images at once outside training (default: as data.batch_size)"),
        Option("data.num_workers", "N", "processes that load images, at most one per core", 4),
    ),
    "network": (
        Option("model.scale", "{n,s,m,l,x}", "size of YOLO11, from 3 to 60 million parameters", "s", _TRAINING),
        Option("model.embed_dim", "N", "width of the embedding", 128, _TRAINING),
        Option("model.conf", "F", "smallest confidence of a detection that counts, 0 to 1", 0.001),
    ),
    "training": (
        Option("trainer.max_epochs", "N", "passes over the data (default: as the configuration says)", verbs=_TRAINING),
        Option("trainer.max_time", "DD:HH:MM:SS", "stop after this time (default: no limit)", verbs=_TRAINING),
        Option("trainer.fast_dev_run", "true", "one batch of each kind, to see whether it runs", False, _TRAINING),
        Option("trainer.check_val_every_n_epoch", "N", "epochs from one validation to the next", 1, verbs=_TRAINING),
    ),
    "machine": (
        Option("trainer.accelerator", "{auto,cpu,gpu}", "what computes", "auto"),
        Option("trainer.devices", "N", "GPUs, or processes on a CPU", "auto"),
        Option("trainer.precision", "NAME", "32-true, bf16-mixed or 16-mixed (default: 32-true)"),
    ),
    "results": (
        Option("trainer.default_root_dir", "DIR", "each run gets its folder DIR/version_N (default: runs)"),
        Option("tracking_hota.tracker", "NAME", "class of the tracker (default: YOLO11JDETracker)", verbs=_MEASURING),
        Option("tracking_hota.every_n_epochs", "N", "epochs from one tracking to the next, 0 is off", 1, _TRAINING),
        Option(
            "prediction_writer.folder",
            "NAME",
            "folder of SEQUENCE.npz in the run's folder: boxes, scores and embeddings",
            "predictions",
            ("predict",),
        ),
    ),
}

SECTIONS = (
    *(
        "help",
        "print_config",
        "config",
        "seed_everything",
        "ckpt_path",
        "weights_only",
        "verbose",
        "return_predictions",
    ),
    *("trainer", "model", "data", "auto_batch_size", "phases", "ema", "rehearsal", "nan_guard", "detection_ap"),
    *("embedding_quality", "retrieval", "view_retrieval", "tracking_hota", "pictures", "projector", "checkpoint"),
    *("prediction_writer", "run_summary", "throughput", "step_seed", "step_timing", "preemption"),
)
"""What the keys of Lightning's verbs begin with."""

_ABOUT = {
    "fit": "Train a detector and an appearance embedding together, and measure both after every epoch.",
    "validate": "Measure a checkpoint on the validation data, as `fit` does after an epoch.",
    "test": "Measure a checkpoint on the test data (data.test; those of validation if there are none).",
    "predict": "Detect and embed in data.predict (the validation data if omitted), one .npz file per sequence.",
}
_RUN = "runs/quickstart/version_0"
_EXAMPLES = {
    "fit": (
        "jde-lightning fit --config quickstart           (renders a crowd and trains on it, 6 minutes on two cores)",
        "jde-lightning fit --config quickstart --ckpt_path last --trainer.max_epochs 20                (goes on)",
        "jde-lightning fit --config own_images --data.root street --model.weights yolo11s.pt",
        f"jde-lightning fit --config {_RUN}/config.yaml                        (the same again)",
    ),
    **{
        verb: (
            f"jde-lightning {verb} --config {_RUN}/config.yaml --ckpt_path last",
            f"jde-lightning {verb} --config {_RUN}/config.yaml \\",
            f"    --ckpt_path {_RUN}/checkpoints/best.ckpt",
        )
        for verb in ("validate", "test", "predict")
    },
}


def short_help(verb: str) -> str:
    """What one needs to know first about one of Lightning's verbs.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
    """
    parser = argparse.ArgumentParser(
        prog=f"jde-lightning {verb}",
        usage="%(prog)s --config FILE [--config FILE ...] [--KEY VALUE ...]",
        description=f"{_ABOUT[verb]}\nEvery key of the configuration is an option, and wins over the file.",
        epilog="\n".join([*_more(verb), "", "examples:", *(f"  {line}" for line in _EXAMPLES[verb])]),
        formatter_class=WideHelp,
        add_help=False,
    )
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            if verb in option.verbs:
                text = (option.text or _CHECKPOINT[verb]).replace("%", "%%")
                told = text if option.default is None else f"{text} (default: {option.default})"
                takes: dict[str, Any] = {"metavar": option.metavar} if option.metavar else {"action": "store_true"}
                group.add_argument(f"--{option.key}", help=told, **takes)
    return parser.format_help()


def _more(verb: str) -> list[str]:
    """Where the rest is."""
    names = ", ".join(name for name in config_names() if "/" not in name)
    lines = {
        f"jde-lightning {verb} --help all": "every key, 1200 lines",
        f"jde-lightning {verb} --help data": "of a section: trainer, model, data, checkpoint, ema, ...",
        f"jde-lightning {verb} --data.train.help CrowdHuman": "what a class takes",
        "jde-lightning configs": f"packaged configurations: {names}, ...",
    }
    width = max(map(len, lines))
    return ["more:", *(f"  {command:<{width}}  {text}" for command, text in lines.items())]
