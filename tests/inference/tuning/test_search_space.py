import inspect

import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning.search_space import (
    Choice,
    Range,
    arguments_of,
    default_space,
    distributions,
    read_space,
    space_as_json,
)
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker


def write(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("tracker", [YOLO11JDETracker, FairMOTTracker])
def test_defaults_of_the_trackers_lie_in_their_spaces(tracker):
    space = default_space(tracker)
    for name, parameter in inspect.signature(tracker).parameters.items():
        if name not in space:
            continue
        entry = space[name]
        if isinstance(entry, Choice):
            assert parameter.default in entry.values
        else:
            assert entry.low <= parameter.default <= entry.high
            steps = (parameter.default - entry.low) / entry.step
            assert steps == pytest.approx(round(steps))


def test_corners_of_the_spaces_are_accepted_by_the_trackers():
    for tracker in (YOLO11JDETracker, FairMOTTracker):
        space = default_space(tracker)
        for pick in (0, -1):
            values = {k: (e.values if isinstance(e, Choice) else (e.low, e.high))[pick] for k, e in space.items()}
            tracker(**arguments_of(space, values))


def test_without_appearance_its_parameters_are_not_searched():
    left_out = set(default_space(YOLO11JDETracker)) - set(default_space(YOLO11JDETracker, appearance=False))
    assert left_out == {"proximity_thresh", "appearance_thresh", "gate_thresh", "appearance_weight", "min_weight"}
    assert "first_match_thresh" in default_space(YOLO11JDETracker, appearance=False)
    assert "first_match_thresh" not in default_space(FairMOTTracker, appearance=False)


def test_subclasses_have_the_space_of_their_base_and_strangers_none():
    class Mine(FairMOTTracker):
        pass

    assert default_space(Mine).keys() <= default_space(FairMOTTracker).keys()
    with pytest.raises(InputError, match="there is no search space for int; describe one in a YAML file"):
        default_space(int)


def test_yaml(tmp_path):
    text = (
        "track_high_thresh: {low: 0.2, high: 0.8, step: 0.1}\n"
        "track_low_thresh: {low: 0.1, high: 0.8, at_most: track_high_thresh}\n"
        "first_fuse: [true, false]\n"
        "track_buffer: {low: 10, high: 90, step: 20}\n"
    )
    space = read_space(write(tmp_path, text), YOLO11JDETracker)
    assert space == {
        "track_high_thresh": Range(0.2, 0.8, 0.1),
        "track_low_thresh": Range(0.1, 0.8, None, "track_high_thresh"),
        "first_fuse": Choice((True, False)),
        "track_buffer": Range(10, 90, 20),
    }
    pytest.importorskip("optuna")
    made = distributions(space)
    assert type(made["track_buffer"]).__name__ == "IntDistribution"
    assert (made["track_buffer"].low, made["track_buffer"].high, made["track_buffer"].step) == (10, 90, 20)
    assert (made["track_low_thresh"].low, made["track_low_thresh"].step) == (0.1, None)
    assert made["first_fuse"].choices == (True, False)
    assert space_as_json(space)["first_fuse"] == [True, False]


def test_values_are_rounded_and_cut():
    space = {"a": Range(0, 1, 0.05, at_most="b"), "b": Range(0, 1, 0.05), "c": Choice((1, 2))}
    assert arguments_of(space, {"a": 0.9, "b": 0.1 + 0.05 + 0.15, "c": 2}) == {"a": 0.3, "b": 0.3, "c": 2}
    assert arguments_of(space, {"a": 0.15000000000000002, "b": 1.0, "c": 1}) == {"a": 0.15, "b": 1.0, "c": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found nothing, expected parameters"),
        ("{}", "nothing to search"),
        ("track_hihg_thresh: [1]", "unknown parameter 'track_hihg_thresh'; the nearest is track_high_thresh$"),
        (
            "zzz: [1]",
            "unknown parameter 'zzz'; YOLO11JDETracker has track_high_thresh, .*motion_weight, new_appearance$",
        ),
        (
            "first_match_thresh: {low: 0, high: 5}",
            r"space.yaml: first_match_thresh 5 is refused by YOLO11JDETracker: f",
        ),
        ("track_high_thresh: {low: -1, high: 1}", r"space.yaml: track_high_thresh -1 is refused"),
        (
            "track_buffer: [10, many]",
            "track_buffer 'many' is refused by YOLO11JDETracker: track_buffer must be a whole",
        ),
        ("track_low_thresh: {low: 0, high: 0.7}", r"track_low_thresh 0.7 is refused .* track_high_thresh \(0.15\)"),
        ("frame_rate: [1]", "unknown parameter 'frame_rate'"),
        ("track_buffer: 30", "track_buffer is 30, expected {low, high, step, at_most} or a list"),
        ("track_buffer: {low: 1}", "track_buffer is {'low': 1}, expected"),
        ("track_buffer: {low: 1, high: 2, setp: 3}", "expected {low, high, step, at_most}"),
        ("track_buffer: []", "track_buffer is \\[\\], expected"),
        ("track_buffer: {low: a, high: 2}", "low, high and step of track_buffer must be numbers"),
        ("track_buffer: {low: 3, high: 2}", "track_buffer needs low <= high and a step above 0, got low 3"),
        ("track_buffer: {low: 1, high: 2, step: 0}", "a step above 0, got low 1, high 2, step 0"),
        ("track_low_thresh: {low: 0, high: 1, at_most: x}", "track_low_thresh is at_most 'x', which has no range"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_space(write(tmp_path, text), YOLO11JDETracker)


def test_bounds_are_judged_beside_the_parameters_that_the_search_begins_with(tmp_path):
    path = write(tmp_path, "track_low_thresh: {low: 0, high: 0.7}")
    read_space(path, YOLO11JDETracker, {"track_high_thresh": 0.7})
    path = write(tmp_path, "track_low_thresh: {low: 0, high: 0.7}\ntrack_high_thresh: {low: 0.1, high: 0.7}")
    read_space(path, YOLO11JDETracker)
    read_space(write(tmp_path, "motion_gate: [9.5, .inf]"), YOLO11JDETracker)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"--space .*nothing.yaml: no such file"):
        read_space(tmp_path / "nothing.yaml", YOLO11JDETracker)
