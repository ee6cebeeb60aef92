from pathlib import Path

import numpy as np

from jde_lightning.callbacks.identity_matching import MatchedEmbeddings, join
from jde_lightning.structures import Detections, FrameAnnotations, ValidationOutput


def frame(boxes, ids, sequence="A", roles=None):
    n = len(boxes)
    return FrameAnnotations(
        Path("x.jpg"),
        100,
        100,
        boxes,
        np.zeros(n),
        ids,
        np.zeros(n) if roles is None else roles,
        np.ones(n),
        "D",
        sequence,
    )


def found(boxes, scores, embeddings=None):
    if embeddings is None:
        embeddings = np.eye(max(len(boxes), 2), dtype=np.float32)[: len(boxes)]
    return Detections(boxes, scores, None, embeddings)


A, B = [0, 0, 10, 20], [50, 0, 60, 20]


def collect(*pairs, conf=0.1, iou=0.5):
    matched = MatchedEmbeddings(conf, iou)
    matched.collect(ValidationOutput([p[0] for p in pairs], [p[1] for p in pairs]))
    return join([matched.images()])


def test_detections_get_the_identity_of_the_box_they_cover():
    embeddings, ids = collect((frame([A, B], [7, 3]), found([B, A], [0.9, 0.8])))
    assert embeddings.tolist() == [[1, 0], [0, 1]]
    assert ids.tolist() == [0, 1]  # B is identity 3 and comes first, A is 7


def test_weak_detections_unknown_and_ignored_boxes_are_left_out():
    assert len(collect((frame([A], [7]), found([A], [0.05])))[1]) == 0
    assert len(collect((frame([A], [-1]), found([A], [0.9])))[1]) == 0
    assert len(collect((frame([A], [7], roles=[1]), found([A], [0.9])))[1]) == 0
    assert len(collect((frame([A], [7]), found([[6, 0, 16, 20]], [0.9])))[1]) == 0
    assert len(collect((frame(np.zeros((0, 4)), []), found(np.zeros((0, 4)), [])))[1]) == 0


def test_one_detection_per_identity_the_best_overlap_in_total():
    _, ids = collect((frame([A], [7]), found([[0, 0, 10, 19], A], [0.9, 0.2])))
    assert len(ids) == 1


def test_same_number_in_two_sequences_is_two_people():
    _, ids = collect((frame([A], [1], "A"), found([A], [0.9])), (frame([A], [1], "B"), found([A], [0.9])))
    assert len(set(ids.tolist())) == 2
    _, ids = collect((frame([A], [1], "A"), found([A], [0.9])), (frame([A], [1], "A"), found([A], [0.9])))
    assert len(set(ids.tolist())) == 1
