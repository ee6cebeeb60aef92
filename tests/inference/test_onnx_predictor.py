import subprocess
import sys

import cv2
import numpy as np
import pytest
from small_export import INSIDE, SIZE, TRACKER

from jde_lightning.cli import main
from jde_lightning.errors import InputError
from jde_lightning.inference import onnx_sessions
from jde_lightning.inference.cache import read_cache
from jde_lightning.inference.onnx_predictor import OnnxPredictor
from jde_lightning.inference.onnx_sessions import openvino_core
from jde_lightning.inference.predictor import Predictor
from jde_lightning.inference.predictor_loading import load_predictor, tracker_factory_for
from jde_lightning.inference.suppression import select_detections
from jde_lightning.tracking import FairMOTTracker, YOLO11JDETracker

BACKENDS = ["onnxruntime", "openvino"]


@pytest.fixture(scope="module")
def images():
    """Wide and high ones in turn."""
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(5)]
    sizes = [(128, 72), (60, 90), (128, 72), (96, 96), (60, 90)]
    return [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image, size in zip(small, sizes, strict=True)]


def same(found, expected, pixels=0.05):
    """The same detections; where two are equally sure, in any order."""
    assert len(found) == len(expected) > 1
    mine, theirs = (np.lexsort((d.boxes[:, 0].round(1), d.scores.round(4))) for d in (found, expected))
    np.testing.assert_allclose(found.boxes[mine], expected.boxes[theirs], atol=pixels)
    np.testing.assert_allclose(found.scores[mine], expected.scores[theirs], atol=1e-4)
    np.testing.assert_array_equal(found.labels[mine], expected.labels[theirs])
    cosines = (found.embeddings[mine] * expected.embeddings[theirs]).sum(axis=1)
    assert cosines.min() > 0.9999
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_finds_what_torch_finds(small_exports, images, backend):
    pytest.importorskip(backend)
    expected = Predictor.from_checkpoint(small_exports.checkpoint, conf=0.3, device="cpu").detect(images)
    predictor = OnnxPredictor(small_exports.dense, conf=0.3, backend=backend)
    for found, wanted in zip(predictor.detect(images), expected, strict=True):
        same(found, wanted)
    assert (predictor.image_size, predictor.class_names, predictor.appearance) == (SIZE, ["person", "rider"], True)
    assert predictor.detect([]) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_finds_the_same_with_the_suppression_inside(small_exports, images, backend):
    pytest.importorskip(backend)
    expected = Predictor.from_checkpoint(small_exports.checkpoint, device="cpu", **INSIDE).detect(images)
    inside = OnnxPredictor(small_exports.suppressing, backend=backend)
    assert (inside.conf, inside.iou, inside.max_det) == tuple(INSIDE.values())
    for found, wanted in zip(inside.detect(images), expected, strict=True):
        same(found, wanted)
    surer = OnnxPredictor(small_exports.suppressing, conf=0.4, max_det=4, backend=backend).detect(images)
    for found, wanted in zip(surer, expected, strict=True):
        same(found, wanted[wanted.scores > 0.4][:4])


def test_three_steps_are_detect_and_the_size_can_be_another(small_exports, images):
    predictor = OnnxPredictor(small_exports.dense, image_size=64, conf=0.3)
    prepared = predictor.prepare(images)
    assert [batch.shape for batch in prepared.batches] == [(5, 3, 64, 64)]
    outputs = [predictor.forward(batch) for batch in prepared.batches]
    expected = Predictor.from_checkpoint(small_exports.checkpoint, image_size=64, conf=0.3, device="cpu").detect(images)
    for found, wanted in zip(predictor.postprocess(outputs, prepared), expected, strict=True):
        same(found, wanted)


def test_fixed_size_takes_images_of_any_shape(small_exports, images):
    predictor = OnnxPredictor(small_exports.fixed, conf=0.3)
    prepared = predictor.prepare(images)
    assert [batch.shape for batch in prepared.batches] == [(5, 3, 64, 96)]
    # 128x72 fits as the letterbox of torch does it, 60x90 with grey at the sides.
    torch_input = Predictor.from_checkpoint(small_exports.checkpoint, device="cpu").prepare(images[:1]).batches[0]
    np.testing.assert_allclose(prepared.batches[0][0], torch_input[0], atol=1e-6)
    high = prepared.batches[0][1]
    assert (high[:, :, :26] == np.float32(114 / 255)).all()
    assert not (high[:, :, 30:60] == np.float32(114 / 255)).all()
    found = predictor.detect(images)
    same(found[0], Predictor.from_checkpoint(small_exports.checkpoint, conf=0.3, device="cpu").detect(images[:1])[0])
    with pytest.raises(InputError, match="fixed height x width 64x96, so image_size cannot be 128; leave it out"):
        OnnxPredictor(small_exports.fixed, image_size=128)


