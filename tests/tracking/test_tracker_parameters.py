"""Parameters of the trackers: ranges, and the YAML files that ship them."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from jde_lightning.errors import InputError
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "trackers"
FRACTIONS = [
    (cls, name)
    for cls in (YOLO11JDETracker, FairMOTTracker)
    for name, parameter in inspect.signature(cls).parameters.items()
    if isinstance(parameter.default, float) and name != "motion_gate"
]


@pytest.mark.parametrize(("cls", "name"), FRACTIONS)
@pytest.mark.parametrize("value", [-0.05, 1.05, float("nan"), float("inf"), "0.5", True])
def test_thresholds_and_weights_are_between_0_and_1(cls, name, value):
    with pytest.raises(InputError, match=f"^{name} must be a number between 0 and 1, got {value!r}"):
        cls(**{name: value})


@pytest.mark.parametrize(("cls", "name"), FRACTIONS)
@pytest.mark.parametrize("value", [0, 1])
def test_ends_of_the_range_are_allowed(cls, name, value):
    others = {"track_high_thresh": 1.0} if name == "track_low_thresh" else {}
    if name == "track_high_thresh":
        others = {"track_low_thresh": 0}
    cls(**{name: value, **others})


@pytest.mark.parametrize("value", [-1, float("nan"), "9", True])
def test_motion_gate_is_a_squared_distance(value):
    with pytest.raises(InputError, match="^motion_gate must be a squared distance of at least 0"):
        YOLO11JDETracker(motion_gate=value)
    assert YOLO11JDETracker(motion_gate=float("inf")).motion_gate == float("inf")


def test_low_threshold_is_not_above_the_high_one():
    text = r"track_low_thresh must be a number between 0 and track_high_thresh \(0.2\), got 0.3"
    with pytest.raises(InputError, match=text):
        YOLO11JDETracker(track_high_thresh=0.2, track_low_thresh=0.3)


def test_parameters_are_keywords_without_surprises():
    for cls in (YOLO11JDETracker, FairMOTTracker):
        first, *others = inspect.signature(cls).parameters.values()
        assert (first.name, first.default) == ("frame_rate", 30)
        assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(("file", "cls"), [("yolo11_jde.yaml", YOLO11JDETracker), ("fairmot.yaml", FairMOTTracker)])
def test_shipped_yaml_names_every_parameter_with_its_default(file, cls):
    text = (CONFIGS / file).read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    assert set(config) == {"class_path", "init_args"}
    module, name = config["class_path"].rsplit(".", 1)
    assert getattr(import_module(module), name) is cls
    parameters = inspect.signature(cls).parameters
    assert config["init_args"] == {n: p.default for n, p in parameters.items() if n != "frame_rate"}
    assert isinstance(cls(25, **config["init_args"]), cls)
    purpose, command = text.splitlines()[:2]
    assert purpose.startswith("# ")
    assert command.startswith("# jde-lightning track ")
    assert f"--tracker configs/trackers/{file}" in command


@pytest.mark.parametrize("file", ["yolo11_jde.yaml", "fairmot.yaml"])
def test_shipped_yaml_is_instantiated_by_jsonargparse(file):
    jsonargparse = pytest.importorskip("jsonargparse")
    from jde_lightning.tracking import Tracker

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Tracker, "tracker")
    config = yaml.safe_load((CONFIGS / file).read_text(encoding="utf-8"))
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes
    assert isinstance(instantiate(parser.parse_object({"tracker": config})).tracker, Tracker)
    config["init_args"]["unknown"] = 1
    with pytest.raises(jsonargparse.ArgumentError, match="unknown"):
        parser.parse_object({"tracker": config})
