"""Several classes: each on its own and combined as TrackEval combines them, from memory and from files."""

import json
from pathlib import Path

import numpy as np
import pytest
from trackeval_oracle import assert_equal_scores, random_sequence, trackeval_classes

from jde_lightning.cli import main
from jde_lightning.errors import InputError, UsageError
from jde_lightning.metrics.classes import named_classes
from jde_lightning.metrics.folders import evaluate_folder
from jde_lightning.metrics.in_memory import ground_truth_from_annotations, result_rows, write_results
from jde_lightning.metrics.mot_challenge import MOTRows, read_ground_truth, read_results
from jde_lightning.metrics.tracking import MultiClassTrackingMetrics, TrackingMetrics
from jde_lightning.structures import FrameAnnotations, Role, Tracks

CLASSES = {"person": 1, "car": 2, "dog": 7}


def with_classes(rows, rng, stick=1.0):
    """The same rows, each identity of one class, which a box has with probability ``stick``."""
    numbers = np.array(list(CLASSES.values()))
    classes = numbers[rows.ids % 3]
    other = rng.random(len(rows)) > stick
    classes[other] = rng.choice(numbers, other.sum())
    return MOTRows(rows.frames, rows.ids, rows.boxes_ltwh, rows.scores, classes, rows.visibility)


def sequences_of_classes(seed, count=3):
    rng = np.random.default_rng(seed)
    pairs = [random_sequence(rng, 10) for _ in range(count)]
    return {f"S{k}": (with_classes(gt, rng), with_classes(result, rng, 0.9)) for k, (gt, result) in enumerate(pairs)}


def save(folder, sequences):
    for name, (gt, result) in sequences.items():
        for path, rows in ((folder / "gt" / name / "gt" / "gt.txt", gt), (folder / "results" / f"{name}.txt", result)):
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = zip(rows.frames, rows.ids, rows.boxes_ltwh.tolist(), rows.scores, rows.classes, strict=True)
            lines = [f"{f},{i},{','.join(map(repr, b))},{s},{c},1\n" for f, i, b, s, c in columns]
            path.write_text("".join(lines))
        (folder / "gt" / name / "seqinfo.ini").write_text("[Sequence]\nseqLength=20\n")


@pytest.mark.parametrize("seed", range(10))
def test_classes_and_both_combinations_equal_trackeval(trackeval, tmp_path, seed):
    sequences = sequences_of_classes(seed)
    theirs = trackeval_classes(trackeval, sequences, CLASSES.values())
    metrics = MultiClassTrackingMetrics(CLASSES)
    for pair in sequences.values():
        metrics.update(*pair)
    save(tmp_path, sequences)
    from_files = evaluate_folder(tmp_path / "gt", tmp_path / "results", "none", classes=CLASSES)
    from_memory = metrics.compute()
    assert from_memory["classes"] == {name: part["combined"] for name, part in from_files["classes"].items()}
    for scores in (from_files, from_memory):
        assert_equal_scores(scores["combined"], theirs["det_av"])
        assert_equal_scores(scores["class_averaged"], theirs["cls_av"])
        for name, number in CLASSES.items():
            assert_equal_scores(from_memory["classes"][name], theirs[number])
    assert list(from_files["sequences"]) == list(sequences)


def test_one_class_of_several_equals_an_evaluation_of_that_class(tmp_path):
    sequences = sequences_of_classes(3, count=2)
    save(tmp_path, sequences)
    together = evaluate_folder(tmp_path / "gt", tmp_path / "results", "none", classes=CLASSES)
    for name, number in CLASSES.items():
        metrics = {key: TrackingMetrics("none") for key in (*sequences, None)}
        for key, (gt, result) in sequences.items():
            for target in (key, None):
                metrics[target].update(gt[gt.classes == number], result[result.classes == number])
        expected = {key: metric.compute() for key, metric in metrics.items()}
        assert together["classes"][name]["combined"] == expected.pop(None)
        assert together["classes"][name]["sequences"] == expected


