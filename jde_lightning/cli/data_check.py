"""``jde-lightning data check``: what the data module would read, before a night of training shows it."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jde_lightning.cli.options import CONFIG_HELP
from jde_lightning.packaged_configs import find_config

if TYPE_CHECKING:
    from jde_lightning.data.index import FrameIndex
    from jde_lightning.data.summary import DatasetSummary
    from jde_lightning.datamodule import JDEDataModule
    from jde_lightning.plots.canvas import Picture
    from jde_lightning.structures import FrameAnnotations, IntArray

HELP = "say what the data of a configuration holds, what is missing, and draw samples"

PASSES_UNKNOWN_ARGUMENTS = True
"""``--data...`` flags go to the configuration, as in ``fit``."""

_EPILOG = """\
examples:
  jde-lightning data check --config configs/quickstart.yaml
  jde-lightning data check --config configs/experiments/mot17_half.yaml --data.root MOT17/train --output check
Every --data... flag of `fit` works here too. Exit code 1 where a split is empty or cannot be read; images that are
missing, damaged, or in both training and validation are named, and leave it at 0. Without --decode, damaged are those
whose header cannot be read, and truncated samples of --output.
"""

_SPLITS = ("train", "val", "test")
_TILE = 640  # pixels of the longest side of a frame on the contact sheet
_NAMED = 5  # missing, damaged and equal files that are named; the JSON has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb to its parser."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("--config", required=True, action="append", type=Path, metavar="FILE", help=CONFIG_HELP)
    add("--output", type=Path, metavar="DIR", help="folder for pictures of sampled frames and mosaics")
    add("--json", type=Path, metavar="FILE", help="write all numbers and all file names")
    add("--decode", action="store_true", help="decode every image to find the damaged ones (slow)")
    add("--samples", type=int, default=12, metavar="N", help="frames in a picture (default: 12)")


def run(args: argparse.Namespace) -> int:
    """Read all splits, print what they hold, and draw samples.

    Args:
        args: the parsed arguments of :func:`add_arguments`, and ``unknown``: the flags for the configuration.

    Returns:
        0; 1 if a split is empty or cannot be read.

    Raises:
        InputError: if the configuration cannot be used.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    quiet = [logging.getLogger(name) for name in ("jde_lightning.data.readers", "jde_lightning.datamodule")]
    levels = [logger.level for logger in quiet]
    try:
        for logger in quiet:
            logger.setLevel(logging.ERROR)  # what they would warn of is printed
        return _check(args)
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)


def _check(args: argparse.Namespace) -> int:
    """What :func:`run` does."""
    for path in args.config:
        find_config(path)

    from jde_lightning.cli.data_config import data_module_from_configs
    from jde_lightning.data.identities import synthetic_identities
    from jde_lightning.errors import InputError

    data = data_module_from_configs(args.config, args.unknown)
    # What cannot be read is told split by split below; the others are to be reported all the same.
    with suppress(InputError):
        data.prepare_data()
    indices: dict[str, FrameIndex] = {}
    failed = False
    report: dict[str, Any] = {}
    for split in _SPLITS:
        if split == "test" and data.readers["test"] is data.readers["val"]:
            continue
        if not data.readers[split]:
            continue
        try:
            indices[split] = data.frame_index(split)
        except InputError as error:
            print(f"\n{split}: {error}")
            report[split] = {"error": str(error)}
            failed = True
            continue
        linked = None
        if split == "train" and data.identities == "linked":
            linked = synthetic_identities(*data.training_identities())
        report[split], empty = _report_split(split, indices[split], args.decode, linked)
        failed = failed or empty
    if not report:
        msg = f"{args.config[-1]}: data.train and data.val name no readers"
        raise InputError(msg)
    if not data.readers["val"]:
        print("\nval: data.val names no readers, so nothing is measured in training and no weights are the best")
    report["overlaps"], report["same_images"] = _report_overlaps(indices)
    if args.output is not None:
        for path in _draw(data, indices, args.output, args.samples):
            print(path)
    if args.json is not None:
        import json

        from jde_lightning.files import written_whole

        with written_whole(args.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
        print(args.json)
    return int(failed)


def _report_split(split: str, index: FrameIndex, decode: bool, linked: IntArray | None) -> tuple[dict[str, Any], bool]:
    """Print a split; return it for JSON, and whether it is empty."""
    from jde_lightning.data.summary import summarize

    summaries = summarize(index, linked)
    boxes = sum(summary.boxes for summary in summaries)
    per_class = _boxes_per_class(index)
    counts = ", ".join(f"{name} {count:,}" for name, count in per_class.items())
    print(f"\n{split}: {len(index):,} images, {boxes:,} boxes ({counts})")
    for summary in summaries:
        print("\n".join(_lines(summary, training=split == "train")))
    damaged = _undecodable(index) if decode else []
    for path in damaged[:_NAMED]:
        print(f"  damaged: {path}")
    if decode:
        print(f"  {len(damaged)} of {len(index)} images cannot be decoded")
    if not boxes:
        print(f"  {split} is empty: no image with a box")
    report = {
        "boxes_per_class": per_class,
        "datasets": [summary.as_dict() for summary in summaries],
        "undecodable": damaged,
    }
    return report, boxes == 0


def _boxes_per_class(index: FrameIndex) -> dict[str, int]:
    """Objects of each class, by its name."""
    import numpy as np

    from jde_lightning.structures import Role

    labels = index.labels[index.roles == Role.POSITIVE]
    names = index.class_names or ()
    return dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))


