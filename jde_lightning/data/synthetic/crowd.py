"""The synthetic crowd: the dataset of ``configs/quickstart.yaml``, the tests, the notebooks and the documentation."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from jde_lightning.data.synthetic.layouts import crowdhuman_record, write_jpeg, write_mot_sequence, write_text
from jde_lightning.data.synthetic.render import RenderedFrame, Renderer
from jde_lightning.data.synthetic.street import Street
from jde_lightning.data.synthetic.walkers import Crowd
from jde_lightning.errors import InputError

VERSION = 1
"""Raised whenever the same parameters give other files."""

Split = Literal["train", "val"]
_STREAMS = {"train": 0, "val": 1, "stills": 2}
_FIRST_NUMBER = {"val": 61, "train": 81}
_MAX_VAL = _FIRST_NUMBER["train"] - _FIRST_NUMBER["val"]
_DONE, _BEGUN = "synthetic.json", ".synthetic-unfinished.json"
_OWN_FOLDERS = ("MOT17", "CrowdHuman")

logger = logging.getLogger(__name__)


def render_sequence(
    index: int = 0,
    split: Split = "train",
    frames: int = 60,
    width: int = 640,
    height: int = 384,
    people: int = 12,
    frame_rate: int = 15,
    seed: int = 0,
) -> Iterator[RenderedFrame]:
    """Render one sequence in memory, without writing anything.

    Every second sequence has a moving camera. A sequence depends on ``seed``, ``split``, ``index``, size, people and
    frame rate, but not on how many sequences or frames are asked for.

    Args:
        index: number of the sequence, from 0.
        split: training and validation sequences never share anything.
        frames: how many frames.
        width: image width in pixels.
        height: image height in pixels.
        people: people in view at a time, about.
        frame_rate: frames per second; people walk at 0.7 to 1.9 metres per second.
        seed: any integer of at least 0.

    Yields:
        The frames in order.
    """
    rng = np.random.default_rng([seed, _STREAMS[split], index])
    street_rng, crowd_rng, sensor_rng = rng.spawn(3)
    street = Street(street_rng, width, height, moving=index % 2 == 1, far_crowd=False)
    renderer = Renderer(street, Crowd(street, people, crowd_rng), sensor_rng)
    yield from renderer.frames(frames, frame_rate)


def render_still(index: int = 0, width: int = 640, height: int = 384, people: int = 12, seed: int = 0) -> RenderedFrame:
    """Render one picture of a street of its own, with half to twice as many people.

    Args:
        index: number of the picture, from 0; nothing else of a series has influence.
        width: image width in pixels.
        height: image height in pixels.
        people: typical number of people.
        seed: any integer of at least 0.

    Returns:
        The picture. Its identities mean nothing outside of it.
    """
    rng = np.random.default_rng([seed, _STREAMS["stills"], index])
    street_rng, crowd_rng, sensor_rng = rng.spawn(3)
    street = Street(street_rng, width, height, moving=False, far_crowd=bool(rng.random() < 0.3))
    crowd = Crowd(street, round(people * rng.uniform(0.5, 2.0)), crowd_rng)
    return Renderer(street, crowd, sensor_rng).frame(0.0)


class SyntheticCrowd:
    """A dataset of rendered street scenes in the official layouts of MOT17 (sequences) and CrowdHuman (stills).

    The same parameters give the same bytes, on any machine with the same OpenCV.

    Args:
        train_sequences: sequences in ``MOT17/train``.
        val_sequences: sequences in ``MOT17/val``, at most 20.
        frames: frames of each sequence.
        stills: pictures in ``CrowdHuman/Images``.
        width: image width in pixels.
        height: image height in pixels.
        people: people in view at a time, about.
        frame_rate: frames per second of the sequences.
        seed: another seed gives another dataset.

    Raises:
        InputError: if a number is too small or too large.
    """

    def __init__(
        self,
        train_sequences: int = 4,
        val_sequences: int = 2,
        frames: int = 60,
        stills: int = 120,
        width: int = 640,
        height: int = 384,
        people: int = 12,
        frame_rate: int = 15,
        seed: int = 0,
    ) -> None:
        self.parameters = {
            "train_sequences": train_sequences,
            "val_sequences": val_sequences,
            "frames": frames,
            "stills": stills,
            "width": width,
            "height": height,
            "people": people,
            "frame_rate": frame_rate,
            "seed": seed,
        }
        least = {"frames": 1, "width": 64, "height": 64, "frame_rate": 1}
        most = {"val_sequences": _MAX_VAL, "people": 200}
        for name, value in self.parameters.items():
            low, high = least.get(name, 0), most.get(name)
            if value < low or (high is not None and value > high):
                expected = f"at least {low}" if high is None else f"{low} to {high}"
                msg = f"synthetic crowd: {name} is {value}, expected {expected}"
                raise InputError(msg)

    @property
    def images(self) -> int:
        """How many images the set has."""
        p = self.parameters
        return (p["train_sequences"] + p["val_sequences"]) * p["frames"] + p["stills"]

    def sequence_folder(self, root: Path, split: Split, index: int) -> Path:
        """Where a sequence is below ``root``."""
        return root / "MOT17" / split / f"MOT17-{_FIRST_NUMBER[split] + index:02d}-FRCNN"

    def is_written(self, root: Path) -> bool:
        """Whether ``root`` holds the whole set, with the same parameters and of the same version."""
        return _read(Path(root) / _DONE) == self._stamp()

    def write(self, root: Path) -> None:
        """Render the set below ``root``, unless it is already there.

        Args:
            root: folder to fill; created. A set that was begun there and not finished is begun again.

        Raises:
            InputError: if the folder holds something else.
        """
        root = Path(root)
        if self.is_written(root):
            logger.info("the synthetic crowd is already in %s", root)
            return
        self._claim(root)
        logger.warning("renders a synthetic crowd of %d images in %s", self.images, root.resolve())
        with tqdm(total=self.images, desc="rendering the synthetic crowd", unit="image", mininterval=0.5) as progress:
            for split in ("train", "val"):
                for index in range(self.parameters[f"{split}_sequences"]):
                    self._write_sequence(root, split, index, progress)
            self._write_stills(root / "CrowdHuman", progress)
        write_text(root / _DONE, [json.dumps(self._stamp(), indent=2)])
        (root / _BEGUN).unlink()

    def _stamp(self) -> dict[str, int]:
        return {"version": VERSION, **self.parameters}

    def _claim(self, root: Path) -> None:
        """Make ``root`` an empty folder with the mark of an unfinished set in it."""
        if root.exists() and not root.is_dir():
            msg = f"{root}: is a file, expected a folder for the synthetic crowd; choose another path"
            raise InputError(msg)
        if (root / _BEGUN).is_file():
            for name in _OWN_FOLDERS:
                if (root / name).is_dir():
                    shutil.rmtree(root / name)
        elif (root / _DONE).exists():
            found = _read(root / _DONE) or {}
            changed = [f"{k} {found.get(k)} instead of {v}" for k, v in self._stamp().items() if found.get(k) != v]
            what = ", ".join(changed)
            msg = f"{root}: holds another synthetic crowd ({what}); choose another folder or delete it first"
            raise InputError(msg)
        elif root.is_dir() and any(root.iterdir()):
            other = min(entry.name for entry in root.iterdir())
            msg = f"{root}: holds other files (such as {other}), expected an empty folder; choose another folder"
            raise InputError(msg)
        write_text(root / _BEGUN, [json.dumps(self._stamp())])

    def _write_sequence(self, root: Path, split: Split, index: int, progress: tqdm) -> None:
        p = self.parameters
        rendered = render_sequence(
            index, split, p["frames"], p["width"], p["height"], p["people"], p["frame_rate"], p["seed"]
        )
        rng = np.random.default_rng([p["seed"], _STREAMS[split], index, 1])
        write_mot_sequence(self.sequence_folder(root, split, index), _counted(rendered, progress), p["frame_rate"], rng)

    def _write_stills(self, folder: Path, progress: tqdm) -> None:
        p = self.parameters
        (folder / "Images").mkdir(parents=True, exist_ok=True)
        records = []
        for index in range(p["stills"]):
            rng = np.random.default_rng([p["seed"], _STREAMS["stills"], index, 1])
            # A number, a comma and a hexadecimal text: as awkward as the official names.
            image_id = f"{900001 + index},{rng.bytes(8).hex()}"
            frame = render_still(index, p["width"], p["height"], p["people"], p["seed"])
            write_jpeg(folder / "Images" / f"{image_id}.jpg", frame.image)
            records.append(crowdhuman_record(image_id, frame, rng))
            progress.update()
        write_text(folder / "annotation_train.odgt", records)


def _counted(frames: Iterator[RenderedFrame], progress: tqdm) -> Iterator[RenderedFrame]:
    for frame in frames:
        yield frame
        progress.update()


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a mark, ``None`` where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
