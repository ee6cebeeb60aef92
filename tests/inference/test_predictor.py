import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from jde_lightning.boxes import iou
from jde_lightning.errors import InputError
from jde_lightning.inference.predictor import Predictor
from jde_lightning.models.network import YOLO11JDE
from jde_lightning.structures import Detections

SIZE = 96


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = YOLO11JDE("n", 2, embed_dim=8)
    # Batch norms that normalise, so that an untrained network answers differently for different images.
    made.train()
    with torch.no_grad():
        made(torch.rand(4, 3, SIZE, SIZE))
        # Scores far apart, so that rounding cannot change the order of detections.
        for branch in made.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.5)
    return made.eval()


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return [
        cv2.resize(small, (128, 72)),
        cv2.resize(small[::-1].copy(), (128, 72)),
        cv2.resize(small, (60, 90)),
    ]


def checkpoint(network, path, **changes):
    content = {
        "state_dict": {f"network.{k}": v for k, v in network.state_dict().items()} | {"loss.proxies": torch.zeros(3)},
        "hyper_parameters": {"scale": "n", "embed_dim": 8, "class_names": None},
        "optimizer_states": [{"state": {}}],
        "jde_lightning": {"scale": "n", "embed_dim": 8, "class_names": ["person", "rider"], "image_size": SIZE},
    }
    torch.save({**content, **changes}, path)
    return path


def same(a, b, atol=1e-4):
    assert len(a) == len(b) > 0
    np.testing.assert_allclose(a.boxes, b.boxes, atol=atol)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    np.testing.assert_array_equal(a.labels, b.labels)


class Recorder(torch.nn.Module):
    """Remembers what the network would get, and finds the same box in every image."""

    class_names = ("person",)

    def fused(self):
        return self

    def computes_late(self, embeddings):
        return False

    def forward(self, images):
        self.images = images
        return images

    def decode(self, images, conf, iou, max_det, embeddings):
        self.settings = (conf, iou, max_det)
        embeddings = np.ones((1, 1), np.float32)
        return [Detections([[16, 20, 40, 60]], [0.5 + i / 10], [0], embeddings) for i in range(len(images))]


