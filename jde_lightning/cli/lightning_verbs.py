"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI over the one module and the one data module."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from jsonargparse import ArgumentError
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

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
from jde_lightning.callbacks.phases import Phases
from jde_lightning.callbacks.pictures import Pictures
from jde_lightning.callbacks.prediction_writer import PredictionWriter
from jde_lightning.callbacks.preemption import EXIT_CODE, Preemption
from jde_lightning.callbacks.projector import Projector
from jde_lightning.callbacks.rehearsal import Rehearsal
from jde_lightning.callbacks.retrieval import Retrieval
from jde_lightning.callbacks.run_folder import run_folder
from jde_lightning.callbacks.run_summary import RunSummary
from jde_lightning.callbacks.step_seed import StepSeed
from jde_lightning.callbacks.step_timing import StepTiming
from jde_lightning.callbacks.throughput import Throughput
from jde_lightning.callbacks.tracking_hota import TrackingHOTA
from jde_lightning.callbacks.view_retrieval import ViewRetrieval
from jde_lightning.cli.config_words import config_files
from jde_lightning.cli.early_checks import CHECKPOINT_WORDS
from jde_lightning.cli.number_types import whole_numbers_first
from jde_lightning.cli.parser_errors import in_plain_words
from jde_lightning.cli.resuming import HELP, Start, check_same_network, find_start
from jde_lightning.cli.run_logs import run_loggers
from jde_lightning.cli.unknown_keys import explain_unknown, keys_of
from jde_lightning.data.workers import start_workers_from_a_clean_process
from jde_lightning.datamodule import JDEDataModule
from jde_lightning.errors import InputError, UsageError
from jde_lightning.inference.kept_memory import keep_freed_memory
from jde_lightning.module import JDEModule

_LOG = logging.getLogger(__name__)
_FORCED_CALLBACKS: dict[str, type[pl.Callback]] = {
    "auto_batch_size": AutoBatchSize,
    "phases": Phases,
    "ema": EMA,
    "rehearsal": Rehearsal,
    "nan_guard": NaNGuard,
    "detection_ap": DetectionAP,
    "embedding_quality": EmbeddingQuality,
    "retrieval": Retrieval,
    "view_retrieval": ViewRetrieval,
    "tracking_hota": TrackingHOTA,
    "pictures": Pictures,
    "projector": Projector,
    "checkpoint": Checkpoint,
    "prediction_writer": PredictionWriter,
    "run_summary": RunSummary,
    "throughput": Throughput,
    "step_seed": StepSeed,
    "step_timing": StepTiming,  # after the others: the update of the average is part of the step
    "preemption": Preemption,  # the last: what the others do in a step belongs to the step that it saves
}