def test_a_box_of_the_wrong_class_finds_nobody(tmp_path):
    gt = read_ground_truth(write(tmp_path / "gt.txt", "1,1,0,0,10,20,1,1,1\n1,2,50,0,10,20,1,2,1\n"), "none")
    result = read_results(write(tmp_path / "r.txt", "1,1,0,0,10,20,1,1\n1,2,50,0,10,20,1,1\n"), classes=[1, 2])
    metrics = MultiClassTrackingMetrics({"person": 1, "car": 2})
    metrics.update(gt, result)
    scores = metrics.compute()
    assert [scores["classes"][name]["MOTA"] for name in ("person", "car")] == [0, 0]
    assert (scores["combined"]["FP"], scores["combined"]["FN"]) == (1, 1)
    assert scores["class_averaged"]["IDF1"] == pytest.approx((2 / 3 + 0) / 2)
    metrics.reset()
    metrics.update(gt, gt)
    assert metrics.compute()["combined"]["HOTA"] == 1


def test_class_without_boxes_counts_as_in_trackeval(trackeval):
    gt, result = sequences_of_classes(0, count=1)["S0"]
    sequences = {"S": (gt[gt.classes != 7], result[result.classes != 7])}
    theirs = trackeval_classes(trackeval, sequences, CLASSES.values())
    metrics = MultiClassTrackingMetrics(CLASSES)
    metrics.update(*sequences["S"])
    assert_equal_scores(metrics.compute()["class_averaged"], theirs["cls_av"])


def write(path, text):
    path.write_text(text)
    return path


def test_unknown_classes_name_file_and_line(tmp_path):
    path = write(tmp_path / "gt.txt", "1,1,1,1,5,5,1,1,1\n1,2,1,1,5,5,0,9,1\n1,3,1,1,5,5,1,4,1\n")
    with pytest.raises(InputError, match=r"gt\.txt, line 3: class 4 in column 8, expected one of 1, 2; give all cl"):
        read_ground_truth(path, "none", classes=[2, 1])
    assert len(read_ground_truth(path, "none", classes=[1, 4])) == 3  # what has a zero mark may be of any class
    path = write(tmp_path / "r.txt", "1,1,1,1,5,5,1,2,-1,-1\n\n1,2,1,1,5,5,1,-1,-1,-1\n")
    with pytest.raises(InputError, match=r"r\.txt, line 3: class -1 in column 8, expected one of 1, 2"):
        read_results(path, classes=[1, 2])
    with pytest.raises(InputError, match=r"line 1: class -1 in column 8"):
        read_results(write(path, "1,1,1,1,5,5,1\n"), classes=[1, 2])
    with pytest.raises(InputError, match=r"line 1: class 1.5 is not an integer"):
        read_results(write(path, "1,1,1,1,5,5,1,1.5\n"), classes=[1, 2])
    with pytest.raises(InputError, match=r"line 1: class 2 in column 8, expected -1 or 1 .*; --classes evaluates"):
        read_results(write(path, "1,1,1,1,5,5,1,2\n"))


def test_names_and_numbers():
    assert named_classes(None, None) is None
    assert named_classes(None, ["person", "car"]) == {"person": 1, "car": 2}
    assert named_classes([3, 1], None) == {"3": 3, "1": 1}
    assert named_classes([3, 1], ["person", "car"]) == {"person": 3, "car": 1}
    with pytest.raises(UsageError, match="--class-names has 1 names, but --classes 2 numbers"):
        named_classes([1, 2], ["person"])
    with pytest.raises(UsageError, match="--classes: 1 is given twice"):
        named_classes([1, 2, 1], None)
    with pytest.raises(UsageError, match="--class-names: car is given twice"):
        named_classes(None, ["car", "car"])
    with pytest.raises(ValueError, match="classes is empty"):
        MultiClassTrackingMetrics({})


def tracks(labels):
    n = len(labels)
    left = 100.0 * np.arange(n)
    boxes = np.stack([left, np.zeros(n), left + 10.123, np.full(n, 20.456)], axis=1)
    return Tracks(boxes, np.arange(1, n + 1), np.full(n, 0.5), labels, np.arange(n))


