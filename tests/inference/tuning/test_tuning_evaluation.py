import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.tuning.evaluation import TrackerChoice, check_embeddings, evaluate_sequences
from jde_lightning.inference.tuning.sequences import TuningSequence
from jde_lightning.metrics.folders import evaluate_folder
from jde_lightning.metrics.in_memory import write_results
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker


@pytest.mark.parametrize("name", ["yolo11_jde", "fairmot"])
@pytest.mark.parametrize("appearance", [True, False])
def test_scores_in_memory_are_those_of_the_files(tmp_path, walk, sequences, name, appearance):
    choice = TrackerChoice.load(name, appearance)
    for sequence in sequences:
        # a tracker made by hand, and the result files of `track`
        tracker = {"yolo11_jde": YOLO11JDETracker, "fairmot": FairMOTTracker}[name](
            sequence.detections.frame_rate, appearance=appearance
        )
        tracks = [tracker.update(found) for found in sequence.detections.detections]
        write_results(tmp_path / f"{sequence.name}.txt", sequence.detections.frames.tolist(), tracks)
    assert evaluate_sequences(sequences, choice) == evaluate_folder(walk / "gt", tmp_path)


def test_half_is_tracked_by_a_fresh_tracker(tmp_path, walk, sequences):
    half = sequences[0].half("val_half")
    tracker = YOLO11JDETracker(30)
    tracks = [tracker.update(found) for found in half.detections.detections]
    write_results(tmp_path / "a.txt", half.detections.frames.tolist(), tracks)
    files = evaluate_folder(walk / "gt", tmp_path, split="val_half", sequences=["a"])
    assert evaluate_sequences([half], TrackerChoice.load("yolo11_jde")) == files


def test_parameters_of_a_file_and_the_defaults_beside_them(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("class_path: FairMOTTracker\ninit_args: {track_buffer: 77, conf_thresh: 0.5, frame_rate: 15}\n")
    choice = TrackerChoice.load(path)
    assert choice.tracker is FairMOTTracker
    assert choice.arguments["track_buffer"] == 77
    assert choice.arguments["conf_thresh"] == 0.5
    assert choice.arguments["frame_rate"] == 15
    assert choice.arguments["new_match_thresh"] == 0.7
    assert choice.updated({"conf_thresh": 0.6}).arguments["conf_thresh"] == 0.6
    assert choice.arguments["conf_thresh"] == 0.5
    assert choice.appearance
    assert not TrackerChoice.load(path, appearance=False).appearance


def test_short_names_have_the_defaults():
    arguments = TrackerChoice.load("yolo11_jde").arguments
    assert arguments["track_buffer"] == 40
    assert arguments["min_weight"] == 0.55
    assert "frame_rate" not in arguments


def test_embeddings_that_are_not_there(sequences):
    bare = sequences[0].detections[:5]
    for found in bare.detections:
        assert len(found) == 0 or found.embeddings is not None
    without = TuningSequence(
        type(bare)(
            *(getattr(bare, k) for k in ("name", "frame_rate", "width", "height", "frames")),
            [type(found)(found.boxes, found.scores, found.labels) for found in bare.detections],
        ),
        sequences[0].ground_truth,
    )
    check_embeddings([without], TrackerChoice.load("fairmot", appearance=False))
    with pytest.raises(InputError, match="a: the cache holds no embeddings; track by motion alone"):
        check_embeddings([without], TrackerChoice.load("fairmot"))


class Told:
    """Remembers how many frames it was told to have passed."""

    def __init__(self, frame_rate=30.0):
        self.told = []

    def update(self, detections, image=None, *, elapsed_frames=1):
        self.told.append(elapsed_frames)
        return self.told


class Untold(Told):
    def update(self, detections, image=None):
        return super().update(detections)


def test_gaps_in_the_frame_numbers_reach_trackers_that_know_of_them(sequences):
    whole = sequences[0].detections
    gaps = type(whole)("a", 30.0, 1, 1, np.array([3, 4, 7, 8]), whole.detections[:4])
    assert TrackerChoice(Told).tracks(gaps)[-1] == [1, 1, 3, 1]
    assert TrackerChoice(Untold).tracks(gaps)[-1] == [1, 1, 1, 1]
    assert TrackerChoice(Told).tracks(whole)[-1] == [1] * len(whole)
    assert TrackerChoice(Told).tracks(whole[:0]) == []
