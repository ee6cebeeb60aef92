import json

import numpy as np
import pytest
import torch
from small_export import INSIDE, SIZE, TRACKER, copy_of, small_network

from jde_lightning.errors import InputError, ParityError
from jde_lightning.inference import onnx_export
from jde_lightning.inference.export_facts import ExportFacts
from jde_lightning.inference.onnx_export import Suppression, export_onnx
from jde_lightning.models.export_graph import DetectionGraph

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture
def checkpoint(small_exports):
    return small_exports.checkpoint


@pytest.fixture
def trace_is_there(small_exports, monkeypatch):
    """Exports get a copy of the traced network, which may be changed."""
    copied = copy_of(small_exports.traced)
    monkeypatch.setattr(onnx_export, "_traced", lambda *_: copied)
    return copied


def test_dynamic_batch_and_size_equal_torch(small_exports):
    session = onnxruntime.InferenceSession(small_exports.dense)
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("images", ["batch", 3, "height", "width"])]
    names = [(each.name, each.shape) for each in session.get_outputs()]
    assert names == [
        ("boxes", ["batch", "anchors", 4]),
        ("scores", ["batch", "anchors"]),
        ("labels", ["batch", "anchors"]),
        ("embeddings", ["batch", "anchors", 8]),
    ]
    graph = DetectionGraph(small_network("mean"))
    for shape in ((1, 3, 64, 96), (5, 3, 160, 32)):
        images = torch.rand(shape)
        with torch.inference_mode():
            expected = graph(images)
            classes = graph.network(images).scores.sigmoid()
        boxes, scores, labels, embeddings = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(boxes, expected[0], atol=0.01)
        np.testing.assert_allclose(scores, expected[1], atol=1e-4)
        certain = (classes[:, 0] - classes[:, 1]).abs() > 1e-3
        assert certain.float().mean() > 0.5
        np.testing.assert_array_equal(labels[certain], expected[2][certain])
        np.testing.assert_allclose(embeddings, expected[3], atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=2), 1, atol=1e-5)


def test_the_file_says_what_is_in_it(small_exports):
    model = onnx.load(small_exports.dense)
    onnx.checker.check_model(model, full_check=True)
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert told["jde_lightning.class_names"] == ["person", "rider"]
    assert told["jde_lightning.image_size"] == SIZE
    assert told["jde_lightning.fixed_size"] is None
    assert told["jde_lightning.embed_dim"] == 8
    assert told["jde_lightning.suppression"] is None
    assert told["jde_lightning.tracker"] == TRACKER
    assert told["jde_lightning.pooling"] == "mean"
    assert told["jde_lightning.preprocessing"]["padding"] == 114
    assert told["jde_lightning.weights"] == "best.ckpt"
    parity = told["jde_lightning.parity"]
    assert set(parity) == {"boxes", "scores", "logits", "labels", "cosine"}
    assert 0 < parity["boxes"] < 0.02


def test_what_was_written_is_told_and_nothing_else_is_left(checkpoint, trace_is_there, tmp_path):
    exported = export_onnx(checkpoint, tmp_path / "deep" / "model.onnx", None, True, Suppression(**INSIDE))
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert exported.facts == ExportFacts.from_metadata({e.key: e.value for e in model.metadata_props}, "")
    assert exported.facts.suppression == INSIDE
    assert exported.inputs == {"images": ("batch", 3, "height", "width")}
    assert exported.outputs["embeddings"] == ("detections", 8)
    assert list(exported.outputs) == [each.name for each in model.graph.output]
    assert [path.name for path in exported.path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ("cv2", r"on a batch of 1 at 96x96 pixels: boxes differ by .*, allowed are 0\.1; the file is not written"),
        ("cv3", "on a batch of 1 at 96x96 pixels: scores differ by"),
        ("cv4", "on a batch of 1 at 96x96 pixels: 1 - cosine of embeddings differ by"),
    ],
)
def test_a_graph_that_computes_something_else_is_refused(checkpoint, trace_is_there, tmp_path, branch, message):
    weights = next(i for i in trace_is_there.graph.initializer if f"{branch}.0.2.weight" in i.name)
    values = onnx.numpy_helper.to_array(weights) * np.float32(1.3)
    if branch == "cv4":
        values = values[::-1]
    weights.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values), weights.name))
    with pytest.raises(ParityError, match=message):
        export_onnx(checkpoint, tmp_path / "model.onnx", None, True)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_depends_on_the_batch_is_refused(checkpoint, trace_is_there, tmp_path):
    """Batches of 1 alone would not show it: every image gets the scores of the first."""
    graph = trace_is_there.graph
    graph.output[1].name = "scores"
    producer = next(node for node in graph.node if "scores" in node.output)
    producer.output[list(producer.output).index("scores")] = "own_scores"
    graph.node.extend(
        onnx.parser.parse_graph(
            """g (float[b, a] own_scores) => (float[b, a] scores) {
            zero = Constant<value_ints = [0]>()
            first = Gather<axis = 0>(own_scores, zero)
            shape = Shape(own_scores)
            scores = Expand(first, shape)
        }"""
        ).node
    )
    with pytest.raises(ParityError, match="on a batch of 4 at 96x96 pixels: scores differ by"):
        export_onnx(checkpoint, tmp_path / "model.onnx", None, True)


