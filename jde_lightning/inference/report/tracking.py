"""The run's tracker on the detections of its validation data, with and without appearance, sequence by sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from jde_lightning.errors import InputError
from jde_lightning.inference.diary import DiaryWriter
from jde_lightning.inference.report.run import Run
from jde_lightning.inference.report.validation_pass import Observed
from jde_lightning.inference.switch_scene import SwitchScene
from jde_lightning.inference.tracker_config import TrackerFactory, tracker_factory_from_spec
from jde_lightning.metrics.scores import Scores, scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.switches import IdentitySwitch, identity_switches
from jde_lightning.metrics.tracked_frames import identities_known, rows_of_classes
from jde_lightning.structures import Detections, FrameAnnotations, Tracks
from jde_lightning.tracking.explain import Decision


@dataclass
class TrackedSequence:
    """The scores of one sequence.

    Attributes:
        name: of the sequence.
        frames: number of its frames.
        people: number of its identities.
        with_appearance: scores of the tracker that uses the embeddings.
        motion_only: scores of the same tracker without them.
        switches: the identity switches of the first of the two, with what there is to draw.
    """

    name: str
    frames: int
    people: int
    with_appearance: Scores
    motion_only: Scores
    switches: list[tuple[SwitchScene, IdentitySwitch]]


@dataclass
class Tracked:
    """The scores of all sequences.

    Attributes:
        tracker: name of the tracker's class.
        sequences: those whose tracking can be measured.
        with_appearance: scores of all of them together.
        motion_only: the same without appearance.
        notes: what was left out.
    """

    tracker: str
    sequences: list[TrackedSequence] = field(default_factory=list)
    with_appearance: Scores = field(default_factory=dict)
    motion_only: Scores = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def track_observed(run: Run, observed: Observed, progress: bool = False) -> Tracked:
    """Track the validation sequences as the callback ``tracking_hota`` does, and explain every identity switch.

    Args:
        run: whose configuration names the tracker.
        observed: the detections.
        progress: show a progress bar on stderr.

    Returns:
        The scores; no sequence where none has identities.
    """
    content = run.setting("tracking_hota", "tracker")
    notes: list[str] = []
    try:
        factories = _factories(content)
    except InputError as error:
        notes.append(f"The run's tracker cannot be used ({error}): the default tracker took its place.")
        content, factories = None, _factories(None)
    name = str(content["class_path"]).rsplit(".", 1)[-1] if content else "YOLO11JDETracker"
    result = Tracked(name, notes=notes)
    counts: tuple[list[Any], list[Any]] = ([], [])
    names = run.facts.get("jde_lightning", {}).get("class_names") or ["person"]
    bar = tqdm(list(observed.pairs()), desc="track", unit="sequence", disable=None if progress else True)
    for sequence, frames, found in bar:
        known = identities_known(frames) if frames[0].sequence is not None else None
        if known is False:
            result.notes.append(f"{sequence} has boxes without identity: its tracking cannot be measured.")
        if not known:
            continue
        found, broken = _with_finite_embeddings(found)
        if broken:
            result.notes.append(f"{sequence}: embeddings are not finite; it is tracked by motion only, twice.")
        tracked, of_sequence = _tracked(sequence, frames, found, names, factories)
        result.sequences.append(tracked)
        for every, own in zip(counts, of_sequence, strict=True):
            every.append(own)
    if not result.sequences:
        result.notes.append("No validation sequence has identities: tracking cannot be measured.")
    else:
        result.with_appearance, result.motion_only = (scores_from_counts(summed(every)) for every in counts)
    return result


def _factories(content: Any) -> tuple[TrackerFactory, TrackerFactory]:
    """The tracker as it is configured, explaining itself, and without appearance."""
    where = "config.yaml, tracking_hota.tracker"
    spec = {"class_path": "YOLO11JDETracker"} if content is None else content  # the callback's default
    return (
        tracker_factory_from_spec(spec, where, explain=True),
        tracker_factory_from_spec(spec, where, appearance=False),
    )


def _with_finite_embeddings(found: list[Detections]) -> tuple[list[Detections], bool]:
    """The detections of a sequence, without any embedding where some are not finite; and whether that is so."""
    broken = any(part.embeddings is not None and not np.isfinite(part.embeddings).all() for part in found)
    return [Detections(part.boxes, part.scores, part.labels) for part in found] if broken else found, broken


def _tracked(
    name: str,
    frames: Sequence[FrameAnnotations],
    found: Sequence[Detections],
    class_names: Sequence[str],
    factories: tuple[TrackerFactory, TrackerFactory],
) -> tuple[TrackedSequence, list[Any]]:
    """Track one sequence twice; return its scores, and the counts that they are of."""
    rate = frames[0].frame_rate
    diary = DiaryWriter([decision.name.lower() for decision in Decision])
    tracker: Any = factories[0](rate)
    if any(part.embeddings is None for part in found):
        tracker.appearance = False

    def note(frame: FrameAnnotations, detections: Detections, tracks: Tracks) -> None:
        diary.add(frame.frame, tracks, detections, getattr(tracker, "explanations", None))

    with_appearance = _run(tracker, frames, found, note)
    motion_only = _run(factories[1](rate), frames, found)
    counts = [
        summed(sequence_counts(*rows) for rows in rows_of_classes(frames, tracks, len(class_names)))
        for tracks in (with_appearance, motion_only)
    ]
    both, motion = (scores_from_counts(part) for part in counts)
    switches = _switches(name, frames, with_appearance, class_names, diary)
    people = len({int(i) for frame in frames for i in frame.identities[frame.positive]})
    return TrackedSequence(name, len(frames), people, both, motion, switches), counts


def _run(
    tracker: Any,
    frames: Sequence[FrameAnnotations],
    found: Sequence[Detections],
    note: Callable[[FrameAnnotations, Detections, Tracks], None] | None = None,
) -> list[Tracks]:
    """Feed a fresh tracker with one frame after the other."""
    every = []
    for frame, detections in zip(frames, found, strict=True):
        tracks = tracker.update(detections)
        every.append(tracks)
        if note is not None:
            note(frame, detections, tracks)
    return every


def _switches(
    name: str,
    frames: Sequence[FrameAnnotations],
    tracks: Sequence[Tracks],
    class_names: Sequence[str],
    diary: DiaryWriter,
) -> list[tuple[SwitchScene, IdentitySwitch]]:
    """The identity switches of a sequence, class by class."""
    images = {frame.frame: frame.image_path for frame in frames if frame.image_path.is_file()}
    size = frames[0].width, frames[0].height
    written = diary.diary()
    every = []
    for label, rows in enumerate(rows_of_classes(frames, tracks, len(class_names))):
        switches, matches = identity_switches(*rows)
        gt, result = (part[np.argsort(part.frames, kind="stable")] for part in rows)
        of_class = class_names[label] if len(class_names) > 1 else ""
        scene = SwitchScene(name, of_class, gt, result, matches, images, size, written)
        every += [(scene, switch) for switch in switches]
    return every
