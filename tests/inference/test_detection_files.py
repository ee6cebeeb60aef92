"""Detections of other detectors: layouts, names, and rows that no detector can mean."""

import hashlib

import numpy as np
import pytest

from jde_lightning.errors import InputError
from jde_lightning.inference.detection_files import read_detection_files

SEQINFO = "[Sequence]\nname={name}\nframeRate=14\nseqLength=4\nimWidth=640\nimHeight=480\n"
ROWS = "3,-1,11,21,30,40,0.9,-1,-1,-1\n1,-1,1,1,5,8,0.5\n\n3,-1,12,22,30,40,0.04\n"


def folder_of(tmp_path, *names):
    for name in names:
        (tmp_path / "seq" / name).mkdir(parents=True)
        (tmp_path / "seq" / name / "seqinfo.ini").write_text(SEQINFO.format(name=name))
    (tmp_path / "det").mkdir()
    return tmp_path / "seq", tmp_path / "det"


def test_text_rows_become_frames_of_zero_based_corners(tmp_path):
    sequences, detections = folder_of(tmp_path, "MOT17-09-FRCNN", "MOT17-11-FRCNN")
    (detections / "MOT17-09.txt").write_text(ROWS)
    (read,), origin = read_detection_files(sequences, detections)
    assert (read.name, read.frame_rate, read.width, read.height) == ("MOT17-09-FRCNN", 14.0, 640, 480)
    assert read.frames.tolist() == [1, 2, 3, 4]
    assert [len(found) for found in read.detections] == [1, 0, 2, 0]
    assert read.detections[0].boxes.tolist() == [[0, 0, 5, 8]]
    assert read.detections[2].boxes.tolist() == [[10, 20, 40, 60], [11, 21, 41, 61]]
    assert read.detections[2].scores.tolist() == pytest.approx([0.9, 0.04])
    assert read.detections[2].embeddings is None
    assert origin.sha256 == hashlib.sha256(ROWS.encode()).hexdigest()
    assert (origin.detector, origin.settings) == ("det", {"conf": 0.0})


def test_weak_detections_and_one_half_can_be_left_out(tmp_path):
    sequences, detections = folder_of(tmp_path, "walk")
    (detections / "walk.txt").write_text(ROWS)
    (read,), _ = read_detection_files(sequences, detections, conf=0.05, split="val_half", half_convention="fairmot")
    assert read.frames.tolist() == [3, 4]
    assert [len(found) for found in read.detections] == [1, 0]


def test_arrays_with_embeddings(tmp_path):
    sequences, detections = folder_of(tmp_path, "walk")
    looks = np.array([[3, 4], [0, 2], [1, 0]], np.float16)
    arrays = {"frame": np.array([4, 1, 4], np.int32), "tlwh": np.ones((3, 4), np.float32), "score": [0.1, 0.2, 0.3]}
    np.savez(detections / "anything.npz", **arrays, embedding=looks)
    (read,), _ = read_detection_files(sequences / "walk", detections / "anything.npz")
    assert [len(found) for found in read.detections] == [1, 0, 0, 2]
    assert read.detections[0].embeddings.tolist() == [[0, 1]]
    assert read.detections[3].embeddings.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [1, 0]]
    assert read.detections[3].scores.tolist() == pytest.approx([0.1, 0.3])


def test_detections_in_the_folders_of_the_sequences(tmp_path):
    sequences, _ = folder_of(tmp_path, "a", "b")
    for name in "ab":
        (sequences / name / "det").mkdir()
        (sequences / name / "det" / "det.txt").write_text(ROWS)
    read, _ = read_detection_files(sequences, sequences)
    assert [sequence.name for sequence in read] == ["a", "b"]