def _lines(summary: DatasetSummary, training: bool) -> list[str]:
    """The text about one dataset."""
    from jde_lightning.data.summary import histogram

    per_image = summary.boxes_per_image
    without = int((per_image == 0).sum())
    found = summary.findings
    lines = [
        f"  {summary.name}",
        f"    images       {summary.images:,} ({without:,} without boxes), {summary.sequences} sequences",
        f"    boxes        {summary.boxes:,} objects, {summary.ignored:,} ignored, {summary.other:,} of other classes",
        f"    identities   {summary.identities:,} annotated, on {summary.labelled_boxes:,} boxes",
    ]
    if summary.too_hidden:
        lines.append(f"    visibility   {summary.too_hidden:,} objects are too hidden to be learned: ignored")
    if training:
        lines.append(f"    training     {summary.training_mode}")
    for title, files in (("missing", found.missing), ("damaged", found.corrupt)):
        if files:
            rest = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
            lines.append(f"    {title:<12} {len(files)} images: {', '.join(files[:_NAMED])}{rest}")
    lines += [f"    dropped      {count:,} boxes: {reason}" for reason, count in sorted(found.dropped.items())]
    lines += [f"    note         {count:,} {what}" for what, count in sorted(found.notes.items())]
    return [*lines, "    boxes per image:", *("    " + line for line in histogram(per_image))]


def _undecodable(index: FrameIndex) -> list[str]:
    """Decode every image and return the paths of those that cannot be."""
    from tqdm import tqdm

    from jde_lightning.data.images import decode
    from jde_lightning.errors import InputError

    damaged = []
    for i in tqdm(range(len(index)), desc="decoding", unit="image", delay=2):
        try:
            decode(index.path(i))
        except InputError:
            damaged.append(str(index.path(i)))
    return damaged


def _report_overlaps(indices: dict[str, FrameIndex]) -> tuple[list[str], list[list[str]]]:
    """Print what training and validation have in common; return the lines, and the files with the same bytes."""
    from jde_lightning.data.overlaps import find_duplicates, find_overlaps
    from jde_lightning.data.same_images import find_same_images

    if not {"train", "val"} <= indices.keys():
        return [], []
    train, val = indices["train"], indices["val"]
    overlaps = find_overlaps(train, val) + find_duplicates(train)
    same = find_same_images(train, val, progress=True)
    lines = [f"{overlap.severity}: {overlap.text}" for overlap in overlaps]
    if same.pairs:
        images = "1 image" if len(same.pairs) == 1 else f"{len(same.pairs)} images"
        lines.append(
            f"leak: the training holds {images} of the validation under another path, byte for byte; "
            "leave them out of one of the two"
        )
    print("\ntraining and validation" + (":" if lines else ": no sequence, image or file in common"))
    for line in lines:
        print(f"  {line}")
    for ours, theirs in same.pairs[:_NAMED]:
        print(f"    val {theirs} is train {ours}")
    if len(same.pairs) > _NAMED:
        print(f"    and {len(same.pairs) - _NAMED} more")
    if same.unreadable:
        print(f"  {len(same.unreadable)} files cannot be read and were not compared, first {same.unreadable[0]}")
    return lines, [[str(ours), str(theirs)] for ours, theirs in same.pairs]


def _draw(data: JDEDataModule, indices: dict[str, FrameIndex], output: Path, samples: int) -> list[Path]:
    """Draw sampled frames of each split, and mosaics of the training split."""
    import cv2

    from jde_lightning.files import written_whole
    from jde_lightning.plots.canvas import grid
    from jde_lightning.plots.frames import draw_training_batch

    written = []
    pictures = {}
    for split, index in indices.items():
        drawn = [_picture_of(index.frame(i)) for i in _spread(index, samples)]
        pictures[f"{split}_frames.jpg"] = grid(drawn, _TILE)
    if {"train", "val"} <= indices.keys() and len(indices["train"]):
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        pictures["train_mosaics.jpg"] = draw_training_batch(
            batch["images"].numpy(),
            batch["boxes"].numpy(),
            batch["identities"].numpy(),
            batch["batch_idx"].numpy(),
            max_images=samples,
        )
    for name, picture in pictures.items():
        with written_whole(output / name) as temporary:
            cv2.imwrite(str(temporary), picture)
        written.append(output / name)
    return written


def _picture_of(frame: FrameAnnotations) -> Picture:
    """A frame at the size of the contact sheet, with its boxes: a colour for each identity, or box without one."""
    from dataclasses import replace

    import cv2
    import numpy as np

    from jde_lightning.data.images import PADDING, decode
    from jde_lightning.errors import InputError
    from jde_lightning.plots.canvas import draw_annotations

    gain = _TILE / max(frame.width, frame.height)
    size = max(round(frame.width * gain), 1), max(round(frame.height * gain), 1)
    try:
        picture = cv2.resize(decode(frame.image_path), size, interpolation=cv2.INTER_AREA)
    except InputError:
        print(f"damaged, drawn as grey: {frame.image_path}")
        picture = np.full((size[1], size[0], 3), PADDING, np.uint8)
    known = (frame.identities >= 0).any()
    identities = frame.identities if known else np.arange(len(frame))
    return draw_annotations(picture, replace(frame, boxes=frame.boxes * np.float32(gain), identities=identities))


def _spread(index: FrameIndex, count: int) -> list[int]:
    """Positions of frames that are spread evenly over every dataset of a split."""
    import numpy as np

    each = max(count // max(len(index.datasets), 1), 1)
    chosen: list[int] = []
    for code in range(len(index.datasets)):
        positions = np.flatnonzero(index.dataset_codes == code)
        chosen += positions[np.linspace(0, len(positions) - 1, min(each, len(positions))).astype(int)].tolist()
    return chosen
