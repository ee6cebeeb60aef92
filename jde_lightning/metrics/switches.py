"""Where identities switched: every switch that CLEAR counts, with what became of the two tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from jde_lightning.metrics.clear import clear_matches, switches_after
from jde_lightning.metrics.matching import Ints, sequence_pairs
from jde_lightning.metrics.mot_challenge import MOTRows
from jde_lightning.metrics.sequences import Benchmark

SwitchKind = Literal["swap", "takeover", "return", "restart", "duplicate"]

KINDS: dict[SwitchKind, str] = {
    "swap": "two people exchanged their tracks",
    "takeover": "the new track came from another person",
    "return": "the new track had followed this person before",
    "restart": "the new track began after the old one had lost the person",
    "duplicate": "the new track ran beside the old one already",
}
"""Every kind of switch, and what it means; of several that apply, the first is named."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Which track followed which person in which frame, as CLEAR matches them; by person, then by frame.

    Attributes:
        frames: ``(K,)`` frame numbers of the sequence.
        gt_ids: ``(K,)`` ids of the ground-truth file.
        track_ids: ``(K,)`` ids of the result file.
    """

    frames: Ints
    gt_ids: Ints
    track_ids: Ints

    def __len__(self) -> int:
        """Number of matches: CLEAR's true positives."""
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class IdentitySwitch:
    """One identity switch.

    Attributes:
        gt_id: the person, by its id of the ground-truth file.
        frame_before: the last frame in which the old track was matched to the person.
        frame: the first frame in which the new track is.
        old_track: the old track's id of the result file.
        new_track: the new track's.
        kind: see :data:`KINDS`.
        old_goes_to: whom the old track follows next, and from which frame on; ``None`` if nobody.
        old_last_frame: the last frame that the old track has a box in.
        new_comes_from: whom the new track followed last, and until which frame; ``None`` if nobody.
        new_first_frame: the first frame that the new track has a box in.
    """

    gt_id: int
    frame_before: int
    frame: int
    old_track: int
    new_track: int
    kind: SwitchKind
    old_goes_to: tuple[int, int] | None
    old_last_frame: int
    new_comes_from: tuple[int, int] | None
    new_first_frame: int


def identity_switches(
    gt: MOTRows, result: MOTRows, benchmark: Benchmark = "mot17"
) -> tuple[list[IdentitySwitch], Matches]:
    """Find the identity switches of a sequence; there are as many as CLEAR's ``IDSW``.

    Args:
        gt: ground truth of the sequence.
        result: tracker boxes of the sequence.
        benchmark: whose rules hold, see :func:`jde_lightning.metrics.matching.sequence_pairs`.

    Returns:
        The switches by frame, and all matches of the sequence.
    """
    pairs = sequence_pairs(gt, result, benchmark)
    matched = clear_matches(pairs)
    matches = Matches(
        frames=pairs.frame_numbers[pairs.frames[matched]],
        gt_ids=pairs.gt_labels[pairs.pair_gt_ids[matched]],
        track_ids=pairs.tracker_labels[pairs.pair_tracker_ids[matched]],
    )
    positions = np.flatnonzero(switches_after(matches.gt_ids, matches.track_ids))
    switches = [_describe(int(position), matches, result) for position in positions]
    return sorted(switches, key=lambda switch: (switch.frame, switch.gt_id)), matches


def _describe(position: int, matches: Matches, result: MOTRows) -> IdentitySwitch:
    """Tell the switch between a match and the next one of the same identity."""
    person = int(matches.gt_ids[position])
    before, after = (int(matches.frames[k]) for k in (position, position + 1))
    old, new = (int(matches.track_ids[k]) for k in (position, position + 1))
    of_old, of_new = (np.sort(result.frames[result.ids == track]) for track in (old, new))
    follows = _nearest(matches, old, matches.frames > before, earliest=True)
    followed = _nearest(matches, new, matches.frames < after, earliest=False)
    if followed is not None and followed[0] != person:
        # An exchange is one event: the old track must move to the other person at about the time of this switch.
        at_once = follows is not None and follows[0] == followed[0] and follows[1] <= 2 * after - before
        kind: SwitchKind = "swap" if at_once else "takeover"
    elif followed is not None:
        kind = "return"
    else:
        kind = "restart" if of_new[0] > before else "duplicate"
    return IdentitySwitch(
        gt_id=person,
        frame_before=before,
        frame=after,
        old_track=old,
        new_track=new,
        kind=kind,
        old_goes_to=follows,
        old_last_frame=int(of_old[-1]),
        new_comes_from=followed,
        new_first_frame=int(of_new[0]),
    )


def _nearest(matches: Matches, track: int, during: npt.NDArray[np.bool_], *, earliest: bool) -> tuple[int, int] | None:
    """Person and frame of the earliest or latest match of a track within some frames, ``None`` if it has none."""
    positions = np.flatnonzero((matches.track_ids == track) & during)
    if not len(positions):
        return None
    frames = matches.frames[positions]
    position = positions[np.argmin(frames) if earliest else np.argmax(frames)]
    return int(matches.gt_ids[position]), int(matches.frames[position])
