"""Why the old track of an identity switch did not get the detection: only what the diary proves."""

from dataclasses import replace

import numpy as np
import pytest

from jde_lightning.inference.diary import ConsideredPairs, DiaryWriter, TrackDiary
from jde_lightning.inference.switch_evidence import decision
from jde_lightning.metrics.switches import IdentitySwitch
from jde_lightning.structures import Detections
from jde_lightning.tracking.explain import Decision
from jde_lightning.tracking.yolo11_jde import YOLO11JDETracker

NAMES = ("matched", "outbid", "over_limit")
MATCHED, OUTBID, OVER = range(3)
OLD, NEW, OTHER, TAKEN = 3, 9, 5, 7
SWITCH = IdentitySwitch(4, 10, 14, OLD, NEW, "takeover", None, 10, None, 14)
NO_OVERLAP = "no overlap"


def diary_of(rows, taken=TAKEN, own=None):
    """Rows: frame, stage, track, detection, IoU distance, motion distance, outcome."""
    table = np.array(rows, float).reshape(-1, 7)
    frames, stage, tracks, detections, iou, motion, outcome = table.T
    terms = {"iou_distance": iou, "motion_distance": motion, "cost": iou}
    pairs = ConsideredPairs(
        *(part.astype(int) for part in (frames, tracks, detections, stage, outcome)), decision_names=NAMES, terms=terms
    )
    boxes = [(14, NEW, taken)] + ([] if own is None else [(14, OLD, own)])
    return TrackDiary(*np.array(boxes).T, pairs=pairs)


def sentence_of(rows, **given):
    found = decision(SWITCH, diary_of(rows, **given))
    assert found.deciding is None
    return found.sentence


NAN = np.nan
NEW_FIRST = (14, 1, NEW, TAKEN, 0.2, 3.0, MATCHED)
NEW_SECOND = (14, 2, NEW, TAKEN, 0.2, NAN, MATCHED)


@pytest.mark.parametrize("own", [4, None])
def test_matched_in_an_earlier_stage(own):
    said = sentence_of([(14, 1, OLD, 4, 0.3, 2.0, MATCHED), NEW_SECOND], own=own)
    assert said == (
        "In frame 14, the old track was already matched in stage 1 to another detection (number 4) when the new one's "
        "(number 7) was first compared with any track, in stage 2."
    )


@pytest.mark.parametrize("rest", [[NEW_FIRST], []])
def test_matched_elsewhere_without_order(rest):
    said = sentence_of([(14, 1, OLD, 4, 0.3, 2.0, MATCHED), *rest])
    assert said == (
        "In frame 14, the old track was matched in stage 1 to another detection (number 4); no comparison with the new "
        "one's (number 7) was recorded."
    )


def test_match_that_only_the_boxes_tell():
    said = sentence_of([NEW_FIRST], own=4)
    assert "the old track was matched to another detection (number 4); no comparison with" in said


def test_no_overlap_only_where_both_took_part_in_a_stage():
    rival = (14, 1, OLD, 4, 0.9, 8.0, OVER)
    expected = (
        "In frame 14, stage 1, the old track was not compared with the new one's detection (number 7): no overlap"
    )
    assert sentence_of([rival, NEW_FIRST]) == f"{expected}, and outside the motion gate."
    without_motion = [(*row[:5], NAN, row[6]) for row in (rival, NEW_FIRST)]
    assert sentence_of(without_motion) == f"{expected}."
    # The detection was compared in that stage, even if it was matched in a later one.
    assert NO_OVERLAP in sentence_of([rival, (14, 1, OTHER, TAKEN, 0.9, 8.0, OVER), NEW_SECOND])


def test_unknown_is_said_to_be_unknown():
    rival = (14, 1, OLD, 4, 0.9, 8.0, OVER)
    what = "In frame 14, no comparison of the old track with the new one's detection (number 7) was recorded: "
    old = "those of the old track in this frame were in stage 1"
    assert sentence_of([rival, NEW_SECOND]) == f"{what}{old}, those of this detection in stage 2."
    assert sentence_of([rival]) == f"{what}{old}."
    diary = diary_of([rival, NEW_FIRST])  # a tracker that does not look at overlap says nothing about it
    diary = replace(diary, pairs=replace(diary.pairs, terms={"cost": diary.pairs.terms["cost"]}))
    assert NO_OVERLAP not in decision(SWITCH, diary).sentence


def test_no_comparison_at_all_and_no_detection():
    said = sentence_of([(10, 1, OLD, 0, 0.1, 1.0, MATCHED), NEW_FIRST])
    assert "no comparison of the old track with any detection was recorded (its last was in frame 10)" in said
    assert "the new track has a box without a detection" in sentence_of([NEW_FIRST], taken=-1)


def test_frames_between():
    matched, over = (11, 1, OLD, 2, 0.3, 1.0, MATCHED), (12, 1, OLD, 2, 0.8, 1.0, OVER)
    assert sentence_of([matched, over, NEW_FIRST]).endswith(
        " Of the 3 frames between, the old track was matched to a detection in 1; compared but not matched in "
        "1 (outcome of its cheapest pair: “over limit” in 1); without a recorded comparison in 1."
    )


def test_the_match_of_the_old_track_is_among_the_rows():
    cheaper = [(14, 1, OLD, k, 0.1, 1.0, OUTBID) for k in range(4)]
    rows = [*cheaper, (14, 1, OLD, 4, 0.5, 2.0, MATCHED), NEW_SECOND]
    assert decision(SWITCH, diary_of(rows)).rows == [0, 1, 2, 3, 4, 5]


def test_tracker_takes_the_track_in_stage_1_before_a_weak_detection_that_overlaps():
    """Two tracks close together; the strong detection goes to the old one, the weak one to the other, in stage 2."""
    tracker = YOLO11JDETracker(appearance=False, explain=True, track_high_thresh=0.5, second_match_thresh=0.9)
    writer = DiaryWriter([part.name.lower() for part in Decision])
    first, second = [0, 0, 40, 100], [16, 0, 56, 100]  # their IoU is 0.43
    for frame, scores in ((1, [0.9, 0.9]), (2, [0.9, 0.3])):
        seen = Detections([first, second], scores, None)
        tracks = tracker.update(seen)
        writer.add(frame, tracks, seen, tracker.explanations)
    old, new = tracks.ids[np.argsort(tracks.detection_indices)].tolist()
    switch = IdentitySwitch(4, 1, 2, old, new, "swap", None, 2, None, 1)
    assert decision(switch, writer.diary()).sentence == (
        "In frame 2, the old track was already matched in stage 1 to another detection (number 0) when the new one's "
        "(number 1) was first compared with any track, in stage 2."
    )
