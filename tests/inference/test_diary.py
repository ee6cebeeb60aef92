"""The track diary: what goes in comes out, and what is no diary is refused."""

from dataclasses import dataclass

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.diary import MATCHED, DiaryWriter, read_diary
from jde_lightning.structures import Detections, Tracks

NAMES = [MATCHED, "over_limit"]


@dataclass
class Record:
    """As a tracker hands it over."""

    stage: np.ndarray
    track_ids: np.ndarray
    detection_indices: np.ndarray
    iou_distance: np.ndarray
    cost: np.ndarray
    decisions: np.ndarray


def record(*pairs):
    columns = np.array(pairs, float).reshape(-1, 6).T
    stage, ids, indices, decisions = (columns[k].astype(int) for k in (0, 1, 2, 5))
    return Record(stage, ids, indices, columns[3], columns[4], decisions)


def found(n, dim=4):
    embeddings = np.eye(max(n, dim), dtype=np.float32)[:n, :dim] if dim else None
    return Detections(np.tile([0, 0, 10, 20], (n, 1)), np.ones(n), None, embeddings)


def tracks(ids, indices):
    n = len(ids)
    return Tracks(np.tile([0, 0, 10, 20], (n, 1)), ids, np.ones(n), np.zeros(n), indices)


def test_round_trip(tmp_path):
    writer = DiaryWriter(NAMES)
    writer.add(3, tracks([7, 2], [1, -1]), found(3), record((1, 7, 1, 0.25, 0.5, 0), (2, 2, 0, 0.75, np.nan, 1)))
    writer.add(4, Tracks.empty(), Detections.empty(), record())
    writer.add(5, tracks([7], [0]), found(1), record((1, 7, 0, 0.125, 0.25, 0)))
    writer.write(tmp_path / "new" / "S.npz")
    diary = read_diary(tmp_path / "new" / "S.npz")
    assert diary.frames.tolist() == [3, 3, 5]
    assert diary.track_ids.tolist() == [7, 2, 7]
    assert diary.detections.tolist() == [1, -1, 0]
    assert diary.embeddings.dtype == np.float16
    np.testing.assert_array_equal(diary.embeddings[[0, 2]], [[0, 1, 0, 0], [1, 0, 0, 0]])
    assert np.isnan(diary.embeddings[1]).all()
    pairs = diary.pairs
    assert (pairs.frames.tolist(), pairs.stage.tolist()) == ([3, 3, 5], [1, 2, 1])
    assert [pairs.outcome(row) for row in range(3)] == [MATCHED, "over_limit", MATCHED]
    assert list(pairs.terms) == ["iou_distance", "cost"]
    np.testing.assert_array_equal(pairs.terms["cost"], np.float32([0.5, np.nan, 0.25]))
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["S.npz"]


def test_without_appearance_or_explanations(tmp_path):
    writer = DiaryWriter()
    writer.add(1, tracks([1], [0]), found(1, dim=0))
    writer.write(tmp_path / "S.npz")
    diary = read_diary(tmp_path / "S.npz")
    assert diary.embeddings is None
    assert diary.pairs is None
    DiaryWriter(NAMES).write(tmp_path / "empty.npz")
    assert len(read_diary(tmp_path / "empty.npz").frames) == 0


def test_what_is_no_diary_is_refused(tmp_path):
    path = tmp_path / "S.npz"
    good = {"diary_version": 1, "frames": [1], "track_ids": [1], "detections": [0]}
    pair = {f"pair_{name}": [0] for name in ("frames", "track_ids", "detection_indices", "stage", "decisions")}
    path.write_text("hello")
    with pytest.raises(InputError, match=r"S\.npz: not a track diary \("):
        read_diary(path)
    with pytest.raises(InputError, match=r"none\.npz: not a track diary \("):
        read_diary(tmp_path / "none.npz")
    for arrays, match in (
        ({"boxes": [1]}, "no array 'diary_version'"),
        (good | {"diary_version": 9}, "version 9 of the track diary, expected 1"),
        (good | {"track_ids": [1, 2]}, r"columns of different lengths \{'frames': 1, 'track_ids': 2"),
        (good | {"pair_cost": [1.0]}, "pairs without the array 'pair_frames'"),
        (good | pair | {"decision_names": np.zeros(0, "U1")}, "decision 0, but decision_names has 0 names"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=match):
            read_diary(path)