def test_rows_have_the_class_only_where_there_are_several(tmp_path):
    found = [tracks([0, 2]), Tracks.empty()]
    write_results(tmp_path / "S.txt", [1, 2], found, num_classes=3)
    lines = (tmp_path / "S.txt").read_text().splitlines()
    assert lines[1] == "1,2,101.00,1.00,10.12,20.46,0.5000,3,-1,-1"
    from_file, from_memory = read_results(tmp_path / "S.txt", classes=[1, 2, 3]), result_rows([1, 2], found, "S", 3)
    assert from_file.classes.tolist() == from_memory.classes.tolist() == [1, 3]
    np.testing.assert_array_equal(from_file.boxes_ltwh, from_memory.boxes_ltwh)
    write_results(tmp_path / "S.txt", [1, 2], found)
    assert [line[-9:] for line in (tmp_path / "S.txt").read_text().splitlines()] == [",-1,-1,-1"] * 2
    with pytest.raises(InputError, match=r"frame 1: labels \[0, 2\], expected 0 to 1"):
        result_rows([1], [tracks([0, 2])], num_classes=2)


def test_annotations_in_memory_keep_their_class():
    boxes = tracks([0, 0, 0]).boxes
    roles = [Role.POSITIVE, Role.POSITIVE, Role.IGNORE]
    frame = FrameAnnotations(Path("a.jpg"), 400, 100, boxes, [1, 0, 0], [5, 6, -1], roles, np.ones(3), "d", "s", 1)
    gt = ground_truth_from_annotations([frame], num_classes=2)
    assert gt.classes.tolist() == [2, 1, 8]
    assert gt.scores.tolist() == [1, 1, 0]
    assert ground_truth_from_annotations([frame]).classes.tolist() == [1, 1, 8]
    metrics = MultiClassTrackingMetrics({"person": 1, "car": 2})
    metrics.update(gt, result_rows([1], [tracks([1, 0])], num_classes=2))
    assert metrics.compute()["class_averaged"]["MOTA"] == 1


def test_command_line(tmp_path, capsys):
    save(tmp_path, sequences_of_classes(1, count=2))
    common = ["evaluate", "--gt", str(tmp_path / "gt"), "--results", str(tmp_path / "results")]
    chosen = ["--classes", "1", "2", "7", "--class-names", *CLASSES]
    assert main([*common, *chosen]) == 2
    assert "--classes needs --benchmark none: the rules of MOT17 know pedestrians only" in capsys.readouterr().err
    path = tmp_path / "scores.json"
    assert main([*common, *chosen, "--benchmark", "none", "--json", str(path)]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    scores = json.loads(path.read_text())
    assert list(scores) == ["combined", "sequences", "class_averaged", "classes"]
    assert [line[0] for line in table[2:5]] == list(scores["classes"]) == list(CLASSES)
    assert [" ".join(line[:2]) for line in table[6:8]] == ["CLASS AVERAGE", "BOX AVERAGE"]
    assert table[3][1] == f"{100 * scores['classes']['car']['combined']['HOTA']:.2f}"
    assert table[6][2] == f"{100 * scores['class_averaged']['HOTA']:.2f}"
    assert table[7][2] == f"{100 * scores['combined']['HOTA']:.2f}"
    assert main([*common, "--benchmark", "none", "--class-names", "person", "car"]) == 1
    assert "class 7 in column 8, expected one of 1, 2" in capsys.readouterr().err


def test_states_of_processes_add_up(monkeypatch):
    sequences = list(sequences_of_classes(2, count=2).values())
    parts = [MultiClassTrackingMetrics(CLASSES) for _ in sequences]
    whole = MultiClassTrackingMetrics(CLASSES)
    for part, pair in zip(parts, sequences, strict=True):
        part.update(*pair)
        whole.update(*pair)
    states = [{name: state.numpy() for name, state in part.metric_state.items()} for part in parts]
    monkeypatch.setattr("jde_lightning.metrics.tracking.gathered_states", lambda *_: states)
    parts[0]._sync_dist()
    assert parts[0].compute() == whole.compute()
