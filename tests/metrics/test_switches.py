"""Identity switches: as many as CLEAR counts, in the right places, and told apart."""

import itertools

import numpy as np
import pytest
from trackeval_oracle import in_memory_dataset, perturbed, preprocessed, random_sequence, raw_data

from jde_lightning.metrics.mot_challenge import MOTRows, read_ground_truth
from jde_lightning.metrics.scores import scores_from_counts, sequence_counts
from jde_lightning.metrics.switches import KINDS, identity_switches


def rows(table):
    array = np.array(table, np.float64).reshape(-1, 3)
    n = len(array)
    boxes = np.column_stack([100 * array[:, 2], np.zeros(n), np.full(n, 40), np.full(n, 80)])
    return MOTRows(array[:, 0].astype(int), array[:, 1].astype(int), boxes, np.ones(n), np.ones(n, int), np.ones(n))


def of_people(*places, first=1):
    """Rows (frame, id, place) of people who stand in their places for ten frames."""
    return rows([(frame, place, place) for place in places for frame in range(first, first + 10)])


def test_number_equals_trackeval_on_random_sequences(trackeval):
    clear = trackeval.metrics.CLEAR({"PRINT_CONFIG": False})
    dataset = in_memory_dataset(trackeval, "mot17")
    rng = np.random.default_rng(11)
    total = 0
    for _ in range(150):
        gt, result = random_sequence(rng, 12)
        switches, matches = identity_switches(gt, result)
        expected = clear.eval_sequence(preprocessed(dataset, raw_data("S", gt, result)))
        assert len(switches) == expected["IDSW"]
        assert len(matches) == expected["CLR_TP"]
        total += len(switches)
    assert total > 100


def test_places_are_those_of_a_plain_loop():
    rng = np.random.default_rng(4)
    for _ in range(50):
        gt, result = random_sequence(rng, 12)
        switches, matches = identity_switches(gt, result)
        expected = set()
        for person in set(matches.gt_ids.tolist()):
            mine = matches.gt_ids == person
            history = sorted(zip(matches.frames[mine].tolist(), matches.track_ids[mine].tolist(), strict=True))
            for (before, old), (after, new) in itertools.pairwise(history):
                if old != new:
                    expected.add((person, before, after, old, new))
        assert {(s.gt_id, s.frame_before, s.frame, s.old_track, s.new_track) for s in switches} == expected
        assert [s.frame for s in switches] == sorted(s.frame for s in switches)
        # the ids and frames are those of the files: the boxes of a match overlap
        for frame, person, track in zip(matches.frames, matches.gt_ids, matches.track_ids, strict=True):
            assert ((gt.frames == frame) & (gt.ids == person)).sum() == 1
            assert ((result.frames == frame) & (result.ids == track)).sum() == 1


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        (
            "restart",
            [*[(f, 5, 1) for f in (1, 2, 3)], *[(f, 8, 1) for f in (6, 7, 8, 9, 10)]],
            (1, 3, 6, 5, 8, None, 3, None, 6),
        ),
        (
            "duplicate",  # track 8 stands beside the person, as a false alarm, before it takes it over
            [*[(f, 5, 1) for f in (1, 2, 3)], (2, 8, 7), (3, 8, 7), *[(f, 8, 1) for f in range(4, 11)]],
            (1, 3, 4, 5, 8, None, 3, None, 2),
        ),
        (
            "takeover",  # track 8 leaves person 2, whom nobody follows any more
            [*[(f, 5, 1) for f in (1, 2, 3)], *[(f, 8, 2) for f in (1, 2, 3)], *[(f, 8, 1) for f in range(4, 11)]],
            (1, 3, 4, 5, 8, None, 3, (2, 3), 1),
        ),
    ],
)
def test_kinds(kind, result, expected):
    (switch,), _ = identity_switches(of_people(1, 2), rows(result))
    assert switch.kind == kind
    assert kind in KINDS
    s = switch
    found = (s.gt_id, s.frame_before, s.frame, s.old_track, s.new_track)
    assert (*found, s.old_goes_to, s.old_last_frame, s.new_comes_from, s.new_first_frame) == expected


def test_swap_and_return():
    crossing = [(f, 5, 1 if f < 6 else 2) for f in range(1, 11)] + [(f, 8, 2 if f < 6 else 1) for f in range(1, 11)]
    switches, _ = identity_switches(of_people(1, 2), rows(crossing))
    assert [(s.gt_id, s.kind, s.old_goes_to, s.new_comes_from) for s in switches] == [
        (1, "swap", (2, 6), (2, 5)),
        (2, "swap", (1, 6), (1, 5)),
    ]
    there_and_back = [(f, 5, 1) for f in (1, 2, 6, 7, 8)] + [(f, 8, 1) for f in (3, 4, 5)]
    switches, _ = identity_switches(of_people(1), rows(there_and_back))
    assert [(s.frame, s.kind, s.new_comes_from) for s in switches] == [(3, "restart", None), (6, "return", (1, 2))]
    assert switches[0].old_goes_to == (1, 6)


def test_nothing_to_find():
    nothing = rows([])
    for gt, result in ((nothing, nothing), (of_people(1), nothing), (nothing, of_people(1)), (of_people(1),) * 2):
        assert identity_switches(gt, result)[0] == []


def test_number_equals_idsw_on_real_ground_truth(real_data):
    gt = read_ground_truth(real_data / "mot17" / "gt" / "MOT17-09-FRCNN" / "gt" / "gt.txt")
    result = perturbed(gt, np.random.default_rng(0))
    switches, matches = identity_switches(gt, result)
    scores = scores_from_counts(sequence_counts(gt, result))
    assert len(switches) == scores["IDSW"] > 50
    assert len(matches) == (gt.classes == 1).sum() - scores["FN"]