def test_small_scores_must_agree_too(checkpoint, trace_is_there, tmp_path, monkeypatch):
    """All scores fall below 0.001, so that their differences do, whatever is computed; their logits tell."""
    loaded = onnx_export.load_network(checkpoint)
    for branch in loaded.network.model[-1].cv3:
        branch[2].bias.data -= 11.0
    for bias in trace_is_there.graph.initializer:
        if "cv3" in bias.name and bias.name.endswith(".2.bias"):  # equal ones are there once
            lower = onnx.numpy_helper.to_array(bias) - np.float32(11.3)
            bias.CopyFrom(onnx.numpy_helper.from_array(lower, bias.name))
    monkeypatch.setattr(onnx_export, "load_network", lambda *_: loaded)
    with pytest.raises(ParityError, match="on a batch of 1 at 96x96 pixels: logits differ by"):
        export_onnx(checkpoint, tmp_path / "model.onnx", None, True)


def test_a_suppression_that_keeps_other_boxes_is_refused(checkpoint, trace_is_there, tmp_path, monkeypatch):
    from jde_lightning.inference import onnx_suppression

    right = onnx_suppression.add_suppression
    monkeypatch.setattr(
        onnx_suppression,
        "add_suppression",
        lambda model, classes, conf, iou, *more, **k: right(model, classes, conf, iou - 0.2, *more, **k),
    )
    with pytest.raises(ParityError, match="the suppression inside keeps other boxes than the one outside"):
        export_onnx(checkpoint, tmp_path / "model.onnx", None, True, Suppression())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 100}, "image_size must be a positive multiple of 32, got 100; take 96 or 128"),
        ({"size": (96, 100)}, "multiple of 32, got 100"),
        ({"size": (96, 64), "dynamic_size": True}, r"give one number instead of \(96, 64\)"),
        ({"suppression": Suppression(conf=2)}, r"conf must be in 0\.\.1, got 2"),
        ({"suppression": Suppression(max_det=0)}, "max_det must be at least 1"),
        ({"output": "model.pt"}, r"an exported network is a \.onnx file; call it model\.pt\.onnx"),
        ({"scale": "s"}, "of scale 'n', but scale 's' was asked for"),
    ],
)
def test_wrong_values(checkpoint, tmp_path, changes, message):
    output = tmp_path / changes.pop("output", "model.onnx")
    with pytest.raises(InputError, match=message):
        export_onnx(checkpoint, output, **changes)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named_before_anything_is_loaded(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(InputError, match=r"exporting needs onnxscript; pip install 'jde-lightning\[export\]'"):
        export_onnx(tmp_path / "nowhere.ckpt", tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not exported by this package"),
        ({"names": "{}"}, "not exported by this package"),
        ({"jde_lightning.format": "2", "jde_lightning.version": '"9.0"'}, "exported in format 2 by version 9.0"),
        ({"jde_lightning.format": "1"}, "the metadata is damaged"),
        ({"jde_lightning.format": "one"}, "the metadata is damaged"),
    ],
)
def test_metadata_of_others(metadata, message):
    with pytest.raises(InputError, match=rf"^model\.onnx: {message}"):
        ExportFacts.from_metadata(metadata, "model.onnx")
