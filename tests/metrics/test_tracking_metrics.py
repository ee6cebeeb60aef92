"""HOTA, CLEAR and identity metrics against TrackEval."""

import json

import numpy as np
import pytest
import torch
from trackeval_oracle import assert_equal_scores, perturbed, random_sequence, trackeval_results

from jde_lightning.metrics.mot_challenge import MOTRows, parse_results, read_ground_truth, read_results
from jde_lightning.metrics.scores import SCORE_NAMES, scores_from_counts, sequence_counts, summed
from jde_lightning.metrics.tracking import TrackingMetrics


def rows(*table, classes=1, marks=1.0):
    """Rows of (frame, id, left, top, width, height)."""
    array = np.array(table, np.float64).reshape(-1, 6)
    n = len(array)
    return MOTRows(
        array[:, 0].astype(int),
        array[:, 1].astype(int),
        array[:, 2:6],
        np.broadcast_to(np.asarray(marks, float), n).copy(),
        np.broadcast_to(np.asarray(classes), n).copy(),
        np.ones(n),
    )


def scores(gt, result, benchmark="mot17"):
    return scores_from_counts(sequence_counts(gt, result, benchmark))


def compare(trackeval, sequences, benchmark):
    theirs = trackeval_results(trackeval, sequences, benchmark)
    counts = {name: sequence_counts(*pair, benchmark) for name, pair in sequences.items()}
    for name, count in counts.items():
        assert_equal_scores(scores_from_counts(count), theirs[name])
    assert_equal_scores(scores_from_counts(summed(counts.values())), theirs[None])


@pytest.mark.parametrize("benchmark", ["mot15", "mot16", "mot17", "mot20", "none"])
def test_random_sequences_equal_trackeval(trackeval, benchmark):
    rng = np.random.default_rng(sum(map(ord, benchmark)))
    for round_number in range(60):
        max_objects = 25 if round_number % 10 == 0 else 8
        sequences = {f"S{number}": random_sequence(rng, max_objects) for number in range(2)}
        compare(trackeval, sequences, benchmark)


@pytest.mark.slow
def test_three_thousand_sequences_with_ties_equal_trackeval(trackeval):
    rng = np.random.default_rng(3000)
    for benchmark in ("mot15", "mot16", "mot17", "mot20", "none"):
        for start in range(0, 600, 20):
            compare(trackeval, {f"S{start + k}": random_sequence(rng, 10) for k in range(20)}, benchmark)


def test_every_frame_empty_on_one_side_equals_trackeval(trackeval):
    gt = rows((1, 1, 0, 0, 10, 10), (3, 1, 0, 0, 10, 10))
    result = rows((2, 5, 0, 0, 10, 10), (4, 5, 0, 0, 10, 10))
    nothing = rows()
    for pair in ((gt, result), (gt, nothing), (nothing, result), (nothing, nothing)):
        compare(trackeval, {"S": pair, "T": (gt, gt)}, "mot17")


@pytest.mark.parametrize("name", ["MOT17", "MOT20"])
def test_stored_numbers_of_original_trackeval(real_data, name):
    folder = real_data / "mot_eval_synthetic"
    expected = json.loads((folder / "expected_synthetic.json").read_text())[name]
    benchmark = name.lower()
    counts = {
        path.name: sequence_counts(
            read_ground_truth(path / "gt" / "gt.txt", benchmark),
            read_results(folder / "trackers" / "T" / "data" / f"{path.name}.txt"),
            benchmark,
        )
        for path in sorted((folder / "gt").iterdir())
    }
    ours = {name: scores_from_counts(count) for name, count in counts.items()}
    ours["COMBINED"] = scores_from_counts(summed(counts.values()))
    checked = 0
    for sequence, values in expected.items():
        for key in SCORE_NAMES:
            assert ours[sequence.removesuffix("_SEQ")][key] == pytest.approx(values[key], abs=1e-9), (sequence, key)
            checked += 1
    assert checked == 4 * len(SCORE_NAMES)


def test_known_numbers_of_tud(real_data):
    metrics = TrackingMetrics("mot15")
    pairs = {}
    for name in ("TUD-Campus", "TUD-Stadtmitte"):
        folder = real_data / "tud" / name
        pair = (read_ground_truth(folder / "gt" / "gt.txt", "mot15"), read_results(folder / "test.txt"))
        pairs[name] = scores(*pair, "mot15")
        metrics.update(*pair)
    combined = metrics.compute()
    # From motmetrics 1.4.0, a third implementation.
    assert pairs["TUD-Campus"]["IDF1"] == pytest.approx(0.557659, abs=1e-6)
    assert pairs["TUD-Campus"]["MOTA"] == pytest.approx(0.526462, abs=1e-6)
    assert [pairs["TUD-Campus"][key] for key in ("FP", "FN", "IDSW")] == [13, 150, 7]
    assert pairs["TUD-Stadtmitte"]["MOTA"] == pytest.approx(0.564014, abs=1e-6)
    assert combined["IDF1"] == pytest.approx(0.624296, abs=1e-6)
    assert combined["MOTA"] == pytest.approx(0.555116, abs=1e-6)
    assert combined["HOTA"] == pytest.approx(0.400, abs=5e-4)
    assert combined["IDSW"] == 14