def test_bf16_in_openvino_agrees_roughly(small_exports, images):
    pytest.importorskip("openvino")
    if "BF16" not in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(InputError, match="does not compute in bf16"):
            OnnxPredictor(small_exports.dense, backend="openvino", precision="bf16")
        return
    full, half = (OnnxPredictor(small_exports.dense, backend="openvino", precision=p) for p in ("fp32", "bf16"))
    assert (full.description.split()[-1], half.description.split()[-1]) == ("fp32", "bf16")
    batch = full.prepare(images).batches[0]
    a, b = full.forward(batch)["scores"], half.forward(batch)["scores"]
    assert b.dtype == np.float32
    assert 1e-4 < np.abs(a - b).max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 100}, "image_size must be a positive multiple of 32, got 100"),
        ({"conf": 1.5}, r"conf must be in 0\.\.1, got 1\.5"),
        ({"max_det": 0}, "max_det must be at least 1"),
        ({"backend": "tensorflow"}, "unknown backend 'tensorflow'; choose one of auto, onnxruntime, openvino"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"device": "toaster"}, "device 'toaster' is unknown to onnxruntime; expected auto, cpu, cuda or cuda:0"),
        ({"device": "cuda:1"}, r"device 'cuda:1' cannot be used here: .* onnxruntime-gpu"),
        ({"precision": "bf16"}, "in fp32; bf16 needs --backend openvino"),
        (
            {"device": "NPU7", "backend": "openvino"},
            "device 'NPU7' cannot be used here by OpenVINO; expected one of auto",
        ),
    ],
)
def test_values_that_cannot_be(small_exports, options, message):
    pytest.importorskip(options.get("backend", "onnxruntime") if options.get("backend") in BACKENDS else "onnxruntime")
    import onnxruntime

    if options.get("device") == "cuda:1" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(InputError, match=message):
        OnnxPredictor(small_exports.dense, **{"backend": "onnxruntime", **options})


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"conf": 0.2}, "conf 0.2, iou 0.6, max_det 50"),
        ({"iou": 0.7}, "conf 0.3, iou 0.7, max_det 50"),
        ({"max_det": 51}, "conf 0.3, iou 0.6, max_det 51"),
    ],
)
def test_what_the_graph_has_dropped_cannot_be_had(small_exports, options, asked):
    fixed = "suppresses inside the graph with conf 0.3, iou 0.6, max_det 50"
    with pytest.raises(
        InputError, match=f"{fixed}, so that {asked} cannot be had; export with these values, or without"
    ):
        OnnxPredictor(small_exports.suppressing, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_that_are_none(tmp_path, backend):
    pytest.importorskip(backend)
    with pytest.raises(InputError, match=r"gone\.onnx: no such file; write it with `jde-lightning export"):
        OnnxPredictor(tmp_path / "gone.onnx", backend=backend)
    (tmp_path / "bad.onnx").write_bytes(b"nothing that anybody exported")
    with pytest.raises(InputError, match=r"bad\.onnx: \w+ cannot read it \(.*\); it is damaged or no ONNX model"):
        OnnxPredictor(tmp_path / "bad.onnx", backend=backend)
    from onnx import parser

    text = '<ir_version: 10, opset_import: ["" : 18]> g (float[n] images) => (float[n] y) { y = Abs(images) }'
    (tmp_path / "other.onnx").write_bytes(parser.parse_model(text).SerializeToString())
    with pytest.raises(InputError, match=r"other\.onnx: not exported by this package"):
        OnnxPredictor(tmp_path / "other.onnx", backend=backend)


def test_backend_that_is_not_installed(small_exports, monkeypatch):
    monkeypatch.setattr(onnx_sessions, "_installed", lambda name: False)
    with pytest.raises(InputError, match=r"dense\.onnx: onnxruntime is not installed; pip install onnxruntime"):
        OnnxPredictor(small_exports.dense)


def test_auto_takes_openvino_where_it_is_alone(small_exports, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(onnx_sessions, "_installed", lambda name: name == "openvino")
    assert OnnxPredictor(small_exports.dense).backend == "openvino"


def test_threads_are_those_of_the_environment(small_exports, monkeypatch):
    import onnxruntime

    given = []
    session = onnxruntime.InferenceSession

    def record(path, options, **more):
        given.append(options.intra_op_num_threads)
        return session(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    for environment, threads in (("3", None), ("3", 2), ("many", None), ("", None)):
        monkeypatch.setenv("OMP_NUM_THREADS", environment)
        OnnxPredictor(small_exports.dense, backend="onnxruntime", threads=threads)
    assert given == [3, 2, 0, 0]  # 0: all


def test_weights_choose_the_predictor(small_exports, tmp_path, monkeypatch):
    assert isinstance(load_predictor(small_exports.dense), OnnxPredictor)
    predictor = load_predictor(small_exports.checkpoint, device="cpu", conf=0.4)
    assert isinstance(predictor, Predictor)
    assert (predictor.conf, predictor.iou, predictor.max_det) == (0.4, 0.7, 300)
    with pytest.raises(InputError, match=r"dense\.onnx: an exported network knows its scale"):
        load_predictor(small_exports.dense, scale="n")
    with pytest.raises(InputError, match=r"dense\.onnx: .* everywhere; leave --embeddings late out"):
        load_predictor(small_exports.dense, embeddings="late")
    with pytest.raises(InputError, match=r"dense\.onnx: torch\.compile is for checkpoints"):
        load_predictor(small_exports.dense, compile="default")
    with pytest.raises(InputError, match=r"backend openvino runs exported networks; write one with .* best\.onnx`"):
        load_predictor(small_exports.checkpoint, backend="openvino")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"best\.ckpt: checkpoints need torch, which is not installed; export the"):
        load_predictor(small_exports.checkpoint)


def test_embeddings_that_are_not_wanted_are_left_out(small_exports, images):
    for path in (small_exports.dense, small_exports.suppressing):
        predictor = load_predictor(path, embeddings="none")
        predictor.warm_up(72, 128)
        assert not predictor.appearance
        assert predictor.detect(images[:1])[0].embeddings is None


def test_the_tracker_is_the_one_asked_for_then_the_files_then_the_papers(small_exports):
    dense, suppressing = (OnnxPredictor(path) for path in (small_exports.dense, small_exports.suppressing))
    tracker = tracker_factory_for(dense, small_exports.dense, None)(30)
    assert isinstance(tracker, FairMOTTracker)
    assert (tracker.conf_thresh, tracker.appearance) == (TRACKER["init_args"]["conf_thresh"], True)
    assert not tracker_factory_for(dense, small_exports.dense, None, appearance=False)(30).appearance
    assert isinstance(tracker_factory_for(dense, small_exports.dense, "bytetrack")(30), YOLO11JDETracker)
    assert isinstance(tracker_factory_for(suppressing, small_exports.dense, None)(30), YOLO11JDETracker)
    dense.tracker = {"class_path": "os.system"}
    with pytest.raises(InputError, match=r"dense\.onnx: tracker: class_path 'os\.system' is no tracker"):
        tracker_factory_for(dense, small_exports.dense, None)


def test_cache_and_track_run_it(small_exports, images, tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 5):
        cv2.imwrite(str(folder / f"{number}.png"), images[0])
    output = ["--output", str(tmp_path / "onnx.npz"), "--conf", "0.3"]
    assert main(["cache", str(folder), "--weights", str(small_exports.dense), *output]) == 0
    cache = read_cache(tmp_path / "onnx.npz")
    assert cache.origin.settings["backend"] in BACKENDS
    assert cache.origin.detector == "dense.onnx"
    expected = Predictor.from_checkpoint(small_exports.checkpoint, conf=0.3, device="cpu").detect(images[:1])[0]
    for found in cache.sequences[0].detections:
        same(found, expected)
    capsys.readouterr()
    assert main(["track", str(folder), "--weights", str(small_exports.dense), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("frames: 4 frames, ")
    rows = np.loadtxt(tmp_path / "out" / "frames.txt", delimiter=",", ndmin=2)
    assert sorted(set(rows[:, 0])) == [1, 2, 3, 4]


def test_pooled_embeddings_are_not_those_of_the_best_anchor(small_exports, images):
    """So that the tests above could see a pooling that is forgotten."""
    predictor = OnnxPredictor(small_exports.dense, conf=0.3)
    outputs = predictor.forward(predictor.prepare(images[:1]).batches[0])
    arrays = [outputs[name][0] for name in ("boxes", "scores", "labels", "embeddings")]
    best, mean = (select_detections(*arrays, 0.3, 0.7, 300, pooling) for pooling in ("best", "mean"))
    assert (best.embeddings * mean.embeddings).sum(axis=1).min() < 0.999


def test_ctrl_c_after_openvino_is_a_keyboard_interrupt(small_exports, images):
    """Not a segmentation fault: in a process of its own, as that would end this one."""
    pytest.importorskip("openvino")
    program = (
        "import faulthandler, gc, signal, sys; faulthandler.enable()\n"
        "from jde_lightning.inference import OnnxPredictor\n"
        "first, second = (OnnxPredictor(sys.argv[1], backend='openvino') for _ in range(2))\n"
        "del first; gc.collect(); del second; gc.collect()\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    )
    command = [sys.executable, "-c", program, str(small_exports.dense)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
