"""What a track diary tells about an identity switch: how alike the tracks look, and which term decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jde_lightning.inference.diary import MATCHED, ConsideredPairs, TrackDiary
from jde_lightning.metrics.switches import IdentitySwitch, Matches

_REFERENCE_BOXES = 30
"""The old track's look is the mean of so many of its last boxes on the person."""
_MOST_ROWS = 12
_RIVALS = 4
"""Pairs of the old track that are shown in the frame of the switch, beside the deciding one."""

_OUTCOMES = {
    "outbid": "the cost was below the limit, but the assignment as a whole preferred other pairs",
    "over_limit": "the cost was not below the limit",
    "class": "the classes differ",
    "motion": "the detection lay outside the motion gate",
    "proximity": "the boxes overlapped too little for appearance to count",
    "appearance": "the looks differed too much (appearance threshold)",
    "look_gate": "the looks differed so much that the overlap did not count",
}
"""Sentences for the outcomes of this package's trackers; others are called by their names."""


class Curve(NamedTuple):
    """Cosine distances (0..2) of a track's boxes to the old track's look.

    Attributes:
        frames: ``(N,)`` frame numbers.
        distances: ``(N,)`` float64.
    """

    frames: npt.NDArray[np.integer]
    distances: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LookCurves:
    """How far tracks are from the old track's look, over the frames around a switch.

    Attributes:
        old: the old track.
        new: the new one.
        others: all other tracks together: how different other people look.
    """

    old: Curve
    new: Curve
    others: Curve


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tracker considered about a switch.

    Attributes:
        sentence: why the old track did not go on.
        rows: the rows of the diary's pairs that tell about it, by frame.
        deciding: which of them decided, ``None`` if none did.
    """

    sentence: str
    rows: list[int]
    deciding: int | None


def look_curves(
    switch: IdentitySwitch, diary: TrackDiary, matches: Matches, first: int, last: int
) -> LookCurves | None:
    """Compare tracks with the old track's look before the switch.

    Args:
        switch: the switch.
        diary: of the sequence.
        matches: of the sequence.
        first: the first frame to compare.
        last: the last one.

    Returns:
        Distances to the mean embedding of the old track's last boxes on the person; ``None`` if the diary has no
        embeddings of these.
    """
    if diary.embeddings is None:
        return None
    followed = matches.frames[(matches.gt_ids == switch.gt_id) & (matches.track_ids == switch.old_track)]
    is_old = diary.track_ids == switch.old_track
    before = is_old & (diary.frames <= switch.frame_before) & np.isin(diary.frames, followed)
    seen = np.flatnonzero(before & (diary.detections >= 0))[-_REFERENCE_BOXES:]
    if not len(seen):
        return None
    reference = diary.embeddings[seen].astype(np.float64).mean(0)
    reference /= max(float(np.linalg.norm(reference)), 1e-12)
    shown = (diary.frames >= first) & (diary.frames <= last) & (diary.detections >= 0)
    is_new = diary.track_ids == switch.new_track

    def curve(mask: npt.NDArray[np.bool_]) -> Curve:
        rows = np.flatnonzero(shown & mask)
        rows = rows[np.argsort(diary.frames[rows], kind="stable")]
        assert diary.embeddings is not None
        return Curve(diary.frames[rows], 1 - diary.embeddings[rows].astype(np.float64) @ reference)

    return LookCurves(curve(is_old), curve(is_new), curve(~is_old & ~is_new))


def decision(switch: IdentitySwitch, diary: TrackDiary) -> Decision | None:
    """Find what decided that the old track did not get the detection that the new one got.

    Args:
        switch: the switch.
        diary: of the sequence.

    Returns:
        The decision; ``None`` if the tracker did not explain itself.
    """
    pairs = diary.pairs
    if pairs is None:
        return None
    taken = _detection_of(diary, switch.frame, switch.new_track)
    here = np.flatnonzero(pairs.frames == switch.frame)
    of_old = here[pairs.track_ids[here] == switch.old_track]
    about = of_old[pairs.detection_indices[of_old] == taken]
    of_new = here[(pairs.track_ids[here] == switch.new_track) & (pairs.detection_indices[here] == taken)]
    deciding = int(about[np.argmax(pairs.stage[about])]) if len(about) else None
    # In a crowd a track is compared with dozens of detections; the cheapest tell most.
    cheapest = of_old[np.argsort(_cost(pairs)[of_old], kind="stable")[:_RIVALS]]
    got = [row for row in of_old.tolist() if pairs.outcome(row) == MATCHED]
    every = {*_on_the_way(switch, pairs), *cheapest.tolist(), *got, *about.tolist(), *of_new.tolist()}
    rows = sorted(every, key=lambda row: (int(pairs.frames[row]), row))
    shown = rows if len(rows) <= _MOST_ROWS else [rows[0], *rows[1 - _MOST_ROWS :]]
    return Decision(_sentence(switch, diary, pairs, taken, deciding), shown, deciding)


def _detection_of(diary: TrackDiary, frame: int, track: int) -> int:
    """Row of the detection that a track got in a frame, -1 if none."""
    row = np.flatnonzero((diary.frames == frame) & (diary.track_ids == track))
    return int(diary.detections[row[0]]) if len(row) else -1


def _on_the_way(switch: IdentitySwitch, pairs: ConsideredPairs) -> list[int]:
    """The old track's best pair in each frame from its last on the person to the switch."""
    mask = (pairs.track_ids == switch.old_track) & (pairs.frames >= switch.frame_before)
    rows = np.flatnonzero(mask & (pairs.frames < switch.frame))
    cost = _cost(pairs)[rows]
    matched = np.array([pairs.outcome(row) == MATCHED for row in rows.tolist()], np.bool_)
    order = np.lexsort((cost, ~matched, pairs.frames[rows]))
    _, first = np.unique(pairs.frames[rows][order], return_index=True)
    return rows[order][first].tolist()


