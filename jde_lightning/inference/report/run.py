"""What the folder of a run tells about it, whatever of it is there."""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from jde_lightning.errors import InputError
from jde_lightning.files import yaml_problem
from jde_lightning.inference.report.metrics_table import MetricsTable, read_metrics

_LOG = logging.getLogger(__name__)

_LEFT_BY_A_RUN = ("config.yaml", "metrics.csv", "checkpoints")
_FALLBACKS = ("last.ckpt", "last.previous.ckpt")


@dataclass
class Run:
    """A run.

    Attributes:
        folder: its folder.
        metrics: what it logged.
        config: its configuration; empty where there is none.
        config_text: the same as it was written.
        checkpoint: the weights that the report is about, ``None`` if there are none.
        facts: what the checkpoint says beside the weights: ``epoch``, ``global_step``, versions, the network.
        notes: what is missing or odd, for a person.
    """

    folder: Path
    metrics: MetricsTable
    config: dict[str, Any] = field(default_factory=dict)
    config_text: str = ""
    checkpoint: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What to call the run: the names of the folder and of the one that it is in."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name}" if folder.parent.name else folder.name

    @property
    def report_folder(self) -> Path:
        """Where a report keeps what took it long, for the next one."""
        return self.folder / "report"

    @property
    def epoch(self) -> int | None:
        """The epoch of the weights, from 0; ``None`` if there are no weights."""
        epoch = self.facts.get("epoch")
        return epoch if isinstance(epoch, int) else None

    def setting(self, *keys: str) -> Any:
        """A value of the configuration, ``None`` where it, or a section on the way, is not there."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def open_run(folder: Path, checkpoint: str = "best") -> Run:
    """Find out what a run left behind.

    Args:
        folder: of the run, ``version_N``; or the folder of such, of which the newest that has trained is taken.
        checkpoint: ``best``, ``last``, or a file. Where there is no ``best``, ``last`` is taken, and a note says so.

    Raises:
        InputError: if the folder is none of a run, or the named file is no checkpoint of this package.
    """
    folder = _version_folder(folder)
    run = Run(folder, read_metrics(folder / "metrics.csv"))
    if not run.metrics.columns:
        run.notes.append("metrics.csv is missing or empty: there are no curves, and no values of the training.")
    _read_config(run)
    _find_checkpoint(run, checkpoint)
    epochs, last = run.setting("trainer", "max_epochs"), run.metrics.last_epoch
    if isinstance(epochs, int) and epochs > 0 and last is not None and last + 1 < epochs:
        run.notes.append(f"The run has not finished: epoch {last + 1} of {epochs} is the last that was logged.")
    return run


def _version_folder(folder: Path) -> Path:
    """The folder of the run: the given one, or the newest version in it."""
    if not folder.is_dir():
        msg = f"{folder}: no such folder; expected that of a run, such as runs/quickstart/version_0"
        raise InputError(msg)
    if any((folder / name).exists() for name in _LEFT_BY_A_RUN):
        return folder
    versions = {int(path.name[8:]): path for path in folder.glob("version_*") if re.fullmatch(r"\d+", path.name[8:])}
    versions = {n: path for n, path in versions.items() if any((path / name).exists() for name in _LEFT_BY_A_RUN)}
    if not versions:
        msg = f"{folder}: not the folder of a run; it holds neither {', '.join(_LEFT_BY_A_RUN)} nor version_N folders"
        raise InputError(msg)
    newest = versions[max(versions)]
    chosen = next((versions[n] for n in sorted(versions, reverse=True) if _has_trained(versions[n])), newest)
    if chosen != newest:
        text = "%s holds neither checkpoints nor metrics of a training (validate makes such); the report is about %s"
        _LOG.warning(text, newest, chosen.name)
    elif len(versions) > 1:
        _LOG.info("%s holds %d runs; the report is about the newest, %s", folder, len(versions), newest.name)
    return chosen


def _has_trained(folder: Path) -> bool:
    """Whether a run has left something of a training: ``validate`` and ``test`` make folders as well."""
    if any((folder / "checkpoints").glob("*.ckpt")):
        return True
    return any(name.startswith(("train/", "lr-")) for name in read_metrics(folder / "metrics.csv").columns)


def _read_config(run: Run) -> None:
    """Read ``config.yaml``, or say that it cannot be."""
    path = run.folder / "config.yaml"
    if not path.is_file():
        run.notes.append("config.yaml is missing: the configuration is not known, nor where the data is.")
        return
    run.config_text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        content = yaml.safe_load(run.config_text)
    except yaml.YAMLError as error:
        content = None
        run.notes.append(f"config.yaml is damaged: {yaml_problem(error)}")
    run.config = content if isinstance(content, dict) else {}


def _find_checkpoint(run: Run, wanted: str) -> None:
    """Choose the weights, and read what stands beside them."""
    if wanted not in ("best", "last"):
        run.checkpoint = Path(wanted).expanduser()
        if not run.checkpoint.is_file():
            msg = f"--checkpoint {wanted}: no such file; expected best, last, or a checkpoint"
            raise InputError(msg)
        run.facts = _facts(run.checkpoint)
        return
    kept = run.setting("checkpoint", "dirpath")
    folder = Path(kept).expanduser() if kept else run.folder / "checkpoints"
    name = f"{run.setting('checkpoint', 'filename') or 'best'}.ckpt"
    names = [*_FALLBACKS] if wanted == "last" else [name, *_FALLBACKS]
    for path in [folder / name for name in names]:
        if not path.is_file():
            continue
        try:
            run.facts = _facts(path)
        except InputError as error:
            run.notes.append(f"{error}.")
            continue
        run.checkpoint = path
        if path.name != names[0]:
            run.notes.append(f"There is no whole {names[0]}: the report is about {path.name}.")
        return
    run.notes.append("There is no checkpoint: what needs the network is left out.")


def _facts(path: Path) -> dict[str, Any]:
    """What a checkpoint says beside its weights, which stay on the disk.

    Raises:
        InputError: if the file is damaged or something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        msg = f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is damaged, cut off or no checkpoint"
        raise InputError(msg) from error
    if not isinstance(content, dict) or not isinstance(content.get("jde_lightning"), dict):
        msg = f"{path} is no checkpoint of this package's fit"
        raise InputError(msg)
    keys = ("epoch", "global_step", "pytorch-lightning_version", "jde_lightning")
    facts = {key: content[key] for key in keys if key in content}
    return facts | {"size": path.stat().st_size}
