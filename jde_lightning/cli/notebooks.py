"""What notebooks start from: a training of a minute and a half, the run to look at, and its data and tracker."""

from __future__ import annotations

import logging
import os
import shlex
from pathlib import Path

import yaml

import jde_lightning
from jde_lightning.cli import main
from jde_lightning.errors import InputError
from jde_lightning.files import read_yaml, written_whole

RUN_VARIABLE = "JDE_RUN"
"""Environment variable that names the run for notebooks to look at."""
RUNS_VARIABLE = "JDE_RUNS"
"""Environment variable that names another folder for runs than ``runs`` in the clone."""
BEST = Path("checkpoints") / "best.ckpt"
"""The best weights of a run, below its folder."""

_LOG = logging.getLogger(__name__)


def repository() -> Path:
    """The clone that the package is used from.

    Raises:
        InputError: if the package is installed without one.
    """
    folder = Path(jde_lightning.__file__).resolve().parents[1]
    if not (folder / "configs" / "quickstart.yaml").is_file():
        msg = f"{folder}: no configs/quickstart.yaml; notebooks run in a clone, installed with `pip install -e .`"
        raise InputError(msg)
    return folder


def runs_folder() -> Path:
    """Where notebooks look for runs, and write: the folder that ``JDE_RUNS`` names, or ``runs`` in the clone."""
    chosen = os.environ.get(RUNS_VARIABLE)
    return Path(chosen).expanduser().resolve() if chosen else repository() / "runs"


def toy_command(output: Path) -> list[str]:
    """Words of a quickstart of a minute and a half on two CPU cores: smaller images, fewer of them, fewer epochs.

    Small batches make up for it: as many steps, each of half the work.

    Args:
        output: folder for the rendered dataset and the run.
    """
    return shlex.split(
        f"fit --config {shlex.quote(str(repository() / 'configs' / 'quickstart.yaml'))} --trainer.max_epochs 5 "
        "--trainer.check_val_every_n_epoch 1 --trainer.enable_progress_bar false "
        "--trainer.enable_model_summary false --data.image_size 256 --data.batch_size 4 "
        "--data.synthetic.train_sequences 3 "
        f"--data.root {shlex.quote(str(output / 'synthetic'))} --trainer.default_root_dir {shlex.quote(str(output))}"
    )


def newest_run(folder: Path, tracked: bool = False) -> Path | None:
    """The run below a folder that saved its best weights last.

    Args:
        folder: of run folders, at any depth; may be missing.
        tracked: take only runs that are validated on sequences in the layout of MOTChallenge.

    Returns:
        The run's folder, ``None`` if there is none.
    """
    found = [path.parents[1] for path in folder.glob(f"**/{BEST}") if (path.parents[1] / "config.yaml").is_file()]
    for run in sorted(found, key=lambda path: (path / BEST).stat().st_mtime, reverse=True):
        if not tracked or _validated_on(run).endswith("MOTChallenge"):
            return run
    return None


def _validated_on(run: Path) -> str:
    """The class of the first reader of a run's validation data; empty where there is none."""
    data = read_yaml(run / "config.yaml", "the configuration of a run").get("data") or {}
    readers = data.get("val") or [{}]
    return str(readers[0].get("class_path", ""))


def run_to_look_at() -> Path:
    """The run that the environment variable ``JDE_RUN`` names, or the newest that tracks, or a toy's.

    The toy is trained in ``notebooks`` in :func:`runs_folder`, where there is no run yet.

    Returns:
        The run's folder, with ``config.yaml`` and ``checkpoints/best.ckpt``.

    Raises:
        InputError: if the variable names something else, or the toy's training failed.
    """
    chosen = os.environ.get(RUN_VARIABLE)
    if chosen:
        run = Path(chosen).expanduser()
        missing = [name for name in (BEST, Path("config.yaml")) if not (run / name).is_file()]
        if missing:
            msg = f"{RUN_VARIABLE}={chosen}: no {missing[0]} in it; expected the folder of a run, such as version_0"
            raise InputError(msg)
        return run
    folder = runs_folder()
    newest = newest_run(folder, tracked=True)
    if newest is None:
        _LOG.warning("no run in %s: training a toy, which takes a minute or two", folder)
        if main(toy_command(folder / "notebooks")):
            msg = "the toy's training failed; what it wrote above says why"
            raise InputError(msg)
        newest = newest_run(folder, tracked=True)
        assert newest is not None
    return newest


def validation_sequence(run: Path) -> tuple[Path, str]:
    """The first sequence that a run is validated on.

    Args:
        run: the run's folder.

    Returns:
        The sequence's folder, in the layout of MOTChallenge, and which part of it (``all``, ``train_half`` or
        ``val_half``), as ``track`` and ``evaluate`` take them.

    Raises:
        InputError: if the run is validated on something else, or its data are gone.
    """
    from jde_lightning.cli.data_config import data_module_from_configs
    from jde_lightning.data import MOTChallenge

    data = data_module_from_configs([run / "config.yaml"])
    reader = next(iter(data.readers["val"]), None)
    if not isinstance(reader, MOTChallenge):
        found = type(reader).__name__ if reader else "nothing"
        msg = f"{run}: validated on {found}, expected sequences in the layout of MOTChallenge (reader MOTChallenge)"
        raise InputError(msg)
    index = data.frame_index("val")
    return index.frame(0).image_path.parents[1], reader.split


def write_tracker(run: Path, path: Path) -> Path:
    """Write the tracker that a run was validated with as a file for ``track --tracker``.

    Args:
        run: the run's folder.
        path: the YAML file to write.

    Returns:
        The file.
    """
    config = read_yaml(run / "config.yaml", "the configuration of a run")
    tracker = (config.get("tracking_hota") or {}).get("tracker")
    tracker = tracker or {"class_path": "jde_lightning.tracking.YOLO11JDETracker"}
    with written_whole(path) as temporary:
        temporary.write_text(yaml.safe_dump(tracker, sort_keys=False), encoding="utf-8")
    return path