def _cost(pairs: ConsideredPairs) -> npt.NDArray[np.floating]:
    """The cost of each pair; equal for all if the tracker does not name one."""
    return pairs.terms.get("cost", np.zeros(len(pairs)))


def _sentence(
    switch: IdentitySwitch, diary: TrackDiary, pairs: ConsideredPairs, taken: int, deciding: int | None
) -> str:
    """Say what decided, with the terms in numbers."""
    if deciding is not None:
        outcome = pairs.outcome(deciding)
        why = _OUTCOMES.get(outcome, f"the outcome was “{outcome.replace('_', ' ')}”")
        terms = ", ".join(
            f"{name.replace('_', ' ')} {values[deciding]:.3g}"
            for name, values in pairs.terms.items()
            if not np.isnan(values[deciding])
        )
        stage = f"stage {int(pairs.stage[deciding])}"
        return f"In frame {switch.frame}, {stage}, the old track was compared with this detection: {why} ({terms})."
    return f"In frame {switch.frame}, {_why_not_compared(switch, diary, pairs, taken)}.{_between(switch, pairs)}"


def _why_not_compared(switch: IdentitySwitch, diary: TrackDiary, pairs: ConsideredPairs, taken: int) -> str:
    """Say why the old track has no pair with the new one's detection, as far as the diary proves it."""
    if taken < 0:
        return "the new track has a box without a detection: there was none that the old track could have had"
    here = pairs.frames == switch.frame
    of_old = here & (pairs.track_ids == switch.old_track)
    of_taken = here & (pairs.detection_indices == taken)
    old_stages, taken_stages = (set(pairs.stage[mask].tolist()) for mask in (of_old, of_taken))
    unknown = f"no comparison with the new one's (number {taken}) was recorded"
    # A track can be matched and still have no box in the result file, if it was dropped as a duplicate.
    own = next((row for row in np.flatnonzero(of_old).tolist() if pairs.outcome(row) == MATCHED), None)
    if own is not None:
        stage, other = int(pairs.stage[own]), int(pairs.detection_indices[own])
        if taken_stages and stage < min(taken_stages):
            return (
                f"the old track was already matched in stage {stage} to another detection (number {other}) when the "
                f"new one's (number {taken}) was first compared with any track, in stage {min(taken_stages)}"
            )
        return f"the old track was matched in stage {stage} to another detection (number {other}); {unknown}"
    other = _detection_of(diary, switch.frame, switch.old_track)
    if other >= 0 and other != taken:
        return f"the old track was matched to another detection (number {other}); {unknown}"
    if not old_stages:
        considered = pairs.frames[(pairs.track_ids == switch.old_track) & (pairs.frames <= switch.frame)]
        last = int(considered.max(initial=-1))
        when = f"its last was in frame {last}" if last >= 0 else "it never had one"
        return (
            f"no comparison of the old track with any detection was recorded ({when}): it was gone, far from all, or "
            "took no part in the stages of those near it"
        )
    for stage in sorted(old_stages & taken_stages):
        # Both took part: the pair would be listed if their boxes overlapped (see the diary's format).
        rows = here & (pairs.stage == stage)
        if _is_known(pairs, "iou_distance", rows):
            gate = ", and outside the motion gate" if _is_known(pairs, "motion_distance", rows) else ""
            return (
                f"stage {stage}, the old track was not compared with the new one's detection (number {taken}): no "
                f"overlap{gate}"
            )
    stages = [f"those of the old track in this frame were in {_stages(old_stages)}"]
    if taken_stages:
        stages.append(f"those of this detection in {_stages(taken_stages)}")
    what = f"the old track with the new one's detection (number {taken})"
    return f"no comparison of {what} was recorded: {', '.join(stages)}"


def _is_known(pairs: ConsideredPairs, term: str, rows: npt.NDArray[np.bool_]) -> bool:
    """Whether some pairs have a term."""
    return term in pairs.terms and not bool(np.isnan(pairs.terms[term][rows]).all())


def _stages(numbers: set[int]) -> str:
    """Name stages."""
    return f"stage{'' if len(numbers) == 1 else 's'} {' and '.join(map(str, sorted(numbers)))}"


def _between(switch: IdentitySwitch, pairs: ConsideredPairs) -> str:
    """Tell in how many of the frames between the old track was matched, compared in vain, or not compared."""
    frames = switch.frame - switch.frame_before - 1
    rows = [row for row in _on_the_way(switch, pairs) if pairs.frames[row] > switch.frame_before]
    outcomes = Counter(pairs.outcome(row) for row in rows)
    if not outcomes:
        return ""
    matched = outcomes.pop(MATCHED, 0)
    parts = [f"matched to a detection in {matched}"] if matched else []
    if outcomes:
        names = ", ".join(f"“{name.replace('_', ' ')}” in {number}" for name, number in outcomes.most_common())
        parts.append(f"compared but not matched in {outcomes.total()} (outcome of its cheapest pair: {names})")
    if frames > len(rows):
        parts.append(f"without a recorded comparison in {frames - len(rows)}")
    return f" Of the {frames} frame{'' if frames == 1 else 's'} between, the old track was {'; '.join(parts)}."