def test_real_ground_truth_with_imperfect_tracker_equals_trackeval(trackeval, real_data):
    rng = np.random.default_rng(0)
    sequences = {}
    for folder in sorted((real_data / "mot17" / "gt_val_half").iterdir()):
        gt = read_ground_truth(folder / "gt" / "gt.txt", "mot17")
        sequences[folder.name] = (gt, perturbed(gt, rng))
    assert len(sequences) == 4
    compare(trackeval, sequences, "mot17")
    gt = read_ground_truth(real_data / "mot20" / "gt_val_half" / "MOT20-01" / "gt" / "gt.txt", "mot20")
    compare(trackeval, {"MOT20-01": (gt, perturbed(gt, rng))}, "mot20")


TWO_FRAMES = rows((1, 1, 0, 0, 10, 20), (2, 1, 1, 0, 10, 20))


@pytest.mark.parametrize(
    ("story", "gt", "result", "benchmark", "expected"),
    [
        ("the ground truth itself is perfect", TWO_FRAMES, TWO_FRAMES, "mot17", {"HOTA": 1, "MOTA": 1, "IDF1": 1}),
        (
            "an id switch leaves detection perfect",
            TWO_FRAMES,
            rows((1, 1, 0, 0, 10, 20), (2, 2, 1, 0, 10, 20)),
            "mot17",
            {"DetA": 1, "AssA": 0.5, "IDSW": 1, "MOTA": 0.5, "IDF1": 0.5, "Frag": 0},
        ),
        (
            "a box on a static person is removed",
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20), classes=[1, 7], marks=[1, 0]),
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20)),
            "mot17",
            {"MOTA": 1, "FP": 0},
        ),
        (
            "a box on a non-motorised vehicle counts as false positive in MOT17",
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20), classes=[1, 6], marks=[1, 0]),
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20)),
            "mot17",
            {"MOTA": 0, "FP": 1},
        ),
        (
            "and is removed in MOT20",
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20), classes=[1, 6], marks=[1, 0]),
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20)),
            "mot20",
            {"MOTA": 1, "FP": 0},
        ),
        (
            "without rules of a benchmark every class counts",
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20), classes=[1, 7]),
            rows((1, 1, 0, 0, 10, 20), (1, 2, 50, 0, 10, 20)),
            "none",
            {"MOTA": 1, "MT": 2},
        ),
        (
            "a gap of one frame is a fragment",
            rows(*[(frame, 1, 0, 0, 10, 20) for frame in (1, 2, 3)]),
            rows((1, 4, 0, 0, 10, 20), (2, 4, 500, 0, 10, 20), (3, 4, 0, 0, 10, 20)),
            "mot17",
            {"Frag": 1, "IDSW": 0, "PT": 1},
        ),
        (
            "a tracker that finds nothing loses all",
            TWO_FRAMES,
            rows(),
            "mot17",
            {"HOTA": 0, "FN": 2, "ML": 1, "LocA": 1},
        ),
        ("false alarms alone cost MOTA", rows(), TWO_FRAMES, "mot17", {"HOTA": 0, "FP": 2, "MOTA": -2, "IDF1": 0}),
        ("nothing at all is not NaN", rows(), rows(), "mot17", {"HOTA": 0, "MOTA": 0, "IDF1": 0, "LocA": 1}),
    ],
)
def test_stories(story, gt, result, benchmark, expected):
    values = scores(gt, result, benchmark)
    assert tuple(values) == SCORE_NAMES
    assert all(np.isfinite(value) for value in values.values())
    for name, value in expected.items():
        assert values[name] == pytest.approx(value), (story, name)


def test_order_of_frames_in_the_file_does_not_matter():
    rng = np.random.default_rng(3)
    gt, result = random_sequence(rng, 25)
    by_id = gt[np.lexsort((gt.frames, gt.ids))]
    by_id_in_frame = gt[np.lexsort((gt.ids, gt.frames))]
    assert scores(by_id, result) == scores(by_id_in_frame, result)


def test_metric_sums_over_updates_and_resets():
    rng = np.random.default_rng(1)
    sequences = [random_sequence(rng) for _ in range(4)]
    metric = TrackingMetrics()
    for pair in sequences:
        metric.update(*pair)
    expected = scores_from_counts(summed(sequence_counts(*pair) for pair in sequences))
    assert metric.compute() == expected
    assert all(state.dtype == torch.float64 for state in metric.metric_state.values())
    metric.reset()
    metric.update(*sequences[0])
    assert metric.compute() == scores(*sequences[0])


def test_counts_are_integers_and_the_rest_fractions():
    values = scores(TWO_FRAMES, parse_results("1,1,0,0,10,20,0.9,-1,-1,-1"))
    integers = {name for name, value in values.items() if isinstance(value, int)}
    assert integers == {"IDSW", "FP", "FN", "MT", "PT", "ML", "Frag"}


def test_unknown_benchmark_is_refused():
    with pytest.raises(ValueError, match="benchmark is 'mot19', expected one of mot15, mot16"):
        TrackingMetrics("mot19")
