"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI over the one module and the one data module."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from jsonargparse import ArgumentError
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

# Readers, trackers and losses are imported so that a bare class name works as class_path.
import jde_lightning.data.readers
import jde_lightning.data.synthetic
import jde_lightning.losses
import jde_lightning.tracking  # noqa: F401
from jde_lightning.callbacks.auto_batch_size import AutoBatchSize
from jde_lightning.callbacks.checkpoint import Checkpoint
from jde_lightning.callbacks.detection_ap import DetectionAP
from jde_lightning.callbacks.ema import EMA
from jde_lightning.callbacks.embedding_silhouette import EmbeddingQuality
from jde_lightning.callbacks.nan_guard import NaNGuard
from jde_lightning.callbacks.pictures import Pictures
from jde_lightning.callbacks.prediction_writer import PredictionWriter
from jde_lightning.callbacks.rehearsal import Rehearsal
from jde_lightning.callbacks.retrieval import Retrieval
from jde_lightning.callbacks.run_summary import RunSummary
from jde_lightning.callbacks.step_timing import StepTiming
from jde_lightning.callbacks.throughput import Throughput
from jde_lightning.callbacks.tracking_hota import TrackingHOTA
from jde_lightning.callbacks.view_retrieval import ViewRetrieval
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.errors import InputError
from jde_lightning.module import JDEModule

_FORCED_CALLBACKS: dict[str, type[pl.Callback]] = {
    "auto_batch_size": AutoBatchSize,
    "ema": EMA,
    "rehearsal": Rehearsal,
    "nan_guard": NaNGuard,
    "detection_ap": DetectionAP,
    "embedding_quality": EmbeddingQuality,
    "retrieval": Retrieval,
    "view_retrieval": ViewRetrieval,
    "tracking_hota": TrackingHOTA,
    "pictures": Pictures,
    "checkpoint": Checkpoint,
    "prediction_writer": PredictionWriter,
    "run_summary": RunSummary,
    "throughput": Throughput,
    "step_timing": StepTiming,  # last: the update of the average is part of the step
}


class ConfigKeeper(SaveConfigCallback):
    """Saves the configuration in the run's folder and in every checkpoint, so that neither is a riddle later.

    A batch size that was looked for stands there as the number that was found.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Save the configuration in the run's folder."""
        if self.config["data"]["batch_size"] == "auto" and isinstance(trainer.datamodule, JDEDataModule):
            self.config["data"]["batch_size"] = trainer.datamodule.batch_size
        super().setup(trainer, pl_module, stage)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the configuration, as YAML text, beside the weights."""
        checkpoint["config_yaml"] = self.parser.dump(self.config, skip_none=False)


class JDELightningCLI(LightningCLI):
    """LightningCLI with our callbacks as top-level keys and explicit flags that win over a checkpoint's values."""

    def __init__(self, args: Sequence[str]) -> None:
        self._words = list(args)
        super().__init__(
            JDEModule,
            JDEDataModule,
            save_config_callback=ConfigKeeper,
            # each run has a folder of its own, so nothing is overwritten; `validate` in a run's folder may write again
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={
                verb: {"exit_on_error": False, "prog": f"jde-lightning {verb}"} for verb in self.subcommands()
            }
            | {"exit_on_error": False},
            args=list(args),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our callbacks as keys of their own, and tie what must agree."""
        for key, callback in _FORCED_CALLBACKS.items():
            parser.add_lightning_class_args(callback, key)
        parser.link_arguments(("data.image_size", "data.val_image_size"), "model.image_size", _size_in_use)
        parser.link_arguments("data.class_names", "model.class_names")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that were given, without Lightning's warning that the process had others."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Let explicit ``--model...`` flags win over the values that a checkpoint given by path holds.

        Lightning 2.6 lets the checkpoint win silently (its issue 20801).
        """
        verb = self.config.get("subcommand")
        path = verb and self.config[verb].get("ckpt_path")
        if path == "last":
            path = self.config[verb]["ckpt_path"] = str(_last_checkpoint(self.config[verb]["trainer"]))
        if path and path not in ("last", "best", "hpc") and not str(path).startswith("registry:"):
            if not Path(path).is_file():
                msg = f"--ckpt_path {path}: no such file; expected a checkpoint, or one of last, best"
                raise InputError(msg)
            super()._parse_ckpt_path()
            explicit = _model_words(self._words)
            if explicit:
                self.config = self.parser.parse_args([verb, *explicit], namespace=self.config, defaults=False)

    def before_instantiate_classes(self) -> None:
        """Name the checkpoint's starting weights no more where it brings its own."""
        config = self.config[self.config["subcommand"]]
        if config.get("ckpt_path"):
            config["model"]["weights"] = None
            if config["data"]["batch_size"] == "auto":
                config["data"]["batch_size"] = _batch_size_of(config["ckpt_path"])

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Give a run CSV and TensorBoard files in one folder of its own, unless a logger was chosen."""
        config = self.config[self.config["subcommand"]]
        if config["trainer"]["logger"] in (None, True):
            folder = config["trainer"]["default_root_dir"] or "runs"
            board = TensorBoardLogger(folder, name="", default_hp_metric=False)
            kwargs["logger"] = [board, CSVLogger(folder, name="", version=f"version_{board.version}")]
        return super().instantiate_trainer(**kwargs)


def _size_in_use(image_size: int, val_image_size: int | None) -> int:
    """Long side of the input where the network is used: that of validation."""
    return val_image_size or image_size


def _last_checkpoint(trainer: Any) -> Path:
    """The newest last.ckpt of all runs in a folder: Lightning looks in the folder of the new run only, and finds none.

    Raises:
        InputError: if no run has one.
    """
    folder = Path(trainer["default_root_dir"] or "runs")
    found = sorted(folder.glob("version_*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        msg = f"--ckpt_path last: no version_*/checkpoints/last.ckpt in {folder} (trainer.default_root_dir)"
        raise InputError(msg)
    logging.getLogger(__name__).info("goes on from %s", found[-1])
    return found[-1]


def _batch_size_of(path: str) -> int | Literal["auto"]:
    """The batch size of the run that a checkpoint is of: its place in the epoch is counted in such batches."""
    if not Path(path).is_file():
        return "auto"
    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    found = saved.get(JDEDataModule.__qualname__, {}).get("batch_size", "auto")
    return found if isinstance(found, int) else "auto"


def _model_words(words: Sequence[str]) -> list[str]:
    """The ``--model...`` flags among the words of a command, with their values."""
    kept: list[str] = []
    taking = False
    for word in words:
        if word.startswith("--"):
            taking = word.startswith("--model.")
        if taking:
            kept.append(word)
    return kept


def run_verb(words: Sequence[str]) -> int:
    """Run one of Lightning's verbs.

    Args:
        words: the verb and its options.

    Returns:
        The exit code.
    """
    _quiet()
    try:
        JDELightningCLI(words)
    except ArgumentError as error:
        text = " ".join(str(error).split())
        sys.stderr.write(f"jde-lightning {words[0]}: error: {text}\n")
        return 2
    return 0


def _quiet() -> None:
    """Send the package's log to stderr and drop warnings of others that a user cannot act on."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    for name in ("lightning.pytorch", "lightning.fabric", "matplotlib", "PIL", "fsspec", "faster_coco_eval"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*Experiment logs directory .* exists.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*Found .* module\\(s\\) in eval mode.*",
    ):
        warnings.filterwarnings("ignore", text)
