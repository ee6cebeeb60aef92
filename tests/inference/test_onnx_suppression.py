"""The suppression inside a graph against the one outside, on a graph that hands its dense inputs on."""

import numpy as np
import pytest

from jde_lightning.inference.onnx_sessions import openvino_core
from jde_lightning.inference.onnx_suppression import add_suppression
from jde_lightning.inference.suppression import select_detections, unit_norm

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

HANDED_ON = """
<ir_version: 10, opset_import: ["" : 18]>
dense (float[batch, anchors, 4] b, float[batch, anchors] s, int64[batch, anchors] l, float[batch, anchors, 6] e) =>
(float[batch, anchors, 4] boxes, float[batch, anchors] scores, int64[batch, anchors] labels,
 float[batch, anchors, 6] embeddings)
{ boxes = Identity(b)  scores = Identity(s)  labels = Identity(l)  embeddings = Identity(e) }
"""


def dense(images, classes, seed=0):
    """People in groups: boxes that overlap, scores all different."""
    rng = np.random.default_rng(seed)
    centre = np.repeat(rng.uniform(0, 500, (images, 20, 2)), 10, 1) + rng.normal(0, 3, (images, 200, 2))
    size = rng.uniform(30, 60, (images, 200, 2)) * [1, 2]
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 2).astype(np.float32)
    scores = rng.permuted(np.linspace(0.01, 0.99, images * 200)).reshape(images, 200).astype(np.float32)
    return boxes, scores, rng.integers(0, classes, (images, 200)), rng.normal(size=(images, 200, 6)).astype(np.float32)


def kept(run, classes, arrays, *settings):
    model = add_suppression(onnx.parser.parse_model(HANDED_ON), classes, *settings)
    onnx.checker.check_model(model, full_check=True)
    return run(model, dict(zip("bsle", arrays, strict=True)))


def in_onnxruntime(model, arrays):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, arrays), strict=True))


def in_openvino(model, arrays):
    pytest.importorskip("openvino")
    core = openvino_core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return {output.any_name: value for output, value in compiled(arrays).items()}


@pytest.mark.parametrize("run", [in_onnxruntime, in_openvino])
@pytest.mark.parametrize("pooling", ["best", "mean"])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(("conf", "iou", "max_det"), [(0.1, 0.7, 300), (0.4, 0.3, 300), (0.02, 0.5, 5)])
def test_the_same_as_outside(run, pooling, classes, conf, iou, max_det):
    arrays = dense(3, classes)
    found = kept(run, classes, arrays, conf, iou, max_det, pooling)
    assert list(found) == ["boxes", "scores", "labels", "image_indices", "embeddings"]
    assert (np.diff(found["image_indices"]) >= 0).all()
    for i in range(3):
        boxes, scores, labels, looks = (each[i] for each in arrays)
        expected = select_detections(boxes, scores, labels, unit_norm(looks), conf, iou, max_det, pooling)
        rows = np.flatnonzero(found["image_indices"] == i)
        assert len(rows) >= len(expected) > 3
        if classes == 1:  # sorted already; with more, the limit is per class
            assert len(rows) == len(expected)
            assert (np.diff(found["scores"][rows]) <= 0).all()
        rows = rows[np.argsort(-found["scores"][rows])[:max_det]]
        np.testing.assert_array_equal(found["boxes"][rows], expected.boxes)
        np.testing.assert_array_equal(found["labels"][rows], expected.labels)
        np.testing.assert_allclose(found["embeddings"][rows], expected.embeddings, atol=1e-5)


def test_mean_is_not_best():
    arrays = dense(1, 1)
    best, mean = (kept(in_onnxruntime, 1, arrays, 0.1, 0.7, 300, pooling) for pooling in ("best", "mean"))
    assert (best["embeddings"] * mean["embeddings"]).sum(axis=1).min() < 0.99


def test_nothing_found():
    found = kept(in_onnxruntime, 1, dense(2, 1), 1.0, 0.7, 300, "mean")
    assert [len(each) for each in found.values()] == [0] * 5
    assert found["embeddings"].shape == (0, 6)


def test_without_embeddings_and_with_what_went_in():
    model = onnx.parser.parse_model(HANDED_ON)
    del model.graph.output[3]
    with_dense = add_suppression(model, 1, 0.1, 0.7, 300, "best", keep_dense=True)
    assert [output.name for output in with_dense.graph.output] == [
        *("boxes", "scores", "labels", "image_indices"),
        *("dense_boxes", "dense_scores", "dense_labels"),
    ]
    assert [output.name for output in model.graph.output] == ["boxes", "scores", "labels"]  # untouched
    onnx.checker.check_model(with_dense, full_check=True)
