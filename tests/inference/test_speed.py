import json
import time

import cv2
import numpy as np
import pytest
import torch
from small_checkpoint import write_checkpoint

from jde_lightning import _ultralytics
from jde_lightning.cli import main
from jde_lightning.errors import InputError
from jde_lightning.inference.frames import Frame, FrameSource
from jde_lightning.inference.loading import load_network
from jde_lightning.inference.predictor import Predictor, PreparedImages
from jde_lightning.inference.speed import FirstFrames, measure_end_to_end, measure_stages
from jde_lightning.inference.tracker_config import load_tracker_factory
from jde_lightning.inference.ultralytics_peer import save_for_ultralytics
from jde_lightning.models import YOLO11JDE
from jde_lightning.structures import Detections

STAGES = {"decode": 0.003, "prepare": 0.006, "forward": 0.012, "select": 0.009}


class Film(FrameSource):
    """Gray frames that take their time to come."""

    name, frame_rate, length = "film", 30.0, 12

    def __iter__(self):
        for number in range(1, self.length + 1):
            time.sleep(STAGES["decode"])
            yield Frame(number, np.full((48, 64, 3), 99, np.uint8))


class SlowDetector:
    """Finds one person, and takes a known time for each step."""

    class_names = ("person",)

    def prepare(self, images):
        time.sleep(STAGES["prepare"])
        return PreparedImages([torch.zeros(len(images))], [list(range(len(images)))], [])

    def forward(self, batch):
        time.sleep(STAGES["forward"])
        return batch

    def postprocess(self, maps, prepared):
        time.sleep(STAGES["select"])
        return [Detections([[9, 9, 30, 40]], [0.9]) for _ in maps[0]]

    def detect(self, images):
        prepared = self.prepare(images)
        return self.postprocess([self.forward(batch) for batch in prepared.batches], prepared)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_stage_is_charged_for_its_own_work(tmp_path, batch_size):
    factory = load_tracker_factory("yolo11_jde", appearance=False)
    speed = measure_stages(Film(), SlowDetector(), factory, tmp_path, batch_size, warm_up=1, video=True)
    assert speed.frames == 12 - batch_size
    assert speed.people == 1
    assert list(speed.milliseconds) == ["decode", "prepare", "forward", "select", "track", "draw", "encode", "write"]
    for name, seconds in STAGES.items():
        expected = 1000 * seconds / (1 if name == "decode" else batch_size)
        assert expected <= speed.percentile(name, 50) < expected + 30, name
        assert len(speed.milliseconds[name]) == speed.frames
    assert speed.forward_alone <= batch_size / STAGES["forward"]
    assert (tmp_path / "stages.mp4").is_file()
    assert json.loads(json.dumps(speed.as_json()))["stages"]["forward"]["p95_ms"] >= 12 / batch_size


def test_few_frames_all_count_and_none_is_an_error(tmp_path):
    factory = load_tracker_factory("yolo11_jde", appearance=False)
    speed = measure_stages(FirstFrames(Film(), 2), SlowDetector(), factory, tmp_path, warm_up=3)
    assert speed.frames == 2
    with pytest.raises(InputError, match="film: has no frames"):
        measure_stages(FirstFrames(Film(), 0), SlowDetector(), factory, tmp_path)


def test_end_to_end_counts_the_slowest_stage_at_least(tmp_path):
    factory = load_tracker_factory("yolo11_jde", appearance=False)
    rate = measure_end_to_end(Film(), SlowDetector(), factory, tmp_path)
    assert 0 < rate < 1 / (STAGES["prepare"] + STAGES["forward"] + STAGES["select"])
    assert len((tmp_path / "film.txt").read_text().splitlines()) > 5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network that finds something in noise, as a checkpoint of ours."""
    torch.manual_seed(0)
    network = YOLO11JDE("n", 1, embed_dim=8)
    network.train()
    with torch.no_grad():
        network(torch.rand(4, 3, 96, 96))
        for branch in network.model[-1].cv3:
            torch.nn.init.normal_(branch[2].weight, std=0.5)
            torch.nn.init.zeros_(branch[2].bias)
    network.eval()
    return write_checkpoint(network, tmp_path_factory.mktemp("weights") / "tiny.ckpt", image_size=96)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (128, 96)))
    return folder


def test_ultralytics_finds_the_same_boxes(checkpoint, images, tmp_path):
    predictor = Predictor.from_checkpoint(checkpoint, conf=0.2, device="cpu")
    save_for_ultralytics(load_network(checkpoint).network, tmp_path / "peer.pt")
    model = _ultralytics.load_yolo(str(tmp_path / "peer.pt"))
    image = cv2.imread(str(images / "0.png"))
    theirs = model.predict(image, imgsz=96, conf=0.2, iou=0.7, verbose=False)[0].boxes
    ours = predictor.detect([image])[0]
    assert len(ours) == len(theirs) > 3
    np.testing.assert_allclose(ours.boxes.clip(0, [128, 96, 128, 96]), theirs.xyxy.numpy(), atol=0.01)
    np.testing.assert_allclose(ours.scores, theirs.conf.numpy(), atol=1e-4)


@pytest.mark.slow
def test_the_verb_measures_both(checkpoint, images, tmp_path, capsys):
    report = tmp_path / "out" / "speed.json"
    words = ["benchmark", str(images), "--weights", str(checkpoint), "--device", "cpu", "--output", str(report)]
    assert main([*words, "--repeats", "1", "--vs", "ultralytics"]) == 0
    text = capsys.readouterr().out
    for name in ("forward", "select", "end to end", "Ultralytics 8.4", "ratio", "processor", "saved:"):
        assert name in text
    saved = json.loads(report.read_text())
    assert saved["ultralytics"]["frames"] == 6
    assert saved["times_as_fast"] == pytest.approx(
        saved["speed"]["end_to_end_fps"] / saved["ultralytics"]["fps"], rel=0.01
    )
    assert saved["settings"]["image_size"] == 96


def test_the_verb_renders_frames_where_there_is_no_source(checkpoint, tmp_path, capsys):
    report = tmp_path / "speed.json"
    words = ["benchmark", "--weights", str(checkpoint), "--frames", "2", "--repeats", "1", "--output", str(report)]
    assert main(words) == 0
    assert json.loads(report.read_text())["speed"]["frames"] == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--frames", "0"], 2, "--frames must be at least 1"),
        (["--repeats", "0"], 2, "--repeats must be at least 1"),
        (["nowhere.mp4"], 1, "nowhere.mp4: no such file"),
    ],
)
def test_the_verb_refuses(checkpoint, capsys, words, code, message):
    assert main(["benchmark", "--weights", str(checkpoint), *words]) == code
    assert message in capsys.readouterr().err