def test_empty_file_is_a_detector_that_found_nothing(tmp_path):
    sequences, detections = folder_of(tmp_path, "walk")
    (detections / "walk.txt").write_text("")
    (read,), _ = read_detection_files(sequences, detections)
    assert [len(found) for found in read.detections] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,-1,1,1,5,8", r"walk.txt, line 2: '1,-1,1,1,5,8', expected frame, id, left"),
        ("1,-1,1,1,x,8,0.5", r"walk.txt, line 2: .*expected frame, id, left"),
        ("5,-1,1,1,5,8,0.5", r"walk.txt, line 2: frame is 5.0, expected a whole number from 1 to 4"),
        ("1.5,-1,1,1,5,8,0.5", r"line 2: frame is 1.5"),
        ("nan,-1,1,1,5,8,0.5", r"line 2: frame is nan"),
        ("1,-1,inf,1,5,8,0.5", r"line 2: box is \[inf, 1.0, 5.0, 8.0\], expected finite"),
        ("1,-1,1,1,5,-8,0.5", r"line 2: size is \[5.0, -8.0\], expected a width and height above 0"),
        ("1,-1,1,1,5,8,23.5", r"line 2: score is 23.5, expected a confidence in 0..1"),
        ("1,-1,1,1,5,8,nan", r"line 2: score is nan"),
    ],
)
def test_wrong_rows(tmp_path, row, message):
    sequences, detections = folder_of(tmp_path, "walk")
    (detections / "walk.txt").write_text(f"1,-1,1,1,5,8,0.5\n{row}\n")
    with pytest.raises(InputError, match=message):
        read_detection_files(sequences, detections)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, "no array 'score', found frame, tlwh, embedding; expected frame, tlwh, score, embedding"),
        ({"tlwh": np.ones((2, 5))}, r"tlwh has shape \(2, 5\)"),
        ({"embedding": np.ones((3, 4))}, r"embedding has shape \(3, 4\), expected \(2, D\)"),
        ({"embedding": np.array([[1, 1], [0, 0]])}, "row 1: the embedding is zero or not finite"),
        ({"score": np.array([0.5, 2])}, "row 1: score is 2.0"),
    ],
)
def test_wrong_arrays(tmp_path, change, message):
    sequences, detections = folder_of(tmp_path, "walk")
    arrays = {"frame": np.ones(2), "tlwh": np.ones((2, 4)), "score": np.ones(2), "embedding": np.ones((2, 3))}
    np.savez(detections / "walk.npz", **{k: v for k, v in {**arrays, **change}.items() if v is not None})
    with pytest.raises(InputError, match=rf"walk.npz[:,] .*{message}"):
        read_detection_files(sequences, detections)


def test_what_cannot_be_matched(tmp_path):
    sequences, detections = folder_of(tmp_path, "MOT17-09-DPM", "MOT17-09-SDP")
    with pytest.raises(InputError, match="no detections in it, expected SEQ.txt"):
        read_detection_files(sequences, detections)
    with pytest.raises(InputError, match="nothing: no such file or folder of detections"):
        read_detection_files(sequences, tmp_path / "nothing")
    with pytest.raises(InputError, match=r"det: no seqinfo.ini in it or in a folder of it"):
        read_detection_files(detections, detections)
    (detections / "MOT17-09.txt").write_text(ROWS)
    with pytest.raises(InputError, match="MOT17-09 is the name of several sequences .*MOT17-09-DPM, MOT17-09-SDP"):
        read_detection_files(sequences, detections)
    (detections / "MOT17-09.txt").rename(detections / "other.txt")
    with pytest.raises(InputError, match="other is the name of no sequence in"):
        read_detection_files(sequences, detections)
    (detections / "other.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"other.txt: second file of other beside .*other.npz"):
        read_detection_files(sequences, detections)
    (detections / "other.txt").unlink()
    (detections / "other.npz").rename(detections / "MOT17-09-SDP.npz")
    with pytest.raises(InputError, match=r"MOT17-09-SDP.npz: truncated, or no .npz file"):
        read_detection_files(sequences, detections)
    (detections / "MOT17-09-SDP.npz").rename(detections / "MOT17-09-SDP.txt")
    (detections / "MOT17-09-SDP.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_detection_files(sequences, detections)
