"""The identity-switch report: a folder with one page that shows every switch of an evaluation."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from jde_lightning.data.images import IMAGE_SUFFIXES, decode, image_size
from jde_lightning.errors import InputError
from jde_lightning.files import written_whole
from jde_lightning.inference.diary import TrackDiary, read_diary
from jde_lightning.inference.switch_page import SwitchView, page
from jde_lightning.inference.switch_scene import SwitchScene, fill_view
from jde_lightning.metrics.classes import rows_by_class
from jde_lightning.metrics.folders import SequenceFiles, find_sequences, load_sequence
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.sequences import Benchmark, HalfConvention, Split, read_seqinfo
from jde_lightning.metrics.switches import IdentitySwitch, identity_switches
from jde_lightning.plots.canvas import Picture

_KEPT_IMAGES = 12
"""Decoded images in memory; the pictures of a switch share most of theirs."""


@dataclass(frozen=True, slots=True)
class SwitchReport:
    """What :func:`write_switch_report` wrote.

    Attributes:
        page: the HTML file.
        switches: number of switches; CLEAR's ``IDSW``.
        drawn: how many of them have pictures.
    """

    page: Path
    switches: int
    drawn: int


def write_switch_report(
    output: Path,
    gt_dir: Path,
    results_dir: Path,
    benchmark: Benchmark = "mot17",
    split: Split = "all",
    half_convention: HalfConvention = "centertrack",
    sequences: Sequence[str] | None = None,
    classes: Mapping[str, int] | None = None,
    images: Path | None = None,
    limit: int = 200,
    progress: bool = False,
) -> SwitchReport:
    """Write ``index.html``, its pictures and ``switches.csv``.

    Images are taken from ``SEQ/img1`` beside the ground truth; where there are none, boxes are drawn on paper. Where a
    track diary (:mod:`jde_lightning.inference.diary`) lies beside a result file, the page also shows how alike the
    tracks look, and what decided.

    Args:
        output: the folder; created. Files of an earlier report are overwritten.
        gt_dir: as for :func:`jde_lightning.metrics.folders.evaluate_folder`, like the six that follow.
        results_dir: see there.
        benchmark: see there.
        split: see there.
        half_convention: see there.
        sequences: see there.
        classes: see there.
        images: folder of ``SEQ/img1``, or of ``SEQ`` with the images themselves, or of the images of a single sequence;
            names end with the frame number. ``None`` looks beside the ground truth.
        limit: most switches with pictures; the others are listed only.
        progress: show a progress bar on stderr.

    Returns:
        What was written.

    Raises:
        InputError: as ``evaluate_folder``; or if a diary is none or belongs to another result file, an image cannot be
            read, or ``images`` has none of a sequence.
    """
    found: list[tuple[SwitchScene, IdentitySwitch]] = []
    counts: dict[str, int] = {}
    for files in find_sequences(gt_dir, results_dir, sequences):
        rows = load_sequence(files, benchmark, split, half_convention, classes)
        part = list(_switches(files, *rows, benchmark, classes, images))
        counts[files.name] = len(part)
        found += part
    # Pictures belong to the page: numbers start again for every report, so one report overwrites the other.
    views = [SwitchView(k, s.sequence, s.class_name, w) for k, (s, w) in enumerate(found, start=1)]
    drawn = list(zip(views, (scene for scene, _ in found), strict=True))[:limit]
    if progress:
        from tqdm import tqdm

        drawn = tqdm(drawn, desc="draw switches", unit="switch", leave=False)
    load = lru_cache(_KEPT_IMAGES)(decode)

    def store(name: str, picture: Picture) -> str:
        with written_whole(output / "images" / f"{name}.jpg") as path:
            path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
        return f"images/{name}.jpg"

    for view, scene in drawn:
        fill_view(view, scene, store, load)
    notes = []
    if len(views) > limit:
        notes.append(f"The first {limit} switches are drawn; all are listed, and in switches.csv.")
    title = f"{results_dir} against {gt_dir}" + ("" if split == "all" else f", {split} ({half_convention})")
    with written_whole(output / "switches.csv") as temporary:
        temporary.write_text(_csv(views), encoding="utf-8", newline="")
    with written_whole(output / "index.html") as temporary:
        temporary.write_text(page(title, counts, views, limit, notes), encoding="utf-8", newline="\n")
    return SwitchReport(output / "index.html", len(views), min(limit, len(views)))


def _switches(
    files: SequenceFiles,
    gt: MOTRows,
    result: MOTRows,
    benchmark: Benchmark,
    classes: Mapping[str, int] | None,
    images: Path | None,
) -> Iterator[tuple[SwitchScene, IdentitySwitch]]:
    """Yield the switches of one sequence, class by class."""
    found = _images(files, images)
    diary = _diary(files, result)
    size = _frame_size(files, found, gt)
    for name, rows in [("", (gt, result))] if classes is None else rows_by_class(gt, result, classes):
        switches, matches = identity_switches(*rows, benchmark)
        by_frame = [part[np.argsort(part.frames, kind="stable")] for part in rows]
        scene = SwitchScene(files.name, name, by_frame[0], by_frame[1], matches, found, size, diary)
        yield from ((scene, switch) for switch in switches)


def _diary(files: SequenceFiles, result: MOTRows) -> TrackDiary | None:
    """The diary beside a result file, ``None`` if there is none."""
    path = files.result.with_suffix(".npz")
    if not path.is_file():
        return None
    diary = read_diary(path)
    ours, theirs = (
        np.stack([frames, ids])[:, np.lexsort((ids, frames))]
        for frames, ids in ((result.frames, result.ids), (diary.frames, diary.track_ids))
    )
    if not np.array_equal(ours, theirs):
        msg = (
            f"{path}: a diary of other tracks ({theirs.shape[1]} boxes) than {files.result.name} has ({ours.shape[1]} "
            "boxes); track again, or remove the diary"
        )
        raise InputError(msg)
    return diary


def _images(files: SequenceFiles, chosen: Path | None) -> dict[int, Path]:
    """The images of a sequence by frame number; none where nobody named a folder and there is none."""
    if chosen is None:
        return _numbered(files.folder / "img1") if files.folder else {}
    places = [chosen / files.name / "img1", chosen / files.name, chosen / "img1", chosen]
    for place in places:
        found = _numbered(place)
        if found:
            return found
    msg = f"{chosen}: no images of {files.name}, expected {files.name}/img1/000001.jpg or {files.name}/000001.jpg"
    raise InputError(msg)


def _numbered(folder: Path) -> dict[int, Path]:
    """The images of a folder by the number at the end of their names."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        digits = re.search(r"\d+$", path.stem)
        if digits and path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            found[int(digits[0])] = path
    return found


def _frame_size(files: SequenceFiles, images: Mapping[int, Path], gt: MOTRows) -> tuple[int, int]:
    """Width and height of the frames: of an image, as ``seqinfo.ini`` says, or as far as boxes reach."""
    if images:
        return image_size(next(iter(images.values())))
    info = read_seqinfo(files.seqinfo) if files.seqinfo else None
    if info and info.width and info.height:
        return info.width, info.height
    reach = (gt.boxes_ltwh[:, :2] + gt.boxes_ltwh[:, 2:]).max(axis=0, initial=1)
    return int(reach[0]), int(reach[1])


def _csv(views: Sequence[SwitchView]) -> str:
    """All switches as a table for programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("number", "sequence", "class", "frame_before", "frame", "gt_id", "old_track", "new_track", "kind"))
    for view in views:
        s = view.switch
        numbers = (s.frame_before, s.frame, s.gt_id, s.old_track, s.new_track)
        writer.writerow((view.number, view.sequence, view.class_name, *numbers, s.kind))
    return text.getvalue()
