"""Pictures, charts and table of one identity switch, from the rows of its sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jde_lightning.boxes import ltwh_to_xyxy
from jde_lightning.inference.diary import TrackDiary
from jde_lightning.inference.switch_evidence import decision, look_curves
from jde_lightning.inference.switch_page import SwitchView
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.switches import IdentitySwitch, Matches
from jde_lightning.plots.canvas import Picture
from jde_lightning.plots.colors import GRAY, Color
from jde_lightning.plots.svg import Run, Series, chart, timeline
from jde_lightning.plots.switches import NEW_TRACK, OLD_TRACK, SwitchFrame, draw_close_up, draw_whole_frame

_STRIP = 7
"""Pictures of the strip, beside those of the switch itself."""
_MARGIN = 5
"""Frames that the strip shows before and after, where the gap is short."""
_AROUND = 30
"""Frames before and after a switch that the chart of distances shows."""
_ZOOM = 1.7
"""Side of a close-up, in heights of the person."""
_UNMATCHED: Color = (222, 222, 222)
_OTHER_TRACKS: tuple[Color, ...] = ((120, 120, 120), (165, 165, 165))
_CLOSE_UP, _WHOLE, _IN_STRIP = 420, 420, 200
"""Sides of the pictures in pixels."""


@dataclass(frozen=True, slots=True)
class SwitchScene:
    """One class of one sequence, with all that is known about it.

    Attributes:
        sequence: its name.
        class_name: empty if there is one class only.
        gt: ground truth, by frame.
        result: tracker boxes, by frame.
        matches: which track followed which person.
        images: image files by frame number; may be empty.
        size: width and height of the frames in pixels.
        diary: what is known about the tracks, ``None`` if nothing.
    """

    sequence: str
    class_name: str
    gt: MOTRows
    result: MOTRows
    matches: Matches
    images: Mapping[int, Path]
    size: tuple[int, int]
    diary: TrackDiary | None


def fill_view(
    view: SwitchView, scene: SwitchScene, store: Callable[[str, Picture], str], load: Callable[[Path], Picture]
) -> None:
    """Draw what belongs to a switch.

    Args:
        view: of the switch; gets pictures, charts and table.
        scene: that the switch is in.
        store: takes the name of a picture (without suffix) and the picture, and returns its address for the page.
        load: reads an image file.
    """
    switch = view.switch
    side = _side(scene, switch)

    def save(kind: str, picture: Picture) -> str:
        return store(f"{view.number:04d}-{kind}", picture)

    for when, number in (("before", switch.frame_before), ("after", switch.frame)):
        frame = _frame(scene, switch, number, load)
        center = _center(scene, switch, number, side)
        close, whole = draw_close_up(frame, center, side, _CLOSE_UP), draw_whole_frame(frame, _WHOLE)
        view.close.append((save(f"{when}-close", close), f"{when}: frame {number}"))
        view.whole.append((save(f"{when}-whole", whole), f"whole frame {number}"))
    for number in _strip_frames(scene, switch):
        frame, center = _frame(scene, switch, number, load), _center(scene, switch, number, side)
        picture = draw_close_up(frame, center, side, _IN_STRIP, named=False)
        mark = {switch.frame_before: " (before)", switch.frame: " (after)"}.get(number, "")
        view.strip.append((save(f"strip-{number}", picture), f"{number}{mark}"))
    view.charts.append(_timeline(scene, switch))
    if not scene.images:
        view.notes.append("No images of this sequence were found: boxes are drawn on paper.")
    if scene.diary is None:
        view.notes.append("No track diary lies beside the result file: neither distances nor decisions are known.")
    else:
        _add_evidence(view, scene, scene.diary)


def _add_evidence(view: SwitchView, scene: SwitchScene, diary: TrackDiary) -> None:
    """Add what the diary tells: distances over time, and the pairs that the tracker considered."""
    switch = view.switch
    first, last = _shown_frames(scene, switch)
    curves = look_curves(switch, diary, scene.matches, first, last)
    if curves is None:
        view.notes.append("The diary has no embeddings of the old track: distances are not known.")
    else:
        series = [
            Series("other tracks", *curves.others, GRAY, joined=False),
            Series(f"track {switch.old_track}", *curves.old, OLD_TRACK),
            Series(f"track {switch.new_track}", *curves.new, NEW_TRACK),
        ]
        top = max(float(part.values.max(initial=0)) for part in series)
        label = f"cosine distance to track {switch.old_track} as it looked on this person before"
        view.charts.append(chart(series, first, last, (switch.frame_before, switch.frame), top, label))
    found = decision(switch, diary)
    if found is None:
        view.notes.append("The tracker did not explain itself: the deciding term is not known.")
        return
    assert diary.pairs is not None
    pairs = diary.pairs
    view.sentence = found.sentence
    terms = {name: values for name, values in pairs.terms.items() if not np.isnan(values[found.rows]).all()}
    view.header = ("frame", "track", "detection", "stage", *(name.replace("_", " ") for name in terms), "outcome")
    for row in found.rows:
        columns = (pairs.frames, pairs.track_ids, pairs.detection_indices, pairs.stage)
        cells = [str(int(column[row])) for column in columns]
        cells += ["" if np.isnan(values[row]) else f"{values[row]:.3g}" for values in terms.values()]
        view.rows.append(([*cells, pairs.outcome(row).replace("_", " ")], row == found.deciding))


def _at(rows: MOTRows, number: int) -> MOTRows:
    """The rows of a frame."""
    return rows[slice(*np.searchsorted(rows.frames, [number, number + 1]))]


def _box(rows: MOTRows, identity: int) -> npt.NDArray[np.float64] | None:
    """The 0-based xyxy box of an id among the rows of a frame, ``None`` if it has none."""
    found = _xyxy(rows[rows.ids == identity])
    return found[0] if len(found) else None


def _xyxy(rows: MOTRows) -> npt.NDArray[np.float64]:
    """Boxes as 0-based xyxy."""
    return ltwh_to_xyxy(rows.boxes_ltwh - [1, 1, 0, 0])


def _frame(scene: SwitchScene, switch: IdentitySwitch, number: int, load: Callable[[Path], Picture]) -> SwitchFrame:
    """All that can be drawn of a frame."""
    gt, result = _at(scene.gt, number), _at(scene.result, number)
    others = result[~np.isin(result.ids, (switch.old_track, switch.new_track))]
    return SwitchFrame(
        image=load(scene.images[number]) if number in scene.images else None,
        size=scene.size,
        person=_box(gt, switch.gt_id),
        old=_box(result, switch.old_track),
        new=_box(result, switch.new_track),
        others=_xyxy(others),
        other_ids=others.ids,
        names=(f"person {switch.gt_id}", f"track {switch.old_track}", f"track {switch.new_track}"),
    )


def _person(scene: SwitchScene, switch: IdentitySwitch) -> MOTRows:
    """The ground truth of the person, by frame."""
    return scene.gt[scene.gt.ids == switch.gt_id]


def _center(scene: SwitchScene, switch: IdentitySwitch, number: int, side: float) -> npt.NDArray[np.float64]:
    """Middle of the close-up: the person, or its way where it is not annotated; moved so as to stay in the frame."""
    person = _person(scene, switch)
    boxes = _xyxy(person)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    center = np.array([np.interp(number, person.frames, middle[:, axis]) for axis in (0, 1)])
    size = np.array(scene.size)
    return np.where(side < size, np.clip(center, side / 2, np.maximum(size - side / 2, side / 2)), size / 2)


def _side(scene: SwitchScene, switch: IdentitySwitch) -> float:
    """Side of all close-ups of a switch in pixels of the frame."""
    person = _person(scene, switch)
    sizes = person.boxes_ltwh[np.isin(person.frames, (switch.frame_before, switch.frame)), 2:]
    return _ZOOM * max(float(sizes.max()), 8.0)


def _strip_frames(scene: SwitchScene, switch: IdentitySwitch) -> list[int]:
    """Frames of the strip: evenly spread from a little before to a little after, both frames of the switch included."""
    person = _person(scene, switch).frames
    gap = switch.frame - switch.frame_before
    margin = max(_MARGIN, gap // 3)
    first = max(switch.frame_before - margin, int(person[0]))
    last = min(switch.frame + margin, int(person[-1]))
    spread = {int(n) for n in np.linspace(first, last, _STRIP).round()}
    return sorted(spread | {switch.frame_before, switch.frame})


def _shown_frames(scene: SwitchScene, switch: IdentitySwitch) -> tuple[int, int]:
    """First and last frame of the chart."""
    frames = scene.result.frames
    return max(switch.frame_before - _AROUND, int(frames[0])), min(switch.frame + _AROUND, int(frames[-1]))


def _timeline(scene: SwitchScene, switch: IdentitySwitch) -> str:
    """Which track followed the person, over all of its frames."""
    frames = _person(scene, switch).frames
    mine = scene.matches.gt_ids == switch.gt_id
    track_of = dict(zip(scene.matches.frames[mine].tolist(), scene.matches.track_ids[mine].tolist(), strict=True))
    tracks = np.array([track_of.get(number, -1) for number in frames.tolist()])
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(tracks) != 0) | (np.diff(frames) > 1)]))
    ends = np.concatenate([starts[1:], [len(frames)]]) - 1
    others = [
        track for track in dict.fromkeys(tracks.tolist()) if track not in (-1, switch.old_track, switch.new_track)
    ]
    color_of = {track: _OTHER_TRACKS[k % len(_OTHER_TRACKS)] for k, track in enumerate(others)}
    color_of |= {-1: _UNMATCHED, switch.old_track: OLD_TRACK, switch.new_track: NEW_TRACK}
    runs = [
        Run(int(frames[a]), int(frames[b]), color_of[track], "" if track < 0 else str(track))
        for a, b, track in zip(starts, ends, tracks[starts].tolist(), strict=True)
    ]
    label = f"who followed person {switch.gt_id} (light: nobody)"
    return timeline(runs, int(frames[0]), int(frames[-1]), (switch.frame,), label)