def test_network_gets_letterboxed_rgb_and_boxes_come_back_in_original_pixels():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (72, 128, 3), dtype=np.uint8) for _ in range(2)]
    network = Recorder()
    predictor = Predictor(network, SIZE, conf=0.3, iou=0.6, max_det=7, device="cpu")
    found = predictor.detect(images)
    assert network.settings == (0.3, 0.6, 7)
    # 128 x 72 becomes 96 x 54, with 5 rows of gray above and below.
    assert network.images.shape == (2, 3, 64, 96)
    assert network.images.dtype == torch.float32
    for got, image in zip(network.images.numpy(), images, strict=True):
        canvas = np.full((64, 96, 3), 114, np.uint8)
        canvas[5:59] = cv2.resize(image, (96, 54), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(got, canvas[..., ::-1].transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_allclose(found[0].boxes, np.array([[16, 15, 40, 55]]) / 0.75, rtol=1e-6)
    assert [f.scores.item() for f in found] == pytest.approx([0.5, 0.6])


def test_boxes_are_not_clipped_as_in_validation():
    class Outside(Recorder):
        def decode(self, images, *settings):
            return [Detections([[-20, -10, 500, 400]], [0.5])]

    found = Predictor(Outside(), 64, device="cpu").detect([np.zeros((64, 64, 3), np.uint8)])[0]
    assert found.boxes.tolist() == [[-20, -10, 500, 400]]


def test_mixed_sizes_keep_their_order():
    wide, high = np.zeros((32, 64, 3), np.uint8), np.zeros((64, 32, 3), np.uint8)
    found = Predictor(Recorder(), 64, device="cpu").detect([wide, high, wide])
    assert [round(f.scores.item(), 1) for f in found] == [0.5, 0.5, 0.6]


def test_untrained_embeddings_are_dropped():
    image = np.zeros((64, 64, 3), np.uint8)
    assert Predictor(Recorder(), 64, device="cpu").detect([image])[0].embeddings is not None
    assert Predictor(Recorder(), 64, device="cpu", appearance=False).detect([image])[0].embeddings is None


def test_batch_of_mixed_sizes_equals_one_by_one(network, images):
    predictor = Predictor(network, SIZE, conf=0.0, max_det=20, device="cpu")
    together = predictor.detect([images[0], images[2], images[1]])
    for image, found in zip([images[0], images[2], images[1]], together, strict=True):
        same(found, predictor.detect([image])[0], atol=1e-3)


def test_nothing_in_nothing_out(network, images):
    assert Predictor(network, SIZE, device="cpu").detect([]) == []
    found = Predictor(network, SIZE, conf=1.0, device="cpu").detect(images)
    assert [len(f) for f in found] == [0, 0, 0]
    assert found[0].embeddings.shape == (0, 8)


def test_checkpoint_alone_is_enough(network, images, tmp_path):
    path = checkpoint(network, tmp_path / "last.ckpt")
    predictor = Predictor.from_checkpoint(path, conf=0.0, max_det=20, device="cpu")
    assert (predictor.image_size, predictor.class_names, predictor.appearance) == (SIZE, ["person", "rider"], True)
    expected = Predictor(network, SIZE, conf=0.0, max_det=20, device="cpu").detect(images)
    for found, wanted in zip(predictor.detect(images), expected, strict=True):
        same(found, wanted)


def test_size_of_the_checkpoint_can_be_overridden(network, tmp_path):
    path = checkpoint(network, tmp_path / "last.ckpt")
    assert Predictor.from_checkpoint(path, image_size=64, device="cpu").image_size == 64
    with pytest.raises(InputError, match="multiple of 32, got 0"):
        Predictor.from_checkpoint(path, image_size=0, device="cpu")


def test_bf16_agrees_roughly_and_stays_float32(network, images):
    full = Predictor(network, SIZE, conf=0.0, max_det=5, device="cpu").detect(images[:1])[0]
    half = Predictor(network, SIZE, conf=0.0, max_det=5, device="cpu", precision="bf16").detect(images[:1])[0]
    assert half.boxes.dtype == half.scores.dtype == np.float32
    np.testing.assert_allclose(half.scores, full.scores, rtol=0.1, atol=0.01)
    assert not np.array_equal(half.scores, full.scores)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_late_embeddings_are_those_of_the_dense_branch(network, images, precision):
    def found(embeddings):
        settings = {"conf": 0.0, "max_det": 20, "device": "cpu", "precision": precision}
        return Predictor(network, SIZE, embeddings=embeddings, **settings).detect(images)

    for dense, late, auto in zip(found("dense"), found("late"), found("auto"), strict=True):
        for one in (late, auto):
            same(one, dense)
            np.testing.assert_allclose(one.embeddings, dense.embeddings, atol=1e-5 if precision == "fp32" else 1e-2)


def test_no_embeddings_are_wanted(network, images):
    with_them = Predictor(network, SIZE, conf=0.0, max_det=20, device="cpu").detect(images)
    predictor = Predictor(network, SIZE, conf=0.0, max_det=20, device="cpu", embeddings="none")
    assert not predictor.appearance
    for one, other in zip(predictor.detect(images), with_them, strict=True):
        same(one, other)
        assert one.embeddings is None


def test_the_branch_does_not_run_where_nobody_trained_it(network, images, monkeypatch):
    def refuse(*_):
        pytest.fail("the Re-ID branch ran")

    monkeypatch.setattr(network.model[-1].cv4, "forward", refuse)
    monkeypatch.setattr("jde_lightning.models.network.embeddings_at", refuse)
    assert Predictor(network, SIZE, conf=0.0, device="cpu", appearance=False).detect(images)[0].embeddings is None


def test_the_given_network_can_still_be_trained(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predictor = Predictor(network, SIZE, device="cpu")
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in predictor.network.modules())
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.requires_grad for n, p in network.named_parameters() if ".dfl." not in n)


@pytest.mark.slow
def test_compiled_networks_answer_as_uncompiled_ones(network, images, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    settings = {"conf": 0.0, "max_det": 20, "device": "cpu"}
    plain = Predictor(network, SIZE, **settings)
    compiled = Predictor(network, SIZE, **settings, compile="default")
    compiled.warm_up(*images[0].shape[:2], batch_size=2)
    assert list(tmp_path.iterdir()), "nothing was kept on disk"
    for batch in (images[:2], images[1:2]):  # the second is filled up
        for one, other in zip(compiled.detect(batch), plain.detect(batch), strict=True):
            same(one, other, atol=1e-3)
            np.testing.assert_allclose(one.embeddings, other.embeddings, atol=1e-4)


def test_unknown_ways_to_run(network):
    with pytest.raises(InputError, match="unknown embeddings 'lazy'; choose one of dense, late, auto"):
        Predictor(network, SIZE, device="cpu", embeddings="lazy")
    with pytest.raises(InputError, match="unknown compile 'fast'"):
        Predictor(network, SIZE, device="cpu", compile="fast")


def test_missing_file():
    with pytest.raises(InputError, match=r"nowhere\.ckpt: no such weights file"):
        Predictor.from_checkpoint("nowhere.ckpt")


def test_file_of_something_else(tmp_path):
    path = tmp_path / "notes.ckpt"
    path.write_text("not a checkpoint")
    with pytest.raises(InputError, match=r"notes\.ckpt: not a readable PyTorch checkpoint"):
        Predictor.from_checkpoint(path)
    torch.save({"state_dict": {"resnet.weight": torch.zeros(3)}, "epoch": 3}, path)
    with pytest.raises(InputError, match=r"notes\.ckpt: holds no YOLO11 weights .*; expected a checkpoint of `fit`"):
        Predictor.from_checkpoint(path)
    whole = tmp_path / "whole.ckpt"
    torch.save({"state_dict": {"resnet.weight": torch.zeros(5000)}}, whole)
    path.write_bytes(whole.read_bytes()[:5000])  # torch fails with an OSError that names no file
    with pytest.raises(InputError, match=r"notes\.ckpt: not a readable PyTorch checkpoint"):
        Predictor.from_checkpoint(path)
    with pytest.raises(InputError, match=r"is a folder; expected a checkpoint such as .*last\.ckpt"):
        Predictor.from_checkpoint(tmp_path)


def test_weights_of_others_need_a_scale(network, tmp_path):
    path = tmp_path / "plain.pt"
    torch.save(network.state_dict(), path)
    with pytest.raises(InputError, match=r"plain\.pt: not a checkpoint of this package; .*--scale n"):
        Predictor.from_checkpoint(path)


def test_scale_that_contradicts_the_checkpoint(network, tmp_path):
    path = checkpoint(network, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="of scale 'n', but scale 's' was asked for"):
        Predictor.from_checkpoint(path, scale="s")


def test_checkpoint_that_does_not_describe_itself(network, tmp_path):
    path = checkpoint(network, tmp_path / "last.ckpt", jde_lightning={"scale": "n", "embed_dim": 8})
    with pytest.raises(InputError, match="does not say its class_names"):
        Predictor.from_checkpoint(path)


def test_checkpoint_whose_weights_do_not_fit(network, tmp_path):
    facts = {"scale": "n", "embed_dim": 16, "class_names": ["person", "rider"]}
    path = checkpoint(network, tmp_path / "last.ckpt", jde_lightning=facts)
    with pytest.raises(InputError, match="the weights do not fit the network that the checkpoint describes: "):
        Predictor.from_checkpoint(path)


def test_checkpoint_of_a_branch_that_is_unknown_or_another(network, tmp_path):
    facts = {"scale": "n", "embed_dim": 8, "class_names": ["person", "rider"]}
    path = checkpoint(network, tmp_path / "last.ckpt", jde_lightning={**facts, "reid_branch": "light"})
    with pytest.raises(InputError, match=r"last\.ckpt: the weights do not fit the network .*model\.23\.cv4\."):
        Predictor.from_checkpoint(path)
    path = checkpoint(network, tmp_path / "last.ckpt", jde_lightning={**facts, "reid_branch": "heavy"})
    with pytest.raises(InputError, match=r"last\.ckpt: unknown Re-ID branch 'heavy'; .*a newer version"):
        Predictor.from_checkpoint(path)


@pytest.mark.parametrize(("branch", "fusion"), [("plain", False), ("light", True)])
def test_plain_weights_with_a_trained_embedding_keep_it(tmp_path, branch, fusion):
    authors = YOLO11JDE("n", 1, embed_dim=16, reid_branch=branch, reid_fusion=fusion)
    torch.save(authors.state_dict(), tmp_path / "authors.pt")
    predictor = Predictor.from_checkpoint(tmp_path / "authors.pt", image_size=64, conf=0.0, device="cpu", scale="n")
    assert predictor.appearance
    assert (predictor.network.reid_branch, predictor.network.reid_fusion) == (branch, fusion)
    assert predictor.detect([np.zeros((64, 64, 3), np.uint8)])[0].embeddings.shape[1] == 16


def test_weights_without_a_class_branch_are_refused(network, tmp_path):
    state = {k: v for k, v in network.state_dict().items() if "model.23.cv3." not in k}
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"cut\.pt: lacks \d+ tensors that detection needs, such as model\.23\.cv3"):
        Predictor.from_checkpoint(tmp_path / "cut.pt", scale="n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "image_size must be a positive multiple of 32, got 100; take 96 or 128"),
        ({"image_size": 0}, "multiple of 32, got 0"),
        ({"conf": 1.5}, r"conf must be in 0\.\.1, got 1\.5"),
        ({"iou": -0.1}, r"iou must be in 0\.\.1, got -0\.1"),
        ({"max_det": 0}, "max_det must be at least 1, got 0"),
        ({"device": "toaster"}, r"device 'toaster' cannot be used here \(there is no such device\)"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
    ],
)
def test_values_out_of_range(network, changes, message):
    with pytest.raises(InputError, match=message):
        Predictor(network, **changes)


@pytest.mark.parametrize("name", ["yolo11n_coco_state_dict.pt", "yolo11n_official_layout.pt"])
def test_coco_weights_find_the_persons_that_ultralytics_finds(real_data, caplog, name):
    import ultralytics  # after the package, which imports it quietly

    image = cv2.imread(str(Path(ultralytics.__file__).parent / "assets" / "bus.jpg"))
    reference = json.loads((real_data / "weights/reference_detections.json").read_text())["detections"]
    persons = [d for d in reference["ultralytics/assets/bus.jpg"] if d["cls"] == "person"]
    weights = real_data / "weights" / name
    predictor = Predictor.from_checkpoint(weights, image_size=640, conf=0.25, device="cpu", scale="n")
    found = predictor.detect([image])[0]

    assert "no trained embedding" in caplog.text
    assert not predictor.appearance
    assert found.embeddings is None
    assert predictor.class_names == ["person"]
    assert not found.labels.any()
    assert len(found) == len(persons)
    # The reference is clipped to the image.
    height, width = image.shape[:2]
    clipped = found.boxes.clip(0, [width, height, width, height]).astype(np.float32)
    expected = np.array([d["xyxy"] for d in persons], np.float32)
    overlap = iou(clipped, expected)
    assert overlap.max(axis=0).min() > 0.97
    np.testing.assert_allclose(found.scores[overlap.argmax(axis=0)], [d["conf"] for d in persons], atol=0.01)
