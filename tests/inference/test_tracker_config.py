import inspect
from pathlib import Path

import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.tracker_config import load_tracker_factory, tracker_spec
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker


def write(tmp_path, text):
    path = tmp_path / "tracker.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "tracker"), [("yolo11_jde", YOLO11JDETracker), ("fairmot", FairMOTTracker)])
def test_names(name, tracker):
    factory = load_tracker_factory(name)
    first, second = factory(30.0), factory(30.0)
    assert type(first) is tracker
    assert first is not second
    assert first.appearance


def test_frame_rate_of_the_sequence_reaches_the_tracker():
    factory = load_tracker_factory("yolo11_jde")
    assert factory(14.0).max_frames_lost == YOLO11JDETracker(14).max_frames_lost
    assert factory(14.0).max_frames_lost != factory(60.0).max_frames_lost


def test_appearance_can_be_switched_off(tmp_path):
    assert not load_tracker_factory("fairmot", appearance=False)(30).appearance
    path = write(tmp_path, "class_path: FairMOTTracker\ninit_args: {appearance: true}\n")
    assert load_tracker_factory(path)(30).appearance
    assert not load_tracker_factory(path, appearance=False)(30).appearance
    path = write(tmp_path, "class_path: FairMOTTracker\ninit_args: {appearance: false}\n")
    assert not load_tracker_factory(path)(30).appearance


@pytest.mark.parametrize(
    "class_path",
    [
        "YOLO11JDETracker",
        "jde_lightning.tracking.YOLO11JDETracker",
        "jde_lightning.tracking.yolo11_jde.YOLO11JDETracker",
    ],
)
def test_yaml(tmp_path, class_path):
    path = write(tmp_path, f"# what\n# command\nclass_path: {class_path}\ninit_args:\n  track_high_thresh: 0.4\n")
    tracker = load_tracker_factory(str(path))(25)
    assert type(tracker) is YOLO11JDETracker
    assert tracker.track_high_thresh == 0.4


def test_yaml_without_init_args(tmp_path):
    assert type(load_tracker_factory(write(tmp_path, "class_path: FairMOTTracker\n"))(25)) is FairMOTTracker


def test_frame_rate_in_the_file_wins(tmp_path):
    path = write(tmp_path, "class_path: YOLO11JDETracker\ninit_args: {frame_rate: 60}\n")
    assert load_tracker_factory(path)(15).max_frames_lost == YOLO11JDETracker(60).max_frames_lost


def test_unknown_name():
    names = "bytetrack, fairmot, fairmot_original, low_frame_rate, short_training, yolo11_jde"
    with pytest.raises(InputError, match=rf"--tracker sort: no such file, and .* \(there are {names}\)$"):
        load_tracker_factory("sort")
    with pytest.raises(InputError, match=r"--tracker byte_track: .*; nearest: bytetrack\)$"):
        load_tracker_factory("byte_track")


@pytest.mark.parametrize("name", ["yolo11_jde", "fairmot", "bytetrack", "low_frame_rate", "short_training"])
def test_a_name_means_its_file(name):
    path = Path(__file__).resolve().parents[2] / "configs" / "trackers" / f"{name}.yaml"
    by_name, by_file = load_tracker_factory(name)(25), load_tracker_factory(path)(25)
    assert type(by_name) is type(by_file)
    parameters = list(inspect.signature(type(by_name)).parameters)
    assert {n: getattr(by_name, n) for n in parameters} == {n: getattr(by_file, n) for n in parameters}


def test_bytetrack_stays_without_appearance_and_others_lose_it_when_told():
    assert not load_tracker_factory("bytetrack")(30).appearance
    assert load_tracker_factory("low_frame_rate")(3).appearance
    assert not load_tracker_factory("low_frame_rate", appearance=False)(3).appearance


@pytest.mark.parametrize(
    ("text", "kind"),
    [("track_high_thresh: 0.4\nappearance: false", YOLO11JDETracker), ("conf_thresh: 0.4", FairMOTTracker)],
)
def test_parameters_alone_are_of_the_one_tracker_that_has_them(tmp_path, text, kind):
    tracker = load_tracker_factory(write(tmp_path, text))(25)
    assert type(tracker) is kind
    assert tracker_spec(write(tmp_path, text))["class_path"] == f"jde_lightning.tracking.{kind.__name__}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "appearance: false",
            r"found appearance, which are of several trackers \(.*YOLO11JDETracker.*\); write",
        ),
        ("init_args: {track_high_thresh: 0.4}", "found init_args"),
        ("track_high_thresh: 0.4\ntrack_low: 0.1", "not all of one tracker; write class_path: YOLO11JDETracker"),
    ],
)
def test_what_to_write_around_parameters_alone(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        load_tracker_factory(write(tmp_path, text))


@pytest.mark.parametrize(
    "class_path", ["SORT", "os.system", "os.YOLO11JDETracker", "Tracker", "jde_lightning.module.JDEModule"]
)
def test_only_trackers_of_this_package(tmp_path, class_path):
    path = write(tmp_path, f"class_path: {class_path}\n")
    with pytest.raises(InputError, match=r"is no tracker; expected one of .*jde_lightning\.tracking\.YOLO11JDETracker"):
        load_tracker_factory(path)


def test_unknown_key_lists_the_known_ones(tmp_path):
    path = write(tmp_path, "class_path: YOLO11JDETracker\ninit_args: {max_age: 3}\n")
    with pytest.raises(InputError, match=r"tracker\.yaml: init_args has unknown key 'max_age'") as caught:
        load_tracker_factory(path)
    for name in inspect.signature(YOLO11JDETracker).parameters:
        assert name in str(caught.value)
    assert "nearest" not in str(caught.value)


@pytest.mark.parametrize(
    ("tracker", "wrong", "right"),
    [
        ("YOLO11JDETracker", "track_high_tresh", "track_high_thresh"),
        ("YOLO11JDETracker", "match_thresh", "new_match_thresh"),
        ("FairMOTTracker", "confthresh", "conf_thresh"),
        ("FairMOTTracker", "classaware", "class_aware"),
    ],
)
def test_unknown_key_names_the_nearest_one(tmp_path, tracker, wrong, right):
    path = write(tmp_path, f"class_path: {tracker}\ninit_args: {{{wrong}: 0.3}}\n")
    with pytest.raises(InputError, match=rf"tracker\.yaml: init_args has unknown key '{wrong}' \(nearest: {right}\); "):
        load_tracker_factory(path)


@pytest.mark.parametrize("value", ["high", "[1]", "null", "7.5"])
def test_wrong_value_names_file_and_key(tmp_path, value):
    path = write(tmp_path, f"class_path: YOLO11JDETracker\ninit_args: {{track_high_thresh: {value}}}\n")
    with pytest.raises(InputError, match=r"tracker\.yaml: .*track_high_thresh") as caught:
        load_tracker_factory(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class_path: X\ninit_args: [", r"not a YAML file \(line 2, column 13: "),
        ("", "expected the keys class_path and init_args, found NoneType"),
        ("tracker: x", "expected the keys class_path and init_args, found tracker"),
        ("class_path: FairMOTTracker\nargs: {}", "found class_path, args"),
        ("class_path: FairMOTTracker\ninit_args: 3", "init_args must be a mapping of names to values, found int"),
    ],
)
def test_files_of_another_form(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_tracker_factory(write(tmp_path, text))
