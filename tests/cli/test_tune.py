"""``tune`` from a cache to a tracker file that ``track`` reads."""

import csv
import json
import re

import cv2
import pytest
import yaml
from walking_people import write_walk

from jde_lightning.cli import main
from jde_lightning.inference.cache import read_cache
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.tuning.evaluation import TrackerChoice, evaluate_sequences
from jde_lightning.inference.tuning.sequences import tuning_sequences
from jde_lightning.packaged_configs import config_names

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    for seed, name in enumerate("abc"):
        write_walk(folder, name, seed)
    words = ["--detections", str(folder / "detections"), "--output", str(folder / "c.npz")]
    assert main(["cache", str(folder / "gt"), *words]) == 0
    return folder


@pytest.fixture
def tune(walk, tmp_path, capsys):
    def run(*more):
        capsys.readouterr()
        words = ["tune", walk / "c.npz", "--gt", walk / "gt", "--output", tmp_path / "out", "--trials", 4, *more]
        code = main([*map(str, words)])
        return (code, *capsys.readouterr())

    return run


def combined(walk, name, choice):
    """HOTA by other means than the verb's."""
    kept = [s for s in tuning_sequences(read_cache(walk / "c.npz"), walk / "gt") if s.name in name]
    return evaluate_sequences(kept, choice)["combined"]["HOTA"]


def test_files_and_table(walk, tmp_path, tune, caplog):
    caplog.set_level("INFO")
    code, out, err = tune("--tracker", "fairmot")
    assert code == 0, err
    output = tmp_path / "out"
    assert {p.name for p in output.iterdir()} == {
        *("best.yaml", "scores.json", "trials.csv", "history.png", "importance.png", "study.db")
    }
    lines = (output / "best.yaml").read_text().splitlines()
    assert lines[0].startswith("# FairMOTTracker tuned for HOTA on a, c; held out: HOTA ")
    assert lines[1] == "# jde-lightning track SOURCE --weights FILE --tracker best.yaml --output results"
    load_tracker_factory(output / "best.yaml")(30.0)
    after = TrackerChoice.load(output / "best.yaml")
    scores = json.loads((output / "scores.json").read_text())
    assert scores["held_out"]["before"]["combined"]["HOTA"] == combined(walk, "b", TrackerChoice.load("fairmot"))
    assert scores["held_out"]["after"]["combined"]["HOTA"] == combined(walk, "b", after)
    assert scores["tuning"]["after"]["combined"]["HOTA"] == combined(walk, "ac", after)
    assert list(scores["tuning"]["after"]["sequences"]) == ["a", "c"]
    assert scores["parameters"]["after"] == after.arguments
    trials = list(csv.DictReader((output / "trials.csv").read_text().splitlines()))
    assert [trial["trial"] for trial in trials] == ["1", "2", "3", "4"]  # as in history.png
    assert float(trials[0]["objective"]) == pytest.approx(combined(walk, "ac", TrackerChoice.load("fairmot")), abs=1e-6)
    assert trials[0]["conf_thresh"] == "0.35"
    assert "held out: b\n" in out
    assert f"{100 * combined(walk, 'b', after):.2f}" in out
    assert "tuned on: a, c" in caplog.messages
    assert "4 trials in" in caplog.messages[-1]
    caplog.clear()
    assert cv2.imread(str(output / "history.png")).shape[0] > 200
    assert cv2.imread(str(output / "importance.png")).shape[0] > 100
    # the same command has nothing left to do
    code, again, err = tune("--tracker", "fairmot")
    assert (code, again) == (0, out)
    assert not any("a minute" in message for message in caplog.messages)


def test_folds(tmp_path, tune):
    code, out, err = tune("--tracker", "fairmot", "--folds", "3", "--trials", "2")
    assert code == 0, err
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"fold1", "fold2", "fold3"}
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert sorted(scores["held_out"]["after"]["sequences"]) == ["a", "b", "c"]
    assert scores["held_out"]["before"] == scores["tuning"]["before"]  # equal sequences, in another order
    assert "3 folds: every sequence is judged by a search that did not see it" in out


def test_nothing_held_out(tmp_path, tune):
    code, out, err = tune("--tracker", "fairmot", "--holdout", "none", "--trials", "1")
    assert code == 0, err
    assert "too good" in out
    assert "No trial was better" in out
    assert "on the data it was tuned on" in (tmp_path / "out" / "best.yaml").read_text()
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["held_out"] is None


