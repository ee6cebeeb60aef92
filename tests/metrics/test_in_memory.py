"""Evaluating what is in memory gives the numbers of the files."""

from pathlib import Path

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.metrics.in_memory import (
    format_results,
    ground_truth_from_annotations,
    result_rows,
    write_results,
)
from jde_lightning.metrics.mot_challenge import read_ground_truth, read_results
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts
from jde_lightning.structures import FrameAnnotations, Role, Tracks

COLUMNS = ("frames", "ids", "boxes_ltwh", "scores", "classes", "visibility")


def tracks(boxes, ids=None, scores=None):
    n = len(boxes)
    ids = np.arange(1, n + 1) if ids is None else ids
    return Tracks(boxes, ids, np.full(n, 0.5) if scores is None else scores, np.zeros(n), np.arange(n))


def annotations(frame, boxes, identities, roles):
    n = len(boxes)
    return FrameAnnotations(Path("a.jpg"), 100, 100, boxes, np.zeros(n), identities, roles, np.ones(n), "d", "s", frame)


def test_rows_are_one_based_with_two_decimals():
    text = format_results([1, 7], [Tracks.empty(), tracks([[0, 0.125, 10.5, 20]], [3], [0.98766])])
    assert text == "7,3,1.00,1.12,10.50,19.88,0.9877,-1,-1,-1\n"


def test_memory_and_file_agree_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    frames = list(range(1, 200))
    found = []
    for _ in frames:
        n = int(rng.integers(0, 9))
        corner = rng.normal(500, 700, (n, 2))
        # eighths of a pixel are halves of the last decimal: where ways of rounding differ
        boxes = np.round(np.concatenate([corner, corner + rng.uniform(0, 300, (n, 2))], axis=1) * 8) / 8
        found.append(tracks(boxes, rng.permutation(50)[:n] + 1, rng.random(n)))
    path = tmp_path / "new" / "SEQ.txt"
    write_results(path, frames, found)
    from_file, from_memory = read_results(path), result_rows(frames, found)
    assert len(from_file) == sum(map(len, found))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(from_file, name), getattr(from_memory, name), err_msg=name)
    assert [entry.name for entry in path.parent.iterdir()] == ["SEQ.txt"]


def test_no_tracks(tmp_path):
    assert len(result_rows([], [])) == 0
    assert len(result_rows([1, 2], [Tracks.empty(), Tracks.empty()])) == 0
    write_results(tmp_path / "S.txt", [1], [Tracks.empty()])
    assert (tmp_path / "S.txt").read_text() == ""


@pytest.mark.parametrize(
    ("found", "match"),
    [
        (tracks([[0, 0, 1, 1], [2, 2, 3, 3]], [4, 4]), "SEQ, line 2: id 4 occurs twice in frame 1"),
        (tracks([[0, 0, 1, 1]], [0]), "SEQ, line 1: id 0, expected ids from 1"),
        (tracks([[0, np.nan, 1, 1]]), "SEQ, line 1: 'nan' in column 4 is not a finite number"),
    ],
)
def test_tracks_that_no_file_may_hold(found, match):
    with pytest.raises(InputError, match=match):
        result_rows([1], [found], source="SEQ")


def test_roles_become_what_the_benchmark_does_with_them():
    boxes = [[0, 0, 10, 20], [50, 0, 60, 20], [80, 0, 90, 20]]
    gt = ground_truth_from_annotations([annotations(4, boxes, [7, -1, -1], [Role.POSITIVE, Role.IGNORE, Role.OTHER])])
    assert gt.frames.tolist() == [4, 4, 4]
    assert gt.boxes_ltwh.tolist() == [[1, 1, 10, 20], [51, 1, 10, 20], [81, 1, 10, 20]]
    assert gt.scores.tolist() == [1, 0, 0]
    assert len(set(gt.ids.tolist())) == 3
    values = scores_from_counts(sequence_counts(gt, result_rows([4], [tracks(boxes)]), "mot17"))
    assert (values["FP"], values["FN"], values["MOTA"]) == (1, 0, 0)  # only the box on OTHER counts against


def test_no_annotations():
    assert len(ground_truth_from_annotations([])) == 0
    empty = annotations(1, np.zeros((0, 4)), [], [])
    assert len(ground_truth_from_annotations([empty])) == 0


def test_positive_box_needs_an_identity():
    frames = [annotations(1, [], [], []), annotations(2, [[0, 0, 1, 1]], [-1], [Role.POSITIVE])]
    with pytest.raises(InputError, match="sequence s, frame 2: a positive box has no identity"):
        ground_truth_from_annotations(frames)


def test_identity_twice_in_a_frame():
    twice = [[0, 0, 1, 1], [5, 5, 9, 9], [7, 7, 9, 9]]
    frames = [annotations(6, twice, [3, 4, 3], [Role.POSITIVE] * 3)]
    with pytest.raises(InputError, match="sequence s, frame 6: identity 3 occurs 2 times"):
        ground_truth_from_annotations(frames)
    frames = [annotations(6, twice, [3, 4, 3], [Role.POSITIVE, Role.POSITIVE, Role.IGNORE])]
    assert len(ground_truth_from_annotations(frames)) == 3


def as_annotations(gt, benchmark):
    """What a reader makes of a gt.txt: float32, 0-based, roles by the benchmark's rules."""
    distractors = (2, 7, 8, 12, 6) if benchmark == "mot20" else (2, 7, 8, 12)
    evaluated = (gt.scores != 0) & ((gt.classes == 1) | (benchmark == "mot15"))
    ignored = np.isin(gt.classes, distractors)
    roles = np.where(evaluated, Role.POSITIVE, np.where(ignored, Role.IGNORE, Role.OTHER))
    left_top = gt.boxes_ltwh[:, :2] - 1
    boxes = np.concatenate([left_top, left_top + gt.boxes_ltwh[:, 2:]], axis=1).astype(np.float32)
    return [
        annotations(int(frame), boxes[mask], gt.ids[mask], roles[mask])
        for frame in np.unique(gt.frames)
        for mask in (gt.frames == frame,)
    ]


@pytest.mark.parametrize(
    ("path", "benchmark"),
    [
        ("mot17/gt/MOT17-09-FRCNN/gt/gt.txt", "mot17"),
        ("mot20/gt_val_half/MOT20-01/gt/gt.txt", "mot20"),
        ("tud/TUD-Stadtmitte/gt/gt.txt", "mot15"),  # boxes with three decimals
    ],
)
def test_annotations_and_file_give_exactly_the_same_scores(real_data, path, benchmark):
    gt = read_ground_truth(real_data / path, benchmark)
    from_memory = ground_truth_from_annotations(as_annotations(gt, benchmark))
    rng = np.random.default_rng(0)
    numbers = np.unique(gt.frames)
    found = []
    for frame in numbers:
        part = gt[gt.frames == frame]
        corner = part.boxes_ltwh[:, :2] + rng.normal(0, 4, (len(part), 2))
        found.append(tracks(np.concatenate([corner, corner + part.boxes_ltwh[:, 2:]], axis=1), part.ids + 1))
    result = result_rows(numbers.tolist(), found)
    assert len(from_memory) == len(gt)
    assert sequence_counts(gt, result, benchmark)["clear_tp"] > 100
    assert scores_from_counts(sequence_counts(gt, result, benchmark)) == scores_from_counts(
        sequence_counts(from_memory, result, benchmark)
    )
