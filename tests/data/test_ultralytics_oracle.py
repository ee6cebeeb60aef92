"""The same draws through ultralytics' transforms and through ours: equal pixels, boxes and identities."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from jde_lightning import _ultralytics  # noqa: F401  # quiet, offline import of ultralytics
from jde_lightning.data import AugmentationConfig, FrameIndex, MosaicDataset, augment, mosaic
from jde_lightning.data.images import decode, letterbox, resize_long_side
from jde_lightning.data.samples import MosaicRequest
from jde_lightning.structures import FrameAnnotations

base = pytest.importorskip("ultralytics.data.base")
theirs = pytest.importorskip("ultralytics.data.augment")
instance = pytest.importorskip("ultralytics.utils.instance")

SIZE = 160
IMAGE_SIZES = [(320, 180), (180, 320), (97, 61), (640, 355), (160, 160), (333, 250)]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("images")
    annotated = []
    for i, (width, height) in enumerate(IMAGE_SIZES):
        texture = cv2.resize(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8), (width, height))
        path = folder / f"{i}.jpg"
        cv2.imwrite(str(path), texture)
        n = 12
        corner = rng.uniform(-0.1, 0.9, (n, 2)) * [width, height]
        sides = rng.uniform(0.005, 0.5, (n, 2)) * [width, height]
        boxes = np.concatenate([corner, corner + sides], axis=1)
        identities = np.arange(n) + 100 * i
        annotated.append(
            FrameAnnotations(path, width, height, boxes, np.zeros(n), identities, np.zeros(n), np.ones(n), "D")
        )
    return annotated


def load_as_they_do(path: Path) -> np.ndarray:
    """Ultralytics' own decoding and resizing, on as little of a dataset as it needs."""
    stub = SimpleNamespace(
        ims=[None], im_files=[str(path)], npy_files=[path.with_suffix(".npy")], cache=None,
        cv2_flag=cv2.IMREAD_COLOR, imgsz=SIZE, augment=False, prefix="",
    )  # fmt: skip
    return base.BaseDataset.load_image(stub, 0, rect_mode=True)[0]


def their_labels(frame: FrameAnnotations) -> dict:
    image = load_as_they_do(frame.image_path)
    height, width = image.shape[:2]
    # Their label files hold boxes clipped to the image, relative to its size.
    relative = frame.boxes.reshape(-1, 2, 2) / [frame.width, frame.height]
    boxes = (relative.clip(0, 1) * [width, height]).reshape(-1, 4).astype(np.float32)
    return {
        "img": image,
        "resized_shape": (height, width),
        "im_file": "",
        "ori_shape": (frame.height, frame.width),
        "cls": np.stack([frame.labels, frame.identities], axis=1),
        "instances": instance.Instances(boxes, bbox_format="xyxy", normalized=False),
    }


def run_theirs(frames, request, config, monkeypatch):
    """Feed ultralytics the numbers that our dataset draws for the request, in our order."""
    rng = np.random.default_rng(request.seed)
    uniform: list[float] = []
    monkeypatch.setattr(theirs.random, "uniform", lambda low, high: uniform.pop(0))

    def view(tiles):
        """One mosaic as it is warped."""
        labels = their_labels(frames[tiles[0]])
        if rng.random() < config.mosaic:
            x, y = mosaic.draw_center(SIZE, rng)
            transform = theirs.Mosaic(
                SimpleNamespace(cache=None, get_image_and_label=lambda i: their_labels(frames[tiles[i]])), SIZE
            )
            transform.get_indexes = lambda: [1, 2, 3]
            uniform.extend([0.0, y, x])
            labels = transform(labels)
        uniform.extend(augment.draw_perspective(config, rng))
        labels = theirs.RandomPerspective(perspective=config.perspective, size=(SIZE, SIZE))(labels)
        assert not uniform
        return labels

    labels = view(request.frames)
    gains = augment.draw_hsv(config, rng)
    flip = rng.random() < config.fliplr
    if request.mixup is not None and rng.random() < config.mixup:
        share = augment.draw_mixup(rng)
        second = view(request.mixup)
        monkeypatch.setattr(theirs.np.random, "beta", lambda *parameters: share if parameters == (32.0, 32.0) else None)
        uniform.append(0.0)
        transform = theirs.MixUp(SimpleNamespace(get_image_and_label=lambda _: second, cache=None), p=1.0)
        transform.get_indexes = lambda: 0
        labels = transform(labels)
    monkeypatch.setattr(theirs.np.random, "uniform", lambda *_: gains)
    labels = theirs.RandomHSV(1.0, 1.0, 1.0)(labels)
    labels = theirs.RandomFlip(p=float(flip), direction="horizontal")(labels)
    monkeypatch.undo()
    labels["instances"].convert_bbox("xyxy")
    return labels


@pytest.mark.parametrize(
    "config",
    [
        AugmentationConfig(),
        AugmentationConfig(mosaic=0.0),
        AugmentationConfig(degrees=20.0, shear=8.0, scale=0.3, fliplr=1.0),
        AugmentationConfig(perspective=0.0008, hsv_h=0.5),
        AugmentationConfig(mixup=0.5),
        AugmentationConfig(mixup=1.0, mosaic=0.5),
    ],
    ids=["paper", "no mosaic", "rotation", "perspective", "mixup", "mixup without mosaic"],
)
def test_equal_to_ultralytics(frames, config, monkeypatch):
    index = FrameIndex.from_frames(frames)
    dataset = MosaicDataset(index, index.identities, SIZE, config, reduced_decode=False, fused=False)
    rng = np.random.default_rng(1)
    boxes = 0
    for number in range(40):
        four, other = rng.integers(0, len(frames), (2, 4)).tolist()
        request = MosaicRequest(tuple(four), (3, number), tuple(other))
        ours = dataset[request]
        expected = run_theirs(frames, request, config, monkeypatch)
        np.testing.assert_array_equal(ours.image, expected["img"][..., ::-1].transpose(2, 0, 1))
        np.testing.assert_array_equal(ours.identities, expected["cls"][:, 1])
        np.testing.assert_allclose(ours.boxes, expected["instances"].bboxes, atol=2e-3)
        boxes += len(ours.boxes)
    assert boxes > 100


def test_decoding_and_resizing_equal_ultralytics(frames):
    for frame in frames:
        np.testing.assert_array_equal(
            resize_long_side(decode(frame.image_path), SIZE), load_as_they_do(frame.image_path)
        )


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize(("width", "height"), [*IMAGE_SIZES, (1920, 1080), (500, 3), (161, 160)])
def test_letterbox_equals_ultralytics(width, height, square):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours, fit = letterbox(image, SIZE, square=square)
    box = theirs.LetterBox((SIZE, SIZE), auto=not square, stride=32)
    np.testing.assert_array_equal(ours, box(image=image))
    params = box.get_params({"img": image})
    assert (fit.left, fit.top, fit.gain) == (params["left"], params["top"], params["ratio"][0])
