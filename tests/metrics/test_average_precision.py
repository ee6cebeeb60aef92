"""Average precision of crowds against faster_coco_eval itself, and COCO's limit of 100 detections."""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from jde_lightning.metrics.detection import DetectionAP
from jde_lightning.structures import Detections, FrameAnnotations, Role


def frame(boxes, roles=None, labels=None):
    n = len(boxes)
    roles = np.zeros(n) if roles is None else roles
    labels = np.zeros(n) if labels is None else labels
    return FrameAnnotations(Path("a.jpg"), 2000, 2000, boxes, labels, np.full(n, -1), roles, np.ones(n))


def crowd(rng, count, classes=1):
    """Annotations of all roles and imperfect detections of them, more than 100 in an image."""
    corner = rng.uniform(0, 1800, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(20, 150, (count, 2))], axis=1).astype(np.float32)
    roles = rng.choice([Role.POSITIVE, Role.IGNORE, Role.OTHER], count, p=[0.7, 0.2, 0.1])
    labels = rng.integers(0, classes, count)
    found = rng.random(count) < 0.9
    noisy = boxes[found] + rng.normal(0, 5, (found.sum(), 4)).astype(np.float32)
    stray = boxes[:40] + rng.uniform(30, 100, (len(boxes[:40]), 1)).astype(np.float32)
    detected = np.concatenate([noisy, stray])
    scores = rng.random(len(detected)).astype(np.float32)
    classes_found = np.concatenate([labels[found], rng.integers(0, classes, len(stray))])
    return frame(boxes, roles, labels), Detections(detected, scores, classes_found)


def direct(pairs, classes):
    """faster_coco_eval on dictionaries; ignored boxes are crowd annotations of every class."""
    annotations, results = [], []
    for image, (annotated, found) in enumerate(pairs):
        ltwh = annotated.boxes.astype(float)
        ltwh[:, 2:] -= ltwh[:, :2]
        for box, label, role in zip(ltwh.tolist(), annotated.labels, annotated.roles, strict=True):
            for category in [label] if role == Role.POSITIVE else range(classes) if role == Role.IGNORE else []:
                entry = {"image_id": image, "category_id": int(category), "bbox": box, "area": box[2] * box[3]}
                annotations.append({**entry, "iscrowd": int(role == Role.IGNORE), "id": len(annotations) + 1})
        ltwh = found.boxes.astype(float)
        ltwh[:, 2:] -= ltwh[:, :2]
        results += [
            {"image_id": image, "category_id": int(label), "bbox": box, "score": float(score)}
            for box, label, score in zip(ltwh.tolist(), found.labels, found.scores, strict=True)
        ]
    truth = {
        "images": [{"id": image, "width": 2000, "height": 2000} for image in range(len(pairs))],
        "categories": [{"id": number, "name": str(number)} for number in range(classes)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(truth)
        evaluator = COCOeval_faster(coco, coco.loadRes(results), "bbox", print_function=lambda *_: None)
        evaluator.params.maxDets = [1, 10, 1000]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, 2]
    return precision[precision > -1].mean(), precision[0][precision[0] > -1].mean()


@pytest.mark.parametrize("classes", [1, 3])
def test_equals_faster_coco_eval(classes):
    rng = np.random.default_rng(classes)
    pairs = [crowd(rng, count, classes) for count in (250, 150, 5, 0)]
    metric = DetectionAP()
    metric.update(*zip(*pairs[:2], strict=True))
    metric.update(*zip(*pairs[2:], strict=True))
    values = metric.compute()
    expected = direct(pairs, classes)
    assert max(len(found) for _, found in pairs) > 200
    assert 0.05 < values["map50_95"] < values["map50"] < 0.95
    assert (values["map50_95"], values["map50"]) == pytest.approx(expected, abs=1e-6)


def test_more_than_100_people_in_an_image_count():
    corner = np.stack(np.meshgrid(np.arange(15) * 100, np.arange(15) * 100), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corner, corner + 60], axis=1)
    found = Detections(boxes, np.linspace(1, 0.5, 225))
    metric, limited = DetectionAP(), DetectionAP(max_detections=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.update([frame(boxes)], [found])
        limited.update([frame(boxes)], [found])
        assert metric.compute() == pytest.approx({"map50_95": 1, "map50": 1})
        assert limited.compute()["map50"] < 0.5


@pytest.mark.parametrize(("role", "expected"), [(Role.IGNORE, 1.0), (Role.OTHER, 0.5)])
def test_a_detection_on_an_ignored_box_does_not_count(role, expected):
    annotated = frame([[0, 0, 50, 50], [100, 100, 300, 300]], [Role.POSITIVE, role])
    found = Detections([[0, 0, 50, 50], [150, 150, 200, 200]], [0.5, 0.9])  # inside of the region, not equal to it
    metric = DetectionAP()
    metric.update([annotated], [found])
    assert metric.compute()["map50"] == pytest.approx(expected, abs=0.01)


def test_undefined_is_left_out_and_nothing_found_is_zero():
    metric = DetectionAP()
    metric.update([frame(np.zeros((0, 4)))], [Detections.empty()])
    assert metric.compute() == {}
    metric.update([frame([[0, 0, 9, 9]], [Role.IGNORE])], [Detections([[0, 0, 9, 9]], [0.5])])
    assert metric.compute() == {}
    metric.update([frame([[0, 0, 9, 9]])], [Detections.empty()])
    assert metric.compute() == {"map50_95": 0, "map50": 0}
    metric.reset()
    metric.update([frame([[0, 0, 90, 90]])], [Detections([[0, 0, 90, 90]], [0.5])])
    assert metric.compute() == pytest.approx({"map50_95": 1, "map50": 1})