def test_motion_only_with_a_space_and_a_file_to_begin_with(tmp_path, tune):
    (tmp_path / "t.yaml").write_text("class_path: YOLO11JDETracker\ninit_args: {new_track_thresh: 0.33}\n")
    (tmp_path / "space.yaml").write_text("track_buffer: [10, 20]\n")
    more = ["--tracker", tmp_path / "t.yaml", "--space", tmp_path / "space.yaml", "--no-appearance"]
    code, _, err = tune(*more, "--objective", "mix", "--holdout", "half")
    assert code == 0, err
    content = yaml.safe_load((tmp_path / "out" / "best.yaml").read_text())
    assert content["init_args"]["new_track_thresh"] == 0.33
    assert content["init_args"]["appearance"] is False
    head = (tmp_path / "out" / "best.yaml").read_text().splitlines()[0]
    assert "the mean of HOTA and IDF1 on a (first half), b (first half)" in head
    assert re.search(r"; held out: HOTA [\d.]+ -> [\d.]+, IDF1 [\d.]+ -> [\d.]+$", head)
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").read_text().splitlines()))
    assert {row["track_buffer"] for row in rows} <= {"10", "20"}


def test_what_was_tuned_for_comes_first_in_the_comment(tmp_path, tune):
    code, _, err = tune("--tracker", "fairmot", "--objective", "idf1", "--trials", "2")
    assert code == 0, err
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())["held_out"]
    gains = [
        " -> ".join(f"{100 * scores[k]['combined'][n]:.2f}" for k in ("before", "after")) for n in ("IDF1", "HOTA")
    ]
    head = (tmp_path / "out" / "best.yaml").read_text().splitlines()[0]
    assert head.endswith(f"tuned for IDF1 on a, c; held out: IDF1 {gains[0]}, HOTA {gains[1]}")


def test_table7(tmp_path, tune):
    code, out, err = tune("--table7", "--trials", "2")
    assert code == 0, err
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"fairmot", "yolo11_jde", "table7.md", "table7.csv"}
    rows = list(csv.DictReader((tmp_path / "out" / "table7.csv").read_text().splitlines()))
    assert [row["tracker"] for row in rows] == [
        *("FairMOT", "FairMOT (fine-tuned)", "YOLO11-JDE", "YOLO11-JDE (fine-tuned here)")
    ]
    fairmot = json.loads((tmp_path / "out" / "fairmot" / "scores.json").read_text())
    assert rows[0]["held_out_hota"] == f"{100 * fairmot['held_out']['before']['combined']['HOTA']:.2f}"
    assert rows[1]["tuning_mota"] == f"{100 * fairmot['tuning']['after']['combined']['MOTA']:.2f}"
    assert rows[2]["published_hota"] == "60.06"
    assert (tmp_path / "out" / "table7.md").read_text() in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "--trials must be at least 1, got 0"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--table7", "--tracker", "fairmot"], "--table7 has its own two trackers"),
        (["--folds", "2", "--holdout", "a"], "--folds and --holdout exclude each other"),
        (["--objective", "mota"], "invalid choice: 'mota'"),
    ],
)
def test_wrong_usage(tune, tmp_path, more, message):
    code, _, err = tune(*more)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_wrong_input(tune, tmp_path, walk):
    (tmp_path / "other.ckpt").write_bytes(b"other")
    (tmp_path / "wide.yaml").write_text("track_buffer: {low: -5, high: 5}\n")
    for more, message in (
        (["--weights", tmp_path / "other.ckpt"], "c.npz: it is of detections (sha256"),
        (["--weights", tmp_path / "none.ckpt"], "none.ckpt: no such file"),
        (
            ["--weights", tmp_path / "other.ckpt"],
            "give the right one, or write another cache with `jde-lightning cache`",
        ),
        (["--space", tmp_path / "wide.yaml"], "wide.yaml: track_buffer -5 is refused by YOLO11JDETracker"),
        (["--tracker", "sort"], "sort: no such file, and no packaged configuration"),
        (["--space", tmp_path / "none.yaml"], "none.yaml: no such file"),
        (["--holdout", "z"], "--holdout z: no such sequence in the cache, which has a, b, c"),
        (["--gt", tmp_path], "no ground truth found"),
    ):
        code, _, err = tune(*more)
        assert code == 1
        errors = [line for line in err.splitlines() if "error" in line]
        assert len(errors) == 1
        assert message in errors[0]
    assert not (tmp_path / "out").exists()


def test_help(capsys):
    assert main(["tune", "--help"]) == 0
    text = capsys.readouterr().out
    assert "jde-lightning tune mot17.npz" in text
    known = text.rpartition("--tracker NAME")[2].partition("--no-app")[0]
    assert not [name for name in config_names("trackers") if name not in known]