class ConfigKeeper(SaveConfigCallback):
    """Saves the configuration in the run's folder and in every checkpoint, so that neither is a riddle later.

    A run that goes on with another configuration keeps the earlier one as ``config.1.yaml`` and so on. A batch size
    that was looked for stands there as the number that was found.

    Args:
        *args: as Lightning's.
        goes_on: whether the run goes on in its folder.
        weights: the ``model.weights`` that it once began with.
        **kwargs: as Lightning's.
    """

    def __init__(self, *args: Any, goes_on: bool = False, weights: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.goes_on = goes_on
        if goes_on:  # what the run is, not how often it was interrupted
            self.config = self.config.clone()
            self.config["ckpt_path"] = None
            self.config["model"]["weights"] = weights

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write ``config.yaml`` of a new run."""
        if not self.goes_on:
            self._write(trainer, pl_module, stage)

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write ``config.yaml``, unless the run's folder has the same."""
        data = getattr(trainer, "datamodule", None)
        if self.config["data"]["batch_size"] == "auto" and isinstance(data, JDEDataModule):
            self.config["data"]["batch_size"] = data.batch_size
        folder = run_folder(trainer)
        if not self.already_saved and folder is not None and (folder / self.config_filename).is_file():
            path = folder / self.config_filename
            if path.read_text(encoding="utf-8") != self.parser.dump(self.config, skip_none=False):
                numbers = (number for number in count(1) if not path.with_suffix(f".{number}.yaml").exists())
                path.rename(path.with_suffix(f".{next(numbers)}.yaml"))
        super().setup(trainer, pl_module, stage)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the configuration of a run that goes on: by now its checkpoint has been loaded, and fits."""
        if self.goes_on:
            self._write(trainer, pl_module, "fit")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the configuration, as YAML text, beside the weights."""
        checkpoint["config_yaml"] = self.parser.dump(self.config, skip_none=False)


class JDELightningCLI(LightningCLI):
    """LightningCLI with our callbacks as top-level keys and explicit flags that win over a checkpoint's values."""

    def __init__(self, args: Sequence[str]) -> None:
        self._words = list(args)
        self._start: Start | None = None
        super().__init__(
            JDEModule,
            JDEDataModule,
            save_config_callback=ConfigKeeper,
            # each run has a folder of its own, so nothing is overwritten; `validate` in a run's folder may write again
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={
                verb: {"exit_on_error": False, "prog": f"jde-lightning {verb}", "epilog": HELP}
                for verb in self.subcommands()
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
        whole_numbers_first(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the words that were given, without Lightning's warning that the process had others.

        Raises:
            UsageError: if there is no such key.
        """
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            verb = self._words[0]
            files = config_files(self._words)
            told = explain_unknown(str(error), keys_of(self._parser(verb)), files, f"jde-lightning {verb} --help all")
            if told is None:
                raise
            raise UsageError(told) from error

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint, and let explicit ``--model...`` flags win over the values that it holds.

        Lightning 2.6 lets the checkpoint win silently (its issue 20801).
        """
        verb = self.config.get("subcommand")
        path = verb and self.config[verb].get("ckpt_path")
        if path and path not in ("best", "hpc") and not str(path).startswith("registry:"):
            config = self.config[verb]
            if verb != "fit" and path == "last_or_new":
                words = ", ".join(CHECKPOINT_WORDS[:2])
                msg = f"--ckpt_path last_or_new is for fit; {verb} takes a file or one of {words}"
                raise InputError(msg)
            root = Path(config["trainer"]["default_root_dir"] or "runs")
            self._start = find_start(str(path), root, config["checkpoint"]["dirpath"], self._words)
            if verb == "fit" and self._start is not None and self._start.folder is not None:
                self.save_config_kwargs |= {"goes_on": True, "weights": config["model"]["weights"]}
            config["ckpt_path"] = None if self._start is None else str(self._start.path)
            super()._parse_ckpt_path()
            explicit = _model_words(self._words)
            if explicit:
                self.config = self.parser.parse_args([verb, *explicit], namespace=self.config, defaults=False)

    def before_instantiate_classes(self) -> None:
        """Name the checkpoint's starting weights no more where it brings its own; say where there are none at all."""
        verb = self.config["subcommand"]
        config = self.config[verb]
        if config.get("ckpt_path"):
            config["model"]["weights"] = None
            if config["data"]["batch_size"] == "auto":
                config["data"]["batch_size"] = _batch_size_of(config["ckpt_path"])
            if Path(config["ckpt_path"]).is_file():
                check_same_network(config["ckpt_path"], config["model"])
        elif verb != "fit" and not config["model"].get("weights"):
            _LOG.warning("%s: the network is untrained; give --ckpt_path or --model.weights what was trained", verb)

    def before_fit(self) -> None:
        """With several processes, have workers start from a clean one: here the main module is known to allow it.

        Raises:
            UsageError: if there are several processes and the trainer does not know it: each would train alone.
        """
        started = int(os.environ.get("WORLD_SIZE", 1))
        if "TORCHELASTIC_RUN_ID" in os.environ and started != self.trainer.world_size:
            msg = (
                f"torchrun started {started} processes and the trainer counts {self.trainer.world_size}: give "
                "--trainer.strategy ddp, --trainer.devices (processes per machine) and --trainer.num_nodes"
            )
            raise UsageError(msg)
        if self.trainer.world_size > 1 and self.datamodule.num_workers:
            start_workers_from_a_clean_process()

    before_validate = before_test = before_predict = before_fit

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Give a run CSV and TensorBoard files in one folder of its own, unless a logger was chosen.

        A run that goes on does so in its folder.
        """
        verb = self.config["subcommand"]
        config = self.config[verb]
        if config["trainer"]["logger"] in (None, True):
            root = Path(config["trainer"]["default_root_dir"] or "runs")
            start = self._start if verb == "fit" else None
            kwargs["logger"] = run_loggers(root) if start is None else run_loggers(root, start.folder, start.step)
        return super().instantiate_trainer(**kwargs)


def _size_in_use(image_size: int, val_image_size: int | None) -> int:
    """Long side of the input where the network is used: that of validation."""
    return val_image_size or image_size


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
        words: the verb and its options; configurations as files, not by name.

    Returns:
        The exit code.

    Raises:
        InputError: if a file, key or value cannot be used.
    """
    _quiet()
    if words[0] != "fit":
        keep_freed_memory()
    try:
        with _early_signals(listen=words[0] == "fit"):
            JDELightningCLI(words)
    except InputError:
        raise
    except (ArgumentError, ValueError) as error:
        # a value that a constructor refuses comes as a ValueError of jsonargparse, where it may be one of several types
        if isinstance(error, ValueError) and "Does not validate against any of the Union" not in str(error):
            raise
        sys.stderr.write(f"jde-lightning {words[0]}: error: {in_plain_words(str(error))}\n")
        return 2
    return 0


@contextmanager
def _early_signals(listen: bool) -> Iterator[None]:
    """Before training listens to signals itself, answer one by ending with the code that means "start me again"."""
    names = [name for name in ("SIGUSR1", "SIGTERM") if hasattr(signal, name)]
    if not listen or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: Any) -> None:
        sys.stderr.write(f"{signal.Signals(number).name} before the training began: it ends, start it again\n")
        raise SystemExit(EXIT_CODE)

    before = {name: signal.signal(signal.Signals[name], end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler if handler is not None else signal.SIG_DFL)


def _quiet() -> None:
    """Send the package's log to stderr and drop warnings of others that a user cannot act on."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    # in a notebook, another verb may have set up logging before
    logging.getLogger("jde_lightning").setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric", "matplotlib", "PIL", "fsspec", "faster_coco_eval"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*The dirpath has changed from.*",  # a run that begins from another's checkpoint keeps its own best weights
        ".*Experiment logs directory .* exists.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*Found .* module\\(s\\) in eval mode.*",
        ".*sync_dist=True.*",  # our metrics are computed over all processes before they are logged
    ):
        warnings.filterwarnings("ignore", text)
